"""From what a person typed to a session that can start: config, strategy and folder, checked at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from pinnacle.config import Config, apply_settings, parse_config, put, read_toml
from pinnacle.engine.strategy import load_strategy
from pinnacle.errors import OperatorError
from pinnacle.resources import find_file
from pinnacle.run.real_orders import account_of, limits_of, tier_of
from pinnacle.run.session import Session
from pinnacle.vault.vault import Vault
from pinnacle.venues.venues import VENUES, gateway_address, venue


def prepare_accounts(session: Session, names: Sequence[str], vault: Callable[[], Vault]) -> None:
    """Keys for a session with real orders.  names: VENUE/NAME of those that are not called "default".

    Raises OperatorError for a venue that takes no orders, a cap or key that is missing, a key that may not trade.  The
    vault is opened last, so that its password is asked for only where all else fits.
    """
    venues = venue_table_of(session)
    chosen = dict.fromkeys(venues, "default")
    for name in names:
        place, _, key = name.partition("/")
        if place not in chosen or not key:
            raise OperatorError(f"--key {name}: must be VENUE/NAME, with a venue of the config: {', '.join(chosen)}")
        chosen[place] = key
    for name in venues:
        gateway_address(name)
        limits_of(session.config, name, session.where)
        tier_of(session.config, name, session.where)
    opened = vault()
    accounts = {}
    for place, key in chosen.items():
        found = opened.key(place, key)
        if found.permissions != "trade":
            raise OperatorError(f"{found.label} was added for reading; add a key that may trade, or trade on paper")
        accounts[place] = account_of(found, opened.path)
    session.accounts = accounts
    opened.wipe()


def venue_table_of(session: Session) -> list[str]:
    """The venues of a session that trade."""
    return list(dict.fromkeys(one.venue for one in session.config.instruments))


def prepare_session(
    config: str | None,
    strategy: str | None,
    settings: Sequence[str],
    out: Path | None,
    mode: str,
    say: Callable[..., None],
    stop_after_s: float = 0,
) -> Session:
    """A session that is ready to run.  mode: "paper", "live" or "record".  Raises OperatorError for misfits."""
    if not (math.isfinite(stop_after_s) and stop_after_s >= 0):
        raise OperatorError(f"--for {stop_after_s:g}: must be a number of seconds, 0 for no end")
    path = find_file(config or "live", None, "configs", ".toml")
    where = config or path.name
    raw = read_toml(path)
    if strategy is not None:
        chosen = raw.get("strategy", {}) if isinstance(raw.get("strategy", {}), dict) else {}
        same = Path(str(chosen.get("path", ""))).stem == Path(strategy).stem
        raw["strategy"] = {"path": strategy, "params": chosen.get("params", {}) if same else {}}
    apply_settings(raw, settings)
    put(raw, "run.record", "full", where)
    where = " ".join([where, *(f"--set {setting}" for setting in settings)])
    parsed = parse_config(raw, where)
    for one in parsed.instruments:
        try:
            venue(one.venue)
        except ModuleNotFoundError:
            raise OperatorError(f"{where}: {one.venue} has no live feed yet; take another venue") from None
    _check_addresses(parsed, where)
    loaded = None
    if mode != "record":
        loaded = load_strategy(find_file(parsed.strategy.path, path.parent, "strategies", ".py"))
        for one in parsed.instruments:
            loaded.values({**parsed.strategy.params, **one.params}, where)
    name = loaded.name if loaded is not None else "record"
    folder = out or Path("runs") / f"{name}-live-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    return Session(parsed, where, mode, loaded, folder, say, stop_after_s)


def _check_addresses(config: Config, where: str) -> None:
    """A misspelt address must not become the venue's public one, nor an attempt without end."""
    for name, address in config.live.venues.items():
        if name not in VENUES:
            raise OperatorError(f"{where}: live.venues.{name}: no such venue; known are {', '.join(VENUES)}")
        for key, text, schemes in (
            ("websocket", address.websocket, ("ws://", "wss://")),
            ("rest", address.rest, ("http://", "https://")),
        ):
            if text and not text.startswith(schemes):
                raise OperatorError(
                    f"{where}: live.venues.{name}.{key} is {text!r}, and must begin with {' or '.join(schemes)}"
                )
    proxy = config.live.proxy
    if proxy and not proxy.startswith("http://"):
        raise OperatorError(f"{where}: live.proxy is {proxy!r}, and must be http://HOST:PORT")

"""From what a person typed to a session that can start: config, strategy and folder, checked at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from pinnacle.config import apply_settings, parse_config, put, read_toml
from pinnacle.engine.strategy import load_strategy
from pinnacle.errors import OperatorError
from pinnacle.resources import find_file
from pinnacle.run.real_orders import Account, limits_of
from pinnacle.run.session import Session
from pinnacle.vault.vault import Vault
from pinnacle.venues.credentials import signer
from pinnacle.venues.venues import gateway_address, venue


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
    opened = vault()
    accounts = {}
    for place, key in chosen.items():
        found = opened.key(place, key)
        if found.permissions != "trade":
            raise OperatorError(f"{found.label} was added for reading; add a key that may trade, or trade on paper")
        accounts[place] = Account(found.api_key, signer(place, found.secret.reveal())[1], found.passphrase.reveal())
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
    """A session that is ready to run.  mode: "paper", "live" or "record".  Raises OperatorError."""
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
    loaded = None
    if mode != "record":
        loaded = load_strategy(find_file(parsed.strategy.path, path.parent, "strategies", ".py"))
        for one in parsed.instruments:
            loaded.values({**parsed.strategy.params, **one.params}, where)
    name = loaded.name if loaded is not None else "record"
    folder = out or Path("runs") / f"{name}-live-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    return Session(parsed, where, mode, loaded, folder, say, stop_after_s)

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
from pinnacle.run.session import Session
from pinnacle.venues.venues import VENUES, venue


def prepare_session(
    config: str | None,
    strategy: str | None,
    settings: Sequence[str],
    out: Path | None,
    mode: str,
    say: Callable[..., None],
    stop_after_s: float = 0,
) -> Session:
    """A session that is ready to run.  mode: "paper" or "record".  Raises OperatorError for what does not fit."""
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

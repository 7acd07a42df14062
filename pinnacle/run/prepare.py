"""From what a person typed to a run that can start: config, overrides, strategy, data and folder, checked at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pinnacle.config import Config, apply_settings, parse_config, put, read_toml
from pinnacle.engine.strategy import Strategy, load_strategy
from pinnacle.errors import OperatorError
from pinnacle.history.from_log import is_log
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.instrument import Instrument, decimal_of
from pinnacle.resources import find_file
from pinnacle.run.backtest import Backtest

if TYPE_CHECKING:
    from pinnacle.history.check import HistoryReport
    from pinnacle.history.tape_check import TapeReport


def prepare_backtest(
    config: str | None,
    strategy: str | None,
    data: Sequence[str],
    settings: Sequence[str],
    out: Path | None,
    record: str | None,
) -> Backtest:
    """A backtest that is ready to run.  Raises OperatorError for anything that does not fit together."""

    def change(raw: dict[str, Any], where: str) -> None:
        if record is not None:
            put(raw, "run.record", record, f"--record {record}: {where}")
        _apply_data(raw, data, where)

    parsed, where, beside, loaded = typed_run(config or "default", config, strategy, settings, change)
    folder = out or Path("runs") / f"{loaded.name}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    return Backtest(config=parsed, where=where, beside=beside, strategy=loaded, out=folder)


def typed_run(
    name: str,
    said: str | None,
    strategy: str | None,
    settings: Sequence[str],
    change: Callable[[dict[str, Any], str], None],
) -> tuple[Config, str, Path, Strategy]:
    """(config, what errors call it, its folder, the strategy) of a config file and what a person said over it.

    name: the file, or a shipped one's name.  said: as the person called it, None if not at all.  change: applied to the
    raw tables before `settings`, which come last.  Raises OperatorError for anything that does not fit together.
    """
    path = find_file(name, None, "configs", ".toml")
    where = said or path.name
    raw = read_toml(path)
    if strategy is not None:
        chosen = raw.get("strategy", {}) if isinstance(raw.get("strategy", {}), dict) else {}
        # Another strategy has other parameters; those of the config are not meant for it.
        same = Path(str(chosen.get("path", ""))).stem == Path(strategy).stem
        raw["strategy"] = {"path": strategy, "params": chosen.get("params", {}) if same else {}}
        if not same and isinstance(raw.get("optimize"), dict):
            raw["optimize"].pop("search", None)
    change(raw, where)
    apply_settings(raw, settings)
    where = " ".join([where, *(f"--set {setting}" for setting in settings)])
    parsed = parse_config(raw, where)
    loaded = load_strategy(find_file(parsed.strategy.path, path.parent, "strategies", ".py"))
    for one in parsed.instruments:
        loaded.values({**parsed.strategy.params, **one.params}, where)
    return parsed, where, path.parent, loaded


def _apply_data(raw: dict[str, Any], data: Sequence[str], where: str) -> None:
    """Put --data where it belongs: a catalog for all, or a file for one instrument."""
    listed = raw.get("instruments")
    instruments = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    for given in data:
        name, equals, rest = given.partition("=")
        if equals and ":" in name:
            match = [one for one in instruments if f"{one.get('venue')}:{one.get('symbol')}" == name]
            if not match:
                there = ", ".join(f"{one.get('venue')}:{one.get('symbol')}" for one in instruments)
                raise OperatorError(f"--data {given}: {where} has no instrument {name}; it has {there}")
            match[0]["data"] = str(_existing(rest))
            continue
        path = _existing(given)
        if is_log(path):
            # One log holds the market of all.
            for one in instruments:
                one["data"] = str(path)
        elif path.is_dir() and any(path.glob("*/*/*.parquet")):
            put(raw, "data.catalog", str(path), f"--data {given}: {where}")
        elif len(instruments) == 1:
            instruments[0]["data"] = str(path)
        else:
            first = f"{instruments[0].get('venue')}:{instruments[0].get('symbol')}" if instruments else "VENUE:SYMBOL"
            raise OperatorError(
                f"--data {given}: {where} has {len(instruments)} instruments; say whose data it is, "
                f"for example --data {first}={given}"
            )


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.exists():
        raise OperatorError(f"--data {name}: no such file or folder")
    return path.resolve()


def instrument_from(how: Mapping[str, Any]) -> Instrument | None:
    """The instrument of import options, or None if none of its steps is given.  Raises OperatorError."""
    if how["tick"] is None and how["lot"] is None:
        return None
    for field in ("venue", "symbol", "tick", "lot"):
        if not how[field]:
            raise OperatorError(f"--{field} is missing; an instrument needs --venue, --symbol, --tick and --lot")
    exact = {
        field: decimal_of(how[field], f"--{field.replace('_', '-')}")
        for field in ("tick", "lot", "contract", "qty_min", "notional_min")
    }
    return Instrument(venue=how["venue"], symbol=how["symbol"], base=how["base"], quote=how["quote"], **exact)


def import_options(how: Mapping[str, Any]) -> ImportOptions:
    """How to read a recording, from command line options."""
    return ImportOptions(
        bridge=how["bridge"],
        tickers=how["tickers"],
        offset_ns=how["offset_ns"],
        partial=how["partial"],
        off_tick=how["off_tick"],
        feed=how["feed"],
        columns=read_toml(how["columns"]) if how["columns"] else {},
    )


def tape_steps(how: Mapping[str, Any]) -> tuple[str, list[str], Instrument | None]:
    """(venue, symbols, an instrument with the steps given) of a tape's options.  Raises OperatorError."""
    if not how["venue"]:
        raise OperatorError("--venue is missing; a tape is read through the feed of a venue")
    symbols = [one for one in (how["symbol"] or "").split(",") if one]
    steps = None
    if how["tick"] is not None or how["lot"] is not None:
        steps = instrument_from({**how, "symbol": how["symbol"] or "any"})
    return how["venue"], symbols, steps


def check_paths(
    paths: list[Path], how: Mapping[str, Any], progress: Progress | None
) -> Sequence[HistoryReport | TapeReport]:
    """A report on recordings given together, one on each instrument of a catalog, or one on a tape."""
    from pinnacle.history.tape_items import is_tape

    if any(is_tape(path, how["feed"]) for path in paths):
        from pinnacle.history.tape_check import check_tape

        return [check_tape(paths, *tape_steps(how), progress)]
    from pinnacle.history.catalog import list_catalog
    from pinnacle.history.check import check_history

    if len(paths) == 1 and paths[0].is_dir() and any(paths[0].glob("*/*/*.parquet")):
        days: dict[tuple[str, str], list[Path]] = {}
        for day in list_catalog(paths[0]):
            days.setdefault((day.venue, day.symbol), []).append(day.path)
        return [check_history(files, None, None, progress) for files in days.values()]
    given: Any = paths[0] if len(paths) == 1 else paths
    return [check_history(given, instrument_from(how), import_options(how), progress)]

"""A run's configuration: TOML to typed structs, where an error names the file, the key, what was found and the remedy.

Sections outside [[instruments]] are defaults that each instrument may override under its own name.  Numbers that must
be exact (tick, lot, sizes) are decimals and may be written as text or as numbers.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from pinnacle.config_live import Live, VenueAddress
from pinnacle.config_optimize import Optimize, SearchRange, check_optimize
from pinnacle.config_simulate import Simulate, check_simulate
from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument, decimal_of

Exact = str | int | float
# What other readers of a manifest keep exact as a JSON number.
Count = Annotated[int, Meta(ge=0, le=1 << 53)]
Positive = Annotated[int, Meta(ge=1, le=1 << 53)]
TimeNs = Annotated[int, Meta(ge=0, le=(1 << 63) - 2)]
# Eleven days: in nanoseconds, and many of them after one another, it stays far inside 64 bits.
Ms = Annotated[float, Meta(ge=0, le=1e9)]
SampleMs = Annotated[int, Meta(ge=1, le=10**9)]
Factor = Annotated[float, Meta(ge=0, le=1000)]
# A rate beyond the whole value is a slip of the unit.
Bps = Annotated[float, Meta(ge=-10_000, le=10_000)]
Name = Annotated[str, Meta(min_length=1)]


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Any table of the file: an unknown key is an error, never ignored."""


class Run(Section, forbid_unknown_fields=True, kw_only=True):
    """seed: of every random draw.  checkpoint_every: inputs between fingerprints.  snapshots: keep the state at each.
    sample_ms: between samples of the report.  record: "own" logs timers, answers and commands; "full" logs the market
    too.  start_ns: the strategy starts here, flat, over a warm book (0: from the first event).  stop_ns: nothing after
    this time is heard (0: the whole history)."""

    seed: Count = 0
    checkpoint_every: Positive = 1 << 20
    snapshots: bool = True
    sample_ms: SampleMs = 100
    record: Literal["own", "full"] = "own"
    start_ns: TimeNs = 0
    stop_ns: TimeNs = 0


class StrategyChoice(Section, forbid_unknown_fields=True, kw_only=True):
    """path: a .py file, or the name of a bundled strategy.  params: by name."""

    path: Name = "fixed_spread"
    params: dict[str, float] = {}


class Wake(Section, forbid_unknown_fields=True, kw_only=True):
    """When the strategy is asked: every so many ms (0: never), after each whole market message, after each answer.
    listen: "own" wakes an instrument on its own book, "all" wakes all on any."""

    every_ms: Ms = 100
    on_book: bool = False
    on_order: bool = False
    listen: Literal["own", "all"] = "own"


class Data(Section, forbid_unknown_fields=True, kw_only=True):
    """catalog: folder of imported history.  first, last: days, YYYY-MM-DD.  bridge, tickers, offset_ns: how a raw
    recording is read."""

    catalog: str = ""
    first: str = ""
    last: str = ""
    bridge: Literal["snapshot", "as-received"] = "snapshot"
    tickers: bool = True
    offset_ns: int | None = None


class Latency(Section, forbid_unknown_fields=True, kw_only=True):
    """model: constant; recorded (a CSV of ts_ns, entry_ns, cancel_ns, response_ns); feed (a multiple of the feed's own
    latency plus the constant); fitted (the constant plus a lognormal of median *_median_ms and shape *_sigma)."""

    model: Literal["constant", "recorded", "feed", "fitted"] = "constant"
    entry_ms: Ms = 10
    cancel_ms: Ms | None = None
    response_ms: Ms = 10
    file: str = ""
    entry_multiplier: Factor = 1
    cancel_multiplier: Factor | None = None
    response_multiplier: Factor = 1
    entry_median_ms: Ms = 5
    cancel_median_ms: Ms | None = None
    response_median_ms: Ms = 5
    entry_sigma: Factor = 0.5
    cancel_sigma: Factor | None = None
    response_sigma: Factor = 0.5


class Queue(Section, forbid_unknown_fields=True, kw_only=True):
    """How lots leave the queue ahead of us.  model: exact, for histories of single orders, where nothing is left to a
    model; the others split what a shrinking level lost, and hear single orders as the levels that they make; auto is
    exact where the history holds single orders, and power elsewhere.  n: exponent of the power models."""

    model: Literal["auto", "exact", "risk-averse", "power", "power2", "power3", "log", "log2"] = "auto"
    n: Annotated[float, Meta(gt=0, le=100)] = 3


class Fills(Section, forbid_unknown_fields=True, kw_only=True):
    """model: "partial" fills what was there to fill; "whole" fills an order whole or not at all, as the peer engines
    do.  self_trade: what expires when our order would meet our own."""

    model: Literal["partial", "whole"] = "partial"
    self_trade: Literal["expire-taker", "expire-maker", "expire-both", "none"] = "expire-taker"


class Fees(Section, forbid_unknown_fields=True, kw_only=True):
    """Basis points of the value; negative is a rebate."""

    maker_bps: Bps = 0
    taker_bps: Bps = 0


class Funding(Section, forbid_unknown_fields=True, kw_only=True):
    """A fixed rate in basis points of the position's value, paid by longs every so many hours from midnight UTC; 0
    for none.  History that holds funding events needs neither."""

    rate_bps: Bps = 0
    every_h: Annotated[float, Meta(ge=0, le=10_000)] = 0


class Risk(Section, forbid_unknown_fields=True, kw_only=True):
    """Limits on what is sent, in base currency or contracts, quote currency, and percent of the mid; none if absent."""

    position_max: Exact | None = None
    order_max: Exact | None = None
    open_orders_max: Count | None = None
    band_pct: Annotated[float, Meta(ge=0, le=10_000)] | None = None
    notional_max: Exact | None = None
    rate_max: Count | None = None
    rate_window_ms: Ms = 1000


class InstrumentConfig(Section, forbid_unknown_fields=True, kw_only=True):
    """One instrument of the run with everything that holds for it.  data: a recording or a day file; else the catalog.
    trade: whether the strategy quotes it, or only sees it."""

    venue: Name
    symbol: Name
    data: str = ""
    trade: bool = True
    tick: Exact | None = None
    lot: Exact | None = None
    contract: Exact = 1
    qty_min: Exact = 0
    notional_min: Exact = 0
    base: str = ""
    quote: str = ""
    params: dict[str, float] = {}
    latency: Latency = msgspec.field(default_factory=Latency)
    queue: Queue = msgspec.field(default_factory=Queue)
    fills: Fills = msgspec.field(default_factory=Fills)
    fees: Fees = msgspec.field(default_factory=Fees)
    funding: Funding = msgspec.field(default_factory=Funding)
    risk: Risk = msgspec.field(default_factory=Risk)

    @property
    def name(self) -> str:
        """`venue:symbol`."""
        return f"{self.venue}:{self.symbol}"

    def instrument(self, where: str) -> Instrument | None:
        """The instrument with its steps, or None if the config leaves them to the history."""
        if self.tick is None and self.lot is None:
            return None
        if self.tick is None or self.lot is None:
            missing = "tick" if self.tick is None else "lot"
            raise OperatorError(
                f"{where}: instruments.{missing} of {self.name} is missing; set both tick and lot, or neither"
            )
        exact = {
            field: decimal_of(str(getattr(self, field)), f"{where}: {field} of {self.name}")
            for field in ("tick", "lot", "contract", "qty_min", "notional_min")
        }
        return Instrument(venue=self.venue, symbol=self.symbol, base=self.base, quote=self.quote, **exact)


class Config(Section, forbid_unknown_fields=True, kw_only=True):
    """A whole run.  where: the file it came from, for errors; raw: what the manifest keeps."""

    run: Run = msgspec.field(default_factory=Run)
    strategy: StrategyChoice = msgspec.field(default_factory=StrategyChoice)
    wake: Wake = msgspec.field(default_factory=Wake)
    data: Data = msgspec.field(default_factory=Data)
    optimize: Optimize = msgspec.field(default_factory=Optimize)
    simulate: Simulate | None = None
    live: Live = msgspec.field(default_factory=Live)
    instruments: list[InstrumentConfig]


# Sections that an instrument inherits and may override.
INHERITED = ("latency", "queue", "fills", "fees", "funding", "risk")


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a config file.  Raises OperatorError naming the file and the line."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise OperatorError(f"{path}: no such config file; see configs/ for examples") from None
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{path}: is no valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path}: cannot be read: {error}") from None


def apply_settings(raw: dict[str, Any], settings: Sequence[str]) -> None:
    """Apply `key.path=value` settings; the value is read as TOML, or else taken as text."""
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise OperatorError(f"--set {setting}: must be key=value, for example queue.model=log")
        try:
            read = tomllib.loads(f"value = {text.strip()}")
        except tomllib.TOMLDecodeError:
            read = {}
        # More than the one value means that the text only looked like TOML.
        value = read["value"] if list(read) == ["value"] else text.strip()
        put(raw, key.strip(), value, f"--set {setting}")


def put(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key; a number names an element of a list (instruments.0.tick)."""
    parts = key.split(".")
    if not all(parts):
        raise OperatorError(f"{where}: {key!r} is no key; write section.key, for example queue.model")
    place: Any = raw
    for part in parts[:-1]:
        if isinstance(place, list):
            if not part.isdigit() or int(part) >= len(place):
                raise OperatorError(f"{where}: {part!r} is no index of a list of {len(place)}")
            place = place[int(part)]
        else:
            place = place.setdefault(part, {})
        if not isinstance(place, (dict, list)):
            raise OperatorError(f"{where}: {part!r} is a value, not a table")
    if isinstance(place, list):
        if parts[-1].isdigit() or not all(isinstance(element, dict) for element in place):
            raise OperatorError(f"{where}: names a whole element of a list; name a key of it, such as {key}.tick")
        for element in place:
            element[parts[-1]] = value
    else:
        place[parts[-1]] = value


def parse_config(raw: Mapping[str, Any], where: str) -> Config:
    """Typed config of a file's tables.  Raises OperatorError naming file, key, what was found and the remedy."""
    tables = deepcopy(dict(raw))
    if isinstance(tables.get("data"), dict):
        # A day may be written as TOML's own date.
        tables["data"] = {
            key: value.isoformat() if isinstance(value, date) else value for key, value in tables["data"].items()
        }
    defaults = {name: tables.pop(name) for name in INHERITED if name in tables}
    instruments = tables.get("instruments")
    if not isinstance(instruments, list) or not instruments:
        raise OperatorError(f"{where}: has no [[instruments]]; a run needs at least one, with venue and symbol")
    for name, section in defaults.items():
        # By itself first, so that an error names the section that the file has and not a copy of it.
        converted(section, _SECTIONS[name], name, where)
        for instrument in instruments:
            own = instrument.get(name, {}) if isinstance(instrument, dict) else None
            if isinstance(own, dict):
                instrument[name] = {**section, **own}
    addresses = tables["live"].get("venues") if isinstance(tables.get("live"), dict) else None
    for name, section in addresses.items() if isinstance(addresses, dict) else ():
        # By itself first, so that an error names the keys of an address.
        converted(section, VenueAddress, f"live.venues.{name}", where)
    optimize = tables.get("optimize")
    ranges = optimize.get("search") if isinstance(optimize, dict) else None
    for name, section in ranges.items() if isinstance(ranges, dict) else ():
        # By itself first, so that an error names the parameter.
        converted(section, SearchRange, f"optimize.search.{name}", where)
    config: Config = converted(tables, Config, "", where)
    _check(config, where)
    return config


def converted(tables: Any, struct: type[msgspec.Struct], name: str, where: str) -> Any:
    """Plain tables as a typed section, its numbers finite.  name: its key in the file, "" for the whole."""
    try:
        section = msgspec.convert(tables, struct)
    except msgspec.ValidationError as error:
        raise OperatorError(f"{where}: {_complaint(str(error), tables, struct, name)}") from None
    for key, value in _floats(section, name):
        if not math.isfinite(value):
            raise OperatorError(f"{where}: {key} is {value}, and must be a finite number")
    return section


def _floats(value: Any, key: str) -> Iterator[tuple[str, float]]:
    """Every float of a config, with its key."""
    if isinstance(value, float):
        yield key, value
    elif isinstance(value, list):
        for index, element in enumerate(value):
            yield from _floats(element, f"{key}[{index}]")
    elif isinstance(value, (msgspec.Struct, dict)):
        items = value.items() if isinstance(value, dict) else msgspec.structs.asdict(value).items()
        for name, element in items:
            yield from _floats(element, f"{key}.{name}" if key else name)


# --- what an error says -------------------------------------------------------------------------------------------
_SECTIONS: dict[str, type[msgspec.Struct]] = {
    "run": Run, "strategy": StrategyChoice, "wake": Wake, "data": Data, "latency": Latency, "queue": Queue,
    "fills": Fills, "fees": Fees, "funding": Funding, "risk": Risk, "instruments": InstrumentConfig,
    "optimize": Optimize, "simulate": Simulate, "live": Live,
}  # fmt: skip
_WORDS = {
    "int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "object": "a table",
    "array": "a list",
}  # fmt: skip
_RELATIONS = {">=": "of at least", "<=": "of at most", ">": "above", "<": "below"}


def _complaint(text: str, tables: Any, struct: type[msgspec.Struct], name: str) -> str:
    """A validation error's text in the words of the file: the key, what was found there, what belongs there."""
    what, _, path = text.partition(" - at `$")
    steps = [step.rstrip("]") for step in path.rstrip("`").replace("[...]", ".*").replace("[", ".").split(".") if step]
    found, place = _found(tables, steps)
    key = ".".join(filter(None, [name, place])).replace(".[", "[")
    # A section that is looked at by itself knows its own keys.
    section = next((_SECTIONS[step] for step in reversed(steps) if step in _SECTIONS), _SECTIONS.get(name, struct))
    if "unknown field" in what:
        known = [field.name for field in msgspec.structs.fields(section)]
        known += [section for section in INHERITED if section not in known] if section is Config else []
        unknown = what.split("`")[-2]
        near = difflib.get_close_matches(unknown, known, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        return f"unknown key {unknown!r} in {key or 'the top level'}{meant}; known there: {', '.join(known)}"
    if "missing required" in what:
        needs = (
            "; each of [[instruments]] needs venue and symbol" if section is InstrumentConfig else ", which it needs"
        )
        return f"{key} has no {what.split('`')[-2]}{needs}"
    if "enum" in what:
        hint = get_type_hints(section)[steps[-1]]
        assert get_origin(hint) is Literal
        return f"{key} is {found!r}, and must be one of {', '.join(get_args(hint))}"
    return f"{key} is {found!r}, and must be {_wanted(what)}"


def _found(tables: Any, steps: Sequence[str]) -> tuple[Any, str]:
    """The value at a path, and the path as a person writes it; `*` stands for the first value of the wrong type."""
    place, path = tables, ""
    for step in steps:
        if isinstance(place, list):
            place, path = place[int(step)], f"{path}[{step}]"
            continue
        if step == "*":
            step = next(name for name, value in place.items() if type(value) not in (int, float))
        place, path = place[step], f"{path}.{step}" if path else step
    return place, path


def _wanted(what: str) -> str:
    """`Expected ...` in plain words, with its bound where it has one."""
    if "length" in what:
        return "a text that is not empty"
    expected, _, bound = what.removeprefix("Expected ").partition(", got")[0].partition("` ")
    types = [word.strip() for word in expected.strip("`").split("|")]
    unsaid = {"null"} | ({"int"} if "float" in types else set())
    kinds = " or ".join(_WORDS.get(word, word) for word in types if word not in unsaid)
    relation, _, limit = bound.partition(" ")
    return f"{kinds} {_RELATIONS[relation]} {Decimal(limit).normalize():f}" if bound else kinds


# --- what types cannot say ----------------------------------------------------------------------------------------
def _check(config: Config, where: str) -> None:
    """What types cannot say.  Raises OperatorError."""
    names = [one.name for one in config.instruments]
    for name in names:
        if names.count(name) > 1:
            raise OperatorError(f"{where}: {name} is listed twice under [[instruments]]; remove one")
    if config.wake.every_ms == 0 and not (config.wake.on_book or config.wake.on_order):
        raise OperatorError(
            f"{where}: the strategy would never be asked; set wake.every_ms, wake.on_book or wake.on_order"
        )
    if not any(one.trade for one in config.instruments):
        raise OperatorError(f"{where}: no instrument has trade = true, so there is nothing to quote")
    if 0 < config.run.stop_ns <= config.run.start_ns:
        raise OperatorError(
            f"{where}: run.start_ns is {config.run.start_ns} and run.stop_ns {config.run.stop_ns}, so nothing lies "
            "between; set stop_ns after start_ns, or to 0 for the end of the history"
        )
    check_optimize(config.optimize, where)
    if config.simulate is not None:
        check_simulate(config.simulate, where)
    for key in ("first", "last"):
        day = getattr(config.data, key)
        try:
            date.fromisoformat(day or "1970-01-01")
        except ValueError:
            raise OperatorError(f"{where}: data.{key} is {day!r}, and must be a day as YYYY-MM-DD") from None
    for one in config.instruments:
        _check_exact(one, where)


def _check_exact(one: InstrumentConfig, where: str) -> None:
    """The exact numbers of an instrument: decimals, and none of them negative."""
    exact: dict[str, Exact | None] = {key: getattr(one, key) for key in ("contract", "qty_min", "notional_min")}
    exact |= {f"risk.{key}": getattr(one.risk, key) for key in ("position_max", "order_max", "notional_max")}
    for key, value in exact.items():
        what = f"{where}: {key} of {one.name}"
        if value is not None and exact_decimal(value, what) < 0:
            raise OperatorError(f"{what} is {value}, and must not be negative")
    try:
        one.instrument(where)
    except OperatorError as error:
        raise OperatorError(f"{where}: {str(error).removeprefix(f'{where}: ')}") from None


def exact_decimal(value: Exact, what: str) -> Decimal:
    """A decimal out of text or a TOML number (whose shortest text is exact)."""
    return decimal_of(str(value), what)

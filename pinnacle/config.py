"""A run's configuration: TOML to typed structs, where an error names the file, the key, what was found and the remedy.

Sections outside [[instruments]] are defaults that each instrument may override under its own name.  Numbers that must
be exact (tick, lot, sizes) are decimals and may be written as text or as numbers.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument, decimal_of

Exact = str | int | float


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Any table of the file: an unknown key is an error, never ignored."""


class Run(Section, forbid_unknown_fields=True, kw_only=True):
    """seed: of every random draw.  checkpoint_every: inputs between fingerprints.  snapshots: keep the state at each.  sample_ms: between samples of the
    report.  record: "own" logs timers, answers and commands; "full" logs the market too.  stop_ns: nothing after this time is
    heard (0: the whole history)."""

    seed: int = 0
    checkpoint_every: int = 1 << 20
    snapshots: bool = True
    sample_ms: int = 100
    record: Literal["own", "full"] = "own"
    stop_ns: int = 0


class StrategyChoice(Section, forbid_unknown_fields=True, kw_only=True):
    """path: a .py file, or the name of a bundled strategy.  params: by name."""

    path: str = "fixed_spread"
    params: dict[str, float] = {}


class Wake(Section, forbid_unknown_fields=True, kw_only=True):
    """When the strategy is asked: every so many ms (0: never), after each whole market message, after each answer.
    listen: "own" wakes an instrument on its own book, "all" wakes all on any."""

    every_ms: float = 100
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
    entry_ms: float = 10
    cancel_ms: float | None = None
    response_ms: float = 10
    file: str = ""
    entry_multiplier: float = 1
    cancel_multiplier: float | None = None
    response_multiplier: float = 1
    entry_median_ms: float = 5
    cancel_median_ms: float | None = None
    response_median_ms: float = 5
    entry_sigma: float = 0.5
    cancel_sigma: float | None = None
    response_sigma: float = 0.5


class Queue(Section, forbid_unknown_fields=True, kw_only=True):
    """How lots leave the queue ahead of us; n: exponent of the power models."""

    model: Literal["risk-averse", "power", "power2", "power3", "log", "log2"] = "power"
    n: float = 3


class Fills(Section, forbid_unknown_fields=True, kw_only=True):
    """model: "partial" fills what was there to fill; "whole" fills an order whole or not at all, as the peer engines
    do.  self_trade: what expires when our order would meet our own."""

    model: Literal["partial", "whole"] = "partial"
    self_trade: Literal["expire-taker", "expire-maker", "expire-both", "none"] = "expire-taker"


class Fees(Section, forbid_unknown_fields=True, kw_only=True):
    """Basis points of the value; negative is a rebate."""

    maker_bps: float = 0
    taker_bps: float = 0


class Funding(Section, forbid_unknown_fields=True, kw_only=True):
    """A fixed rate in basis points of the position's value, paid by longs every so many hours from midnight UTC; 0
    for none.  History that holds funding events needs neither."""

    rate_bps: float = 0
    every_h: float = 0


class Risk(Section, forbid_unknown_fields=True, kw_only=True):
    """Limits on what is sent, in base currency or contracts, quote currency, and percent of the mid; none if absent."""

    position_max: Exact | None = None
    order_max: Exact | None = None
    open_orders_max: int | None = None
    band_pct: float | None = None
    notional_max: Exact | None = None
    rate_max: int | None = None
    rate_window_ms: float = 1000


class InstrumentConfig(Section, forbid_unknown_fields=True, kw_only=True):
    """One instrument of the run with everything that holds for it.  data: a recording or a day file; else the catalog.
    trade: whether the strategy quotes it, or only sees it."""

    venue: str
    symbol: str
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
            raise OperatorError(f"{where}: instruments.{missing} of {self.name} is missing; set both tick and lot, or neither")
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
            value = tomllib.loads(f"value = {text.strip()}")["value"]
        except tomllib.TOMLDecodeError:
            value = text.strip()
        put(raw, key.strip(), value, f"--set {setting}")


def put(raw: dict[str, Any], key: str, value: Any, where: str) -> None:
    """Set a dotted key; a number names an element of a list (instruments.0.tick)."""
    parts = key.split(".")
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
        for element in place:
            element[parts[-1]] = value
    else:
        place[parts[-1]] = value


def parse_config(raw: Mapping[str, Any], where: str) -> Config:
    """Typed config of a file's tables.  Raises OperatorError naming file, key, what was found and the remedy."""
    tables = deepcopy(dict(raw))
    defaults = {name: tables.pop(name) for name in INHERITED if name in tables}
    instruments = tables.get("instruments")
    if not isinstance(instruments, list) or not instruments:
        raise OperatorError(f"{where}: has no [[instruments]]; a run needs at least one, with venue and symbol")
    for name, section in defaults.items():
        if not isinstance(section, dict):
            raise OperatorError(f"{where}: {name} is {section!r}, and must be a table")
        for instrument in instruments:
            own = instrument.get(name, {}) if isinstance(instrument, dict) else {}
            if isinstance(instrument, dict):
                instrument[name] = {**section, **own} if isinstance(own, dict) else own
    try:
        config = msgspec.convert(tables, Config)
    except msgspec.ValidationError as error:
        raise OperatorError(f"{where}: {_complaint(error, tables)}") from None
    _check(config, where)
    return config


def _complaint(error: msgspec.ValidationError, tables: Mapping[str, Any]) -> str:
    """msgspec's message with the key first, the value found, and the known keys where one is unknown."""
    text, _, path = str(error).partition(" - at `$")
    key = path.rstrip("`").lstrip(".") or "the top level"
    if "unknown field" in text:
        unknown = text.split("`")[1]
        return f"unknown key {unknown!r} in {key}; known there: {', '.join(_known(key))}"
    place: Any = tables
    for part in key.replace("[", ".").replace("]", "").split("."):
        if isinstance(place, Mapping):
            place = place.get(part)
        elif isinstance(place, list) and part.isdigit():
            place = place[int(part)]
    return f"{key} is {place!r}: {text}"


def _known(key: str) -> list[str]:
    """Keys of the section at a path."""
    names = [part for part in key.replace("[", ".").split(".") if part and not part.rstrip("]").isdigit()]
    structs: dict[str, type[msgspec.Struct]] = {
        "run": Run, "strategy": StrategyChoice, "wake": Wake, "data": Data, "latency": Latency, "queue": Queue,
        "fills": Fills, "fees": Fees, "funding": Funding, "risk": Risk, "instruments": InstrumentConfig,
    }  # fmt: skip
    struct = structs.get(names[-1] if names else "", Config)
    fields = [field.name for field in msgspec.structs.fields(struct)]
    return fields + (list(INHERITED) if struct is Config else [])


def _check(config: Config, where: str) -> None:
    """What types cannot say."""
    names = [one.name for one in config.instruments]
    for name in names:
        if names.count(name) > 1:
            raise OperatorError(f"{where}: {name} is listed twice under [[instruments]]")
    positive = {"run.sample_ms": config.run.sample_ms, "run.checkpoint_every": config.run.checkpoint_every}
    for key, value in positive.items():
        if value <= 0:
            raise OperatorError(f"{where}: {key} is {value}, and must be above 0")
    if config.wake.every_ms < 0:
        raise OperatorError(f"{where}: wake.every_ms is {config.wake.every_ms}, and must not be negative")
    if config.wake.every_ms == 0 and not (config.wake.on_book or config.wake.on_order):
        raise OperatorError(f"{where}: the strategy would never be asked; set wake.every_ms, wake.on_book or wake.on_order")
    if not any(one.trade for one in config.instruments):
        raise OperatorError(f"{where}: no instrument has trade = true, so there is nothing to quote")
    for one in config.instruments:
        for leg in ("entry_ms", "cancel_ms", "response_ms"):
            value = getattr(one.latency, leg)
            if value is not None and value < 0:
                raise OperatorError(f"{where}: latency.{leg} of {one.name} is {value}, and must not be negative")


def exact_decimal(value: Exact, what: str) -> Decimal:
    """A decimal out of text or a TOML number (whose shortest text is exact)."""
    return decimal_of(str(value), what)

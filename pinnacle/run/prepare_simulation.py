"""From what a person typed to a simulation that can start: its models are built and checked before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from pinnacle.config import Config, put
from pinnacle.config_simulate import Simulate, start_ns
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.event import BOOK_LEVEL
from pinnacle.instrument import Instrument
from pinnacle.log.segment import read_segment
from pinnacle.models.generator import Generator
from pinnacle.models.hawkes import Hawkes
from pinnacle.models.value import Value
from pinnacle.models.zero_intelligence import ZeroIntelligence
from pinnacle.run.backtest import Backtest
from pinnacle.run.market import GeneratedMarket
from pinnacle.run.prepare import typed_run
from pinnacle.run.simulate import Simulation

Model = TypeVar("Model")


def prepare_simulation(
    config: str | None,
    strategy: str | None,
    settings: Sequence[str],
    seed: int | None,
    out: Path | None,
    duration_s: float | None,
    speed: float | None,
) -> Simulation:
    """A simulation that is ready to run.  Raises OperatorError for anything that does not fit together."""

    def change(raw: dict[str, Any], where: str) -> None:
        # Whoever cannot repeat the chance must have the market itself.
        put(raw, "run.record", "full", where)
        for key, value in (("run.seed", seed), ("simulate.duration_s", duration_s), ("simulate.speed", speed)):
            if value is not None and isinstance(raw.get("simulate"), dict):
                put(raw, key, value, f"--{key.partition('.')[2].removesuffix('_s')} {value}: {where}")

    parsed, where, beside, loaded = typed_run(config or "simulate", config, strategy, settings, change)
    simulate = parsed.simulate
    if simulate is None:
        raise OperatorError(
            f"{where}: has no [simulate], which says what market to generate; see configs/simulate.toml, or make one "
            "with pinnacle simulate --calibrate DATA"
        )
    parsed.run.record = "full"
    _check(parsed, where)
    folder = out or Path("runs") / f"simulate-{loaded.name}-{datetime.now().strftime('%Y%m%d-%H%M%S-%f')}"
    if simulate.model == "recorded":
        return _recorded(parsed, where, beside, loaded, folder)
    instrument = parsed.instruments[0].instrument(where)
    if instrument is None:
        raise OperatorError(f"{where}: {parsed.instruments[0].name} has no tick and lot; a generated market needs both")
    generator = generator_of(simulate, where)
    generator.state(parsed.run.seed)  # what is wrong with the numbers is said now, before a folder is made
    price_ticks = _price_ticks(simulate, instrument, where)

    def market(begin_ns: int) -> GeneratedMarket:
        return GeneratedMarket(
            instrument, generator, seed=parsed.run.seed, start_ns=begin_ns, price_ticks=price_ticks, participants=2
        )

    began_ns = start_ns(simulate, where)
    if began_ns == 0:
        raise OperatorError(f"{where}: simulate.start is empty, and a generated market needs one")
    return Simulation(
        config=parsed, where=where, strategy=loaded, out=folder, instrument=instrument, start_ns=began_ns, market=market
    )


def generator_of(simulate: Simulate, where: str) -> Generator:
    """The background that a config describes.  Raises OperatorError naming the file and the table."""
    excited = simulate.model == "hawkes" or (simulate.model == "informed" and simulate.excited)
    generator = Generator(
        zero_intelligence=_model(ZeroIntelligence.from_dict, simulate.zero_intelligence, "zero_intelligence", where),
        hawkes=_model(Hawkes.from_dict, simulate.hawkes, "hawkes", where) if excited else None,
        value=_model(Value.from_dict, simulate.value, "value", where) if simulate.model == "informed" else None,
        rate_factor=simulate.rate_factor,
    )
    try:
        generator.state(0)
    except OperatorError as error:
        raise OperatorError(f"{where}: simulate.{error}") from None
    return generator


def _model(made: Callable[[dict[str, Any]], Model], table: dict[str, Any], name: str, where: str) -> Model:
    """A fitted model from its table of the config."""
    if not table:
        raise OperatorError(
            f"{where}: has no [simulate.{name}], whose numbers this model needs; make them with "
            "pinnacle simulate --calibrate DATA"
        )
    try:
        return made(table)
    except OperatorError as error:
        raise OperatorError(f"{where}: [simulate.{name}]: {error}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise OperatorError(f"{where}: [simulate.{name}]: {error}; fit it again") from None


def _check(config: Config, where: str) -> None:
    """What a simulation cannot do.  Raises OperatorError."""
    if len(config.instruments) != 1 or not config.instruments[0].trade:
        raise OperatorError(
            f"{where}: a simulation has one instrument, which is traded, and this has {len(config.instruments)}"
        )
    if config.run.start_ns or config.run.stop_ns:
        raise OperatorError(f"{where}: run.start_ns and run.stop_ns are a backtest's; set simulate.duration_s")
    if config.instruments[0].funding.every_h and config.instruments[0].funding.rate_bps:
        raise OperatorError(f"{where}: a simulation pays no funding; leave [funding] out")


def _price_ticks(simulate: Simulate, instrument: Instrument, where: str) -> int:
    """Where the market begins, in ticks."""
    text = str(simulate.price)
    if not text:
        raise OperatorError(f"{where}: simulate.price is missing: where the market begins, in quote currency")
    try:
        ticks = instrument.ticks(text)
    except HistoryError as error:
        raise OperatorError(f"{where}: simulate.price: {error}") from None
    if ticks <= 1:
        raise OperatorError(f"{where}: simulate.price is {text}, and must be above one tick")
    return ticks


def _recorded(parsed: Config, where: str, beside: Path, loaded: Any, folder: Path) -> Simulation:
    """A recorded market as background: a day file, or the catalog."""
    simulate = parsed.simulate
    assert simulate is not None
    finder = Backtest(config=parsed, where=where, beside=beside, strategy=loaded, out=folder)
    finder.open_histories(False)
    instrument, paths = finder.instruments[0], finder.paths[0]
    first = next((rows for path in paths for rows in read_segment(path) if (rows["kind"] == BOOK_LEVEL).any()), None)
    if first is None:
        raise HistoryError(f"{paths[0]}: has no levels of a book, so no market can be made of it")
    level = first[first["kind"] == BOOK_LEVEL][0]
    bids = first[(first["kind"] == BOOK_LEVEL) & (first["side"] > 0)]
    price_ticks = int(bids["price_ticks"].max()) if bids.size else int(level["price_ticks"])
    first_ns = int(next(iter(read_segment(paths[0])))["ts_ns"][0])

    def rows() -> Iterator[np.ndarray]:
        for path in paths:
            yield from read_segment(path, verify=True)

    def market(begin_ns: int) -> GeneratedMarket:
        return GeneratedMarket(
            instrument, rows(), seed=parsed.run.seed, start_ns=begin_ns, price_ticks=price_ticks, participants=2
        )

    began_ns = start_ns(simulate, where) or first_ns + round(simulate.warm_up_s * 1e9)
    return Simulation(
        config=parsed, where=where, strategy=loaded, out=folder, instrument=instrument, start_ns=began_ns,
        market=market, histories=paths,
    )  # fmt: skip

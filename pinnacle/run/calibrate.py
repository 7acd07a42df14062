"""Calibration: real history in, a config of a generated market out, with what was fitted and how well beside it.

The config is whole: `pinnacle simulate FILE` takes it as it is.  Beside it, FILE.json has the goodness of each fit and
the stylised facts of the real market, which the config carries in short for the report of every run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.config import apply_settings, parse_config, put, read_toml
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.catalog import list_catalog, open_catalog
from pinnacle.history.history import History, SegmentHistory, open_history
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import replacing
from pinnacle.models.events import Flow, order_flow
from pinnacle.models.facts import facts
from pinnacle.models.hawkes import Hawkes, fit_hawkes, points
from pinnacle.models.informed import Informed, fit_informed
from pinnacle.models.value import Value, fit_value
from pinnacle.models.zero_intelligence import ZeroIntelligence, fit_zero_intelligence
from pinnacle.resources import find_file
from pinnacle.run.prepare_simulation import generator_of
from pinnacle.run.toml_text import toml_text


@dataclass(frozen=True)
class Calibrated:
    """What was fitted, and where it was written.  left_out: by name of a table, why it could not be fitted."""

    path: Path
    beside: Path
    flow: Flow
    zero_intelligence: ZeroIntelligence
    hawkes: Hawkes | None
    informed: Informed | None
    value: Value | None
    left_out: dict[str, str]

    def lines(self) -> list[str]:
        """The fit for a terminal."""
        zero, flow = self.zero_intelligence, self.flow
        limits = 2.0 * float((np.array(zero.limit_per_s) * np.diff(zero.edges_ticks)).sum())
        said = [
            f"{flow.instrument.name}: {flow.orders.size:,} orders in {flow.seconds:,.0f} s",
            f"  zero-intelligence  {limits:,.1f} limit orders/s, {2 * zero.market_per_s:,.2f} market orders/s",
        ]
        if self.hawkes is not None:
            gain = self.hawkes.log_likelihood - self.hawkes.poisson_log_likelihood
            share = 100 * self.hawkes.endogenous_share
            said += [
                f"  hawkes             {share:.0f}% of orders near the best caused by others, spectral radius "
                f"{self.hawkes.radius:.2f}",
                f"                     log-likelihood {gain:,.0f} above constant rates",
            ]
        if self.value is not None and self.informed is not None:
            said += [
                f"  value              {self.informed.sigma_ticks:.3g} ticks/sqrt(s), {self.value.news_per_s:.2f} news",
                f"                     {100 * self.value.informed_share:.0f}% of takers informed, learnt in "
                f"{self.informed.learning_s:.3g} s",
            ]
        return said + [f"  {name}: left out, {why}" for name, why in self.left_out.items()]


def calibrate(data: Path, config: str | None, settings: Sequence[str], out: Path | None) -> Calibrated:
    """Fit every model to a history and write the config; settings and all else of it are those of `config`.

    data: a recording, a day file or a catalog.  config: None for the shipped one.  out: SYMBOL.toml by default.
    Raises HistoryError for a history without depth or too short, OperatorError for what does not fit together.
    """
    path = find_file(config or "simulate", None, "configs", ".toml")
    where = config or path.name
    raw = read_toml(path)
    apply_settings(raw, settings)
    parsed = parse_config(raw, where)
    if parsed.simulate is None:
        raise OperatorError(f"{where}: has no [simulate] to calibrate; leave CONFIG out for the shipped one")
    one = parsed.instruments[0]
    history = _history(data, one.venue, one.symbol, one.instrument(where))
    instrument = history.instrument
    target = out or Path(f"{instrument.symbol}.toml".replace("/", "-"))
    if target.exists():
        raise OperatorError(f"{target}: is there already; choose another --out, or remove it")
    flow = order_flow(history, instrument)
    zero = fit_zero_intelligence(flow)
    left_out: dict[str, str] = {}
    hawkes, informed, value = None, None, None
    try:
        hawkes = fit_hawkes(*points(flow))
    except HistoryError as error:
        left_out["hawkes"] = str(error)
    try:
        informed = fit_informed(flow)
        value = fit_value(flow, informed, 2.0 * zero.market_per_s)
    except HistoryError as error:
        left_out["value"] = str(error)
    model = parsed.simulate.model
    needed = {"hawkes": "hawkes", "informed": "value"}.get(model, "")
    if needed in left_out:
        raise HistoryError(f"model {model} cannot be fitted: {left_out[needed]}")
    real = facts(flow)
    _write_tables(raw, instrument, flow, zero, hawkes, value, real, data)
    made = parse_config(raw, str(target))
    assert made.simulate is not None
    if made.simulate.model != "recorded":
        generator_of(made.simulate, str(target))
    told = {
        "fitted_on": raw["simulate"]["fitted_on"], "seconds": flow.seconds, "rows": flow.rows,
        "matching": flow.matching.as_dict(), "left_out": left_out,
        "zero_intelligence": zero.as_dict() | {"santa_fe": zero.santa_fe()},
        "hawkes": None if hawkes is None else _goodness(hawkes),
        "informed": None if informed is None else informed.as_dict(),
        "value": None if value is None else value.as_dict(), "real": real,
    }  # fmt: skip
    beside = target.with_suffix(".json")
    text = toml_text(
        raw, f"A generated market, fitted on {raw['simulate']['fitted_on']}; goodness of fit: {beside.name}."
    )
    with replacing(target) as sink:
        sink.write(text.encode())
    with replacing(beside) as sink:
        sink.write((json.dumps(_finite(told), indent=1, ensure_ascii=False) + "\n").encode())
    return Calibrated(target, beside, flow, zero, hawkes, informed, value, left_out)


def _history(data: Path, venue: str, symbol: str, known: Instrument | None) -> History | SegmentHistory:
    """The history that was meant: of a catalog, the config's instrument or the only one there is."""
    if not data.exists():
        raise OperatorError(f"--calibrate {data}: no such file or folder")
    if data.is_dir() and any(data.glob("*/*/*.parquet")):
        there = sorted({(day.venue, day.symbol) for day in list_catalog(data)})
        if (venue, symbol) not in there:
            if len(there) != 1:
                names = ", ".join(f"{v}:{s}" for v, s in there)
                raise OperatorError(
                    f"--calibrate {data}: has {names}, and not {venue}:{symbol}; name one with --set "
                    "instruments.0.venue= and --set instruments.0.symbol=, or give its day file"
                )
            venue, symbol = there[0]
        return open_catalog(data, venue, symbol, None, None)
    return open_history(data, known if data.suffix != ".parquet" else None)


def _write_tables(
    raw: dict[str, Any], instrument: Instrument, flow: Flow, zero: ZeroIntelligence, hawkes: Hawkes | None,
    value: Value | None, real: dict[str, Any], data: Path,
) -> None:  # fmt: skip
    """Put the fits where a config has them."""
    simulate = raw["simulate"]
    one = raw["instruments"][0]
    one["venue"], one["symbol"] = instrument.venue, instrument.symbol
    for name in ("tick", "lot", "contract", "qty_min", "notional_min"):
        one[name] = f"{getattr(instrument, name):f}"
    one["base"], one["quote"] = instrument.base, instrument.quote
    first = flow.tops[0]
    simulate["price"] = instrument.price_text(int(first["bid_ticks"]))
    simulate["fitted_on"] = (
        f"{instrument.name}, {flow.seconds:.0f} s from {_moment(flow.first_ns)} UTC, {flow.rows:,} rows of {data.name}"
    )
    simulate["zero_intelligence"] = _finite(zero.as_dict())
    for name, fit in (("hawkes", hawkes), ("value", value)):
        simulate.pop(name, None)
        if fit is not None:
            simulate[name] = _finite(fit.as_dict())
    simulate["real_facts"] = {
        name: [one["value"], one["se"] or 0.0] for name, one in real["facts"].items() if one["value"] is not None
    }
    put(raw, "run.record", "full", "calibration")


def _goodness(hawkes: Hawkes) -> dict[str, Any]:
    return hawkes.as_dict() | {
        "endogenous_share": hawkes.endogenous_share,
        "log_likelihood_gain": hawkes.log_likelihood - hawkes.poisson_log_likelihood,
    }


def _finite(value: Any) -> Any:
    """The same with 0 for what is not a number, where nothing was seen: TOML configs and JSON hold finite numbers."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return 0.0 if isinstance(value, float) and not math.isfinite(value) else value


def _moment(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")

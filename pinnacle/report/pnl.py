"""Where the money came from: equity over time, and its exact split into spread, inventory, fees and funding.

Money is counted in half units: the mid is half of bid + ask, so twice the equity is whole.  For each instrument

    2 equity = 2 cash + position * (bid + ask) * units_per_ticklot - 2 fees + 2 funding
    2 spread = sum over fills of side * (bid + ask - 2 price) * qty * units_per_ticklot, at the moment each was heard
    inventory = equity - spread + fees - funding: what the mid moved while a position was held

so the four parts add up to the net result to the last unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pinnacle.instrument import Instrument
from pinnacle.report.ledger import NO_MID, mid2_of
from pinnacle.report.source import FILL, NO_PRICE, SAMPLE, Recorded


@dataclass(frozen=True, slots=True)
class Curve:
    """What was known at each sample of one instrument: arrays of one length, in time order.

    mid2_ticks: bid + ask, NO_MID where a side is empty.  equity2, spread2: half units; spread2 is the sum so far.
    valued: whether equity2 is known (there is a mid, or nothing is held).  cash, fees, funding: units.
    """

    ts_ns: np.ndarray
    bid_ticks: np.ndarray
    ask_ticks: np.ndarray
    buy_ticks: np.ndarray
    sell_ticks: np.ndarray
    mid2_ticks: np.ndarray
    position_lots: np.ndarray
    cash_units: np.ndarray
    fees_units: np.ndarray
    funding_units: np.ndarray
    equity2: np.ndarray
    spread2: np.ndarray
    valued: np.ndarray


_NONE = np.zeros(0, np.int64)
NO_SAMPLES = Curve(
    _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, _NONE, valued=np.zeros(0, bool)
)


@dataclass(frozen=True, slots=True)
class Split:
    """The result of one instrument at the end, in half units; net2 is None where the position has no price.

    cash2, fees2 (paid; negative for rebates), funding2 (received) and spread2 are always known.
    net2 == spread2 + inventory2 - fees2 + funding2.
    """

    cash2: int
    fees2: int
    fees_paid2: int
    rebates2: int
    funding2: int
    spread2: int
    inventory2: int | None
    net2: int | None
    position_lots: int
    mid2_ticks: int | None  # what the position was valued at
    mid_ts_ns: int

    @property
    def gross2(self) -> int | None:
        """Net before fees and funding: cash and the position's value."""
        return None if self.net2 is None else self.net2 + self.fees2 - self.funding2


def captured2(fills: np.ndarray, instrument: Instrument) -> np.ndarray:
    """int64[n], half units: what each fill was better than the mid when it was heard; 0 where there was no mid."""
    edge = fills["side"] * (fills["mid2_ticks"] - 2 * fills["price_ticks"]) * fills["qty_lots"]
    return np.where(fills["mid2_ticks"] != NO_MID, edge, 0) * instrument.units_per_ticklot


def make_curve(run: Recorded, fills: np.ndarray, index: int) -> Curve | None:
    """The samples of instrument `index`; None where the run was not observed or never sampled.

    fills: FILLS of all instruments.
    """
    if run.observed is None:
        return None
    mine = run.observed[run.observed["instrument"] == index]
    is_sample = mine["kind"] == SAMPLE
    if not is_sample.any():
        return None
    # A sample holds the fills whose own observation stands before it in the file.
    earned2 = np.zeros(mine.size, np.int64)
    seen = mine["kind"] == FILL
    earned2[seen] = captured2(fills[mine["number"][seen]], run.instruments[index])
    spread2 = np.cumsum(earned2)[is_sample]
    rows = mine[is_sample]
    mid2 = mid2_of(rows)
    held2 = np.where(mid2 != NO_MID, rows["position_lots"] * mid2 * run.instruments[index].units_per_ticklot, 0)
    equity2 = 2 * (rows["cash_units"] - rows["fees_units"] + rows["funding_units"]) + held2
    names = ("ts_ns", "bid_ticks", "ask_ticks", "buy_ticks", "sell_ticks")
    account = ("position_lots", "cash_units", "fees_units", "funding_units")
    return Curve(
        **{name: np.ascontiguousarray(rows[name]) for name in names + account},
        mid2_ticks=mid2,
        equity2=equity2,
        spread2=spread2,
        valued=(mid2 != NO_MID) | (rows["position_lots"] == 0),
    )


def make_split(run: Recorded, fills: np.ndarray, index: int) -> Split:
    """The result of instrument `index`, valued at the last mid observed.  fills: FILLS of this instrument."""
    instrument = run.instruments[index]
    per_ticklot = instrument.units_per_ticklot
    cash2 = -2 * int((fills["side"] * fills["price_ticks"] * fills["qty_lots"]).sum()) * per_ticklot
    paid2 = 2 * int(fills["fee_units"][fills["fee_units"] > 0].sum())
    rebates2 = -2 * int(fills["fee_units"][fills["fee_units"] < 0].sum())
    position = int((fills["side"] * fills["qty_lots"]).sum())
    funding2, mid2, mid_ts_ns = _last_seen(run, index)
    spread2 = int(captured2(fills, instrument).sum())
    gross2 = cash2 if position == 0 else None if mid2 is None else cash2 + position * mid2 * per_ticklot
    return Split(
        cash2=cash2,
        fees2=paid2 - rebates2,
        fees_paid2=paid2,
        rebates2=rebates2,
        funding2=funding2,
        spread2=spread2,
        inventory2=None if gross2 is None else gross2 - spread2,
        net2=None if gross2 is None else gross2 - (paid2 - rebates2) + funding2,
        position_lots=position,
        mid2_ticks=mid2,
        mid_ts_ns=mid_ts_ns,
    )


def _last_seen(run: Recorded, index: int) -> tuple[int, int | None, int]:
    """Twice the funding received, the last mid2 and its time, as the observations of an instrument end."""
    if run.observed is None:
        return 0, None, 0
    mine = run.observed[run.observed["instrument"] == index]
    if not mine.size:
        return 0, None, 0
    funding2 = 2 * int(mine["funding_units"][-1])
    with_mid = np.flatnonzero((mine["bid_ticks"] != NO_PRICE) & (mine["ask_ticks"] != NO_PRICE))
    if not with_mid.size:
        return funding2, None, 0
    last = mine[with_mid[-1]]
    return funding2, int(last["bid_ticks"] + last["ask_ticks"]), int(last["ts_ns"])


def quote_of(instrument: Instrument, units: np.ndarray) -> np.ndarray:
    """Money units as quote currency, float64."""
    return np.asarray(units, np.float64) / 10.0**instrument.money_digits


def samples_quote(instrument: Instrument, curve: Curve) -> dict[str, np.ndarray]:
    """Equity and its four parts at each sample in quote currency; fees are negative when paid.

    equity and inventory are NaN where the position has no price.
    """
    fees, funding = quote_of(instrument, curve.fees_units), quote_of(instrument, curve.funding_units)
    # Subtracted while whole, so that the parts show no dust.
    inventory2 = curve.equity2 - curve.spread2 + 2 * curve.fees_units - 2 * curve.funding_units
    equity, spread, inventory = (quote_of(instrument, half) / 2 for half in (curve.equity2, curve.spread2, inventory2))
    unknown = np.where(curve.valued, 0.0, np.nan)
    return {
        "equity": equity + unknown,
        "spread": spread,
        "inventory": inventory + unknown,
        "fees": -fees,
        "funding": funding,
    }

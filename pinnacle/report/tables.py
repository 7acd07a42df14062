"""fills.parquet, orders.parquet and equity.parquet: the ledger for any other program, exact and with readable columns.

Exact columns are whole (ticks, lots, units of 10^-money_digits quote currency; the digits are in the file's metadata by
instrument) or decimal text; columns in quote currency are floats for convenience.  What is not known is null.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import replacing
from pinnacle.report.figures import HORIZON_NAMES, Part, edge_quote
from pinnacle.report.ledger import EXPIRED, NO_MID, REJECTED, STATUS_NAMES, Ledger
from pinnacle.report.pnl import NO_SAMPLES, Curve, quote_of, samples_quote
from pinnacle.report.source import NO_PRICE

FILLS_NAME, ORDERS_NAME, EQUITY_NAME = "fills.parquet", "orders.parquet", "equity.parquet"
_FORCE = {event.IOC: "ioc", event.FOK: "fok"}


def write_tables(run_dir: Path, ledger: Ledger, parts: Sequence[Part]) -> None:
    """Write the three tables, each at once or not at all.  Raises DiskError."""
    instruments = [part.instrument for part in parts]
    _write(run_dir / FILLS_NAME, fills_table(ledger.fills, parts), instruments)
    _write(run_dir / ORDERS_NAME, orders_table(ledger.orders, instruments), instruments)
    _write(run_dir / EQUITY_NAME, equity_table(parts), instruments)


def _write(path: Path, table: Any, instruments: Sequence[Instrument]) -> None:
    import pyarrow.parquet as pq

    digits = {instrument.name: instrument.money_digits for instrument in instruments}
    table = table.replace_schema_metadata({"pinnacle.money_digits": json.dumps(digits, sort_keys=True)})
    with replacing(path) as sink:
        pq.write_table(table, sink, compression="zstd")


def fills_table(fills: np.ndarray, parts: Sequence[Part]) -> Any:
    """One row an execution, in the order we heard of them; number counts over all instruments.

    markout_*: side * (mid that long after it was heard - price), in quote currency for one unit of quantity's base.
    captured_quote: side * (mid when heard - price) * quantity.  submitted_ns: when the order was decided.
    """
    import pyarrow as pa

    instruments = [part.instrument for part in parts]
    tick = np.array([i.tick.as_integer_ratio() for i in instruments], float)[fills["instrument"]]
    captured = np.full(fills.size, np.nan)
    fee = np.zeros(fills.size)
    for part in parts:
        mine = fills["instrument"] == part.index
        captured[mine] = edge_quote(part, part.fills["mid2_ticks"])
        fee[mine] = quote_of(part.instrument, part.fills["fee_units"])
    columns = {
        "number": _whole(fills["number"]),
        "ts_ns": _whole(fills["ts_ns"]),
        "ts_venue_ns": _whole(fills["ts_venue_ns"], 0),
        "instrument": _names(fills, instruments),
        "side": _texts(fills["side"], {1: "B", -1: "S"}),
        "price": _decimals(fills, "price_ticks", [i.price_text for i in instruments]),
        "price_ticks": _whole(fills["price_ticks"]),
        "qty": _decimals(fills, "qty_lots", [i.qty_text for i in instruments]),
        "qty_lots": _whole(fills["qty_lots"]),
        "order_id": _whole(fills["order_id"]),
        "submitted_ns": _whole(fills["submitted_ns"], 0),
        "reason": _texts(fills["reason"], event.FILL_REASON_NAMES),
        "maker": pa.array(fills["maker"]),
        "fee_quote": _real(fee),
        "fee_units": _whole(fills["fee_units"]),
        "position_lots": _whole(fills["position_lots"]),
        "mid": _real(_halved(fills["mid2_ticks"], tick)),
        "mid2_ticks": _whole(fills["mid2_ticks"], NO_MID),
        "captured_quote": _real(captured),
    }
    for h, name in enumerate(HORIZON_NAMES):
        after2 = fills["after2_ticks"][:, h]
        edge2 = np.where(after2 == NO_MID, NO_MID, fills["side"] * (after2 - 2 * fills["price_ticks"]))
        columns[f"markout_{name}"] = _real(_halved(edge2, tick))
    return pa.table(columns)


def orders_table(orders: np.ndarray, instruments: Sequence[Instrument]) -> Any:
    """One row an order we placed, by rising id; times are null where it did not happen."""
    import pyarrow as pa

    reason = np.where(np.isin(orders["status"], (EXPIRED, REJECTED)), orders["reason"], 0)
    force = orders["flags"] & (event.IOC | event.FOK)
    waited = np.where(orders["first_fill_ns"] > 0, orders["first_fill_ns"] - orders["placed_ns"], -1)
    return pa.table(
        {
            "order_id": _whole(orders["order_id"]),
            "instrument": _names(orders, instruments),
            "side": _texts(orders["side"], {1: "B", -1: "S"}),
            "price": _decimals(orders, "price_ticks", [i.price_text for i in instruments]),
            "price_ticks": _whole(orders["price_ticks"]),
            "qty": _decimals(orders, "qty_lots", [i.qty_text for i in instruments]),
            "qty_lots": _whole(orders["qty_lots"]),
            "post_only": pa.array((orders["flags"] & event.POST_ONLY) != 0),
            "time_in_force": _texts(force, _FORCE, "gtc"),
            "placed_ns": _whole(orders["placed_ns"]),
            "acknowledged_ns": _whole(orders["acknowledged_ns"], 0),
            "cancel_sent_ns": _whole(orders["cancel_sent_ns"], 0),
            "ended_ns": _whole(orders["ended_ns"], 0),
            "status": _texts(orders["status"], dict(enumerate(STATUS_NAMES))),
            "reason": _texts(reason, {0: None, **event.END_REASON_NAMES}),
            "filled_lots": _whole(orders["filled_lots"]),
            "ahead_lots": _whole(orders["ahead_lots"], -1),
            "first_fill_ns": _whole(orders["first_fill_ns"], 0),
            "time_to_fill_ns": _whole(waited, -1),
        }
    )


def equity_table(parts: Sequence[Part]) -> Any:
    """One row a sample and instrument, by instrument and time.  equity2_units: twice the equity, exact, in money units.

    buy, sell: our best working quotes.  equity = cash + position at the mid - fees + funding
    = spread + inventory - fees + funding.
    """
    import pyarrow as pa

    tables = [_curve_table(part, part.curve or NO_SAMPLES) for part in parts]
    return pa.concat_tables(tables)


def _curve_table(part: Part, curve: Curve) -> Any:
    import pyarrow as pa

    instrument = part.instrument
    tick = np.broadcast_to(np.array(instrument.tick.as_integer_ratio(), float), (curve.ts_ns.size, 2))
    money = samples_quote(instrument, curve)
    columns = {
        "ts_ns": _whole(curve.ts_ns),
        "instrument": _texts(np.zeros(curve.ts_ns.size, np.int64), {0: instrument.name}),
    }
    for name in ("bid", "ask", "buy", "sell"):
        columns[f"{name}_ticks"] = _whole(getattr(curve, f"{name}_ticks"), NO_PRICE)
    columns["mid"] = _real(_halved(curve.mid2_ticks, tick))
    columns["position_lots"] = _whole(curve.position_lots)
    columns["equity2_units"] = pa.array(curve.equity2, mask=~curve.valued)
    for name in ("cash", "fees", "funding"):
        columns[f"{name}_units"] = _whole(getattr(curve, f"{name}_units"))
    columns["cash_quote"] = _real(quote_of(instrument, curve.cash_units))
    columns["fees_quote"] = _real(-money["fees"])
    for name in ("funding", "spread", "inventory", "equity"):
        columns[f"{name}_quote"] = _real(money[name])
    return pa.table(columns)


def _whole(values: np.ndarray, none: int | None = None) -> Any:
    """int64 column; `none` is the value that stands for null."""
    import pyarrow as pa

    values = np.ascontiguousarray(values)
    return pa.array(values, pa.int64(), mask=None if none is None else values == none)


def _real(values: np.ndarray) -> Any:
    """float64 column, NaN as null."""
    import pyarrow as pa

    return pa.array(values, pa.float64(), mask=np.isnan(values))


def _halved(twice: np.ndarray, tick: np.ndarray) -> np.ndarray:
    """Half ticks as a price, NaN where there is NO_MID.  tick: float64[n, 2], numerator and denominator, so that one
    rounding is left and 61800.25 is not 61800.250000000007."""
    return np.where(twice == NO_MID, np.nan, twice * tick[:, 0] / (2.0 * tick[:, 1]))


def _texts(codes: np.ndarray, names: Mapping[int, str | None], other: str | None = None) -> Any:
    """Text column of codes by their names; a code without a name gives `other`, or its number."""
    import pyarrow as pa

    found, at = np.unique(codes, return_inverse=True)
    words = [names.get(code, other or f"code_{code}") for code in found.tolist()]
    return pa.array(words, pa.string()).take(pa.array(at))


def _names(rows: np.ndarray, instruments: Sequence[Instrument]) -> Any:
    return _texts(rows["instrument"], {k: instrument.name for k, instrument in enumerate(instruments)})


def _decimals(rows: np.ndarray, field: str, text_of: Sequence[Any]) -> Any:
    """Text column of exact decimals; each different number is written out once."""
    import pyarrow as pa

    words = np.full(rows.size, "", object)
    for k, text in enumerate(text_of):
        mine = rows["instrument"] == k
        found, at = np.unique(rows[field][mine], return_inverse=True)
        words[mine] = np.array([text(count) for count in found.tolist()], object)[at] if found.size else ""
    return pa.array(words, pa.string())

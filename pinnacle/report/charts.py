"""The charts of what a run earned and how it traded, over time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pinnacle import event
from pinnacle.report.columns import Charts, Figure, line
from pinnacle.report.execution import execution_charts
from pinnacle.report.figures import Part
from pinnacle.report.ledger import NO_MID
from pinnacle.report.metrics import equity_series
from pinnacle.report.pnl import Curve, samples_quote
from pinnacle.report.risk import underwater
from pinnacle.report.source import NO_PRICE
from pinnacle.report.thin import thin, thin_evenly


def instrument_charts(part: Part) -> Charts:
    """Every chart of one instrument that its data allows."""
    charts = Charts(f"i{part.index}")
    if part.curve is not None:
        _price(charts, part, part.curve)
        _inventory(charts, part, part.curve)
        _split(charts, part, part.curve)
    equity_chart(charts, [part])
    execution_charts(charts, part)
    return charts


def total_charts(parts: Sequence[Part], number: int) -> Charts:
    """The charts of several instruments of one currency together.  number: of the currency, for the ids."""
    charts = Charts(f"t{number}")
    equity_chart(charts, parts)
    return charts


def _ms(ts_ns: np.ndarray) -> np.ndarray:
    """Times as plotly's date axis takes them: milliseconds since 1970 UTC, to the microsecond."""
    return np.asarray(ts_ns // 1_000) / 1e3


def _time_axis(charts_of: Sequence[Part]) -> Figure:
    """The range that all time axes of a view start with: the samples', so that charts above each other line up."""
    curves = [part.curve.ts_ns for part in charts_of if part.curve is not None]
    return {"range": [min(int(ts[0]) for ts in curves) // 1_000_000, max(int(ts[-1]) for ts in curves) // 1_000_000]}


def _thinned(all_points: int, kept: int) -> str:
    return (
        f"Lines show {kept:,} of {all_points:,} samples; every stretch keeps its extremes." if kept < all_points else ""
    )


def _ticks(values: np.ndarray, tick: float) -> np.ndarray:
    return np.where(values == NO_PRICE, np.nan, values * tick)


def _price(charts: Charts, part: Part, curve: Curve) -> None:
    """The mid, our quotes, and our fills on it."""
    tick = float(part.instrument.tick)
    mid = np.where(curve.mid2_ticks == NO_MID, np.nan, curve.mid2_ticks * tick / 2)
    kept = thin(mid)
    t = charts.column("t", _ms(curve.ts_ns[kept]))
    data = []
    for name, ticks, colour in (("our bid", curve.buy_ticks, "buy"), ("our ask", curve.sell_ticks, "sell")):
        if (ticks != NO_PRICE).any():
            y = charts.column(name.replace(" ", "_"), _ticks(ticks[kept], tick))
            data.append(line(name, t, y, colour, width=1, line={"shape": "hv"}, opacity=0.45, hoverinfo="skip"))
    y = charts.column("mid", mid[kept])
    data.append(line("mid", t, y, "ink", width=1.2, hovertemplate="mid %{y}<extra></extra>"))
    shown = part.fills[thin_evenly(part.fills.size)]
    for name, side, colour, symbol in (("buys", 1, "buy", "triangle-up"), ("sells", -1, "sell", "triangle-down")):
        mine = shown[shown["side"] == side]
        if mine.size:
            data.append(_fill_marks(charts, part, mine, name, colour, symbol))
    note = _thinned(mid.size, kept.size)
    if shown.size < part.fills.size:
        note += f" Marks show {shown.size:,} of {part.fills.size:,} fills, evenly spread."
    layout = {"yaxis": {"title": {"text": part.instrument.quote}, "tickformat": ",~f"}, "xaxis": _time_axis([part])}
    charts.add("price", data, layout, note.strip())


def _fill_marks(charts: Charts, part: Part, fills: np.ndarray, name: str, colour: str, symbol: str) -> Figure:
    instrument = part.instrument
    told = [
        f"{event.FILL_REASON_NAMES.get(reason, str(reason)).replace('_', ' ')}, {'maker' if maker else 'taker'}"
        f"<br>{instrument.qty_text(qty)} @ {instrument.price_text(price)}"
        f"<br>fee {float(instrument.money(fee)):.8g} {instrument.quote}"
        f"<br>position {instrument.qty_text(position)}<br>order {order_id}, fill {number}"
        for reason, maker, qty, price, fee, position, order_id, number in zip(
            *(fills[field].tolist() for field in (
                "reason", "maker", "qty_lots", "price_ticks", "fee_units", "position_lots", "order_id", "number",
            ))
        )
    ]  # fmt: skip
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": charts.column(f"{name}_t", _ms(fills["ts_ns"])),
        "y": charts.column(f"{name}_price", fills["price_ticks"] * float(instrument.tick)),
        "text": told,
        "hovertemplate": f"<b>{name[:-1]}</b> %{{text}}<extra></extra>",
        "marker": {"color": f"${colour}", "symbol": symbol, "size": 8, "line": {"color": "$paper", "width": 0.8}},
    }


def _inventory(charts: Charts, part: Part, curve: Curve) -> None:
    """The position, exact at every fill, and the limit on it."""
    lot = float(part.instrument.lot)
    ts = np.concatenate((curve.ts_ns[:1], part.fills["ts_ns"], curve.ts_ns[-1:]))
    held = np.concatenate(([0], part.fills["position_lots"], curve.position_lots[-1:])) * lot
    kept = thin(held)
    t, y = charts.column("held_t", _ms(ts[kept])), charts.column("held", held[kept])
    data = [line("position", t, y, "accent", line={"shape": "hv"}, fill="tozeroy", fillcolor="$accentsoft")]
    shapes = []
    if part.position_limit_lots is not None:
        limit = part.position_limit_lots * lot
        shapes = [
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": y, "y1": y,
             "line": {"color": "$loss", "width": 1, "dash": "dash"}}
            for y in (limit, -limit)
        ]  # fmt: skip
    unit = part.instrument.base or "quantity"
    layout = {"yaxis": {"title": {"text": unit}}, "shapes": shapes, "xaxis": _time_axis([part])}
    charts.add("inventory", data, layout, _thinned(ts.size, kept.size))


def equity_chart(charts: Charts, parts: Sequence[Part]) -> None:
    """Equity of one currency and how far it is below its peak."""
    ts_ns, equity2, digits = equity_series(parts)
    if not ts_ns.size:
        return
    equity, below = equity2 / (2.0 * 10**digits), underwater(equity2) / (2.0 * 10**digits)
    kept = thin(equity, below)
    t = charts.column("equity_t", _ms(ts_ns[kept]))
    data = [
        line("equity", t, charts.column("equity", equity[kept]), "accent", width=1.8),
        line("drawdown", t, charts.column("below", below[kept]), "loss", width=1, yaxis="y2", fill="tozeroy",
              fillcolor="$losssoft"),
    ]  # fmt: skip
    currency = parts[0].instrument.quote
    layout = {
        "yaxis": {"title": {"text": currency}, "domain": [0.36, 1]},
        "yaxis2": {"title": {"text": "below peak"}, "domain": [0, 0.28]},
        "xaxis": {"anchor": "y2"} | _time_axis(parts),
    }
    charts.add("equity", data, layout, _thinned(ts_ns.size, kept.size))


def _split(charts: Charts, part: Part, curve: Curve) -> None:
    """What the result is made of, growing over time."""
    money = samples_quote(part.instrument, curve)
    lines = [("spread captured", "spread", "gain"), ("inventory", "inventory", "sell"), ("fees", "fees", "buy")]
    if curve.funding_units.any():
        lines.append(("funding", "funding", "muted"))
    kept = thin(*(money[name] for _, name, _ in lines), money["equity"])
    t = charts.column("split_t", _ms(curve.ts_ns[kept]))
    data = [line(label, t, charts.column(name, money[name][kept]), colour) for label, name, colour in lines]
    data.append(line("net", t, charts.column("net", money["equity"][kept]), "ink", width=2.2))
    layout = {"yaxis": {"title": {"text": part.instrument.quote}}, "xaxis": _time_axis([part])}
    charts.add("split", data, layout, _thinned(curve.ts_ns.size, kept.size))

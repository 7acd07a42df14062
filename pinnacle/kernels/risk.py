"""Limits on what a strategy wants and on every command: a strategy is short and pure because it cannot forget them.

A want beyond a limit is cut to it or dropped; that is said once in the log when it begins, not at every wake.
"""

from __future__ import annotations

from pinnacle.event import (
    ALERT,
    ALERT_NOTIONAL,
    ALERT_OPEN_ORDERS,
    ALERT_ORDER_RATE,
    ALERT_ORDER_SIZE,
    ALERT_POSITION,
    ALERT_PRICE_BAND,
)
from pinnacle.kernels.jit import jit_inline, jit_inner
from pinnacle.kernels.outbox import say
from pinnacle.kernels.state import NEVER, NO_PRICE
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX


@jit_inner
def alert(market, own, me, what, side, price_ticks, qty_lots, out):
    """Say once that a limit cut a want; again only after a wake at which it did not."""
    risk = own["risk"]
    risk["refused"] += 1
    if risk["alerts"] & (1 << what) == 0:
        risk["alerts"] |= 1 << what
        say(market, me, ALERT, 0, side, price_ticks, qty_lots, what, 0, out)


@jit_inline
def allowed_lots(market, own, me, side, price_ticks, qty_lots, out):
    """The part of one order that every limit leaves, 0 if none: size, band, position, open orders, notional.

    Position and notional count all that may still be filled on this side, orders being cancelled included, so the
    limit holds whatever happens to what is in flight.
    """
    risk = own["risk"]
    s = 0 if side > 0 else 1
    if qty_lots > risk["order_max_lots"]:
        alert(market, own, me, ALERT_ORDER_SIZE, side, price_ticks, qty_lots, out)
        qty_lots = risk["order_max_lots"]
    top = market["top"][me]
    if risk["band_ppm"] != NEVER and top["bid_ticks"] != NO_PRICE and top["ask_ticks"] != NO_PRICE:
        mid2 = top["bid_ticks"] + top["ask_ticks"]
        if abs(2 * price_ticks - mid2) * 1_000_000 > risk["band_ppm"] * mid2:
            alert(market, own, me, ALERT_PRICE_BAND, side, price_ticks, qty_lots, out)
            return 0
    if own["live_count"][0] + own["live_count"][1] >= risk["open_orders_max"]:
        alert(market, own, me, ALERT_OPEN_ORDERS, side, price_ticks, qty_lots, out)
        return 0
    exposed = side * own["position_lots"] + own["open_lots"][s]
    if exposed + qty_lots > risk["position_max_lots"]:
        alert(market, own, me, ALERT_POSITION, side, price_ticks, qty_lots, out)
        qty_lots = max(0, risk["position_max_lots"] - exposed)
    if risk["notional_max_units"] != NEVER:
        unit = price_ticks * own["units_per_ticklot"]
        room = risk["notional_max_units"] // unit - exposed
        if qty_lots > room:
            alert(market, own, me, ALERT_NOTIONAL, side, price_ticks, qty_lots, out)
            qty_lots = max(0, room)
    return qty_lots


@jit_inline
def rate_allows(market, own, me, side, price_ticks, qty_lots, out):
    """Whether one more order may be sent in the present window of time; counts it if so."""
    risk = own["risk"]
    if risk["rate_max"] == NEVER:
        return True
    now = market["ts_ns"]
    if now - risk["rate_start_ns"] >= risk["rate_window_ns"]:
        risk["rate_start_ns"] = now
        risk["rate_count"] = 0
    if risk["rate_count"] >= risk["rate_max"]:
        alert(market, own, me, ALERT_ORDER_RATE, side, price_ticks, qty_lots, out)
        return False
    risk["rate_count"] += 1
    return True


@jit_inline
def want_in_range(want):
    """Whether every want is a price and a size that can exist; a float that was not a number shows up here."""
    for k in range(want["count"]):
        if not 0 < want["price_ticks"][k] < PRICE_TICKS_MAX:
            return False
        if not 0 <= want["qty_lots"][k] < QTY_LOTS_MAX:
            return False
        if want["side"][k] != 1 and want["side"][k] != -1:
            return False
    return True

"""What Bitstamp is asked, as paths and forms: orders, cancels and questions, pure and without a signature.

Orders are given by REST only.  What the venue signs of a query is not known, so everything is a POST with a form; a
request without parameters has no body.  Rules: the venue's public pages of September 2026, and samples of clients.
"""

from __future__ import annotations

from collections.abc import Mapping

from pinnacle.event import BUY, FOK, IOC, MARKET, POST_ONLY
from pinnacle.instrument import Instrument
from pinnacle.venues.form import form_text
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    POST_ONLY_ENDED,
    Capabilities,
    Order,
    Window,
)

Form = dict[str, str]
# A request that was signed longer ago than this is refused by the venue, so for so long an order may still arrive.
WINDOW_NS = 150_000_000_000
# Own transactions of a page.
TRANSACTIONS_PAGE = 1_000
_ONE = (("second", 1), ("ten_minutes", 1))
CAPABILITIES = Capabilities(
    "bitstamp",
    post_only=POST_ONLY_ENDED,
    cancel_all="instrument",
    order_life_ns=WINDOW_NS,
    windows=(
        Window("second", 400, 1_000_000_000, 100),
        Window("ten_minutes", 10_000, 600_000_000_000, 2_000),
    ),
    costs=dict.fromkeys((PLACE_COST, CANCEL_COST, CANCEL_ALL_COST, ASK_ORDER, ASK_OPEN, ASK_FILLS, ASK_BALANCES), _ONE),
)


def place_path(order: Order) -> str:
    """Where a new order goes to."""
    kind = "market/" if order.flags & MARKET else ""
    return f"/api/v2/{'buy' if order.side == BUY else 'sell'}/{kind}{order.followed.instrument.symbol}/"


def place_form(order: Order) -> Form:
    """A new order."""
    instrument = order.followed.instrument
    form = {"amount": instrument.qty_text(order.qty_lots)}
    if not order.flags & MARKET:
        form["price"] = instrument.price_text(order.price_ticks)
    form["client_order_id"] = order.client_id
    for flag, name in ((POST_ONLY, "moc_order"), (IOC, "ioc_order"), (FOK, "fok_order")):
        if order.flags & flag and not order.flags & MARKET:
            form[name] = "True"
    return form


def order_form(order: Order) -> Form:
    """An order by its client id, for a cancel or a question: that is known before the venue has answered.  Somebody
    else's may have none, and is named by the venue's number."""
    return {"client_order_id": order.client_id} if order.client_id else {"id": str(order.venue_id)}


def fills_form(page: int) -> Form:
    """Own transactions, newest first."""
    return {"offset": str(page * TRANSACTIONS_PAGE), "limit": str(TRANSACTIONS_PAGE), "sort": "desc"}


def encoded(form: Mapping[str, str]) -> bytes:
    """A body as it is signed and sent."""
    return form_text(form).encode()


def nonce_text(number: int) -> str:
    """A number that was never used, as the UUID of version 4 that the venue wants."""
    digits = f"{number:016x}"
    return f"{digits[:8]}-{digits[8:12]}-4000-8000-{digits[12:]}00000000"


def channels(instruments: Mapping[str, object], user_id: str) -> list[str]:
    """The private channels of an account: what happens to its orders, and its trades."""
    return [f"private-my_{what}_{symbol}-{user_id}" for symbol in instruments for what in ("orders", "trades")]


def market_names(instrument: Instrument) -> set[str]:
    """All names that the venue has for a market: btcusd, BTC/USD."""
    return {instrument.symbol, f"{instrument.base}/{instrument.quote}".upper()}

"""Bad moments of an exchange, in each one's own words: refusals, halts, rate limits, and answers that are lost.

The dialect of the local exchange is polite; here what places orders in it is wrapped, so that some orders are refused
for no reason of theirs, and some are taken and the answer says that they may not have been.  In front of all HTTP sits
what sits in front of every real exchange, which answers by itself in HTML, or cuts an answer short.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from pinnacle.dialects import (
    binance_words,
    bitstamp_words,
    coinbase_advanced_orders,
    coinbase_words,
    gemini_words,
    kraken_words,
)
from pinnacle.dialects.dialect import Response

Share = Callable[[], float]
Moods = Callable[[Any, random.Random, Share], None]
_FRONT = (
    (502, b"<html><head><title>502 Bad Gateway</title></head><body><center><h1>502</h1></center></body></html>"),
    (503, b"<!DOCTYPE html><html><body>We are down for scheduled maintenance.</body></html>"),
    (504, b"<html><body>Gateway time-out</body></html>"),
    (429, b"<html><body>error code: 1015</body></html>"),
    (403, b""),
)


def front(answer: Callable[[], Response], chance: random.Random, share: float) -> Response:
    """An HTTP answer of an exchange, or of what is before it: then the request may have passed, or not."""
    if chance.random() >= share:
        return answer()
    said = answer() if chance.random() < 0.5 else None
    if said is not None and said.status == 200 and chance.random() < 0.2:
        return Response(200, said.body[: chance.randrange(1, max(2, len(said.body)))])
    # What limits or bans does so before the exchange hears of it.
    status, body = _FRONT[chance.randrange(3 if said is not None else 4)]
    return Response(status, body)


def _moody(
    place: Callable[..., Any], chance: random.Random, share: Share, fails: Sequence[Exception]
) -> Callable[..., Any]:
    """A new order at an exchange that has bad moments.  fails[0]: said although it was done."""

    def placed(*args: Any, **more: Any) -> Any:
        if chance.random() < share():
            mood = chance.randrange(len(fails))
            if mood == 0:
                place(*args, **more)
            raise fails[mood]
        return place(*args, **more)

    return placed


def binance(dialect: Any, chance: random.Random, share: Share) -> None:
    """-1007 says nothing of the outcome."""
    fail = binance_words.Fail
    timeout = fail(-1007, "Timeout waiting for response from backend server.", 504)
    fails = [
        timeout, timeout, fail(-1008, "Server is currently overloaded with other requests.", 503),
        fail(-2010, "Market is closed."),
        fail(-1015, "Too many new orders; current limit is 50 orders per 10 SECOND.", 429),
    ]  # fmt: skip
    key = ("POST", "/api/v3/order")
    name, weight, place = dialect.signed_methods[key]
    dialect.signed_methods[key] = (name, weight, _moody(place, chance, share, fails))
    dialect.by_name[name] = (key, dialect.signed_methods[key])


def usdm(dialect: Any, chance: random.Random, share: Share) -> None:
    """-1000 with 503 says nothing of the outcome."""
    fail = binance_words.Fail
    unknown = fail(-1000, "Unknown error, please check your request or try again later.", 503)
    fails = [
        unknown, unknown, fail(-1008, "Request throttled by system-level protection.", 503),
        fail(-4141, "Symbol is closed."),
        fail(-1015, "Too many new orders; current limit is 300 orders per 10 SECOND.", 429),
    ]  # fmt: skip
    key = ("POST", "/fapi/v1/order")
    name, weight, place = dialect.signed_methods[key]
    dialect.signed_methods[key] = (name, weight, _moody(place, chance, share, fails))


def kraken(dialect: Any, chance: random.Random, share: Share) -> None:
    """EService:Unavailable says nothing of the outcome."""
    fail = kraken_words.Fail
    fails = [
        fail("EService:Unavailable"), fail("EService:Busy"), fail("EService:Market in cancel_only mode"),
        fail("EOrder:Rate limit exceeded"),
    ]  # fmt: skip
    dialect.orders.add = _moody(dialect.orders.add, chance, share, fails)


def bitstamp(dialect: Any, chance: random.Random, share: Share) -> None:
    """500.001 says nothing of the outcome."""
    fail = bitstamp_words.Fail
    server = fail("500.001", "Server error.", 500)
    fails = [
        server, server, fail("400.003", {"__all__": ["Trading on this market is disabled."]}),
        fail("400.002", "Request rate limit exceeded.", 429),
    ]  # fmt: skip
    dialect.orders._place = _moody(dialect.orders._place, chance, share, fails)


def coinbase(dialect: Any, chance: random.Random, share: Share) -> None:
    """A 500 says nothing of the outcome."""
    fail = coinbase_words.Fail
    fails = [
        fail(500, "Internal server error"), fail(500, "Internal server error"), fail(503, "Service unavailable"),
        fail(400, "Currency pair not available to trade. Under maintenance."), fail(429, "Private rate limit exceeded"),
        fail(400, "Product is in cancel only mode"),
    ]  # fmt: skip
    dialect.orders._place = _moody(dialect.orders._place, chance, share, fails)


def advanced(dialect: Any, chance: random.Random, share: Share) -> None:
    """Refusals come with 200; a 500 says nothing of the outcome."""
    fail, bad = coinbase_advanced_orders.Fail, coinbase_advanced_orders.Bad
    server = fail(500, {"error": "INTERNAL", "message": "internal server error"})
    entry = dialect.rest._entry
    fails = [
        server, server, fail(503, {"error": "UNAVAILABLE", "message": "unavailable"}),
        fail(429, {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}),
    ]  # fmt: skip
    read = entry._read

    def refusing(said: dict[str, Any]) -> Any:
        if chance.random() < share() / 2:
            raise bad(chance.choice(("ORDER_ENTRY_DISABLED", "INSUFFICIENT_FUND")))
        return read(said)

    entry._read = refusing
    entry.place = _moody(entry.place, chance, lambda: share() / 2, fails)


def gemini(dialect: Any, chance: random.Random, share: Share) -> None:
    """System says nothing of the outcome."""
    fail = gemini_words.Fail
    system = fail(500, "System", "A technical issue has prevented the order from being processed")
    fails = [
        system, system, fail(400, "MarketNotOpen"), fail(503, "Maintenance"),
        fail(429, "RateLimit", "Requests were made too frequently"),
    ]  # fmt: skip
    dialect.orders.place = _moody(dialect.orders.place, chance, share, fails)

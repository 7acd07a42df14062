"""The venues of a storm: which exchange and gateway, what an order looks like when it leaves, and their bad moments."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pinnacle.dialects import binance_words, bitstamp_words, kraken_words
from pinnacle.dialects.binance import Binance
from pinnacle.dialects.bitstamp import Bitstamp
from pinnacle.dialects.dialect import Dialect
from pinnacle.dialects.kraken import Kraken
from pinnacle.instrument import Instrument
from pinnacle.venues import binance, bitstamp, kraken
from pinnacle.venues.binance_gateway import BinanceGateway
from pinnacle.venues.bitstamp_gateway import BitstampGateway
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Feed, Followed
from pinnacle.venues.gateway import Call, Gateway
from pinnacle.venues.kraken_gateway import KrakenGateway

SECOND = 1_000_000_000
# (client id, "buy" or "sell", price, quantity) of an order as it leaves.
Left = tuple[str, str, str, str]
Place = Callable[..., Any]


@dataclass(frozen=True)
class Venue:
    """One venue.  frame, call: the order that a frame or a call carries, if it does.  moods: wraps what places orders
    at the exchange.  settle_ns: until everything is settled after the weather cleared, which depends on how long an
    order may still arrive."""

    name: str
    instrument: Instrument
    dialect: type[Dialect]
    feeds: Callable[[Sequence[Followed]], list[Feed]]
    gateway: Callable[[list[Followed], ClientIds, Any, int], Gateway]
    frame: Callable[[bytes], Left | None]
    call: Callable[[Call], Left | None]
    about_order: Callable[[bytes], bool]
    moods: Callable[[Any, random.Random, Callable[[], float]], None]
    settle_ns: int = 25 * SECOND


def _instrument(venue: str, symbol: str, quote: str) -> Instrument:
    return Instrument(venue, symbol, Decimal("0.01"), Decimal("0.00001"), base="BTC", quote=quote)


def _moody(place: Place, chance: random.Random, refusals: Callable[[], float], fails: Sequence[Any]) -> Place:
    """A new order at an exchange that has bad moments.  fails: of which the first two are of unknown outcome."""

    def placed(*args: Any, **more: Any) -> Any:
        if chance.random() < refusals():
            mood = chance.randrange(len(fails))
            if mood == 0:
                place(*args, **more)  # done, without being able to say so
            raise fails[mood]
        return place(*args, **more)

    return placed


# --- Binance ------------------------------------------------------------------------------------------------------


def _binance_frame(frame: bytes) -> Left | None:
    said = msgspec.json.decode(frame)
    params = said["params"]
    if said["method"] != "order.place":
        return None
    return params["newClientOrderId"], params["side"].lower(), params["price"], params["quantity"]


def _binance_moods(dialect: Binance, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = binance_words.Fail
    timeout = fail(-1007, "Timeout waiting for response from backend server.", 504)
    fails = [
        timeout, timeout, fail(-1008, "Server is currently overloaded with other requests.", 503),
        fail(-2010, "Market is closed."),
        fail(-1015, "Too many new orders; current limit is 50 orders per 10 SECOND.", 429),
    ]  # fmt: skip
    key = ("POST", "/api/v3/order")
    name, weight, place = dialect.signed_methods[key]
    dialect.signed_methods[key] = (name, weight, _moody(place, chance, refusals, fails))
    dialect.by_name[name] = (key, dialect.signed_methods[key])


# --- Kraken -------------------------------------------------------------------------------------------------------


def _kraken_frame(frame: bytes) -> Left | None:
    said = msgspec.json.decode(frame, type=dict[str, msgspec.Raw])
    if bytes(said["method"]) != b'"add_order"':
        return None
    params = msgspec.json.decode(said["params"], type=dict[str, msgspec.Raw])
    name, side = (msgspec.json.decode(params[one], type=str) for one in ("cl_ord_id", "side"))
    return name, side, bytes(params["limit_price"]).decode(), bytes(params["order_qty"]).decode()


def _kraken_moods(dialect: Kraken, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = kraken_words.Fail
    fails = [
        fail("EService:Unavailable"), fail("EService:Busy"), fail("EService:Market in cancel_only mode"),
        fail("EOrder:Rate limit exceeded"),
    ]  # fmt: skip
    orders: Any = dialect.orders
    orders.add = _moody(orders.add, chance, refusals, fails)


# --- Bitstamp -----------------------------------------------------------------------------------------------------


def _bitstamp_call(call: Call) -> Left | None:
    side = next((one for one in ("buy", "sell") if f"/{one}/" in call.path), "")
    if not side:
        return None
    form = {name: value for name, (value,) in parse_qs(call.body.decode()).items()}
    return form["client_order_id"], side, form["price"], form["amount"]


def _bitstamp_moods(dialect: Bitstamp, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = bitstamp_words.Fail
    server = fail("500.001", "Server error.", 500)
    fails = [
        server, server, fail("400.003", {"__all__": ["Trading on this market is disabled."]}),
        fail("400.002", "Request rate limit exceeded.", 429),
    ]  # fmt: skip
    orders: Any = dialect.orders
    orders._place = _moody(orders._place, chance, refusals, fails)


VENUES = {
    "binance": Venue(
        "binance", _instrument("binance", "BTCUSDT", "USDT"), Binance,
        lambda followed: binance.feeds(followed, binance.ADDRESS),
        lambda followed, ids, key, floor_ns: BinanceGateway(followed, ids, "key1", key),
        _binance_frame, lambda call: None, lambda frame: b"order." in frame and b"status" not in frame, _binance_moods,
    ),
    "bitstamp": Venue(
        "bitstamp", _instrument("bitstamp", "btcusd", "USD"), Bitstamp,
        lambda followed: bitstamp.feeds(followed, bitstamp.ADDRESS),
        lambda followed, ids, key, floor_ns: BitstampGateway(followed, ids, "key1", key, floor_ns),
        lambda frame: None, _bitstamp_call, lambda frame: False, _bitstamp_moods, 190 * SECOND,
    ),
    "kraken": Venue(
        "kraken", _instrument("kraken", "BTC/USD", "USD"), Kraken,
        lambda followed: kraken.feeds(followed, kraken.ADDRESS),
        lambda followed, ids, key, floor_ns: KrakenGateway(followed, ids, "key1", key, floor_ns, "pro"),
        _kraken_frame, lambda call: None, lambda frame: b'_order"' in frame, _kraken_moods,
    ),
}  # fmt: skip

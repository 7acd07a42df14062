"""Where a storm takes place: a venue's dialect and account, our feed and gateway for it, and what an order is there.

The world, the weather and the auditor are the same at every venue; what differs is in one row.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import msgspec

from pinnacle.dialects import binance_words, bitstamp_words, kraken_words
from pinnacle.dialects.binance import Binance
from pinnacle.dialects.binance_usdm import BinanceUsdm
from pinnacle.dialects.bitstamp import Bitstamp
from pinnacle.dialects.coinbase import Coinbase
from pinnacle.dialects.coinbase_advanced import CoinbaseAdvanced
from pinnacle.dialects.dialect import Dialect
from pinnacle.dialects.gemini import Gemini
from pinnacle.dialects.kraken import Kraken
from pinnacle.dialects.orders import Account
from pinnacle.instrument import Instrument
from pinnacle.venues import (
    binance_gateway,
    binance_usdm_gateway,
    coinbase_advanced_gateway,
    coinbase_gateway,
    gemini_gateway,
)
from pinnacle.venues.binance import ADDRESS as BINANCE_ADDRESS
from pinnacle.venues.bitstamp_gateway import BitstampGateway
from pinnacle.venues.credentials import signer
from pinnacle.venues.kraken_gateway import KrakenGateway
from pinnacle.venues.signing import private_key
from pinnacle.venues.venues import venue

SECOND = 1_000_000_000
SECRET = "c2VjcmV0MQ=="
# A published example of an Ed25519 seed.
SEED = base64.b64encode(bytes(range(32))).decode()


@dataclass(frozen=True)
class Left:
    """An order that leaves the process, as the bytes say it."""

    client_id: str
    side: str
    price: str
    quantity: str


@dataclass(frozen=True)
class Place:
    """order_of: the order in what leaves (a frame, or method, path and body of a call), None if it is none.
    gateway: takes the account's ids and key, and the latest time of an earlier life, above which nonces begin.  moods:
    wraps what places orders at the exchange, which then has bad moments.
    settle_ns, kill_ns: as long as it may take until nothing is in doubt, and until a kill has cancelled everything:
    longer where an order that did not arrive could still do so for long."""

    name: str
    symbol: str
    quote: str
    dialect: type[Dialect]
    gateway: Callable[..., Any]
    key: Callable[[], Any]
    order_of: Callable[[str, bytes], Left | None]
    public_key: str = ""
    moods: Callable[[Any, random.Random, Callable[[], float]], None] | None = None
    settle_ns: int = 25 * SECOND
    kill_ns: int = 2 * SECOND

    @property
    def instrument(self) -> Instrument:
        return Instrument(self.name, self.symbol, Decimal("0.01"), Decimal("0.00001"), base="BTC", quote=self.quote)

    @property
    def account(self) -> Account:
        return Account("ours", "key1", SECRET, "phrase1", self.public_key)

    def feeds(self, followed: list[Any]) -> Any:
        """Our feed of the venue."""
        module = venue(self.name)
        return module.feeds(followed, BINANCE_ADDRESS if self.name == "binance" else module.ADDRESS)[0]


def _floorless(make: Callable[..., Any]) -> Callable[..., Any]:
    """A gateway whose nonces need no floor, or that has none."""
    return lambda followed, ids, api_key, key, passphrase, floor_ns: make(followed, ids, api_key, key, passphrase)


def _moody(
    place: Callable[..., Any], chance: random.Random, refusals: Callable[[], float], fails: Sequence[Exception]
) -> Callable[..., Any]:
    """A new order at an exchange that has bad moments.  fails[0]: said although it was done."""

    def placed(*args: Any, **more: Any) -> Any:
        if chance.random() < refusals():
            mood = chance.randrange(len(fails))
            if mood == 0:
                place(*args, **more)
            raise fails[mood]
        return place(*args, **more)

    return placed


def _binance_moods(dialect: Any, chance: random.Random, refusals: Callable[[], float]) -> None:
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


def _usdm_moods(dialect: Any, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = binance_words.Fail
    unknown = fail(-1000, "Unknown error, please check your request or try again later.", 503)
    fails = [
        unknown, unknown, fail(-1008, "Request throttled by system-level protection.", 503),
        fail(-4141, "Symbol is closed."),
        fail(-1015, "Too many new orders; current limit is 300 orders per 10 SECOND.", 429),
    ]  # fmt: skip
    key = ("POST", "/fapi/v1/order")
    name, weight, place = dialect.signed_methods[key]
    dialect.signed_methods[key] = (name, weight, _moody(place, chance, refusals, fails))


def _kraken_moods(dialect: Any, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = kraken_words.Fail
    fails = [
        fail("EService:Unavailable"), fail("EService:Busy"), fail("EService:Market in cancel_only mode"),
        fail("EOrder:Rate limit exceeded"),
    ]  # fmt: skip
    dialect.orders.add = _moody(dialect.orders.add, chance, refusals, fails)


def _bitstamp_moods(dialect: Any, chance: random.Random, refusals: Callable[[], float]) -> None:
    fail = bitstamp_words.Fail
    server = fail("500.001", "Server error.", 500)
    fails = [
        server, server, fail("400.003", {"__all__": ["Trading on this market is disabled."]}),
        fail("400.002", "Request rate limit exceeded.", 429),
    ]  # fmt: skip
    dialect.orders._place = _moody(dialect.orders._place, chance, refusals, fails)


def _binance(where: str, body: bytes) -> Left | None:
    said = msgspec.json.decode(body) if where == "frame" else {}
    if said.get("method") != "order.place":
        return None
    params = said["params"]
    return Left(params["newClientOrderId"], params["side"], params["price"], params["quantity"])


def _usdm(where: str, body: bytes) -> Left | None:
    path, _, query = where.partition("?")
    if path != "POST /fapi/v1/order":
        return None
    said = {name: value for name, (value,) in parse_qs(query).items()}
    return Left(said["newClientOrderId"], said["side"], said["price"], said["quantity"])


def _coinbase(where: str, body: bytes) -> Left | None:
    if where != "POST /orders":
        return None
    said = msgspec.json.decode(body)
    return Left(said["client_oid"], said["side"].upper(), said["price"], said["size"])


def _advanced(where: str, body: bytes) -> Left | None:
    if where != "POST /api/v3/brokerage/orders":
        return None
    said = msgspec.json.decode(body)
    (limit,) = said["order_configuration"].values()
    return Left(said["client_order_id"], said["side"], limit["limit_price"], limit["base_size"])


def _gemini(where: str, body: bytes) -> Left | None:
    said = msgspec.json.decode(body) if where == "frame" else {}
    if said.get("method") != "order.place":
        return None
    params = said["params"]
    return Left(params["clientOrderId"], params["side"], params["price"], params["quantity"])


def _kraken(where: str, body: bytes) -> Left | None:
    said = msgspec.json.decode(body, type=dict[str, msgspec.Raw]) if where == "frame" else {}
    if bytes(said.get("method", b"")) != b'"add_order"':
        return None
    params = msgspec.json.decode(said["params"], type=dict[str, msgspec.Raw])
    name, side = (msgspec.json.decode(params[one], type=str) for one in ("cl_ord_id", "side"))
    return Left(name, side.upper(), bytes(params["limit_price"]).decode(), bytes(params["order_qty"]).decode())


def _bitstamp(where: str, body: bytes) -> Left | None:
    side = next((one for one in ("buy", "sell") if f"/{one}/" in where), "")
    if not side:
        return None
    form = {name: value for name, (value,) in parse_qs(body.decode()).items()}
    return Left(form["client_order_id"], side.upper(), form["price"], form["amount"])


PLACES = {
    "binance": Place(
        "binance", "BTCUSDT", "USDT", Binance, _floorless(binance_gateway.gateway),
        lambda: signer("binance", SECRET.encode())[1], _binance, moods=_binance_moods,
    ),
    "binance-usdm": Place(
        "binance-usdm", "BTCUSDT", "USDT", BinanceUsdm, _floorless(binance_usdm_gateway.gateway),
        lambda: signer("binance-usdm", SECRET.encode())[1], _usdm, moods=_usdm_moods,
    ),
    "bitstamp": Place(
        "bitstamp", "btcusd", "USD", Bitstamp,
        lambda followed, ids, api_key, key, passphrase, floor_ns: BitstampGateway(
            followed, ids, api_key, key, floor_ns
        ),
        lambda: signer("bitstamp", SECRET.encode())[1], _bitstamp, moods=_bitstamp_moods, settle_ns=190 * SECOND,
    ),
    "kraken": Place(
        "kraken", "BTC/USD", "USD", Kraken,
        lambda followed, ids, api_key, key, passphrase, floor_ns: KrakenGateway(
            followed, ids, api_key, key, floor_ns, "pro"
        ),
        lambda: signer("kraken", SECRET.encode())[1], _kraken, moods=_kraken_moods,
    ),
    "coinbase": Place(
        "coinbase", "BTC-USD", "USD", Coinbase, _floorless(coinbase_gateway.gateway),
        lambda: signer("coinbase", SECRET.encode())[1], _coinbase, settle_ns=60 * SECOND,
    ),
    "coinbase-advanced": Place(
        "coinbase-advanced", "BTC-USD", "USD", CoinbaseAdvanced, _floorless(coinbase_advanced_gateway.gateway),
        lambda: private_key(SEED), _advanced,
        base64.b64encode(private_key(SEED).public_key().public_bytes_raw()).decode(), settle_ns=45 * SECOND,
    ),
    "gemini": Place(
        "gemini", "btcusd", "USD", Gemini, _floorless(gemini_gateway.gateway),
        lambda: signer("gemini", SECRET.encode())[1], _gemini, settle_ns=40 * SECOND,
    ),
}  # fmt: skip

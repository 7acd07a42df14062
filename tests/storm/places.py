"""Where a storm takes place: a venue's dialect and account, our feed and gateway for it, and what an order is there.

The world, the weather and the auditor are the same at every venue; what differs is in one row.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

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
    bitstamp_gateway,
    coinbase_advanced_gateway,
    coinbase_gateway,
    gemini_gateway,
    kraken_gateway,
)
from pinnacle.venues.binance import ADDRESS as BINANCE_ADDRESS
from pinnacle.venues.credentials import signer
from pinnacle.venues.signing import private_key
from pinnacle.venues.venues import venue
from tests.storm import moods

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
    gateway: of venues.gateway_of.  moods:
    wraps what places orders at the exchange, which then has bad moments.
    switched: whether the dead-man's switch of a dialect's account is set, where the venue has one.
    settle_ns, kill_ns: as long as it may take until nothing is in doubt, and until a kill has cancelled everything:
    longer where an order that did not arrive could still do so for long."""

    name: str
    symbol: str
    quote: str
    dialect: type[Dialect]
    gateway: Callable[..., Any]
    key: Callable[[], Any]
    order_of: Callable[[str, bytes], Left | None]
    moods: moods.Moods
    public_key: str = ""
    switched: Callable[[Any], bool] = lambda dialect: True
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
        "binance", "BTCUSDT", "USDT", Binance, binance_gateway.gateway,
        lambda: signer("binance", SECRET.encode())[1], _binance, moods.binance,
    ),
    "binance-usdm": Place(
        "binance-usdm", "BTCUSDT", "USDT", BinanceUsdm, binance_usdm_gateway.gateway,
        lambda: signer("binance-usdm", SECRET.encode())[1], _usdm, moods.usdm,
    ),
    "bitstamp": Place(
        "bitstamp", "btcusd", "USD", Bitstamp,
        bitstamp_gateway.gateway,
        lambda: signer("bitstamp", SECRET.encode())[1], _bitstamp, moods.bitstamp, settle_ns=190 * SECOND,
    ),
    "kraken": Place(
        "kraken", "BTC/USD", "USD", Kraken,
        partial(kraken_gateway.gateway, tier="pro"),
        lambda: signer("kraken", SECRET.encode())[1], _kraken, moods.kraken,
        switched=lambda dialect: bool(dialect.orders._switches),
    ),
    "coinbase": Place(
        "coinbase", "BTC-USD", "USD", Coinbase, coinbase_gateway.gateway,
        lambda: signer("coinbase", SECRET.encode())[1], _coinbase, moods.coinbase, settle_ns=60 * SECOND,
    ),
    "coinbase-advanced": Place(
        "coinbase-advanced", "BTC-USD", "USD", CoinbaseAdvanced, coinbase_advanced_gateway.gateway,
        lambda: private_key(SEED), _advanced, moods.advanced,
        base64.b64encode(private_key(SEED).public_key().public_bytes_raw()).decode(), settle_ns=45 * SECOND,
    ),
    "gemini": Place(
        "gemini", "btcusd", "USD", Gemini, gemini_gateway.gateway,
        lambda: signer("gemini", SECRET.encode())[1], _gemini, moods.gemini, settle_ns=40 * SECOND,
    ),
}  # fmt: skip

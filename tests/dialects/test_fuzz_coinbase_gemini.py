"""Garbage from clients of Coinbase's and Gemini's dialects: each is answered, none raises, other clients are unharmed.

PINNACLE_FUZZ=N makes N times as many rounds; a failing round prints its seed.
"""

from __future__ import annotations

import json
import os
import random
from typing import ClassVar

import pytest

from pinnacle.dialects.coinbase import Coinbase
from pinnacle.dialects.coinbase_advanced import CoinbaseAdvanced
from pinnacle.dialects.dialect import Response
from pinnacle.dialects.gemini import Gemini
from pinnacle.venues.signing import (
    base64_key,
    coinbase_exchange_headers,
    coinbase_exchange_subscribe,
    coinbase_jwt_headers,
    gemini_headers,
    gemini_websocket_headers,
)
from tests.dialects import test_coinbase_advanced as advanced
from tests.dialects.rig import NS, Rig
from tests.venues.test_fuzz_coinbase_gemini import damaged

ROUNDS = 5 * int(os.environ.get("PINNACLE_FUZZ", "1"))
KEYS = ("key1", base64_key("c2VjcmV0MQ=="), "phrase1")
AGENT = {"user-agent": "t"}


class ExchangeWorld:
    dialect, symbols = Coinbase, ("BTC-USD", "ETH-USD")
    targets = ("/products", "/products/BTC-USD/book?level=2", "/products/BTC-USD/trades?limit=5", "/orders",
               "/accounts",
               "/fills?product_id=BTC-USD", "/orders/client:x",
               "/products/BTC-USD/candles?granularity=60&start=1")  # fmt: skip
    body: ClassVar = {
        "type": "limit",
        "side": "buy",
        "product_id": "BTC-USD",
        "price": "59000.00",
        "size": "0.01",
        "stp": "dc",
    }

    def say(self, rig):
        signed = coinbase_exchange_subscribe(*KEYS, str(rig.now_ns // NS))
        channels = ["level2", "full", "level3", "matches", "ticker", "heartbeat", "status", "user"]
        return {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": channels} | signed

    def opening(self, rig):
        return {}

    def headers(self, rig, method, target, body):
        return coinbase_exchange_headers(*KEYS, str(rig.now_ns // NS), method, target, body)


class AdvancedWorld:
    dialect, symbols = CoinbaseAdvanced, ("BTC-USD", "ETH-USD")
    targets = tuple(advanced.API + path for path in (
        "/orders", "/orders/batch_cancel", "/orders/edit", "/accounts", "/orders/historical/batch?order_status=OPEN",
        "/orders/historical/fills?order_ids=x", "/market/products", "/market/product_book?product_id=BTC-USD&limit=2",
    ))  # fmt: skip
    body: ClassVar = advanced.order() | {"order_ids": ["x"], "order_id": "x", "price": "1", "size": "1"}

    def say(self, rig):
        channel = random.Random(rig.now_ns).choice(
            ["level2", "user", "market_trades", "heartbeats", "status", "ticker"]
        )
        return {"type": "subscribe", "channel": channel, "product_ids": ["BTC-USD"], "jwt": advanced.token(rig.now_ns)}

    def opening(self, rig):
        return {}

    def headers(self, rig, method, target, body):
        return coinbase_jwt_headers(advanced.SECRET, "key1", rig.now_ns // NS, "0f", method, target)


class GeminiWorld:
    dialect, symbols = Gemini, ("btcusd", "ethusd")
    targets = ("/v1/order/new", "/v1/order/cancel", "/v1/order/status", "/v1/orders", "/v1/mytrades", "/v1/balances",
               "/v1/book/btcusd?limit_bids=3", "/v1/trades/btcusd?limit_trades=2")  # fmt: skip
    body: ClassVar = {"symbol": "btcusd", "amount": "0.01", "price": "59000.00", "side": "buy",
            "type": "exchange limit",
            "options": ["maker-or-cancel"], "order_id": 5, "client_order_id": "a", "limit_trades": 5}  # fmt: skip

    def __init__(self):
        self.nonce = 1_700_000_000_000

    def say(self, rig):
        order = {"symbol": "btcusd", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "59000.00"}
        return random.Random(rig.now_ns).choice([
            {"id": "1", "method": "subscribe", "params": ["btcusd@depth@100ms", "btcusd@trade", "orders@account"]},
            {"id": "2", "method": "order.place", "params": order | {"quantity": "0.01", "clientOrderId": "c"}},
            {"id": "3", "method": "order.cancel", "params": {"orderId": "5"}},
            {"id": "4", "method": "depth", "params": {"symbol": "btcusd", "limit": 5}},
        ])  # fmt: skip

    def opening(self, rig):
        self.nonce += 1
        return gemini_websocket_headers("key1", b"c2VjcmV0MQ==", str(self.nonce))

    def headers(self, rig, method, target, body):
        self.nonce += 1
        try:
            said = json.loads(body)
            said = said if isinstance(said, dict) else {}
        except ValueError:
            return gemini_headers("key1", b"c2VjcmV0MQ==", body)
        payload = json.dumps({"request": target.partition("?")[0], "nonce": str(self.nonce)} | said).encode()
        return gemini_headers("key1", b"c2VjcmV0MQ==", payload)


@pytest.mark.parametrize("world", [ExchangeWorld, AdvancedWorld, GeminiWorld])
def test_garbage_is_answered(world):
    """Damaged requests and messages, signed or not, over HTTP and websocket; money adds up afterwards."""
    for seed in range(ROUNDS):
        chance, one = random.Random(seed), world()
        rig = Rig(one.dialect, one.symbols, 100, seed=seed, public_key=advanced.PUBLIC, resting=50)
        opening = {name.lower(): value for name, value in one.opening(rig).items()} | AGENT
        session = rig.connect("/?snapshot=-1", opening)
        for _ in range(60):
            rig.step(chance.choice([0, 10**8, 10**9]))
            if session.closing:
                rig.hear(session)
                rig.dialect.closed(session, rig.now_ns)
                opening = {name.lower(): value for name, value in one.opening(rig).items()} | AGENT
                session = rig.connect("/?snapshot=-1", opening)
            sound = chance.random() < 0.3
            said = one.say(rig)
            text = json.dumps(said).encode() if sound else damaged(chance, said)
            target = chance.choice(one.targets)
            method = chance.choice(["GET", "POST", "DELETE", "PUT"]) if chance.random() < 0.3 else "POST"
            body = json.dumps(one.body).encode() if sound else damaged(chance, one.body)
            if not sound and chance.random() < 0.2:
                at = chance.randrange(len(target))
                target = target[:at] + chance.choice(["%", "/", "?", "&x=", "%00", "é"]) + target[at:]
            headers = {name.lower(): value for name, value in one.headers(rig, method, target, body).items()} | AGENT
            if chance.random() < 0.2:
                headers[chance.choice(list(headers))] = chance.choice(["", "x", "-1", "9" * 40, "é"])
            try:
                rig.say(session, text)
                answer = rig.request(method, target, body, headers)
            except Exception as error:
                raise AssertionError(f"seed {seed}: {text[:200]!r} or {method} {target} {body[:200]!r}") from error
            assert isinstance(answer, Response) and 200 <= answer.status < 600
            for message in rig.hear(session):
                assert message is not None
        for account in rig.accounts:
            held = sum(order.held_units for order in rig.house.open_orders(account.index))
            assert held == sum(balance.held_units for balance in account.balances.values())

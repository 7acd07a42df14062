"""Garbage into every feed of these venues: records or the one parse error, in one line, and memory that stays bounded.

PINNACLE_FUZZ=N makes N times as many rounds; a failing round prints its seed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from decimal import Decimal

import pytest

from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase import CoinbaseFeed
from pinnacle.venues.coinbase import instruments as coinbase_instruments
from pinnacle.venues.coinbase_advanced import AdvancedFeed
from pinnacle.venues.coinbase_advanced import instruments as advanced_instruments
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.gemini import GeminiFeed
from pinnacle.venues.gemini import instruments as gemini_instruments
from pinnacle.venues.gemini_2021 import Gemini2021Feed

ROUNDS = 150 * int(os.environ.get("PINNACLE_FUZZ", "1"))
ONE = Instrument("v", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
TWO = Instrument("v", "btcusd", Decimal("0.01"), Decimal("0.00000001"))
TIME = "2024-01-02T03:04:05.678901Z"
HEAD = {"product_id": "BTC-USD", "time": TIME}
EXCHANGE = [
    HEAD | {"type": "snapshot", "bids": [["10.00", "1"]], "asks": [["11.00", "2"], ["12.00", "0.5"]]},
    {"type": "l2update", "product_id": "BTC-USD", "time": TIME,
     "changes": [["buy", "10.01", "1"], ["sell", "11.00", "0"]]},
    HEAD | {"type": "match", "trade_id": 7, "sequence": 9, "side": "buy", "size": "1", "price": "10.50",
            "maker_order_id": "a"},
    HEAD | {"type": "ticker", "sequence": 9, "best_bid": "10.00", "best_ask": "11.00", "best_bid_size": "1"},
    HEAD | {"type": "heartbeat", "sequence": 9, "last_trade_id": 7},
    {"type": "status", "products": [{"id": "BTC-USD", "base_increment": "1", "quote_increment": "1"}]},
    HEAD | {"type": "open", "sequence": 10, "order_id": "b", "side": "sell", "price": "11.00", "remaining_size": "1"},
    HEAD | {"type": "change", "sequence": 11, "order_id": "b", "new_size": "0.5", "price": "11.00"},
    HEAD | {"type": "done", "sequence": 12, "order_id": "b", "reason": "canceled"},
    {"type": "level3", "schema": {"noop": ["type", "product_id", "sequence", "time"]}},
    ["noop", "BTC-USD", "13", TIME],
]  # fmt: skip
LEVEL = {"side": "offer", "event_time": TIME, "price_level": "11.00", "new_quantity": "1"}
BID = LEVEL | {"side": "bid", "price_level": "10"}
TRADE = HEAD | {"trade_id": "5", "price": "10", "size": "1", "side": "BUY"}
ADVANCED = [
    {"channel": channel, "client_id": "", "timestamp": TIME, "sequence_num": 0, "events": [event]}
    for channel, event in (
        ("l2_data", {"type": "snapshot", "product_id": "BTC-USD", "updates": [LEVEL, BID]}),
        ("l2_data", {"type": "update", "product_id": "BTC-USD", "updates": [LEVEL]}),
        ("market_trades", {"type": "update", "trades": [TRADE]}),
        ("ticker", {"type": "update", "tickers": [{"product_id": "BTC-USD", "best_bid": "10", "best_ask": "11"}]}),
        ("heartbeats", {"heartbeat_counter": 1}),
    )
]  # fmt: skip
GEMINI = [
    {"e": "depthUpdate", "E": 10**18, "s": "btcusd", "U": 5, "u": 5, "b": [["10.00", "1"]], "a": [["11.00", "1"]]},
    {"e": "depthUpdate", "E": 10**18, "s": "btcusd", "U": 5, "u": 9, "b": [["10.00", "0"]], "a": []},
    {"E": 10**18, "s": "btcusd", "t": 5, "p": "10.00", "q": "1", "m": True},
    {"u": 9, "E": 10**18, "s": "btcusd", "b": "10.00", "B": "1", "a": "11.00", "A": "1"},
    {"id": "1", "status": 200, "result": {}},
]  # fmt: skip
GEMINI_2021 = [
    {"type": "l2_updates", "symbol": "BTCUSD", "changes": [["buy", "10.00", "1"], ["sell", "11.00", "1"]]},
    {"type": "trade", "symbol": "BTCUSD", "event_id": 5, "timestamp": 10**12, "price": "10", "quantity": "1",
     "side": "buy"},
    {"type": "heartbeat", "timestamp": 10**12},
]  # fmt: skip
FEEDS = {
    "exchange": (lambda: CoinbaseFeed([Followed(ONE, 0, 0)]), EXCHANGE),
    "orders": (lambda: CoinbaseFeed([Followed(ONE, 0, 0, orders=True)], lambda ts_ns: {}), EXCHANGE),
    "advanced": (lambda: AdvancedFeed([Followed(ONE, 0, 0)]), ADVANCED),
    "gemini": (lambda: GeminiFeed([Followed(TWO, 0, 0)]), GEMINI),
    "gemini-2021": (lambda: Gemini2021Feed([Followed(TWO, 0, 0)]), GEMINI_2021),
}
ODD = [
    None,
    True,
    -1,
    0,
    1 << 62,
    1 << 64,
    1 << 200,
    0.5,
    "",
    "x",
    "-1",
    "1e400",
    "NaN",
    "9" * 50,
    [],
    {},
    [[]],
    "\x00",
    "𝟙",
    TIME,
]


def damaged(chance, message):
    """A message with one value replaced, or bytes of its text changed, cut or repeated."""
    if chance.random() < 0.5:
        message = json.loads(json.dumps(message))
        at = message
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = chance.choice(keys)
            if isinstance(at[key], dict | list) and at[key] and chance.random() < 0.7:
                at = at[key]
                continue
            at[key] = chance.choice(ODD)
            break
        return json.dumps(message).encode()
    text = bytearray(json.dumps(message, separators=(",", ":")).encode())
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(text))
        match chance.randrange(4):
            case 0:
                text[at] = chance.randrange(256)
            case 1:
                del text[at:]
                text += b" "
            case 2:
                text[at:at] = text[at : at + chance.randrange(1, 30)]
            case 3:
                text[at:at] = bytes([chance.choice(b'"\\[]{}:,0.\n\xff')])
    return bytes(text)


@pytest.mark.parametrize("name", FEEDS)
def test_garbage_gives_records_or_the_one_error(name):
    """Valid and damaged messages in any order, ticks and answers between them, on one connection after the other."""
    make, messages = FEEDS[name]
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        feed, rows, ts_ns = make(), Rows(), 10**18
        feed.opened(ts_ns, rows)
        for _ in range(60):
            ts_ns += chance.randrange(0, 10**9)
            message = chance.choice(messages)
            text = json.dumps(message).encode() if chance.random() < 0.5 else damaged(chance, message)
            try:
                match chance.randrange(8):
                    case 0:
                        feed.tick(ts_ns, rows)
                    case 1 if feed.fetches:
                        book = {"sequence": chance.randrange(20), "bids": [["10.00", "1", "a"]], "asks": []}
                        body = json.dumps(book).encode() if chance.random() < 0.7 else damaged(chance, book)
                        feed.answered(feed.fetches.pop().tag, chance.choice([200, 200, 0, 429]), body, ts_ns, rows)
                    case _:
                        feed.received(text, ts_ns, rows)
            except Malformed as error:
                assert "\n" not in str(error) and len(str(error)) < 600, (name, seed)
                assert feed.restart, (name, seed)
            except Exception as error:
                raise AssertionError(f"{name}: seed {seed}: {text[:300]!r}") from error
            said = rows.take()
            assert not said.size or ((said["price_ticks"] >= 0).all() and (said["qty_lots"] >= 0).all())
            feed.sends.clear()
            if feed.restart:
                feed.closed(ts_ns, rows)
                feed.opened(ts_ns, rows)
            assert rows.events.size <= 1 << 14


@pytest.mark.parametrize("read", [coinbase_instruments, advanced_instruments, gemini_instruments])
def test_garbage_instruments(read):
    """Answers that are no list of instruments: Malformed, or fewer instruments."""
    good = {
        "id": "A-B", "product_id": "A-B", "symbol": "ab", "base_increment": "0.1", "quote_increment": "0.1",
        "price_increment": "0.1", "tick_size": 0.1, "min_order_size": "1",
    }  # fmt: skip
    for seed in range(10 * ROUNDS):
        chance = random.Random(seed)
        text = damaged(chance, chance.choice([[good, good], good, {"products": [good]}]))
        try:
            read(text)
        except Malformed:
            pass
        except Exception as error:
            raise AssertionError(f"seed {seed}: {text!r}") from error
    for text in (gzip.compress(b"x"), b"", b"[" * 100_000):
        with pytest.raises(Malformed):
            read(text)

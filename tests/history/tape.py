"""Writes small recorded Binance streams for the tests, and reads them the slow and obvious way."""

from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal
from pathlib import Path

from pinnacle import event
from pinnacle.instrument import Instrument

FUTURES = Instrument("binance", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
START_NS = 1_723_161_255_000_000_000
START_MS = START_NS // 1_000_000


def depth(first, last, previous=None, bids=(), asks=(), ms=START_MS, symbol="BTCUSDT"):
    """A depth message of futures (with `previous`) or of spot."""
    data = {"e": "depthUpdate", "E": ms, "s": symbol, "U": first, "u": last}
    if previous is not None:
        data |= {"T": ms, "pu": previous}
    return {"stream": "x@depth", "data": data | {"b": [list(x) for x in bids], "a": [list(x) for x in asks]}}


def snapshot(last, bids=(("99.0", "1"),), asks=(("101.0", "1"),), **more):
    """A REST snapshot."""
    return {"lastUpdateId": last, **more, "bids": [list(x) for x in bids], "asks": [list(x) for x in asks]}


def trade(identity, price="100.0", qty="0.001", maker=False, ms=START_MS, symbol="BTCUSDT", **more):
    """A trade message."""
    data = {"e": "trade", "E": ms, "T": ms, "s": symbol, "t": identity, "p": price, "q": qty, **more, "m": maker}
    return {"stream": "x@trade", "data": data}


def ticker(identity, bid="99.0", ask="101.0", ms=None, symbol="BTCUSDT"):
    """A bookTicker message; spot ones have no time."""
    data = {"u": identity, "s": symbol, "b": bid, "B": "1.000", "a": ask, "A": "2.000"}
    return {"stream": "x@bookTicker", "data": data if ms is None else {"e": "bookTicker", **data, "T": ms, "E": ms}}


def lines_of(messages, step_ns=1_000_000, start_ns=START_NS):
    """The messages as recorded lines, step_ns apart."""
    return [
        f"{start_ns + k * step_ns} {json.dumps(message, separators=(',', ':'))}" for k, message in enumerate(messages)
    ]


def write(path: Path, messages, **how) -> Path:
    """A gzip recording of the messages."""
    path.write_bytes(gzip.compress(("\n".join(lines_of(messages, **how)) + "\n").encode()))
    return path


def random_messages(seed: int, count: int, symbols=("BTCUSDT",)):
    """A stream of every kind of message, with keys in random order and things that must be stepped over."""
    rng = random.Random(seed)
    price = lambda: f"{rng.randrange(1, 10**7) / 10:.1f}" + rng.choice(["", "0", "000"])  # noqa: E731
    qty = lambda: rng.choice(["0", "0.000", f"{rng.randrange(10**6) / 1000:.3f}", str(rng.randrange(1000))])  # noqa: E731
    side = lambda: [[price(), qty()] for _ in range(rng.randrange(4))]  # noqa: E731
    out, last = [], 100
    for k in range(count):
        ms = START_MS + rng.randrange(1000)
        kind = rng.randrange(6)
        if kind == 0:
            message = trade(k, price(), qty(), rng.random() < 0.5, ms, X=rng.choice(["MARKET", "INSURANCE_FUND"]))
        elif kind == 1:
            message = ticker(k, price(), price(), rng.choice([None, ms]))
        elif kind == 2:
            message = snapshot(last, side(), side(), E=ms, T=ms)
        elif kind == 3:
            message = rng.choice([
                {"stream": "x@kline", "data": {"e": "kline", "s": "BTCUSDT", "k": {"a": [["1", "2"]], "b": "}\"]"}}},
                {"result": None, "id": 3}, {"code": -1121, "msg": "Invalid \\ symbol."},
                depth(1, 2, 1, side(), side(), ms, symbol=symbols[-1]),
            ])  # fmt: skip
        else:
            message = depth(last + 1, last + 5, last, side(), side(), ms)
            last += 5
        target = message.get("data", message)
        items = list(target.items())
        if kind != 3:
            rng.shuffle(items)
            target.clear()
            target.update(items)
        out.append(message)
    return out


def slow_rows(messages, instrument, step_ns=1_000_000, start_ns=START_NS, tickers=True):
    """The rows as received, without offset: (ts, venue ts, kind, side, ticks, lots, aux, flags)."""
    out = []
    # A snapshot does not say its symbol, so in a file of several it belongs to none.
    several = len({message.get("data", message).get("s", instrument.symbol) for message in messages}) > 1
    for k, message in enumerate(messages):
        local, data = start_ns + k * step_ns, message.get("data", message)
        if data.get("s", instrument.symbol) != instrument.symbol:
            continue
        rows, snap = [], "lastUpdateId" in data
        if snap and several:
            continue
        venue = data.get("T", 0 if data.get("e", "bookTicker") == "bookTicker" and not snap else data.get("E", 0))
        if data.get("e") == "depthUpdate" or snap:
            keys = (("bids", 1), ("asks", -1)) if snap else (("b", 1), ("a", -1))
            for key, side in sorted(keys, key=lambda pair: list(data).index(pair[0])):
                levels = [(instrument.ticks(p), instrument.lots(q)) for p, q in data[key]]
                if snap and levels:
                    worst = (min if side > 0 else max)(ticks for ticks, _ in levels)
                    rows.append((event.BOOK_CLEAR, side, worst, 0))
                rows += [(event.BOOK_LEVEL, side, ticks, lots) for ticks, lots in levels]
            aux = data["lastUpdateId"] if snap else data["u"]
        elif data.get("e") == "trade":
            if data.get("X", "MARKET") == "MARKET":
                side = -1 if data["m"] else 1
                rows.append((event.TRADE, side, instrument.ticks(data["p"]), instrument.lots(data["q"])))
            aux = data["t"]
        elif "B" in data and tickers:
            for side, p, q in ((1, "b", "B"), (-1, "a", "A")):
                rows.append((event.TICKER, side, instrument.ticks(data[p]), instrument.lots(data[q])))
            aux = data["u"]
        for index, (kind, side, ticks, lots) in enumerate(rows):
            flags = (event.SNAPSHOT if snap else 0) | (event.LAST if index == len(rows) - 1 else 0)
            out.append((local, venue * 1_000_000, kind, side, ticks, lots, aux, flags))
    return out


def fast_rows(batches):
    """EVENT arrays in the form of slow_rows."""
    names = ("ts_ns", "ts_venue_ns", "kind", "side", "price_ticks", "qty_lots", "aux", "flags")
    return [tuple(row) for rows in batches for row in zip(*(rows[name].tolist() for name in names))]

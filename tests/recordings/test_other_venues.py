"""What the recordings of Bitstamp, Coinbase and Gemini prove of the integer book."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.check import check_history
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from tests.recordings.tapes import ASK, BID, RecordedBook, answers, instruments, received


def test_bitstamp_joins_by_microtimestamp(recordings):
    """527 diffs applied and 114 dropped onto ten snapshots; times strictly rise, no book is ever crossed."""
    folder = recordings / "bitstamp" / "recorded_20210417"
    known = instruments(recordings, "bitstamp")
    books, times = {}, {}
    for url, answer in answers(folder / "order_book.raw"):
        pair = url.rstrip("/").split("/")[-1]
        books[pair], times[pair] = RecordedBook(known[pair]), int(answer["microtimestamp"])
        for key, side in (("bids", BID), ("asks", ASK)):
            for price, qty in answer[key]:
                books[pair].set(side, price, qty)
    applied = dropped = 0
    heard = dict.fromkeys(books, 0)
    for message in received(folder / "ws.raw"):
        if message["event"] != "data" or not message["channel"].startswith("diff_order_book_"):
            continue
        pair, data = message["channel"].removeprefix("diff_order_book_"), message["data"]
        time = int(data["microtimestamp"])
        assert time > heard[pair]
        heard[pair] = time
        if time <= times[pair]:
            dropped += 1
            continue
        applied += 1
        for key, side in (("bids", BID), ("asks", ASK)):
            for price, qty in data[key]:
                books[pair].set(side, price, qty)
        assert not books[pair].crossed()
    assert (applied, dropped, len(books)) == (527, 114, 10)


def test_coinbase_tops(recordings):
    """The top equals the ticker's in 85 of 90; the other 5 are the tickers sent on subscription."""
    known = instruments(recordings, "coinbase")
    books: dict[str, RecordedBook] = {}
    tickers = equal = before_book = 0
    for message in received(recordings / "coinbase" / "recorded_20210417" / "ws.raw"):
        kind, product = message["type"], message.get("product_id")
        if kind == "snapshot":
            books[product] = RecordedBook(known[product])
            for key, side in (("bids", BID), ("asks", ASK)):
                for price, qty in message[key]:
                    books[product].set(side, price, qty)
        elif kind == "l2update":
            for side, price, qty in message["changes"]:
                books[product].set(BID if side == "buy" else ASK, price, qty)
            assert not books[product].crossed()
        elif kind == "ticker":
            tickers += 1
            if product not in books:
                before_book += 1
                continue
            bid, ask = books[product].best(BID), books[product].best(ASK)
            steps = books[product].instrument
            equal += (bid[0], ask[0]) == (steps.ticks(message["best_bid"]), steps.ticks(message["best_ask"]))
    assert (equal, tickers, len(books)) == (85, 90, 6)


def test_gemini_never_crossed(recordings):
    """Ten books of snapshot and changes, never crossed; seven sizes are finer than the lot of two months later."""
    known = instruments(recordings, "gemini")
    books: dict[str, RecordedBook] = {}
    finer = updates = 0
    for message in received(recordings / "gemini" / "recorded_20210417" / "ws.raw"):
        if message["type"] != "l2_updates":
            continue
        updates += 1
        symbol = message["symbol"]
        book = books.setdefault(symbol, RecordedBook(known[symbol]))
        for side, price, qty in message["changes"]:
            try:
                lots = book.instrument.lots(qty)
            except HistoryError:
                finer += 1
                lots = int(Decimal(qty) / book.instrument.lot)
            book.put(BID if side == "buy" else ASK, book.instrument.ticks(price), lots)
        assert not book.crossed()
    assert (updates, len(books), finer) == (935, 10, 7)


def test_gemini_day(recordings):
    """A whole day of best prices and trades: one level a side after every row, never crossed, every trade there."""
    ethusd = Instrument("gemini", "ETHUSD", Decimal("0.01"), Decimal("0.000001"))
    day = recordings / "gemini" / "ethusd_20210701"
    report = check_history(day, ethusd)
    assert report.ok and report.rows == 249_627 and report.silences
    assert report.kinds == {"book_level": 224_405, "trade": 25_222}
    assert report.facts["book messages with a side empty"] == 0
    levels = {BID: set(), ASK: set()}
    rows = np.concatenate(list(open_history(day, ethusd)))
    assert rows["qty_lots"][rows["kind"] == event.TRADE].sum() // 10**6 == 27_029
    for kind, side, ticks, lots, flags in zip(
        *(rows[name].tolist() for name in ("kind", "side", "price_ticks", "qty_lots", "flags"))
    ):
        if kind == event.BOOK_LEVEL:
            (levels[side].add if lots else levels[side].remove)(ticks)
            assert not flags & event.LAST or (len(levels[BID]), len(levels[ASK])) == (1, 1)

"""What the Binance recordings prove: chains without a gap, books joined, tops equal to the venue's own ticker."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from pinnacle.history.check import check_history
from pinnacle.instrument import Instrument
from tests.recordings.tapes import ASK, BID, RecordedBook, answers, instruments, received

FUTURES = Instrument("binance", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))
SPOT = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"))


@pytest.mark.parametrize(
    ("file", "instrument", "depth_links", "trade_links", "dropped", "compared", "off_lot"),
    [
        ("usdm_btcusdt_20240808.gz", FUTURES, 6_550, 21_312, 4, 6_547, 0),
        ("spot_btcusdt_20240808.gz", SPOT, 3_450, 9_756, 2, 3_449, 3),
        ("usdm_btcusdt_20240718.gz", FUTURES, 3_325, 973, 5, 3_321, 0),
    ],
)
def test_streams(recordings, file, instrument, depth_links, trade_links, dropped, compared, off_lot):
    """No gap in depth or trade ids; after every depth message the top, sizes included, is what the ticker says."""
    report = check_history(recordings / "binance" / file, instrument)
    (imported,) = report.imports
    assert report.ok, report.lines()
    assert imported["links"] == {"depth ids": depth_links, "trade ids": trade_links} and imported["gaps"] == {}
    assert imported["skipped"] == {"depth messages older than the snapshot": dropped}
    assert imported["repaired"].get("quantities off the lot rounded down to it", 0) == off_lot
    assert report.facts["trade ids that are not the next one"] == 0
    assert report.facts["book tops compared with the ticker"] == compared
    assert report.facts["of these equal in price and size"] == compared
    assert report.facts["book tops without a ticker to compare with"] == 0


def test_ten_books_at_once(recordings):
    """Ten spot books bridge without a gap; after each of 567 depth messages the top equals the ticker before its id."""
    folder = recordings / "binance" / "recorded_20210417"
    known = instruments(recordings, "binance", market="spot")
    waiting, books, last, tops = {}, {}, {}, {}
    snapshots = {url.split("symbol=")[1].split("&")[0]: answer for url, answer in answers(folder / "depth.raw")}
    compared = equal = off_tick = 0
    for message in received(folder / "ws.raw"):
        stream, data = message.get("stream", ""), message.get("data", {})
        if stream.endswith("@bookTicker"):
            tops[data["s"], data["u"]] = [data[key] for key in ("b", "B", "a", "A")]
        elif "@depth" in stream:
            waiting.setdefault(data["s"], []).append(data)
    for symbol, messages in waiting.items():
        book = books[symbol] = RecordedBook(known[symbol])
        for key, side in (("bids", BID), ("asks", ASK)):
            for price, qty in snapshots[symbol][key]:
                # The venue made the tick of BUSDTRY coarser; orders older than that still rest between the new ticks.
                if Fraction(price) % Fraction(book.instrument.tick):
                    assert symbol == "BUSDTRY"
                    off_tick += 1
                else:
                    book.set(side, price, qty)
        last[symbol] = snapshots[symbol]["lastUpdateId"]
        tickers = sorted(identity for name, identity in tops if name == symbol)
        for data in messages:
            if data["u"] <= last[symbol]:
                continue
            assert data["U"] <= last[symbol] + 1
            for key, side in (("b", BID), ("a", ASK)):
                for price, qty in data[key]:
                    book.set(side, price, qty)
            last[symbol] = data["u"]
            assert not book.crossed()
            before = [identity for identity in tickers if identity <= data["u"]]
            if before:
                bid, bid_qty, ask, ask_qty = tops[symbol, before[-1]]
                steps = book.instrument
                compared += 1
                equal += book.best(BID) == (steps.ticks(bid), steps.lots(bid_qty)) and book.best(ASK) == (
                    steps.ticks(ask), steps.lots(ask_qty),
                )  # fmt: skip
    assert len(books) == 10
    assert off_tick == 8
    assert (equal, compared) == (567, 567)

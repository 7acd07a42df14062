"""Tardis CSV files, written from the rows of a Binance recording."""

from __future__ import annotations

import gzip
from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history import blocks
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from tests.history.tape import fast_rows

SPOT = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"))
HEADS = {
    "incremental_book_L2": "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount",
    "trades": "exchange,symbol,timestamp,local_timestamp,id,side,price,amount",
    "book_ticker": "exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount",
}


@pytest.fixture(scope="module")
def rows(recordings):
    """The first rows of a spot recording, with times in whole microseconds as Tardis has them."""
    options = ImportOptions(offset_ns=1_300_000_000)
    history = open_history(recordings / "binance" / "spot_btcusdt_20240808.gz", SPOT, options)
    rows = np.concatenate([batch for _, batch in zip(range(3), history)])[:30_000]
    rows = rows[: np.flatnonzero(rows["flags"] & event.LAST)[-1] + 1]
    rows["ts_ns"] -= rows["ts_ns"] % 1000
    return rows


def write(folder, rows, instrument=SPOT):
    """The three files of these rows."""
    lines = {name: [head] for name, head in HEADS.items()}
    quote = {}
    for row in rows:
        venue, local = int(row["ts_venue_ns"]) // 1000, int(row["ts_ns"]) // 1000
        price, qty = instrument.price_text(row["price_ticks"]), instrument.qty_text(row["qty_lots"])
        head = f"binance,BTCUSDT,{venue},{local}"
        buy = row["side"] > 0
        if row["kind"] == event.BOOK_LEVEL:
            whole = "true" if row["flags"] & event.SNAPSHOT else "false"
            lines["incremental_book_L2"].append(f"{head},{whole},{'bid' if buy else 'ask'},{price},{qty}")
        elif row["kind"] == event.TRADE:
            lines["trades"].append(f"{head},{row['aux']},{'buy' if buy else 'sell'},{price},{qty}")
        elif row["kind"] == event.TICKER:
            quote[int(row["side"])] = (price, qty)
            if not buy:
                lines["book_ticker"].append(f"{head},{quote[-1][1]},{quote[-1][0]},{quote[1][0]},{quote[1][1]}")
    paths = []
    for name, text in lines.items():
        path = folder / f"binance_{name}_2024-08-08_BTCUSDT.csv.gz"
        path.write_bytes(gzip.compress(("\n".join(text) + "\n").encode()))
        paths.append(path)
    return paths


def expected(rows):
    """What the files hold of the rows: no ids but the trades', one clear of both sides in front of a snapshot."""
    rank = {event.TRADE: 0, event.TICKER: 1}
    order = sorted(range(rows.size), key=lambda k: (rows["ts_ns"][k], rank.get(int(rows["kind"][k]), 2), k))
    out, cleared = [], False
    for k in order:
        row = rows[k]
        kind = int(row["kind"])
        if kind == event.BOOK_CLEAR:
            continue
        if row["flags"] & event.SNAPSHOT and not cleared:
            cleared = True
            out.append((int(row["ts_ns"]), int(row["ts_venue_ns"]), event.BOOK_CLEAR, 0, 0, 0, 0))
        numbers = [int(row[n]) for n in ("ts_ns", "ts_venue_ns", "kind", "side", "price_ticks", "qty_lots")]
        out.append((*numbers, int(row["aux"]) if kind == event.TRADE else 0))
    return out


@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 20])
def test_the_files_merged_give_the_rows_back(tmp_path, monkeypatch, rows, block_bytes):
    """Book, trades and quotes given together give every row back, exact, in order of local time, over any blocks."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    paths = write(tmp_path, rows)
    history = open_history(paths, SPOT)
    got = np.concatenate(list(history))
    assert [row[:7] for row in fast_rows([got])] == expected(rows)
    assert history.report.format == "tardis" and history.report.offset_ns == 0
    assert got["seq"].tolist() == list(range(got.size))
    # A message ends where the local time changes, and only there, in each file.
    kinds = {event.TRADE: 0, event.TICKER: 1, event.BOOK_LEVEL: 2, event.BOOK_CLEAR: 2}
    for rank in range(3):
        part = got[[kinds[int(kind)] == rank for kind in got["kind"]]]
        ends = np.append(np.diff(part["ts_ns"]) != 0, True)
        assert (((part["flags"] & event.LAST) != 0) == ends).all()


def test_one_file_alone(tmp_path, rows):
    """Any one of the files is a history by itself."""
    for path in write(tmp_path, rows[:3000]):
        assert sum(batch.size for batch in open_history(path, SPOT)) > 0


def write_trades(path, *lines):
    """A trades file."""
    path.write_text("\n".join([HEADS["trades"], *lines]) + "\n")
    return path


def test_latency_is_floored(tmp_path):
    """Local times before the venue's are moved by one constant, as for every recording."""
    lines = [f"x,BTCUSDT,{2_000_000_000_000_500 + k},{2_000_000_000_000_000 + 2 * k},{k},buy,1,1" for k in range(5)]
    history = open_history(write_trades(tmp_path / "t.csv", *lines), SPOT)
    got = np.concatenate(list(history))
    assert history.report.offset_ns == 500_000 and (got["ts_ns"] - got["ts_venue_ns"]).tolist() == [
        0,
        1000,
        2000,
        3000,
        4000,
    ]


def test_odd_texts(tmp_path):
    """Exponents and sides that are not known are taken, ids that are no numbers are left out, and both are said."""
    path = write_trades(
        tmp_path / "t.csv", "x,BTCUSDT,2000000000000000,2000000000000000,a-b,unknown,1e2,2.5e-3",
        "x,ETHUSDT,2000000000000000,2000000000000001,1,buy,1,1",
    )  # fmt: skip
    history = open_history(path, SPOT)
    (got,) = list(history)
    assert got[["side", "price_ticks", "qty_lots", "aux"]].tolist() == [(0, 10_000, 250, 0)]
    assert history.report.skipped["rows of other symbols"] == 1
    assert len(history.report.notes) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("x,BTCUSDT,1,yesterday,1,buy,1,1", "row 2: local_timestamp 'yesterday' is not a time in us"),
        ("x,BTCUSDT,1,2,1,buy,one,1", "row 2: price 'one' is not a decimal number"),
        ("x,BTCUSDT,1,2,1,buy,1,-1", "row 2: amount '-1' is negative"),
        ("x,BTCUSDT,1,2,1,buy,1.001,1", "not multiples of the tick 0.01"),
        ("x,BTCUSDT,1,2,1", "Expected 8 columns, got 5"),
    ],
)
def test_bad_rows_are_named(tmp_path, line, says):
    """A row that cannot be read is refused with its number and the text found."""
    path = write_trades(tmp_path / "t.csv", "x,BTCUSDT,1,2,1,buy,1,1", line)
    with pytest.raises(HistoryError) as caught:
        list(open_history(path, SPOT))
    assert says in str(caught.value) and "t.csv" in str(caught.value)

"""Databento MBO: actions to rows, events, and what is refused."""

from __future__ import annotations

import datetime
import sys
from decimal import Decimal
from types import SimpleNamespace

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.check import check_history
from pinnacle.history.history import open_history
from pinnacle.history.mbo import RECORD
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument

dbn = pytest.importorskip("databento_dbn")

ESM4 = Instrument("cme", "ESM4", Decimal("0.25"), Decimal(1))
START_NS = 1_715_126_400_000_000_000
LAST, SNAPSHOT = 128, 32


def metadata(schema="MBO"):
    """The head of a file with one symbol."""
    day = datetime.date(2024, 5, 8)
    interval = SimpleNamespace(start_date=day, end_date=day + datetime.timedelta(1), symbol="5602")
    return dbn.Metadata(
        dataset="GLBX.MDP3", start=START_NS, schema=getattr(dbn.Schema, schema), symbols=["ESM4"], partial=[],
        not_found=[], mappings=[SimpleNamespace(raw_symbol="ESM4", intervals=[interval])],
        stype_in=dbn.SType.RAW_SYMBOL, stype_out=dbn.SType.INSTRUMENT_ID,
    ).encode()  # fmt: skip


def records(*told, instrument=5602):
    """(action, side, id, price, size, flags) a microsecond apart, received 100 us after they happened."""
    made = np.zeros(len(told), RECORD)
    made["length"], made["rtype"], made["publisher_id"], made["instrument_id"] = 14, 160, 1, instrument
    for n, (action, side, order_id, price, size, flags) in enumerate(told):
        made[n]["action"], made[n]["side"], made[n]["order_id"] = ord(action), ord(side), order_id
        made[n]["price"] = (1 << 63) - 1 if price is None else int(Decimal(price) * 10**9)
        made[n]["size"], made[n]["flags"] = size, flags
        made[n]["ts_event"], made[n]["ts_recv"] = START_NS + 1000 * n, START_NS + 1000 * n + 100_000
    return made.tobytes()


BOOK = [
    ("R", "N", 0, None, 0, SNAPSHOT),
    ("A", "B", 1, "5000", 3, SNAPSHOT),
    ("A", "A", 2, "5000.25", 5, SNAPSHOT),
    ("A", "A", 3, "5000.25", 1, SNAPSHOT | LAST),
]


def write(path, *told, head=None):
    """A file of the book and then these records."""
    path.write_bytes((metadata() if head is None else head) + records(*BOOK, *told))
    return path


def rows_of(path):
    """(kind, side, id, ticks, lots, flags) of every row after the snapshot."""
    rows = np.concatenate(list(open_history(path, ESM4)))
    names = ("kind", "side", "order_id", "price_ticks", "qty_lots", "flags")
    return [tuple(int(row[name]) for name in names) for row in rows][4:]


def test_a_trade_and_its_fills(tmp_path):
    """A row for each fill with the order that rested, then what it did to the orders; LAST where the event ends."""
    path = write(
        tmp_path / "x.dbn",
        ("T", "B", 9, "5000.25", 6, 0), ("F", "A", 2, "5000.25", 5, 0), ("F", "A", 3, "5000.25", 1, 0),
        ("C", "A", 2, "5000.25", 5, 0), ("C", "A", 3, "5000.25", 1, LAST),
    )  # fmt: skip
    assert rows_of(path) == [
        (event.TRADE, 1, 2, 20001, 5, 0), (event.TRADE, 1, 3, 20001, 1, 0),
        (event.ORDER_DELETE, -1, 2, 20001, 0, 0), (event.ORDER_DELETE, -1, 3, 20001, 0, event.LAST),
    ]  # fmt: skip
    report = check_history(path, ESM4)
    assert report.ok and report.orders["fills of an order in the book"] == 2


def test_cancels_in_part_modifications_and_trades_without_a_fill(tmp_path):
    """A cancel of less leaves the rest, an unknown modification is an addition, an unfilled trade has no order."""
    path = write(
        tmp_path / "x.dbn",
        ("C", "A", 2, "5000.25", 2, LAST), ("M", "B", 1, "4999.75", 4, LAST), ("M", "B", 7, "4999", 2, LAST),
        ("T", "A", 9, "5000", 2, LAST), ("C", "A", 3, "5000.25", 1, LAST), ("N", "N", 0, None, 0, LAST),
    )  # fmt: skip
    assert rows_of(path) == [
        (event.ORDER_MODIFY, -1, 2, 20001, 3, event.LAST), (event.ORDER_MODIFY, 1, 1, 19999, 4, event.LAST),
        (event.ORDER_ADD, 1, 7, 19996, 2, event.LAST), (event.TRADE, -1, 0, 20000, 2, event.LAST),
        (event.ORDER_DELETE, -1, 3, 20001, 1, event.LAST),
    ]  # fmt: skip


def test_what_contradicts_the_book_is_wrong(tmp_path):
    """An unknown cancel after a whole book, an id added twice, and a fill that the order did not lose."""
    path = write(
        tmp_path / "x.dbn",
        ("C", "A", 8, "5000.25", 2, LAST), ("A", "B", 1, "5000", 3, LAST),
        ("T", "B", 9, "5000.25", 3, 0), ("F", "A", 2, "5000.25", 3, 0), ("M", "A", 2, "5000.25", 4, LAST),
    )  # fmt: skip
    report = check_history(path, ESM4)
    assert [count for count in report.problems.values() if count] == [1, 1, 1] and "WRONG" in report.verdict


def test_compressed_is_the_same(tmp_path):
    """With and without zstd, cut anywhere between two reads: the same rows."""
    import pyarrow as pa

    many = [("A", "B", 10 + n, "4000", 1, LAST) for n in range(20_000)]
    plain = write(tmp_path / "x.dbn", *many)
    packed = tmp_path / "x.dbn.zst"
    with pa.CompressedOutputStream(str(packed), "zstd") as out:
        out.write(plain.read_bytes())
    assert rows_of(packed) == rows_of(plain) and len(rows_of(plain)) == 20_000


def refusal(path, error=HistoryError, instrument=ESM4, options=None):
    """The sentence a person sees."""
    with pytest.raises(error) as caught:
        list(open_history(path, instrument, options))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_refusals(tmp_path):
    """Other schemas and symbols, off-tick prices, aggregated levels and garbage are refused with the place."""
    path = tmp_path / "x.dbn"
    assert "only MBO" in refusal(write(path, head=metadata("TRADES")))
    assert "symbols in it are ESM4" in refusal(write(path), instrument=Instrument("cme", "NQM4", ESM4.tick, ESM4.lot))
    assert "record 5: price 5000.1 is not" in refusal(write(path, ("A", "B", 5, "5000.1", 1, LAST)))
    assert "record 5 is an aggregated level" in refusal(write(path, ("A", "B", 5, "5000", 1, LAST | 16)))
    path.write_bytes(metadata() + bytes(100))
    assert "is not DBN" in refusal(path)
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"garbage" * 9)
    assert "corrupt zstd" in refusal(path)
    path.write_bytes(b"DBN")
    assert "truncated DBN" in refusal(path)


def test_truncated(tmp_path):
    """A file cut within a record is refused with the byte; --partial uses the records before it."""
    path = write(tmp_path / "x.dbn", ("A", "B", 5, "5000", 1, LAST))
    path.write_bytes(path.read_bytes()[:-3])
    text = refusal(path)
    assert "ends within a record at byte" in text and "4 records before it are intact" in text and "--partial" in text
    history = open_history(path, ESM4, ImportOptions(partial=True))
    assert sum(rows.size for rows in history) == 4 and "were used" in history.report.notes[0]


def test_without_the_package(tmp_path, monkeypatch):
    """The error names the extra to install."""
    path = write(tmp_path / "x.dbn")
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    assert "pip install 'pinnacle-mm[dbn]'" in refusal(path, OperatorError)

"""Any CSV or Parquet by a column map."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.columns import column_map
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from tests.history.tape import fast_rows

X = Instrument("somewhere", "XY", Decimal("0.05"), Decimal("0.1"))
MIXED = {
    "ts": "t", "ts_unit": "ms", "ts_venue": "v", "kind_column": "what", "kind_values": {"T": "trade", "D": "book"},
    "side": "s", "side_values": {"B": 1, "S": -1}, "price": "p", "qty": "q", "id": "n",
}  # fmt: skip
LINES = [
    "t,v,what,s,p,q,n",
    "1000,999,D,B,1.05,2,5",
    "1000,,D,S,1.1,0.5,5",
    "1001.5,1001,T,S,1.05,3e0,6",
    "1002,1,Z,?,x,y,z",
]
ROWS = [
    (1_000_000_000, 999_000_000, event.BOOK_LEVEL, 1, 21, 20, 5, 0),
    (1_000_000_000, 0, event.BOOK_LEVEL, -1, 22, 5, 5, event.LAST),
    (1_001_500_000, 1_001_000_000, event.TRADE, -1, 21, 30, 6, event.LAST),
]


def test_csv_of_mixed_kinds(tmp_path):
    """Rows of several kinds in one file become records in the file's order; other kinds are counted."""
    path = tmp_path / "x.csv"
    path.write_text("\n".join(LINES) + "\n")
    history = open_history(path, X, ImportOptions(columns=MIXED))
    assert fast_rows(history) == ROWS
    assert history.report.skipped["rows of other kinds"] == 1


def test_parquet_gives_the_same_rows(tmp_path):
    """Text, integer and float columns of a Parquet file give what their decimal text gives; floats are noted."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    columns = list(zip(*(line.split(",") for line in LINES[1:4])))
    values = {name: list(column) for name, column in zip(LINES[0].split(","), columns)}
    values["p"] = [1.05, 1.1, 1.05]
    values["n"] = [5, 5, 6]
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(values), path)
    history = open_history(path, X, ImportOptions(columns=MIXED))
    assert fast_rows(history) == ROWS
    assert any("binary floats" in note for note in history.report.notes)


def test_quotes(tmp_path):
    """A row of best bid and ask gives two TICKER rows, one where a side is empty."""
    path = tmp_path / "q.csv"
    path.write_text("t,b,bq,a,aq\n1,1.00,1,1.05,2\n2,,,1.05,3\n")
    columns = {
        "ts": "t",
        "ts_unit": "s",
        "kind": "quote",
        "bid_price": "b",
        "bid_qty": "bq",
        "ask_price": "a",
        "ask_qty": "aq",
    }
    rows = np.concatenate(list(open_history(path, X, ImportOptions(columns=columns))))
    assert rows["side"].tolist() == [1, -1, -1] and rows["flags"].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ts_unit": "h"}, "unit 'h'"),
        ({"prize": "p"}, "unknown key 'prize'"),
        ({"kind_values": {"T": "deal"}}, "kind 'deal'"),
        ({"price": ""}, "need the column of price"),
        ({"qty": 3}, "qty is 3"),
        ({"kind": "trade"}, "either kind, or kind_column"),
        ({"side_values": {"B": 7}}, "side_values must be"),
    ],
)
def test_a_wrong_map_is_refused(change, says):
    """A mistake in the map names the key."""
    with pytest.raises(OperatorError, match=says):
        column_map(MIXED | change)


def test_ts_is_needed_and_columns_must_be_there(tmp_path):
    """A map without a time, and a file without a column of the map."""
    with pytest.raises(OperatorError, match="ts is missing"):
        column_map({"kind": "trade"})
    path = tmp_path / "x.csv"
    path.write_text("t,what\n1,T\n")
    with pytest.raises(HistoryError, match="has no column v, s, p, q, n; its columns are t, what"):
        list(open_history(path, X, ImportOptions(columns=MIXED)))

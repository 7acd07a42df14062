"""The catalog of day files."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import numpy as np
import pytest

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history import catalog as catalog_module
from pinnacle.history.catalog import find, import_history, list_catalog, missing_days, open_catalog
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument
from tests.history import tape
from tests.history.tape import FUTURES, trade

MIDNIGHT_NS = 1_723_161_600_000_000_000  # 2024-08-09 00:00 UTC
AT_MIDNIGHT = {"start_ns": MIDNIGHT_NS - 50_000_000_000, "step_ns": 1_000_000_000}


def recording(path, first=0, count=100, **how):
    """Trades a second apart whose venue time is 3 ms before the local one."""
    how = AT_MIDNIGHT | how
    times = [(how["start_ns"] + k * how["step_ns"]) // 1_000_000 - 3 for k in range(count)]
    return tape.write(path, [trade(first + k, f"{k}.0", ms=ms) for k, ms in enumerate(times)], **how)


def files_of(folder):
    """Everything under a folder with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_days_are_cut_at_midnight_and_read_back_as_one(tmp_path):
    """The days of a recording, read in turn, are the recording's rows; each day holds its own UTC day only."""
    path = recording(tmp_path / "tape.gz")
    report, segments = import_history(path, tmp_path / "c", FUTURES)
    assert report.rows == 100 and [segment.rows for segment in segments] == [50, 50]
    names = [str(segment.path.relative_to(tmp_path / "c")) for segment in segments]
    assert names == ["binance/BTCUSDT/2024-08-08.parquet", "binance/BTCUSDT/2024-08-09.parquet"]
    days = open_catalog(tmp_path / "c", "binance", "BTCUSDT")
    whole = np.concatenate(list(days))
    assert whole.tobytes() == np.concatenate(list(open_history(path, FUTURES))).tobytes()
    assert days.instrument == FUTURES
    second = np.concatenate(list(open_catalog(tmp_path / "c", "binance", "BTCUSDT", date(2024, 8, 9))))
    assert second["ts_ns"][0] == MIDNIGHT_NS and second["seq"].tolist() == list(range(50))


def test_metadata_tells_what_was_imported(tmp_path):
    """A day file carries instrument, source with its hash, options and the counts of the import."""
    _, segments = import_history(recording(tmp_path / "tape.gz"), tmp_path / "c", FUTURES)
    (one,) = json.loads(segments[0].metadata["imports"])
    assert one["sources"][0]["name"] == "tape.gz" and len(one["sources"][0]["sha256"]) == 64
    assert one["report"]["found"]["trade messages"] == 100 and one["options"]["bridge"] == "snapshot"
    assert json.loads(segments[0].metadata["instrument"])["tick"] == "0.1"
    (first, second) = list_catalog(tmp_path / "c")
    assert (first.venue, first.symbol, first.day, first.rows) == ("binance", "BTCUSDT", date(2024, 8, 8), 50)
    assert first.tick == "0.1" and first.last_ts_ns < second.first_ts_ns and len(first.sha256) == 64


def test_the_same_day_again_is_refused_unless_replaced(tmp_path):
    """A day that is there is not written over by mistake; replacing gives the same bytes."""
    path = recording(tmp_path / "tape.gz")
    import_history(path, tmp_path / "c", FUTURES)
    before = files_of(tmp_path / "c")
    with pytest.raises(OperatorError, match=r"2024-08-08.parquet: .* this very recording; give --replace"):
        import_history(path, tmp_path / "c", FUTURES)
    overlapping = recording(tmp_path / "other.gz", first=10, count=20)
    with pytest.raises(OperatorError, match="recording of the same time"):
        import_history(overlapping, tmp_path / "c", FUTURES)
    assert files_of(tmp_path / "c") == before
    import_history(path, tmp_path / "c", FUTURES, replace=True)
    assert files_of(tmp_path / "c") == before


@pytest.mark.parametrize("backwards", [False, True])
def test_recordings_of_one_day_are_joined(tmp_path, backwards):
    """The recording of the next day is joined to the day that the one before began, whichever came first."""
    parts = [recording(tmp_path / "a.gz"), recording(tmp_path / "b.gz", 100, start_ns=MIDNIGHT_NS + 50_000_000_000)]
    for part in parts[::-1] if backwards else parts:
        import_history(part, tmp_path / "c", FUTURES)
    rows = np.concatenate(list(open_catalog(tmp_path / "c", "binance", "BTCUSDT")))
    assert rows["aux"].tolist() == list(range(200)) and (np.diff(rows["ts_ns"]) > 0).all()
    assert [day.rows for day in list_catalog(tmp_path / "c")] == [50, 150]
    imports = json.loads(catalog_module.segment_info(list_catalog(tmp_path / "c")[1].path).metadata["imports"])
    assert [one["sources"][0]["name"] for one in imports] == ["a.gz", "b.gz"]


def test_another_tick_is_not_joined(tmp_path):
    """A day has one tick."""
    import_history(recording(tmp_path / "a.gz"), tmp_path / "c", FUTURES)
    finer = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001"))
    later = recording(tmp_path / "b.gz", 100, start_ns=MIDNIGHT_NS + 50_000_000_000)
    with pytest.raises(OperatorError, match="another instrument"):
        import_history(later, tmp_path / "c", finer)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, HistoryError])
def test_a_cut_import_leaves_nothing(tmp_path, monkeypatch, stop):
    """Ctrl-C or a refusal at any point leaves the catalog's files as they were, and no half file."""
    import_history(recording(tmp_path / "a.gz"), tmp_path / "c", FUTURES)
    before = files_of(tmp_path / "c")
    later = recording(tmp_path / "b.gz", start_ns=MIDNIGHT_NS + 86_350_000_000_000)

    for rows_before_cut in (0, 1):

        def cut(_done, _total, rows, least=rows_before_cut):
            if rows >= least:
                raise stop("cut")

        with pytest.raises(stop):
            import_history(later, tmp_path / "c", FUTURES, progress=cut)
        assert files_of(tmp_path / "c") == before
    assert not list((tmp_path / "c").glob(".importing*"))


def test_find_says_what_there_is(tmp_path):
    """An instrument, a day or a catalog that is not there: the message names what is."""
    with pytest.raises(HistoryError, match="no such catalog"):
        list_catalog(tmp_path / "c")
    import_history(recording(tmp_path / "a.gz"), tmp_path / "c", FUTURES)
    with pytest.raises(HistoryError, match="it has binance:BTCUSDT"):
        find(tmp_path / "c", "binance", "ETHUSDT")
    with pytest.raises(HistoryError, match="it has 2024-08-08 to 2024-08-09 of it"):
        find(tmp_path / "c", "binance", "BTCUSDT", date(2025, 1, 1))
    assert missing_days([date(2024, 8, 8), date(2024, 8, 11)]) == [date(2024, 8, 9), date(2024, 8, 10)]


def test_symbols_with_a_slash(tmp_path):
    """A symbol that cannot be a folder's name is found under its own name."""
    kraken = Instrument("kraken", "XBT/USD", Decimal("0.1"), Decimal("0.00000001"))
    path = tmp_path / "t.csv"
    path.write_text("t,s,p,q\n1,buy,1.0,1\n")
    columns = {"ts": "t", "ts_unit": "s", "kind": "trade", "side": "s", "price": "p", "qty": "q"}
    import_history(path, tmp_path / "c", kraken, catalog_module.ImportOptions(columns=columns))
    assert list_catalog(tmp_path / "c")[0].symbol == "XBT/USD"
    assert len(find(tmp_path / "c", "kraken", "XBT/USD")) == 1

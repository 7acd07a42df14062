"""Recordings that cannot be used: each is refused with the file, the place, and what to do."""

from __future__ import annotations

import contextlib
import gzip
import random

import pytest

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from tests.history import tape
from tests.history.tape import FUTURES, trade


def refusal(path, error=HistoryError, instrument=FUTURES, options=None):
    """The sentence a person sees."""
    with pytest.raises(error) as caught:
        list(open_history(path, instrument, options))
    text = str(caught.value)
    assert "Traceback" not in text and "\n" not in text
    return text


def many(tmp_path):
    """A recording large enough to be cut in its middle."""
    return tape.write(tmp_path / "tape.gz", [trade(k, price=f"{k * 7919 % 10007}.{k % 10}") for k in range(20_000)])


def test_missing_file(tmp_path):
    """A path that is not there."""
    assert "nothing.gz: no such file" in refusal(tmp_path / "nothing.gz")


def test_empty_file(tmp_path):
    """A file without bytes, and one whose gzip holds none."""
    (tmp_path / "a.gz").write_bytes(b"")
    assert "empty" in refusal(tmp_path / "a.gz")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b""))
    assert "empty" in refusal(tmp_path / "b.gz")


def test_not_gzip(tmp_path):
    """A name that promises gzip and bytes that are something else."""
    (tmp_path / "tape.gz").write_bytes(b"\x28\xb5\x2f\xfd rest")
    assert "not a gzip file (it begins with 28b5" in refusal(tmp_path / "tape.gz")


def test_truncated_gzip(tmp_path):
    """A file cut short is refused with the number of intact lines; --partial uses exactly those."""
    path = many(tmp_path)
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    text = refusal(path)
    assert "truncated gzip" in text and "--partial" in text
    intact = int(text.split(" lines before")[0].split("; ")[-1].replace(",", ""))
    history = open_history(path, FUTURES, ImportOptions(partial=True))
    assert sum(rows.size for rows in history) == intact > 1000
    assert any("truncated" in note for note in history.report.notes)


def test_corrupt_gzip(tmp_path):
    """A flipped byte is found, by the decoder or by the checksum at the end, and nothing is read by default."""
    path = many(tmp_path)
    raw = bytearray(path.read_bytes())
    for at in (len(raw) // 2, len(raw) - 6):
        damaged = bytearray(raw)
        damaged[at] ^= 0x55
        path.write_bytes(damaged)
        assert "lines before it are intact" in refusal(path)


def test_two_gzip_members_are_one_stream(tmp_path):
    """Files appended to one another read as gzip(1) reads them."""
    lines = [line + "\n" for line in tape.lines_of([trade(1), trade(2)])]
    path = tmp_path / "tape.gz"
    path.write_bytes(b"".join(gzip.compress(line.encode()) for line in lines))
    assert sum(rows.size for rows in open_history(path, FUTURES)) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"stream":"x","data":{"e":"trade"', "begin with the recorder's time"),
        (f'{tape.START_NS} {{"stream":"x","data":{{"e":"trade"', "is not JSON"),
        (f'{tape.START_NS} {{"e":"trade",,}} trailing', "is not JSON"),
        (f'{tape.START_NS} {{"e":"depthUpdate","s":"BTCUSDT","b":[["1.0"]],"a":[]}}', "is not JSON"),
        (f'{tape.START_NS} {{"e":"trade","s":"BTCUSDT","T":1,"p":"1.0"}}', "lacks a field"),
        (f'{tape.START_NS} {{"e":"trade","s":"BTCUSDT","T":1,"t":1,"p":"1e3","q":"1","m":true}}', "plain decimal text"),
        (f'{tape.START_NS} {{"e":"trade","s":"BTCUSDT","T":1,"t":1,"p":"-1","q":"1","m":true}}', "plain decimal text"),
        (f'{tape.START_NS} {{"e":"trade","s":"BTCUSDT","T":1,"t":1,"p":"1","q":"{"1" * 19}","m":true}}', "digits"),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, line, says):
    """A line that is not what a stream sends is refused by its number."""
    good = tape.lines_of([trade(1), trade(2)])
    path = tmp_path / "tape.txt"
    path.write_text("\n".join([*good, line, *good]) + "\n")
    text = refusal(path)
    assert "line 3 " in text and says in text, text
    assert "2 lines before it are intact" in text


@pytest.mark.parametrize("seed", range(20))
def test_garbage_gives_rows_or_the_one_error(tmp_path, seed):
    """Whatever bytes are changed, cut out or put in, reading ends with rows or with a HistoryError."""
    rng = random.Random(seed)
    lines = "\n".join(tape.lines_of(tape.random_messages(seed, 12))).encode()
    path = tmp_path / "tape.txt"
    for _ in range(40):
        raw = bytearray(lines)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(raw))
            change = rng.randrange(4)
            if change == 0:
                raw[at] = rng.randrange(256)
            elif change == 1:
                del raw[at : at + rng.randrange(1, 30)]
            elif change == 2:
                raw[at:at] = rng.choice([b'"', b"[", b"]", b"{", b"}", b"\n", b"\\", b",", b"9" * 30, b"\x00"])
            else:
                del raw[at:]
                raw = raw or bytearray(b"x")
        path.write_bytes(raw)
        with contextlib.suppress(HistoryError):
            for rows in open_history(path, FUTURES, ImportOptions(off_tick="drop")):
                assert (rows["price_ticks"] >= 0).all() and (rows["qty_lots"] >= 0).all()


def test_unknown_format(tmp_path):
    """A file of no known format: what was seen, and what is known."""
    path = tmp_path / "x.csv"
    path.write_text("date,last\n2018-08-12 00:00,1\n")
    text = refusal(path)
    assert "date, last" in text and "Tardis" in text and "Binance" in text and "column map" in text


def test_unknown_folder(tmp_path):
    """A folder that is no recording."""
    assert "no Gemini day" in refusal(tmp_path)


def test_tick_missing(tmp_path):
    """A recording does not say its tick: the message says where to set it."""
    text = refusal(tape.write(tmp_path / "tape.gz", [trade(1)]), OperatorError, None)
    assert "--tick" in text and "config" in text


def test_wrong_option():
    """An option that is not one of the offered."""
    with pytest.raises(OperatorError, match="bridge is 'x', and must be one of snapshot, as-received"):
        ImportOptions(bridge="x")  # type: ignore[arg-type]

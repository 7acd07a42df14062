"""A tape of any recorder becomes items, and through its venue's feed, rows; what is missing is said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pinnacle.errors import HistoryError
from pinnacle.event import LINK_DOWN, LINK_GAP, LINK_UP
from pinnacle.history.tape import Tape, TapeCounts, symbols_in
from pinnacle.history.tape_check import check_tape
from pinnacle.history.tape_items import ANSWERED, OPENED, RECEIVED, SENT, Item, is_tape, items_of
from tests.cli.command import pinnacle, ran, refused
from tests.venues.binance_world import INSTRUMENT, World

URL = "wss://stream.binance.com:9443/stream?streams=btcusdt@depth@100ms/btcusdt@trade"
LISTING = {
    "symbols": [
        {
            "symbol": "BTCUSDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"},
            ],
        }
    ]
}  # fmt: skip


def recorded(folder: Path, seed: int = 1, lose: int = -1, listing: bool = True) -> Path:
    """A folder as the recorder leaves it: 20 diffs, the snapshot asked for after 3, the listing, the configuration."""
    world = World(seed, False)
    ws, answers = [f"{URL} <-> 1700000000.5"], []
    for k in range(20):
        if k == 3:
            answers.append(
                f"https://api/api/v1/depth?symbol=BTCUSDT&limit=10 -> 1700000000.55: {world.snapshot().decode()}"
            )
        text = world.diff().decode()
        if k != lose:
            ws.append(f"170000000{1 + k / 10:.1f}: {text}")
    if listing:
        answers.append(f"https://api/api/v3/exchangeInfo -> 1700000000: {json.dumps(LISTING)}")
    (folder / "ws.raw").write_text("\n".join(ws) + "\n")
    (folder / "rest.raw").write_text("\n".join([*answers, 'configuration: {"l2_book":["BTC-USDT"]}', ""]))
    return folder / "ws.raw"


def test_a_recorders_lines_become_items(tmp_path):
    """Opened, sent, received and answered, times exact to the digit; configuration and blank lines are nothing."""
    path = tmp_path / "a.raw"
    path.write_text(
        'configuration: {"x":1}\n\nwss://a <-> 1618677690.992526\nwss://a <- 1618677691.4956892: {"s":1}\n'
        '1618677691.1: {"k": 2}\nhttps://b/c?d=1 -> 1618677692: [1]\n'
    )
    assert list(items_of([path])) == [
        Item(1618677690992526000, OPENED, 0, "wss://a", b""),
        Item(1618677691495689200, SENT, 0, "wss://a", b'{"s":1}'),
        Item(1618677691100000000, RECEIVED, 0, "", b'{"k": 2}'),
        Item(1618677692000000000, ANSWERED, -1, "https://b/c?d=1", b"[1]"),
    ]


def test_a_monotonic_clock_is_put_at_the_headers_moment(tmp_path):
    """Kraken's recorder counts ns from nowhere: the first item is at the header's time, the others as far behind."""
    path = tmp_path / "a.ndjson"
    path.write_text(
        '{"captured_at": "2026-08-16T23:37:02.871589+00:00", "url": "wss://k"}\n'
        '{"rx_ns": 500, "dir": "tx", "frame": {"q":1}}\n{"rx_ns": 1500, "frame": {"p": 62797.60}}\n'
    )
    start = 1786923422871589000
    assert [(item.ts_ns - start, item.what, item.body) for item in items_of([path])] == [
        (0, OPENED, b""), (0, SENT, b'{"q":1}'), (1000, RECEIVED, b'{"p": 62797.60}'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.raw", "wss://a <-> 1618677690.9\nnonsense\n"),
        ("a.raw", '1618677690.9: {"never": "opened"}\n'),
        ("a.ndjson", '{"captured_at": "yesterday", "url": "wss://k"}\n'),
        ("a.ndjson", '{"captured_at": "2026-08-16T23:37:02+00:00", "url": "wss://k"}\n{"rx_ns": "x"}\n'),
        ("a.txt", "hello\n"),
    ],
)
def test_what_is_no_tape_is_refused_by_its_line(tmp_path, name, text):
    """The error names the file and, where one line is wrong, that line."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(HistoryError, match=name):
        list(items_of([path]))


def test_symbols_are_what_was_subscribed_to():
    """Addresses and subscriptions of the venues, as they were recorded."""
    assert symbols_in(URL) == ["BTCUSDT"]
    assert symbols_in('{"event":"bts:subscribe","data":{"channel":"diff_order_book_ltcusd"}}') == ["ltcusd"]
    assert symbols_in('{"type":"subscribe","product_ids":["SKL-USD","SKL-BTC"],"channels":["level2"]}') == [
        "SKL-USD", "SKL-BTC",
    ]  # fmt: skip
    assert symbols_in('{"event":"subscribe","pair":["ALGO/XBT"],"subscription":{"name":"book"}}') == ["ALGO/XBT"]
    assert symbols_in('{"subscriptions":[{"name":"l2","symbols":["LTCUSD"]}]}') == ["LTCUSD"]
    assert symbols_in('{"method":"SUBSCRIBE","params":["ethusdt@trade"],"id":1}') == ["ETHUSDT"]


@given(st.text(max_size=80) | st.text("/@?&=[]:.streamħß%", max_size=40).map("wss://a?streams=".__add__))
@example("http://[x?streams=a@b")
@example("@")
def test_any_text_names_symbols_or_none(text):
    """Whatever address was opened, looking in it does not fail; a symbol stands before an @, once, never empty."""
    found = symbols_in(text)
    assert len(set(found)) == len(found) <= unquote_plus(text).count("@")
    plain = "".join(unquote_plus(text).split()).upper()
    assert all(one and "".join(one.split()) + "@" in plain for one in found)


SYMBOLS = st.lists(st.text("ABCxyz0189-", min_size=1, max_size=9), max_size=6)


@given(SYMBOLS, st.sampled_from(["product_ids", "symbols", "pair"]), st.integers(0, 5))
def test_a_subscription_names_its_symbols_in_their_order(symbols, key, depth):
    """However deep they lie in it, each once; beside them numbers, other words and nothing else are no symbols."""
    said = {"type": "subscribe", key: symbols, "n": [1, None, True, "ticker"]}
    for _ in range(depth):
        said = {"params": [said]} if depth % 2 else {"args": said}
    if depth < 4:
        assert symbols_in(json.dumps(said)) == list(dict.fromkeys(symbols))
    streams = [f"{one.lower()}@depth" for one in symbols]
    expected = list(dict.fromkeys(one.upper() for one in symbols))
    assert symbols_in(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1})) == expected
    assert symbols_in("wss://a/stream?streams=" + "/".join(streams)) == expected


def test_answers_and_listing_are_found_beside_the_tape(tmp_path):
    """One file is named; the snapshot and the instruments lie in another of the folder, and the book comes whole."""
    report = check_tape([recorded(tmp_path)], "binance")
    assert report.ok and report.whole == {"binance:BTCUSDT": 1} and report.counts.answers_used == 1
    assert report.instruments[0].tick == INSTRUMENT.tick and report.counts.kinds["depth"] == 20


def test_a_lost_message_is_a_gap(tmp_path):
    """The report names the cause, and the book that was asked for and is not on the tape."""
    path = recorded(tmp_path, lose=10)
    report = check_tape([path], "binance")
    assert not report.ok and report.lost == {"sequence": 1} and report.counts.asked_in_vain == 1
    tape = Tape([path], "binance")
    kinds = [row["kind"] for rows in tape.run(tape.instruments([], None), TapeCounts()) for row in rows]
    assert kinds.count(LINK_UP) == kinds.count(LINK_GAP) == 1


def test_a_connection_that_is_made_anew_begins_with_a_new_book(tmp_path):
    """The address opened twice: the book is down in between, and whole again by the second snapshot on the tape."""
    path = recorded(tmp_path)
    world = World(9, False)
    later = [f"{URL} <-> 1700000100.0"]
    later += [f"17000001{10 + k}.0: {world.diff().decode()}" for k in range(3)]
    path.write_text(path.read_text() + "\n".join(later) + "\n")
    with (tmp_path / "rest.raw").open("a") as file:
        file.write(f"https://api/api/v3/depth?symbol=BTCUSDT&limit=5000 -> 1700000112.5: {world.snapshot().decode()}\n")
    tape = Tape([path], "binance")
    counts = TapeCounts()
    kinds = [int(row["kind"]) for rows in tape.run(tape.instruments([], None), counts) for row in rows]
    links = [kind for kind in kinds if kind in (LINK_UP, LINK_DOWN, LINK_GAP)]
    assert links == [LINK_UP, LINK_DOWN, LINK_UP] and counts.connections == 2 and counts.answers_used == 2


def test_a_message_that_is_none_is_counted(tmp_path):
    """The feed's error is an example in the report, and the rest of the tape is read."""
    path = recorded(tmp_path)
    path.write_text(path.read_text() + '1700000009.5: {"stream":"btcusdt@trade","data":{"s":5}}\n')
    report = check_tape([path], "binance")
    assert not report.ok and report.counts.malformed == 1 and report.counts.received == 21
    assert any("WRONG: 1 messages that are none" in line for line in report.lines())


def test_steps_come_from_options_where_no_listing_is(tmp_path):
    """Without a listing the error says what to give; with tick and lot every symbol asked for has them."""
    path = recorded(tmp_path, listing=False)
    with pytest.raises(HistoryError, match="--tick and --lot"):
        check_tape([path], "binance")
    assert check_tape([path], "binance", steps=INSTRUMENT).ok


def test_the_command_line_takes_tapes(tmp_path):
    """check prints the tape and its instruments; import makes a day file; a venue is needed and must be known."""
    path = recorded(tmp_path)
    said = ran("data", "check", path, "--venue", "binance").out
    assert "books: 1 of 1 came whole" in said and "nothing wrong was found" in said
    catalog = tmp_path / "catalog"
    ran("data", "import", path, "--venue", "binance", "--catalog", catalog, "--quiet")
    assert [day["symbol"] for day in ran("data", "list", catalog, "--json").json] == ["BTCUSDT"]
    assert "--venue" in refused(pinnacle("data", "check", path))
    assert "known are" in refused(pinnacle("data", "check", path, "--venue", "mtgox"))


def test_a_stream_of_lines_is_a_tape_only_if_it_is_said(tmp_path):
    """Lines of `<ns> <json>` have their own importer, and go through the feed on request."""
    path = tmp_path / "s.gz"
    world = World(1, False)
    lines = [f"1700000000{k}00000000 ".encode() + world.diff() for k in range(3)]
    lines.append(b"1700000000350000000 " + world.snapshot())
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    assert not is_tape(path, False) and is_tape(path, True)
    tape = Tape([path], "binance")
    assert tape.symbols == ["BTCUSDT"]
    rows = [row["kind"] for rows in tape.run([INSTRUMENT], TapeCounts()) for row in rows]
    assert rows.count(LINK_UP) == 1

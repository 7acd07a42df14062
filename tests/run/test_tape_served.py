"""A tape that is served says what was recorded: the same bytes, in the same sequence, to who asked for them."""

from __future__ import annotations

import gzip
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from pinnacle.dialects.replayed import Replayed
from pinnacle.dialects.tape import read_tape
from pinnacle.errors import HistoryError
from tests.dialects.rig import NS
from tests.run.served import served


def all_heard(url: str, *said: object) -> list[str]:
    """Everything until the end."""
    found: list[str] = []
    with connect(url, max_size=None, max_queue=None) as client:
        for one in said:
            client.send(json.dumps(one))
        try:
            while True:
                found.append(str(client.recv(timeout=20)))
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1001
    return found


def small(folder: Path) -> Path:
    """A tape in the form of the Binance recordings, of two symbols."""
    path = folder / "small.gz"
    with gzip.open(path, "wb") as sink:
        for k in range(300):
            symbol = "btcusdt" if k % 3 else "ethusdt"
            body = f'{{"stream":"{symbol}@depth@0ms","data":{{"e":"depthUpdate","u":{k},"pu":{k - 1}}}}}'
            sink.write(f"{1_000 * NS + k * 10_000_000} {body}\n".encode())
            if k == 5:
                sink.write(f'{1_000 * NS + 50_000_000} {{"lastUpdateId":5,"bids":[],"asks":[]}}\n'.encode())
    return path


def test_each_client_hears_the_whole_tape_of_what_it_asked(tmp_path: Path) -> None:
    """Raw and combined streams, by URL and by SUBSCRIBE, give the recorded data from its beginning; REST its book."""
    with served(tapes=[small(tmp_path)], speed=0.0) as one:
        with urllib.request.urlopen(f"{one.http}/fapi/v1/depth?symbol=ETHUSDT&limit=1000") as answer:
            assert json.loads(answer.read())["lastUpdateId"] == 5
        combined = all_heard(f"{one.ws}/stream?streams=btcusdt@depth@100ms/ethusdt@depth")
        raw = all_heard(f"{one.ws}/ws/ethusdt@depth@0ms")
        asked = all_heard(f"{one.ws}/ws", {"method": "SUBSCRIBE", "params": ["ethusdt@depth@0ms"], "id": 1})
    assert [json.loads(said)["data"]["u"] for said in combined] == list(range(300))
    assert [json.loads(said)["u"] for said in raw] == list(range(0, 300, 3))
    assert asked == ['{"result":null,"id":1}', *raw]


def test_a_tape_larger_than_any_buffer_waits_for_its_reader(tmp_path: Path) -> None:
    """At speed 0 a reader who takes his time hears everything and is not cut, though it is more than may wait."""
    path = tmp_path / "large.gz"
    filler = "x" * 1_000
    with gzip.open(path, "wb", 1) as sink:
        for k in range(12_000):
            sink.write(f'{NS + k} {{"stream":"btcusdt@depth","data":{{"u":{k},"x":"{filler}"}}}}\n'.encode())
    with served(tapes=[path], speed=0.0, send_buffer_bytes_max=2 << 20) as one:
        with connect(f"{one.ws}/ws/btcusdt@depth", max_size=None, max_queue=4) as client:
            time.sleep(0.5)
            heard = [json.loads(client.recv(timeout=10))["u"] for _ in range(12_000)]
        assert one.server.slow_readers == 0
    assert heard == list(range(12_000))


def test_the_pace_is_the_recorded_one_times_the_speed(tmp_path: Path) -> None:
    """At speed s, after t seconds what was recorded in the first s * t seconds has been said, and no more."""
    dialect = Replayed(read_tape([small(tmp_path)]), 4.0)
    from pinnacle.dialects.dialect import Request, Session

    session: Any = dialect.connect(Request("GET", "/stream", "streams=btcusdt@depth/ethusdt@depth"), 0)
    assert isinstance(session, Session)
    dialect.opened(session, 0)
    for k in range(8):
        now_ns = k * 50_000_000
        dialect.tick(now_ns)
        assert len(session.outbox) == min(300, 4 * now_ns // 10_000_000 + 1)
    assert not session.closing


@pytest.mark.parametrize(
    ("tape", "path", "said", "part"),
    [
        ("kraken/recorded_20210405/trade.raw", "/", {"event": "subscribe", "pair": ["XBT/USD"],
         "subscription": {"name": "trade"}}, '"XBT/USD"]'),
        ("coinbase/recorded_20210417", "/", {"type": "subscribe", "product_ids": ["SKL-USD"],
         "channels": ["level2"]}, '"l2update"'),
        ("gemini/recorded_20210417", "/v2/marketdata/", {"type": "subscribe", "subscriptions": [
            {"name": "l2", "symbols": ["BTCUSD"]}]}, '"l2_updates"'),
        ("bitstamp/recorded_20210417", "/", {"event": "bts:subscribe",
         "data": {"channel": "diff_order_book_btcusd"}}, "diff_order_book_btcusd"),
        ("kraken/kraken_v2_btcusd_d10_20260816.ndjson", "/v2", {"method": "subscribe", "params": {
            "channel": "book", "symbol": ["BTC/USD"], "depth": 10}}, '"checksum"'),
    ],
)  # fmt: skip
def test_the_recordings_of_every_venue(recordings: Path, tape: str, path: str, said: object, part: str) -> None:
    """A client that asks for one symbol's channel gets all of its recorded messages, byte for byte, and no other's."""
    expected = []
    source = recordings / tape
    for file in sorted(source.iterdir()) if source.is_dir() else [source]:
        for line in file.read_text().splitlines():
            if file.suffix == ".ndjson":
                line = line.partition('"frame": ')[2][:-1]
            elif line[:1].isdigit():
                line = line.partition(": ")[2]
            else:
                continue
            if part in line and ("SKL-USD" in line or "SKL" not in str(said)) and _mine(line, said):
                expected.append(line)
    with served(tapes=[source], speed=0.0) as one:
        heard = all_heard(one.ws + path, said)
    assert [line for line in heard if part in line] == expected and expected
    others = [line for line in heard if "LTCUSD" in line or "ltcusd" in line or "YFI-BTC" in line]
    assert all("subscri" in line for line in others)


def _mine(line: str, said: object) -> bool:
    return "BTCUSD" not in str(said) or '"symbol":"BTCUSD"' in line


def test_rest_answers_of_a_recording(recordings: Path) -> None:
    """A recorded snapshot is found by path and query, whatever the limit or the version in the path."""
    tape = read_tape([recordings / "binance/recorded_20210417", recordings / "bitstamp/recorded_20210417"])
    one = tape.answer("/api/v3/depth", "symbol=BUSDTRY&limit=5000")
    assert one is not None and b'"lastUpdateId":10166139' in one
    assert tape.answer("/api/v3/depth", "symbol=NOSUCH") is None
    assert tape.answer("/api/v3/exchangeInfo", "") is not None
    assert tape.answer("/api/v2/order_book/ltcusd/", "group=1") == tape.answer("/api/v2/order_book/ltcusd", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.raw", "nonsense\n"), ("b.raw", "1.5: {broken\n"), ("c.ndjson", "{broken\n"), ("d.raw", "\n")],
)
def test_a_damaged_tape_is_named(tmp_path: Path, name: str, text: str) -> None:
    """The error says which file."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(HistoryError, match=name):
        read_tape([path])

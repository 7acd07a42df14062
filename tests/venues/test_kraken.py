"""Kraken's feed: every recorded checksum, and never a wrong book that is called live."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnacle.errors import OperatorError
from pinnacle.event import (
    ASK,
    BID,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    MARKET_STATE,
    STATE_HALTED,
    STATE_OPEN,
    TICKER,
    TRADE,
)  # fmt: skip
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import (
    CAUSE_CHECKSUM,
    CAUSE_CLOCK,
    CAUSE_CLOSED,
    CAUSE_SILENCE,
    CAUSE_VENUE,
    LIVE,
    SYNCING,
    Followed,
    Malformed,
    Rows,
)  # fmt: skip
from pinnacle.venues.kraken import ADDRESS, KrakenFeed, feeds, instruments, recorded
from pinnacle.venues.kraken_v1 import KrakenV1Feed
from tests.recordings.tapes import instruments as recorded_instruments
from tests.venues.fold import Fold

BTC = Instrument("kraken", "BTC/USD", Decimal("0.1"), Decimal("0.00000001"))
MINA = Instrument("kraken", "MINA/GBP", Decimal("0.0001"), Decimal("0.00000001"))
START_NS = 1_786_923_424_000_000_000
SECOND = 1_000_000_000


@lru_cache
def frames(path: Path) -> list[bytes]:
    """What was received in an .ndjson recording, as it was."""
    out = []
    for line in path.read_text().splitlines()[1:]:
        if '"dir": "tx"' not in line:
            out.append(line[line.index('"frame": ') + 9 : -1].encode())
    return out


def book_messages(recordings: Path, name: str) -> list[bytes]:
    return [one for one in frames(recordings / "kraken" / name) if one.startswith(b'{"channel":"book"')]


def opened(instrument=BTC, depth=10, **how):
    feed, rows = KrakenFeed([Followed(instrument, 0, 0, depth=depth, **how)]), Rows()
    feed.opened(START_NS, rows)
    assert rows.count == 0 and feed.states() == [SYNCING]
    return feed, rows


def truths(messages, instrument, depth):
    """The book after each message, by dicts and sorting, from the decimal text."""
    sides, out = {"bids": {}, "asks": {}}, []
    for message in messages:
        parsed = json.loads(message, parse_float=str, parse_int=str)
        (data,) = parsed["data"]
        if parsed["type"] == "snapshot":
            sides = {"bids": {}, "asks": {}}
        for key, levels in sides.items():
            for level in data[key]:
                ticks, lots = instrument.ticks(level["price"]), instrument.lots(level["qty"])
                levels[ticks] = lots
                if not lots:
                    del levels[ticks]
            kept = sorted(levels.items(), reverse=key == "bids")[:depth]
            sides[key] = dict(kept)
        out.append((list(sides["bids"].items()), list(sides["asks"].items())))
    return out


FILES = [("kraken_v2_btcusd_d10_20260816.ndjson", BTC, 10, 54), ("kraken_v2_minagbp_d25_20260816.ndjson", MINA, 25, 30)]


@pytest.mark.parametrize(("name", "instrument", "depth", "count"), FILES)
def test_v2_recordings(recordings, name, instrument, depth, count):
    """Every checksum holds, and what is said gives the venue's book after each message, cut to its depth."""
    feed, rows = opened(instrument, depth)
    fold, k = Fold(), 0
    books = truths(book_messages(recordings, name), instrument, depth)
    for at, frame in enumerate(frames(recordings / "kraken" / name)):
        feed.received(frame, START_NS + at, rows)
        fold.hear(rows.take())
        if frame.startswith(b'{"channel":"book"'):
            assert fold.live and (fold.side(BID), fold.side(ASK)) == books[k]
            k += 1
    assert k == count == feed.counts["book"] and not fold.losses and feed.counts["heartbeat"] > 0


def test_v1_recording(recordings):
    """14,496 of 14,496 checksums of the protocol of 2021; ten books live from their first message to their last."""
    known = recorded_instruments(recordings, "kraken")
    counts: dict[str, int] = {}
    for name in ("book", "trade", "ticker"):
        lines = (recordings / "kraken" / "recorded_20210405" / f"{name}.raw").read_text().splitlines()
        received = [line.partition(": ") for line in lines if line[:10].isdigit()]
        pairs = sorted({json.loads(body)[-1] for _, _, body in received if body.startswith("[")})
        asked = next(line for line in lines if " <- " in line)
        feed, rows = recorded([Followed(known[pair], 0, k) for k, pair in enumerate(pairs)], asked), Rows()
        assert isinstance(feed, KrakenV1Feed)
        folds = [Fold(k) for k in range(len(pairs))]
        feed.opened(START_NS, rows)
        kinds: set[int] = set()
        for time, _, body in received:
            feed.received(body.encode(), int(Decimal(time) * SECOND), rows)
            taken = rows.take()
            if name == "book":
                folds[taken["instrument"][0] if taken.size else 0].hear(taken)
            else:
                kinds |= set(taken["kind"].tolist())
        counts |= {key: value for key, value in feed.counts.items() if value}
        if name == "book":
            assert feed.states() == [LIVE] * 10
            for k, fold in enumerate(folds):
                assert fold.live and not fold.losses and fold.rows > 20
                assert fold.side(BID) == feed.depths.side(k, BID) and fold.side(ASK) == feed.depths.side(k, ASK)
        else:
            assert kinds == {TRADE if name == "trade" else TICKER}
    assert (counts["book"], counts["trade"], counts["ticker"]) == (14_506, 12, 22)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_lost_doubled_or_late_message_never_leaves_a_wrong_book_live(recordings, data):
    """Messages are dropped, doubled and swapped; after each, a book that is live is the venue's at that message."""
    messages = book_messages(recordings, FILES[0][0])
    books = truths(messages, BTC, 10)
    order = list(range(len(messages)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(1, len(order) - 2))
        what = data.draw(st.sampled_from(["drop", "double", "swap"]))
        if what == "drop":
            del order[at]
        elif what == "double":
            order.insert(at + data.draw(st.integers(1, 3)), order[at])
        else:
            order[at], order[at + 1] = order[at + 1], order[at]
    feed, rows = opened()
    fold = Fold()
    for k in order:
        feed.received(messages[k], START_NS, rows)
        fold.hear(rows.take())
        if fold.live:
            assert (fold.side(BID), fold.side(ASK)) == books[k]
        assert fold.live == (feed.states() == [LIVE])
    assert all(loss == (LINK_GAP, CAUSE_CHECKSUM) for loss in fold.losses) and len(fold.losses) <= 1


def test_a_lost_message_is_noticed_by_the_next(recordings):
    """Each update left out is noticed when the next one comes, unless that one says the same levels anew."""
    messages = book_messages(recordings, FILES[0][0])
    books = truths(messages, BTC, 10)
    noticed = 0
    for gone in range(1, len(messages) - 1):
        feed, rows = opened()
        for k in range(gone):
            feed.received(messages[k], START_NS, rows)
        feed.received(messages[gone + 1], START_NS, rows)
        if feed.states() == [LIVE]:
            assert (feed.depths.side(0, BID), feed.depths.side(0, ASK)) == books[gone + 1]
        else:
            noticed += 1
            fold = Fold()
            fold.hear(rows.take())
            assert fold.losses == [(LINK_GAP, CAUSE_CHECKSUM)]
    assert noticed > 45


def test_a_lost_book_is_asked_for_and_comes_back(recordings):
    """After a gap: unsubscribe, subscribe, silence about the book, and live again with the next whole one."""
    messages = book_messages(recordings, FILES[0][0])
    feed, rows = opened()
    first = [json.loads(one)["params"] for one in feed.sends]
    assert [one["channel"] for one in first] == ["instrument", "book", "trade", "ticker"] and first[1]["depth"] == 10
    feed.sends.clear()
    fold = Fold()
    for k in (0, 2, 3, 4):
        feed.received(messages[k], START_NS + k, rows)
        fold.hear(rows.take())
    assert [json.loads(one)["method"] for one in feed.sends] == ["unsubscribe", "subscribe"]
    assert fold.losses == [(LINK_GAP, CAUSE_CHECKSUM)] and feed.states() == [SYNCING]
    feed.received(messages[0], START_NS, rows)
    feed.received(messages[1], START_NS, rows)
    fold.hear(rows.take())
    assert fold.live and feed.states() == [LIVE]


def test_a_venue_whose_checksums_never_hold_is_not_flooded(recordings):
    """However often a book fails, it is asked for again once a second at most."""
    message = book_messages(recordings, FILES[0][0])[0]
    wrong = message.replace(b'"checksum":', b'"checksum":1')
    feed, rows = opened()
    feed.sends.clear()
    for k in range(50):
        feed.received(wrong, START_NS + k * SECOND // 10, rows)
        if k % 10 == 9:
            feed.tick(START_NS + k * SECOND // 10, rows)
    assert rows.count == 0 and 8 <= len(feed.sends) <= 12


def test_silence_and_clocks(recordings):
    """Silence makes the book stale and wants a new connection; so does a clock that goes back; pings go out."""
    messages = book_messages(recordings, FILES[0][0])
    for later_ns, cause in ((6 * SECOND, CAUSE_SILENCE), (-3 * SECOND, CAUSE_CLOCK)):
        feed, rows = opened()
        feed.received(messages[0], START_NS, rows)
        feed.tick(START_NS + SECOND, rows)
        fold = Fold()
        fold.hear(rows.take())
        assert fold.live and not feed.restart
        feed.tick(START_NS + later_ns, rows)
        fold.hear(rows.take())
        assert fold.losses == [(LINK_STALE, cause)] and feed.restart
        feed.received(messages[1], START_NS + later_ns, rows)
        fold.hear(rows.take())
        assert not fold.live
        feed.closed(START_NS + later_ns, rows)
        fold.hear(rows.take())
        assert fold.losses[1:] == [(LINK_DOWN, CAUSE_CLOSED)]
    feed, rows = opened()
    feed.sends.clear()
    for second in range(1, 61):
        feed.received(b'{"channel":"heartbeat"}', START_NS + second * SECOND, rows)
        feed.tick(START_NS + second * SECOND, rows)
    assert [json.loads(one)["method"] for one in feed.sends] == ["ping"] * 3


def test_an_old_message_makes_the_book_stale(recordings):
    """A book whose messages come ten seconds later than before is not of now; the two clocks need not agree."""
    messages = book_messages(recordings, FILES[0][0])
    feed, rows = opened()
    fold = Fold()
    for k, message in enumerate(messages[:6]):
        late_ns = 10 * SECOND if k == 5 else 0
        dated = json.loads(message)["data"][0]["timestamp"]
        feed.received(message, 3600 * SECOND + late_ns + int(Decimal(dated[17:-1]) * SECOND), rows)
        feed.tick(3600 * SECOND + late_ns + int(Decimal(dated[17:-1]) * SECOND), rows)
        fold.hear(rows.take())
    assert (LINK_STALE, CAUSE_CLOCK) in fold.losses and feed.restart


@pytest.mark.parametrize("system", ["maintenance", "cancel_only", "a word of tomorrow"])
def test_a_venue_that_takes_no_orders_has_no_book(recordings, system):
    """Maintenance is told, makes every book stale, and the book comes back when the venue is back."""
    snapshot = book_messages(recordings, FILES[0][0])[0]
    feed, rows = opened()
    feed.received(snapshot, START_NS, rows)
    status = json.dumps({"channel": "status", "type": "update", "data": [{"system": system, "connection_id": 2**63}]})
    feed.received(status.encode(), START_NS, rows)
    feed.received(snapshot, START_NS, rows)
    taken = rows.take().copy()
    fold = Fold()
    fold.hear(taken)
    assert fold.losses == [(LINK_STALE, CAUSE_VENUE)] and not fold.live
    feed.sends.clear()
    feed.received(status.replace(system, "online").encode(), START_NS + 2 * SECOND, rows)
    assert len(feed.sends) == 2
    feed.received(snapshot, START_NS + 2 * SECOND, rows)
    said = rows.take()
    fold.hear(said)
    assert fold.live
    states = [int(row["aux"]) for row in [*taken, *said] if row["kind"] == MARKET_STATE]
    assert states[-1] == STATE_OPEN and (system == "cancel_only" or states[0] == STATE_HALTED)


MATIC = Instrument("kraken", "MATIC/USD", Decimal("0.0001"), Decimal("0.00000001"))
MATIC_ASKS = [
    "0.5668",
    "4410.79769741",
    "0.5669",
    "4655.40412487",
    "0.5670",
    "49844.89424998",
    "0.5671",
    "24306.41678",
    "0.5672",
    "29783.25223475",
    "0.5673",
    "57234.71239278",
    "0.5674",
    "45065.04744",
    "0.5675",
    "5912.76380354",
    "0.5676",
    "42514.92434778",
    "0.5677",
    "36304.0847022",
]
MATIC_BIDS = [
    "0.5666",
    "4831.75496356",
    "0.5665",
    "6658.22734739",
    "0.5664",
    "18724.91513344",
    "0.5663",
    "11563.92544914",
    "0.5662",
    "14006.65365711",
    "0.5661",
    "17454.85679807",
    "0.5660",
    "18097.1547",
    "0.5659",
    "33644.89175666",
    "0.5658",
    "148.3464",
    "0.5657",
    "606.70854372",
]
MATIC_CHECKSUM = 2439117997


def matic(kind, bids, asks, checksum):
    def side(numbers):
        return "[" + ",".join(f'{{"price":{p},"qty":{q}}}' for p, q in zip(numbers[::2], numbers[1::2])) + "]"

    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"MATIC/USD","bids":{side(bids)},"asks":{side(asks)},'
        f'"checksum":{checksum},"timestamp":"2023-10-06T17:35:55.440295Z"}}]}}'
    ).encode()


def test_the_published_checksum():
    """The documentation's book of MATIC/USD has checksum 2439117997, and 2114181697 after its update."""
    feed, rows = opened(MATIC)
    feed.received(matic("snapshot", MATIC_BIDS, MATIC_ASKS, MATIC_CHECKSUM), START_NS, rows)
    feed.received(matic("update", ["0.5657", "1098.3947558"], [], 2114181697), START_NS, rows)
    assert feed.states() == [LIVE]
    assert rows.take()["ts_venue_ns"].tolist() == [1_696_613_755_440_295_000] * 23
    feed.received(matic("update", ["0.5657", "1098.394755"], [], 2114181697), START_NS, rows)
    assert feed.states() == [SYNCING]


def test_trades_tickers_and_instruments(recordings):
    """Samples of the other channels become what they say; steps of the instrument channel serve the checksum."""
    samples = recordings / "exec" / "kraken" / "nautilus"
    feed, rows = opened(Instrument("kraken", "BTC/USD", Decimal("0.1"), Decimal("0.00000001")))
    feed.received((samples / "ws_trade_update.json").read_bytes(), START_NS, rows)
    feed.received((samples / "ws_ticker_snapshot.json").read_bytes(), START_NS, rows)
    feed.received((samples / "ws_subscribe_response.json").read_bytes(), START_NS, rows)
    feed.received((samples / "ws_pong.json").read_bytes(), START_NS, rows)
    feed.received((samples / "ws_ohlc_update.json").read_bytes(), START_NS, rows)
    taken = rows.take().copy()
    assert taken["kind"].tolist() == [TRADE, TRADE, TICKER, TICKER] and taken["side"].tolist() == [1, -1, 1, -1]
    assert taken["price_ticks"].tolist() == [1_059_442, 1_059_105, 1_059_442, 1_059_443]
    assert taken["aux"].tolist() == [10218208, 10218209, 0, 0] and taken["flags"].tolist() == [0, 1, 0, 1]
    assert taken["qty_lots"].tolist() == [27_625, 12_460, 250_000_000, 320_000_000]
    feed.received((recordings / "kraken" / "v2_instrument_snapshot.json").read_bytes(), START_NS, rows)
    assert rows.count == 0 and not feed.refused
    for message in frames(recordings / "kraken" / FILES[0][0]):
        feed.received(message, START_NS, rows)
    assert feed.states() == [LIVE]


def test_instruments_of_rest(recordings):
    """Pairs of 2021 and of today, under the names that the websocket has for them."""
    answer = (recordings / "kraken" / "assetpairs_20210417.raw").read_text().splitlines()[0].partition(": ")[2]
    by_symbol = {one.symbol: one for one in instruments(answer.encode())}
    assert len(by_symbol) == 293 and "DOGE/USD" in by_symbol
    btc = by_symbol["BTC/USD"]
    assert (btc.tick, btc.lot, btc.qty_min) == (Decimal("0.1"), Decimal("0.00000001"), Decimal("0.0002"))
    for name in ("http_asset_pairs.json", "http_asset_pairs_tokenized.json"):
        listed = instruments((recordings / "exec" / "kraken" / "nautilus" / name).read_bytes())
        assert listed and all(one.notional_min == Decimal("0.5") for one in listed)
    for body in (b"", b"<html>", b'{"error":["EService:Unavailable"]}', b'{"error":[],"result":{"X":{"wsname":1}}}'):
        with pytest.raises(Malformed, match="kraken"):
            instruments(body)


def test_what_cannot_be_followed_is_refused():
    """The same symbol twice, or single orders without an account, are the operator's mistakes; refusals are told."""
    with pytest.raises(OperatorError, match="twice"):
        feeds([Followed(BTC, 0, 0), Followed(BTC, 0, 1)], ADDRESS)
    with pytest.raises(OperatorError, match="orders"):
        feeds([Followed(BTC, 0, 0, orders=True)], ADDRESS)
    feed, rows = opened()
    feed.received(
        b'{"method":"subscribe","success":false,"error":"Currency pair not supported BTC/USD","symbol":"BTC/USD"}',
        1,
        rows,
    )
    assert "not supported" in feed.refused["BTC/USD"]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_garbage_gives_records_or_the_one_error(recordings, data):
    """Bytes of real messages changed, cut, or put in are never anything but records, a lost book, or Malformed."""
    everything = frames(recordings / "kraken" / FILES[0][0])
    samples = recordings / "exec" / "kraken" / "nautilus"
    pool = [
        *everything,
        (samples / "ws_trade_update.json").read_bytes(),
        (samples / "ws_ticker_snapshot.json").read_bytes(),
    ]
    feed, rows = opened()
    fold = Fold()
    for frame in everything[:5]:
        feed.received(frame, START_NS, rows)
    fold.hear(rows.take())
    for _ in range(data.draw(st.integers(1, 6))):
        message = bytearray(data.draw(st.sampled_from(pool)))
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(message) - 1)) if message else 0
            what = data.draw(st.sampled_from(["flip", "cut", "insert"]))
            if what == "flip" and message:
                message[at] = data.draw(st.integers(0, 255))
            elif what == "cut":
                del message[at : at + data.draw(st.integers(1, 40))]
            else:
                message[at:at] = data.draw(st.sampled_from([b"[", b"{", b"9", b'"', b"-", b"1e9", b"null", b"\x00"]))
        try:
            feed.received(bytes(message), START_NS, rows)
        except Malformed as error:
            assert "\n" not in str(error) and len(str(error)) <= 300
            feed.closed(START_NS, rows)
            feed.opened(START_NS, rows)
        taken = rows.take()
        assert (taken["price_ticks"] >= 0).all() and (taken["qty_lots"] >= 0).all()
        fold.hear(taken)


def test_a_book_that_came_is_not_asked_for_again():
    """Lost twice within a second, and whole by the answer to the first request: the second is not made any more, and
    the book is not taken from the engine without a word."""
    feed, rows = opened(MATIC)
    feed.received(matic("snapshot", MATIC_BIDS, MATIC_ASKS, MATIC_CHECKSUM), START_NS, rows)
    for after_ms in (0, 100):
        after_ns = after_ms * SECOND // 1000
        feed.received(matic("update", ["0.5657", "1"], [], 1), START_NS + after_ns, rows)
        feed.received(matic("snapshot", MATIC_BIDS, MATIC_ASKS, MATIC_CHECKSUM), START_NS + after_ns + 50, rows)
    feed.sends.clear()
    for after_ms in (200, 1_500):
        feed.tick(START_NS + after_ms * SECOND // 1000, rows)
        assert feed.states() == [LIVE]
    said = rows.take()["kind"].tolist()
    assert said.count(LINK_GAP) == 2 and said.count(LINK_UP) == 3
    assert not any(b"subscribe" in frame for frame in feed.sends)

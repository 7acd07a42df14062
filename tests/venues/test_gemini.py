"""Gemini, both protocols: the recording gives books that never cross, and overlapping ids tell of losses."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pinnacle.errors import OperatorError
from pinnacle.event import ASK, BID, LINK_GAP, LINK_STALE, LINK_UP, TICKER, TRADE
from pinnacle.instrument import Instrument
from pinnacle.venues import gemini_2021
from pinnacle.venues.feed import (
    CAUSE_CLOCK,
    CAUSE_CROSSED,
    CAUSE_MALFORMED,
    CAUSE_SEQUENCE,
    CAUSE_SILENCE,
    CAUSE_VENUE,
    LIVE,
    STALE,
    SYNCING,
    Followed,
    Malformed,
)
from pinnacle.venues.gemini import GeminiFeed, feeds, instruments, instruments_path
from tests.recordings.tapes import instruments as recorded_instruments
from tests.venues.tape import Player, lines

S = 1_000_000_000
BTC = Instrument("gemini", "btcusd", Decimal("0.01"), Decimal("0.00000001"))
T0 = 1_700_000_000 * S


def depth(first, last, bids=(), asks=(), symbol="btcusd", ts_ns=T0):
    return {"e": "depthUpdate", "E": ts_ns, "s": symbol, "U": first, "u": last, "b": list(bids), "a": list(asks)}


WHOLE = depth(100, 100, [["10.00", "1"], ["9.99", "2"]], [["10.02", "3"]])


def player(*messages):
    made = Player(GeminiFeed([Followed(BTC, 0, 7)]), T0)
    made.sent()
    for message in messages:
        say(made, message)
    return made


def say(to, message, ts_ns=None):
    return to.receive(json.dumps(message).encode(), ts_ns)


# --- the recording of 2021 --------------------------------------------------------------------------------------------


def test_the_2021_recording_never_crosses(recordings):
    """935 l2_updates of ten symbols, 51 trades and 7 heartbeats of 993; seven sizes finer than the lot are rounded."""
    tape = recordings / "gemini" / "recorded_20210417" / "ws.raw"
    found = recorded_instruments(recordings, "gemini")
    names = ["BTCUSD", "ETHUSD", "LTCUSD", "ETHBTC", "MKRUSD", "BCHBTC", "OXTUSD", "BALUSD", "ZECBTC", "AMPUSD"]
    (feed,) = gemini_2021.feeds([Followed(found[name], 0, k) for k, name in enumerate(names)])
    made = Player(feed, next(iter(lines(tape)))[0])
    assert json.loads(made.sent()[0])["subscriptions"][0]["symbols"] == names
    kinds = {}
    at_side = 0
    for ts_ns, data in lines(tape):
        kind = json.loads(data)["type"]
        kinds[kind] = kinds.get(kind, 0) + 1
        made.receive(data, ts_ns)
        for who in made.books.live:
            bid, ask = made.books.best(who)
            assert 0 < bid < ask
        if kind == "trade":
            who, side, ticks, _, _ = made.books.trades[-1]
            bid, ask = made.books.best(who)
            at_side += ticks >= ask if side > 0 else ticks <= bid
    assert kinds == {"l2_updates": 935, "trade": 51, "heartbeat": 7}
    assert list(feed.states()) == [LIVE] * 10 and [kind for _, kind, _ in made.books.links] == [LINK_UP] * 10
    assert not feed.restart and feed.counts == {"levels finer than the lot": 7}
    assert len(made.books.trades) == 51


def test_a_lost_update_of_2021_shows_only_by_crossing():
    """No number and no time: what crosses nothing is not noticed, and no client could."""
    made = Player(gemini_2021.Gemini2021Feed([Followed(BTC, 0, 7)]))
    first = {
        "type": "l2_updates",
        "symbol": "BTCUSD",
        "changes": [["buy", "10", "1"], ["sell", "11", "1"]],
        "trades": [],
    }
    say(made, first)
    # lost: the removal of the ask at 11
    say(made, first | {"changes": [["buy", "10.5", "1"]]})
    assert made.feed.states() == [LIVE]
    say(made, first | {"changes": [["buy", "11", "1"]]})
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_CROSSED) and "crossed" in made.feed.restart
    assert say(made, first).size == 0
    for text in (b"", b"{}", b"[]", b'{"type":"l2_updates"}', b"\xff"):
        made = Player(gemini_2021.Gemini2021Feed([Followed(BTC, 0, 7)]))
        with pytest.raises(Malformed):
            made.receive(text)


# --- the present protocol ---------------------------------------------------------------------------------------------


def test_it_subscribes_and_pings():
    """Whole books are asked for in the address; streams in one array; a ping every five seconds."""
    (feed,) = feeds([Followed(BTC, 0, 0)])
    assert feed.url == "/?snapshot=-1"
    made = Player(feed, T0)
    (asked,) = [json.loads(text) for text in made.sent()]
    assert asked["method"] == "subscribe"
    assert asked["params"] == ["btcusd@depth@100ms", "btcusd@trade", "btcusd@bookTicker"]
    made.tick(T0 + 4 * S)
    assert made.sent() == []
    made.tick(T0 + 5 * S)
    assert json.loads(made.sent()[0])["method"] == "ping"
    eth = Instrument("gemini", "ethusd", Decimal("0.01"), Decimal("0.000001"))
    two = feeds([Followed(BTC, 0, 0, depth=20), Followed(eth, 0, 1)])
    assert sorted(feed.url for feed in two) == ["/?snapshot=-1", "/?snapshot=20"]
    many = [Followed(Instrument("gemini", f"x{k}", BTC.tick, BTC.lot), 0, k) for k in range(70)]
    assert [len(json.loads(text)["params"]) for text in Player(feeds(many)[0]).sent()] == [100, 100, 10]
    with pytest.raises(OperatorError):
        feeds([Followed(BTC, 0, 0, orders=True)])


def test_the_first_frame_is_the_book_and_the_next_overlap():
    """U == u is the whole book; then U == last u; ids in between may be left out; a symbol in capitals is the same."""
    made = player({"id": "1", "status": 200, "result": None}, WHOLE)
    assert made.feed.states() == [LIVE] and made.books.levels[7] == {
        BID: {1000: 10**8, 999: 2 * 10**8},
        ASK: {1002: 3 * 10**8},
    }
    say(made, depth(100, 107, [["10.01", "1"]]))
    say(made, depth(107, 120, [], [["10.02", "0"], ["10.03", "1"]], symbol="BTCUSD"))
    say(made, depth(121, 130, [["10.01", "0"]]))
    assert made.books.levels[7] == {BID: {1000: 10**8, 999: 2 * 10**8}, ASK: {1003: 10**8}}
    assert made.feed.states() == [LIVE]


def test_lost_doubled_and_swapped_frames():
    """Lost: LINK_GAP, the symbol is subscribed anew.  Doubled: nothing.  Swapped: a gap."""
    made = player(WHOLE, depth(100, 107, [["10.01", "1"]]))
    assert say(made, depth(100, 107, [["10.01", "1"]])).size == 0 and made.feed.counts["late"] == 1
    said = say(made, depth(112, 120, [["10.01", "2"]]))
    assert said["kind"].tolist() == [LINK_GAP] and made.books.links[-1] == (7, LINK_GAP, CAUSE_SEQUENCE)
    asked = [json.loads(text) for text in made.sent()]
    assert [(one["method"], one["params"]) for one in asked] == [
        ("unsubscribe", ["btcusd@depth@100ms"]), ("subscribe", ["btcusd@depth@100ms"])
    ]  # fmt: skip
    assert made.feed.states() == [SYNCING]
    assert say(made, depth(107, 112, [["10.01", "3"]])).size == 0, "the one that was late is of the lost book"
    say(made, depth(125, 125, [["10.00", "1"]], [["10.01", "1"]]))
    assert made.feed.states() == [LIVE] and made.books.levels[7] == {BID: {1000: 10**8}, ASK: {1001: 10**8}}


def test_trades_and_best_prices():
    """m: the buyer was the maker, so the aggressor sold; both sides of bookTicker; late ones are not said."""
    made = player(WHOLE)
    trade = {"E": T0, "s": "btcusd", "t": 5, "p": "10.00", "q": "0.5", "m": True}
    said = say(made, trade)
    assert said["kind"].tolist() == [TRADE] and said["side"].tolist() == [-1] and said["aux"].tolist() == [5]
    assert say(made, trade).size == 0
    assert say(made, trade | {"t": 9, "m": False})["side"].tolist() == [1]
    best = {"u": 107, "E": T0, "s": "btcusd", "b": "10.00", "B": "1", "a": "10.02", "A": "3"}
    said = say(made, best)
    assert said["kind"].tolist() == [TICKER, TICKER] and said["price_ticks"].tolist() == [1000, 1002]
    assert say(made, best | {"u": 106}).size == 0
    assert made.feed.states() == [LIVE]


def test_absurd_levels_are_left_out_and_counted():
    """Asks at a million million dollars and dust finer than the lot cost no book."""
    made = player(depth(1, 1, [["10.00", "1"]], [["10.02", "0.123456789"], ["9000000000000", "1"], ["10.03", "1"]]))
    assert made.books.levels[7][ASK] == {1002: 12_345_678, 1003: 10**8} and made.feed.states() == [LIVE]
    assert made.feed.counts == {"levels out of bounds": 1, "levels finer than the lot": 1}


def test_crossed_silent_late_refused_and_garbage():
    """Each with its own cause; what one book can mend is mended alone, the rest by a new connection."""
    made = player(WHOLE, depth(100, 107, [["10.02", "1"]]))
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_CROSSED) and made.feed.states() == [SYNCING]
    assert len(made.sent()) == 2 and not made.feed.restart
    made = player(WHOLE)
    made.tick(T0 + made.feed.silence_ns + 1)
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_SILENCE) and made.feed.restart
    made = player(WHOLE)
    say(made, depth(100, 107, ts_ns=T0), T0 + 6 * S)
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_CLOCK) and made.feed.states() == [STALE]
    made = player(WHOLE, {"id": "1", "status": 400, "error": {"code": -1013, "msg": "Invalid symbol"}})
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_VENUE) and "Invalid symbol" in made.feed.restart
    for text in (b"", b"[]", b'{"s":1}', b"\xff", b"[" * 5000, json.dumps(depth(9, 8)).encode(),
                 json.dumps(depth(100, 107, [["x", "1"]])).encode(), json.dumps(depth(100, 107, [["1"]])).encode(),
                 json.dumps({"s": "btcusd", "t": 1, "p": "", "q": "1", "m": True}).encode(),
                 b'{"s":"btcusd","U":1,"u":2}', b'{"s":"btcusd","B":"1","b":[],"a":"1"}'):  # fmt: skip
        made = player(WHOLE)
        with pytest.raises(Malformed, match="gemini"):
            made.receive(text)
        made.hear()
        assert made.books.links[-1] == (7, LINK_STALE, CAUSE_MALFORMED), text
    made = player(WHOLE, {"s": "ethusd", "x": 1}, {"s": "btcusd", "x": 1})
    assert made.feed.counts == {"not followed": 1, "unknown types": 1} and made.feed.states() == [LIVE]


def test_symbol_details_are_instruments(recordings):
    """tick_size is the step of quantities; numbers in exponent notation keep every digit; both forms of answer."""
    found = {}
    for line in (recordings / "gemini" / "symbol_details_20210623.raw").read_bytes().splitlines():
        if b"/details/" in line:
            for one in instruments(line.split(b": ", 1)[1]):
                found[one.symbol.upper()] = one
    wanted = recorded_instruments(recordings, "gemini")
    shared = found.keys() & wanted.keys()
    assert len(shared) >= 10
    for symbol in shared:
        assert (found[symbol].tick, found[symbol].lot) == (wanted[symbol].tick, wanted[symbol].lot), symbol
    assert instruments(b'[{"symbol":"btcusd","tick_size":1e-8,"quote_increment":0.01,"min_order_size":"0.00001"}]') == [
        Instrument("gemini", "btcusd", Decimal("0.01"), Decimal("1e-8"), qty_min=Decimal("0.00001"))
    ]
    assert instruments_path(["BTCUSD"]) == "/v1/symbols/details/btcusd"
    assert instruments_path(["a", "b"]) == "/v1/symbols/details/all"
    with pytest.raises(Malformed):
        instruments(b"[1]")

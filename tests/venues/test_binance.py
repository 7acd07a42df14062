"""Binance's feed: whatever is lost, doubled or late, a book that is said to be live is the venue's."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.errors import OperatorError
from pinnacle.event import FUNDING, LAST, LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, SELL, TICKER, TRADE
from pinnacle.limits import BRIDGE_MESSAGES_MAX, SNAPSHOT_TRIES_MAX
from pinnacle.venues.binance import ADDRESS, feeds, instruments, instruments_path, recorded
from pinnacle.venues.binance_feed import BinanceFeed
from pinnacle.venues.binance_market import SPOT
from pinnacle.venues.binance_usdm import USDM
from pinnacle.venues.binance_usdm import feeds as usdm_feeds
from pinnacle.venues.feed import (
    CAUSE_CLOCK,
    CAUSE_CLOSED,
    CAUSE_CROSSED,
    CAUSE_MALFORMED,
    CAUSE_SEQUENCE,
    CAUSE_SILENCE,
    EMPTY,
    LIVE,
    STALE,
    SYNCING,
    Followed,
    Malformed,
    Rows,
)
from tests.venues.binance_world import FOLLOWED, Hearer, World

SECOND = 1_000_000_000


def opened(market=SPOT):
    """(feed, rows, hearer) of a connection that is up."""
    feed, rows = BinanceFeed(market, [FOLLOWED], ""), Rows()
    feed.opened(SECOND, rows)
    return feed, rows, Hearer()


def live(market=SPOT, seed=1):
    """The same with a book."""
    feed, rows, hearer = opened(market)
    world = World(seed, market.futures)
    feed.answered(feed.fetches.pop().tag, 200, world.snapshot(), 2 * SECOND, rows)
    hearer.hear(rows)
    assert feed.states() == [LIVE] and hearer.live
    return feed, rows, hearer, world


@settings(deadline=None, max_examples=150)
@given(st.integers(0, 2**32), st.booleans())
def test_a_live_book_is_the_venues(seed, futures):
    """Diffs lost, doubled or swapped, snapshots late or failed: live, it is the true book of the id said last."""
    chance, world = random.Random(seed), World(seed, futures)
    feed, rows, hearer = opened(USDM if futures else SPOT)
    line: list[bytes] = []
    late: list[tuple[str, bytes]] = []
    for turn in range(60):
        now = (turn + 2) * SECOND
        line.append(world.diff())
        fate = chance.random()
        if fate < 0.04:
            line.pop()
        elif fate < 0.08:
            line.append(line[-1])
        elif fate < 0.12 and len(line) > 1:
            line[-1], line[-2] = line[-2], line[-1]
        while line and chance.random() < 0.7:
            feed.received(line.pop(0), now, rows)
        for fetch in feed.fetches:
            late.append((fetch.tag, world.snapshot()))
        feed.fetches.clear()
        if late and chance.random() < 0.5:
            tag, body = late.pop(0)
            feed.answered(tag, *((200, body) if chance.random() < 0.8 else (0, b"timed out")), now, rows)
        if chance.random() < 0.02:
            feed.closed(now, rows)
            line.clear()
            feed.opened(now, rows)
        feed.tick(now, rows)
        hearer.hear(rows)
        assert hearer.live == (feed.states() == [LIVE])
        if feed.restart:
            return
        if hearer.live:
            book_id = feed._symbols[0].book.last_id
            assert hearer.levels == world.history[book_id], f"seed {seed}, turn {turn}"
    for turn in range(60, 80):  # without a fault it is live again, however it was left
        feed.received(world.diff(), turn * SECOND, rows)
        for fetch in feed.fetches:
            feed.answered(fetch.tag, 200, world.snapshot(), turn * SECOND, rows)
        feed.fetches.clear()
        for tag, body in late:
            feed.answered(tag, 200, body, turn * SECOND, rows)
        late.clear()
        hearer.hear(rows)
    assert feed.restart or (hearer.live and hearer.levels == world.levels), f"seed {seed}"


def test_the_address_names_the_streams():
    """Spot is one connection, USD-M one for books and one for trades; more symbols than one takes are split."""
    (one,) = feeds([FOLLOWED], ADDRESS)
    assert one.url == "/stream?streams=btcusdt@depth@100ms/btcusdt@trade/btcusdt@bookTicker"
    assert [two.url for two in usdm_feeds([FOLLOWED], ADDRESS)] == [
        "/public/stream?streams=btcusdt@depth@100ms/btcusdt@bookTicker",
        "/market/stream?streams=btcusdt@aggTrade/btcusdt@markPrice",
    ]
    many = feeds([FOLLOWED] * 130, ADDRESS)
    assert len(many) == 3 and all(len(one.url) < 8000 for one in many)
    with pytest.raises(OperatorError, match="no single orders"):
        feeds([Followed(FOLLOWED.instrument, 0, 0, orders=True)], ADDRESS)


def test_snapshots_fit_the_venues_budget():
    """Each book is asked for to the depth wanted, and no more of them in a minute than half the address's weight."""
    feed = BinanceFeed(SPOT, [Followed(FOLLOWED.instrument, 0, k) for k in range(30)], "")
    feed.opened(1, Rows())
    assert feed.fetches[0].path == "/api/v3/depth?symbol=BTCUSDT&limit=5000"
    assert [sum(one.after_ns == minute * 60 * SECOND for one in feed.fetches) for minute in range(3)] == [12, 12, 6]
    shallow = BinanceFeed(SPOT, [Followed(FOLLOWED.instrument, 0, 0, depth=101)], "")
    shallow.opened(1, Rows())
    assert shallow.fetches[0].path.endswith("limit=500")


def test_a_gap_says_so_once_and_asks_anew():
    """A diff that does not follow: LINK_GAP, nothing of the book until it is whole, and its return."""
    feed, rows, hearer, world = live()
    world.diff()
    for _ in range(3):
        feed.received(world.diff(), 3 * SECOND, rows)
    hearer.hear(rows)
    assert hearer.said == [(LINK_UP, 0), (LINK_GAP, CAUSE_SEQUENCE)] and feed.states() == [STALE]
    (fetch,) = feed.fetches
    assert fetch.after_ns == 0
    feed.answered(fetch.tag, 200, world.snapshot(), 4 * SECOND, rows)
    hearer.hear(rows)
    assert feed.states() == [LIVE] and hearer.levels == world.levels


def test_a_snapshot_too_old_is_asked_for_again():
    """A snapshot older than the first diff joins nothing; the wait doubles, and after so many the connection ends."""
    feed, rows, _ = opened()
    world = World(3, False)
    old = world.snapshot()
    world.diff()
    feed.received(world.diff(), SECOND, rows)
    waits = []
    while not feed.restart:
        fetch = feed.fetches.pop()
        waits.append(fetch.after_ns // SECOND)
        feed.answered(fetch.tag, 200, old, SECOND, rows)
    assert waits == [0, 1, 2, 4, 8, 16, 32, 60] and len(waits) == SNAPSHOT_TRIES_MAX
    assert rows.count == 0 and "BTCUSDT" in feed.restart


def test_a_crossed_book_is_lost_before_anyone_sees_it():
    """A bid at the best ask: none of the message's levels is said, the book is stale and asked for."""
    feed, rows, hearer, world = live()
    ask = min(price for side, price in world.levels if side < 0)
    first, text = world.id + 1, FOLLOWED.instrument.price_text(ask)
    message = {"stream": "btcusdt@depth", "data": {"s": "BTCUSDT", "U": first, "u": first, "b": [[text, "1"]], "a": []}}
    feed.received(json.dumps(message).encode(), 3 * SECOND, rows)
    hearer.hear(rows)
    assert hearer.said[-1] == (LINK_STALE, CAUSE_CROSSED) and feed.states() == [STALE] and len(feed.fetches) == 1
    assert hearer.levels == world.levels


def test_silence_is_asked_about_first():
    """A quiet connection is asked a question; only when its answer does not come either is it given up."""
    feed, rows, hearer, _ = live()
    for second in range(3, 30):
        feed.tick(second * SECOND, rows)
    assert feed.sends == [b'{"method":"LIST_SUBSCRIPTIONS","id":1}'] and not feed.restart
    feed.received(b'{"result":["btcusdt@depth@100ms"],"id":1}', 30 * SECOND, rows)
    for second in range(30, 62):
        feed.tick(second * SECOND, rows)
    hearer.hear(rows)
    assert hearer.said[-1] == (LINK_STALE, CAUSE_SILENCE) and "silent" in feed.restart and len(feed.sends) == 2


def test_a_jump_of_the_clock_makes_the_book_stale():
    """Ticks a minute apart, or going back: the machine slept or its clock was set."""
    for jump in (60, -2):
        feed, rows, hearer, _ = live()
        feed.tick((2 + jump) * SECOND, rows)
        hearer.hear(rows)
        assert hearer.said[-1] == (LINK_STALE, CAUSE_CLOCK) and "clock" in feed.restart


def test_the_venue_says_that_it_goes():
    """serverShutdown, and 24 hours, ask for a new connection while the book stays what it is."""
    feed, rows, _, _ = live()
    feed.received(b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}', 3 * SECOND, rows)
    assert "shuts" in feed.restart and feed.states() == [LIVE]
    feed, rows, _, _ = live()
    for minute in range(1, 24 * 60):
        feed.received(b'{"result":null,"id":1}', minute * 60 * SECOND, rows)
        feed.tick(minute * 60 * SECOND, rows)
    assert "24 h" in feed.restart


def test_the_end_of_a_connection_is_the_end_of_its_book():
    """LINK_DOWN once; a late answer to what the old connection asked changes nothing; opened again it starts anew."""
    feed, rows, hearer, world = live()
    feed.closed(3 * SECOND, rows)
    feed.closed(3 * SECOND, rows)
    hearer.hear(rows)
    assert hearer.said == [(LINK_UP, 0), (LINK_DOWN, CAUSE_CLOSED)] and feed.states() == [EMPTY]
    feed.opened(4 * SECOND, rows)
    first = feed.fetches.pop().tag
    feed.closed(5 * SECOND, rows)
    feed.opened(6 * SECOND, rows)
    feed.answered(first, 200, world.snapshot(), 7 * SECOND, rows)
    assert feed.states() == [SYNCING]
    feed.answered(feed.fetches.pop().tag, 200, world.snapshot(), 7 * SECOND, rows)
    assert feed.states() == [LIVE]


def test_a_refusal_says_what_the_venue_said():
    """An unknown symbol ends the connection with the venue's words; a ban is waited for."""
    feed, rows, _ = opened()
    feed.answered(feed.fetches.pop().tag, 400, b'{"code":-1121,"msg":"Invalid symbol."}', SECOND, rows)
    assert feed.restart == "binance:BTCUSDT: no book, status 400: Invalid symbol."
    feed, rows, _ = opened()
    feed.answered(feed.fetches.pop().tag, 429, b"", SECOND, rows)
    assert feed.fetches[0].after_ns == 60 * SECOND


def test_malformed_leaves_nothing_half_said():
    """A diff whose asks are none leaves no bids behind; the live book is stale, and the error is one line."""
    feed, rows, hearer, world = live()
    first = world.id + 1
    message = b'{"stream":"btcusdt@depth","data":{"s":"BTCUSDT","U":%d,"u":%d,"b":[["99","1"]],"a":[["x","1"]]}}'
    with pytest.raises(Malformed, match="binance:BTCUSDT") as caught:
        feed.received(message % (first, first), 3 * SECOND, rows)
    assert "\n" not in str(caught.value)
    hearer.hear(rows)
    assert hearer.said[-1] == (LINK_STALE, CAUSE_MALFORMED) and hearer.levels == world.levels


def test_trades_and_tickers():
    """A taker's side, the venue's times and ids; a side without a price gives no ticker; both are said of any book."""
    feed, rows, _ = opened()
    feed.received(
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":9,"s":"BTCUSDT","t":7,"p":"100.30","q":"0.0060",'
        b'"T":8,"m":true,"M":true}}',
        SECOND, rows,
    )  # fmt: skip
    feed.received(
        b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"0.0","B":"0","a":"61837.6","A":"1.5"}}',
        SECOND, rows,
    )  # fmt: skip
    trade, ticker = rows.take()
    assert (trade["kind"], trade["side"], trade["price_ticks"], trade["qty_lots"]) == (TRADE, SELL, 1003, 6)
    assert (trade["aux"], trade["ts_venue_ns"], trade["venue"], trade["instrument"]) == (7, 8_000_000, 1, 2)
    assert (ticker["kind"], ticker["side"], ticker["price_ticks"], ticker["qty_lots"]) == (TICKER, -1, 618376, 1500)
    assert ticker["flags"] == LAST and ticker["aux"] == 5


def test_what_is_counted_as_a_trade():
    """Deleveraging is no trade of the market, and aggregated trades count only where single ones were not asked for."""
    frames = [
        b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":7,"p":"100","q":"1","T":8,"m":true,"X":"ADL"}}',
        b'{"stream":"btcusdt@trade","data":{"s":"BTCUSDT","t":8,"p":"100","q":"1","T":8,"m":true,"X":"MARKET"}}',
        b'{"stream":"btcusdt@aggTrade","data":{"s":"BTCUSDT","a":3,"f":8,"l":9,"p":"101","q":"1","T":8,"m":true}}',
    ]
    for asked, ids in (("btcusdt@aggTrade/btcusdt@depth", [9]), ("btcusdt@aggTrade/btcusdt@trade", [8])):
        feed, rows = recorded([FOLLOWED], asked), Rows()
        feed.opened(1, rows)
        for frame in frames:
            feed.received(frame, 2, rows)
        assert rows.take()["aux"].tolist() == ids


def test_funding_is_what_was_said_last_before_it_was_paid():
    """A record only when the next payment's time moves on, with the rate and price of the message before."""
    feed, rows, _ = opened(USDM)
    frame = (
        b'{"stream":"btcusdt@markPrice","data":{"e":"markPriceUpdate","E":%d,"s":"BTCUSDT","p":"%s","r":"%s","T":%d}}'
    )
    for event_ms, price, rate, next_ms in (
        (1, b"100.04", b"0.0001", 10), (9, b"100.16", b"-0.00038167", 10), (11, b"99", b"0.0002", 20)
    ):  # fmt: skip
        feed.received(frame % (event_ms, price, rate, next_ms), SECOND, rows)
    (paid,) = rows.take()
    assert (paid["kind"], paid["price_ticks"], paid["qty_lots"]) == (FUNDING, 1002, -381_670)
    assert paid["ts_venue_ns"] == 10_000_000


def test_instruments():
    """Tick, lot and minimums of both years' listings; a symbol without a fixed tick is left out."""

    def symbol(name, tick, notional):
        return {
            "symbol": name, "baseAsset": "BTC", "quoteAsset": "USDT",
            "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "tickSize": tick},
                {"filterType": "LOT_SIZE", "minQty": "0.00010000", "stepSize": "0.00001000"},
                notional,
            ],
        }  # fmt: skip

    listing = {
        "symbols": [
            symbol("A", "0.01000000", {"filterType": "NOTIONAL", "minNotional": "5.00000000"}),
            symbol("B", "10.00000000", {"filterType": "MIN_NOTIONAL", "notional": "100"}),
            symbol("C", "0.00000000", {"filterType": "MIN_NOTIONAL", "minNotional": "1"}),
        ]
    }
    a, b = instruments(json.dumps(listing).encode())
    assert [str(x) for x in (a.tick, a.lot, a.qty_min, a.notional_min)] == ["0.01", "0.00001", "0.0001", "5"]
    assert str(b.tick) == "10" and str(b.notional_min) == "100" and (b.base, b.quote) == ("BTC", "USDT")
    assert instruments_path(["A", "B"]) == "/api/v3/exchangeInfo?symbols=%5B%22A%22%2C%22B%22%5D"
    with pytest.raises(Malformed):
        instruments(b'{"code":-1,"msg":"no"}')


class Slowly(BinanceFeed):
    """The feed without its kernel: every message is decoded."""

    def _way(self, stream, decode, take, symbol):
        way = super()._way(stream, decode, take, symbol)
        way.array = None
        return way


@pytest.mark.parametrize("market", [SPOT, USDM])
def test_the_kernel_says_what_the_parser_says(market):
    """Messages right and bent: both give the same records, or both the one error, and the same books after it."""
    chance, world = random.Random(5), World(6, market.futures)
    fast, slow = BinanceFeed(market, [FOLLOWED], ""), Slowly(market, [FOLLOWED], "")
    fast_rows, slow_rows = Rows(), Rows()
    both = ((fast, fast_rows), (slow, slow_rows))
    singles = [
        b'{"stream":"btcusdt@trade","data":{"e":"trade","E":9,"T":8,"s":"BTCUSDT","t":7,"p":"100.3","q":"0.006","m":true}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"100.1","B":"2","a":"100.2","A":"1.5"}}',
        b'{"stream":"btcusdt@bookTicker","data":{"u":5,"s":"BTCUSDT","b":"0.0","B":"0","a":"100.2","A":"1.5"}}',
    ]
    odd = [
        b"1",
        b'"1"',
        b"null",
        b"true",
        b"[]",
        b"{}",
        b"-1",
        b"01",
        b"1.5",
        b"9" * 20,
        b" ",
        b'"x"',
        b'"\\u0041"',
        b'"',
    ]
    raised = same = 0
    for turn in range(4000):
        for feed, rows in both:
            for fetch in feed.fetches:
                try:
                    feed.answered(fetch.tag, 200, world.snapshot(), turn, rows)
                except Malformed:  # of a diff that was held
                    feed.closed(turn, rows)
                    break
            feed.fetches.clear()
            if feed.restart or EMPTY in feed.states():
                feed.closed(turn, rows)
                feed.opened(turn, rows)
        message = chance.choice(singles) if chance.random() < 0.5 else world.diff()
        if chance.random() < 0.4:
            marks = [k for k in range(40, len(message)) if message[k : k + 1] in b':,"[']
            first, last = sorted((chance.choice(marks), chance.choice(marks)))
            how = chance.randrange(3)
            if how == 0:
                message = message[: first + 1] + chance.choice(odd) + message[last:]
            elif how == 1:
                message = message[:first] + message[last:]
            else:
                message = message[:first] + message[first:last] + message[first:]
        errors = []
        for feed, rows in both:
            try:
                feed.received(message, turn, rows)
                errors.append(False)
            except Malformed:
                errors.append(True)
                feed.closed(turn, rows)
        first_rows, second_rows = fast_rows.take(), slow_rows.take()
        assert errors[0] == errors[1] and (first_rows == second_rows).all(), message
        assert fast.states() == slow.states() and fast.counts == slow.counts, message
        raised += errors[0]
        same += first_rows.size
    assert raised > 100 and same > 1000


def test_diffs_wait_for_a_snapshot_only_so_long():
    """Without a snapshot the diffs held are bounded, and reaching the bound gives the connection up."""
    feed, rows, _ = opened()
    message = b'{"stream":"btcusdt@depth","data":{"s":"BTCUSDT","U":%d,"u":%d,"b":[["99","1"]],"a":[]}}'
    held = 0
    for k in range(BRIDGE_MESSAGES_MAX + 1):
        feed.received(message % (k, k), 2 * SECOND, rows)
        held = max(held, len(feed._symbols[0].book._held))
        if feed.restart:
            break
    assert "no snapshot" in feed.restart and held <= BRIDGE_MESSAGES_MAX
    assert not feed._symbols[0].book._held and rows.count == 0

"""Bitstamp's feed: the recorded join, losses noticed by the chain of events or by comparing, and never a guess."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnacle.errors import OperatorError
from pinnacle.event import ASK, BID, LINK_DOWN, LINK_GAP, LINK_STALE, TRADE
from pinnacle.instrument import Instrument
from pinnacle.limits import BITSTAMP_AUDIT_NS
from pinnacle.venues.bitstamp import ADDRESS, BitstampFeed, feeds, instruments
from pinnacle.venues.feed import (
    CAUSE_CLOSED,
    CAUSE_CROSSED,
    CAUSE_SEQUENCE,
    CAUSE_SILENCE,
    LIVE,
    SYNCING,
    Followed,
    Malformed,
    Rows,
)
from tests.recordings.tapes import RecordedBook, answers, received
from tests.recordings.tapes import instruments as recorded_instruments
from tests.venues.fold import Fold

BTC = Instrument("bitstamp", "btcusd", Decimal("0.01"), Decimal("0.00000001"))
START_NS = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def us(ns):
    return str(ns // 1000)


class Venue:
    """A market that changes at random, told as Bitstamp tells it, and a feed that hears it."""

    def __init__(self, orders=False):
        self.feed, self.rows, self.fold = BitstampFeed([Followed(BTC, 0, 0, orders=orders)]), Rows(), Fold()
        self.bids, self.asks = {99_00: 5, 98_00: 7}, {101_00: 4, 103_00: 2}
        self.now_ns = START_NS
        self.feed.opened(self.now_ns, self.rows)
        assert self.feed.states() == [SYNCING]
        channel = "live_orders_btcusd" if orders else "diff_order_book_btcusd"
        self.channel = channel
        self.say({"event": "bts:subscription_succeeded", "channel": channel, "data": {}})

    def say(self, message):
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.feed.received(raw, self.now_ns, self.rows)
        self.fold.hear(self.rows.take())

    def change(self, side, ticks, lots, heard=True):
        self.now_ns += SECOND // 10
        levels = self.bids if side == BID else self.asks
        levels[ticks] = lots
        if not lots:
            del levels[ticks]
        if heard:
            self.say(self.diff({side: [(ticks, lots)]}))

    def diff(self, sides):
        data = {"timestamp": us(self.now_ns)[:10], "microtimestamp": us(self.now_ns)} | self.levels(sides)
        return {"data": data, "channel": self.channel, "event": "data"}

    @staticmethod
    def levels(sides):
        return {
            name: [[BTC.price_text(p), BTC.qty_text(q)] for p, q in sides.get(side, [])]
            for name, side in (("bids", BID), ("asks", ASK))
        }

    def answer(self, at_ns=None, status=200):
        """The REST call that is wanted is answered."""
        (fetch,) = self.feed.fetches
        self.feed.fetches.clear()
        assert fetch.path == "/api/v2/order_book/btcusd/?group=1"
        book = {BID: sorted(self.bids.items(), reverse=True), ASK: sorted(self.asks.items())}
        body = {"timestamp": "1", "microtimestamp": us(self.now_ns if at_ns is None else at_ns)} | self.levels(book)
        self.feed.answered(fetch.tag, status, json.dumps(body).encode(), self.now_ns, self.rows)
        self.fold.hear(self.rows.take())

    def tick(self, ns):
        self.now_ns += ns
        self.feed.tick(self.now_ns, self.rows)
        self.fold.hear(self.rows.take())

    def right(self):
        """Whether the book that was said is the venue's."""
        return (
            self.fold.live
            and self.fold.side(BID) == sorted(self.bids.items(), reverse=True)
            and (self.fold.side(ASK) == sorted(self.asks.items()))
        )


@pytest.mark.parametrize("late", [False, True])
def test_the_recording(recordings, late):
    """Ten books joined: 527 changes applied and 114 dropped, whether REST answers before or after them."""
    folder = recordings / "bitstamp" / "recorded_20210417"
    known = recorded_instruments(recordings, "bitstamp")
    rest = {url.rstrip("/").split("/")[-1]: answer for url, answer in answers(folder / "order_book.raw")}
    books = {name: json.dumps(answer).encode() for name, answer in rest.items()}
    followed = [Followed(known[name], 0, k) for k, name in enumerate(books)]
    feed, rows = BitstampFeed(followed), Rows()
    folds = [Fold(k) for k in range(10)]
    waiting, kinds = [], []
    feed.opened(START_NS, rows)
    assert len(feed.sends) == 20 and all(len(one) < 512 for one in feed.sends)

    def hear():
        taken = rows.take()
        if taken.size:
            kinds.extend(taken["kind"].tolist())
            for k in set(taken["instrument"].tolist()):
                folds[k].hear(taken[taken["instrument"] == k])

    def answer(fetches):
        for fetch in fetches:
            feed.answered(fetch.tag, 200, books[fetch.tag.split()[0]], START_NS, rows)
            hear()

    for line in (folder / "ws.raw").read_text().splitlines():
        head, _, body = line.partition(": ")
        if body and head.replace(".", "").isdigit():
            feed.received(body.encode(), START_NS, rows)
            hear()
            waiting += feed.fetches
            feed.fetches.clear()
            if not late:
                answer(waiting)
                waiting.clear()
    answer(waiting)
    assert feed.states() == [LIVE] * 10 and not any(fold.losses for fold in folds)
    feed.tick(START_NS, rows)
    assert (feed.counts["changes applied"], feed.counts["changes older than the book"]) == (527, 114)
    assert kinds.count(TRADE) == feed.counts["trades"] == 16
    naive = {name: RecordedBook(known[name]) for name in rest}
    diffs = [one for one in received(folder / "ws.raw") if one["event"] == "data"]
    told = [*rest.items(), *((one["channel"].removeprefix("diff_order_book_"), one["data"]) for one in diffs)]
    for name, data in told:
        if data is rest[name] or int(data["microtimestamp"]) > int(rest[name]["microtimestamp"]):
            for key, side in (("bids", BID), ("asks", ASK)):
                for price, qty in data[key]:
                    naive[name].set(side, price, qty)
    for k, name in enumerate(rest):
        for side in (BID, ASK):
            assert [ticks for ticks, _ in folds[k].side(side)] == naive[name].top_in_order(side, 10**6)


CHANGES = st.lists(
    st.tuples(st.sampled_from([BID, ASK]), st.integers(0, 20), st.integers(0, 5), st.sampled_from([1, 1, 1, 0])),
    max_size=30,
)


@settings(deadline=None, max_examples=60)
@given(CHANGES, CHANGES)
def test_a_lost_change_is_found_by_comparing(before, after):
    """Changes are lost at random; once the venue's book has been compared, what is live is right again."""
    venue = Venue()
    for side, off, lots, _ in before:
        venue.change(side, (99_00 - off) if side == BID else (101_00 + off), lots)
    venue.answer()
    assert venue.right()
    for side, off, lots, heard in after:
        venue.change(side, (99_00 - off) if side == BID else (101_00 + off), lots, heard=bool(heard))
    wrong = not venue.right()
    for _ in range(BITSTAMP_AUDIT_NS // SECOND + 1):
        venue.say({"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}})
        venue.tick(SECOND)
    venue.answer()
    for _ in range(7):
        venue.say({"event": "bts:heartbeat", "channel": "", "data": {"status": "success"}})
        venue.tick(SECOND)
    assert venue.fold.live == (not wrong)
    assert venue.fold.losses == ([(LINK_GAP, CAUSE_SEQUENCE)] if wrong else [])
    if wrong:
        venue.answer()
    assert venue.right() and venue.feed.states() == [LIVE]


def test_changes_around_the_whole_book():
    """Changes before the whole book are held, older ones and doubles dropped; one out of order is a gap."""
    venue = Venue()
    venue.change(BID, 97_00, 3)
    at_ns = venue.now_ns
    venue.change(BID, 99_10, 3)
    assert not venue.fold.live
    bids = dict(venue.bids)
    del venue.bids[99_10]
    venue.answer(at_ns)
    venue.bids = bids
    assert venue.right()
    venue.say(venue.diff({BID: [(99_10, 9)]}))
    assert venue.right() and venue.feed.counts["changes sent again"] == 1
    venue.now_ns -= SECOND
    venue.say(venue.diff({BID: [(99_10, 9)]}))
    assert venue.fold.losses == [(LINK_GAP, CAUSE_SEQUENCE)]
    venue.now_ns += 2 * SECOND
    venue.answer()
    assert venue.right()


def test_a_crossed_book_is_stale_and_asked_for_again():
    """A bid at the ask makes the book stale, none of it is said, and the next whole book makes it live again."""
    venue = Venue()
    venue.answer()
    venue.change(BID, 101_00, 1)
    assert venue.fold.losses == [(LINK_STALE, CAUSE_CROSSED)] and (101_00, 1) not in venue.fold.side(BID)
    venue.answer()
    assert not venue.fold.live and venue.feed.fetches[0].after_ns > 0, "a whole book that is crossed is not taken"
    del venue.bids[101_00]
    venue.answer()
    assert venue.right()


def test_an_answer_that_is_none_is_asked_for_later_and_later():
    """Errors of REST are waited out, longer each time; a market that is not there is said and not asked for again."""
    venue = Venue()
    waits = []
    for status in (503, 429, 0, 500):
        venue.answer(status=status)
        waits.append(venue.feed.fetches[0].after_ns)
    assert waits == sorted(set(waits))
    venue.answer(status=404)
    assert not venue.feed.fetches and "no such market" in venue.feed.refused["btcusd"]
    assert venue.feed.states() == [SYNCING]


def test_silence_heartbeats_and_reconnecting():
    """Heartbeats go out; without their answers the book is stale; the venue may ask for a new connection."""
    venue = Venue()
    venue.answer()
    venue.feed.sends.clear()
    for _ in range(10):
        venue.tick(SECOND)
    assert [json.loads(one)["event"] for one in venue.feed.sends] == ["bts:heartbeat"] * 2 and venue.fold.live
    venue.tick(3 * SECOND)
    assert venue.fold.losses == [(LINK_STALE, CAUSE_SILENCE)] and venue.feed.restart
    venue.feed.closed(venue.now_ns, venue.rows)
    venue.fold.hear(venue.rows.take())
    assert venue.fold.losses[-1] == (LINK_DOWN, CAUSE_CLOSED)
    venue = Venue()
    venue.say({"event": "bts:request_reconnect", "channel": "", "data": None})
    assert "connected to anew" in venue.feed.restart
    venue.say({"event": "bts:error", "channel": "", "data": {"code": None, "message": "Invalid channel provided."}})
    assert "Invalid channel" in venue.feed.refused[""]


# --- single orders ----------------------------------------------------------------------------------------------------


class OrderVenue(Venue):
    """The same, told order by order."""

    def __init__(self):
        super().__init__(orders=True)
        self.orders = {}
        self.events = 0

    def event(self, what, number, side, ticks, lots, heard=True):
        self.now_ns += SECOND // 10
        before, self.events = self.events, self.events + 1
        if what == "order_deleted":
            self.orders.pop(number, None)
        else:
            self.orders[number] = (side, ticks, lots)
        data = {
            "id": number, "id_str": str(number), "order_type": 0 if side == BID else 1, "datetime": "1",
            "microtimestamp": us(self.now_ns), "amount": float(lots), "amount_str": BTC.qty_text(lots),
            "price": float(ticks), "price_str": BTC.price_text(ticks),
        }  # fmt: skip
        message = {
            "data": data, "channel": self.channel, "event": what, "event_id": f"e{self.events}",
            "pre_event_id": f"e{before}",
        }  # fmt: skip
        if heard:
            self.say(message)

    def answer(self, at_ns=None, status=200):
        (fetch,) = self.feed.fetches
        self.feed.fetches.clear()
        assert fetch.path == "/api/v2/order_book/btcusd/?group=2"
        sides = {
            name: [[BTC.price_text(t), BTC.qty_text(q), str(n)] for n, (s, t, q) in self.orders.items() if s == side]
            for name, side in (("bids", BID), ("asks", ASK))
        }
        body = json.dumps({"microtimestamp": us(self.now_ns)} | sides).encode()
        self.feed.answered(fetch.tag, status, body, self.now_ns, self.rows)
        self.fold.hear(self.rows.take())


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(1, 12), st.booleans(), st.integers(0, 9), st.integers(0, 4), st.integers(0, 9)),
        max_size=60,
    )
)
def test_single_orders_follow_their_chain(events):
    """Orders come, change and go; a lost event is noticed by the next, and a live book is always the venue's."""
    venue = OrderVenue()
    venue.event("order_created", 1_000, BID, 90_00, 5)
    venue.answer()
    assert venue.fold.live and set(venue.fold.orders) == {1_000}
    missing = False
    for number, bid, off, lots, luck in events:
        side = BID if bid else ASK
        known = venue.orders.get(number)
        if known is not None:
            side = known[0]
        ticks = 99_00 - off if side == BID else 101_00 + off
        what = "order_created" if known is None else "order_changed" if lots else "order_deleted"
        heard = luck > 0
        if not heard and venue.fold.live:
            missing = True
        venue.event(what, number, side, ticks, max(lots, 1) if what != "order_deleted" else 0, heard)
        if heard and missing:
            assert venue.fold.losses[-1] == (LINK_GAP, CAUSE_SEQUENCE) and not venue.fold.live
            missing = False
        if heard and not venue.fold.live:
            venue.answer()
        if heard:
            assert venue.fold.live and venue.fold.orders == venue.orders


def test_an_order_that_takes_is_not_of_the_book():
    """An order shown before it trades is added only when what is left of it rests."""
    venue = OrderVenue()
    venue.event("order_created", 7, ASK, 101_00, 5)
    venue.answer()
    venue.event("order_created", 8, BID, 102_00, 9)
    assert list(venue.fold.orders) == [7]
    venue.event("order_deleted", 7, ASK, 101_00, 0)
    venue.event("order_changed", 8, BID, 102_00, 4)
    assert venue.fold.orders == {8: (BID, 102_00, 4)}
    venue.event("order_created", 9, ASK, 102_00, 4)
    venue.event("order_deleted", 9, ASK, 102_00, 0)
    venue.event("order_deleted", 8, BID, 102_00, 0)
    assert not venue.fold.orders and venue.feed.counts["ends of orders that were not in the book"] == 1


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_instruments(recordings):
    """Markets of the listing of 2021, and a row of the newer one, with their steps and least values."""
    text = (recordings / "bitstamp" / "recorded_20210417" / "pairs.raw").read_text().splitlines()[0]
    by_symbol = {one.symbol: one for one in instruments(text[text.index(": [") + 2 :].encode())}
    btc, known = by_symbol["btcusd"], recorded_instruments(recordings, "bitstamp")
    assert (btc.base, btc.quote, btc.notional_min) == ("BTC", "USD", Decimal(25))
    for symbol, one in known.items():
        assert (by_symbol[symbol].tick, by_symbol[symbol].lot) == (one.tick, one.lot)
    newer = {
        "name": "BTC/USD", "market_symbol": "btcusd", "base_decimals": 8, "counter_decimals": 0,
        "minimum_order_value": "10", "minimum_order_amount": "0.0001", "trading": "Enabled",
    }  # fmt: skip
    (one,) = instruments(json.dumps([newer]).encode())
    assert (one.tick, one.qty_min, one.notional_min) == (Decimal(1), Decimal("0.0001"), Decimal(10))
    for body in (b"", b"{}", b"[1]", b'[{"name":"A/B","base_decimals":8,"counter_decimals":2,"minimum_order":"x"}]'):
        with pytest.raises(Malformed, match="bitstamp"):
            instruments(body)
    with pytest.raises(OperatorError, match="twice"):
        feeds([Followed(BTC, 0, 0), Followed(BTC, 0, 1)], ADDRESS)


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.booleans())
def test_garbage_gives_records_or_the_one_error(data, orders):
    """Bytes of messages changed, cut, or put in are never anything but records, a lost book, or Malformed."""
    venue = OrderVenue() if orders else Venue()
    venue.answer()
    trade = (
        b'{"channel": "live_trades_btcusd", "data": {"amount": 6.33, "amount_str": "6.33", "buy_order_id": 135, "id":'
        b' 164507734, "microtimestamp": "1618677693509000", "price": 312.88, "price_str": "312.88", "sell_order_id": 1,'
        b' "timestamp": "1618677693", "type": 0}, "event": "trade"}'
    )
    pool = [trade, json.dumps(venue.diff({BID: [(98_50, 2)], ASK: [(101_00, 0)]})).encode(), b'{"event":"bts:error"}']
    for _ in range(data.draw(st.integers(1, 5))):
        message = bytearray(data.draw(st.sampled_from(pool)))
        for _ in range(data.draw(st.integers(0, 3))):
            at = data.draw(st.integers(0, len(message) - 1))
            if data.draw(st.booleans()):
                message[at] = data.draw(st.integers(0, 255))
            else:
                message[at:at] = data.draw(st.sampled_from([b"[", b"{", b"9", b'"', b"-", b"1e9", b"null", b"\x00"]))
        try:
            venue.say(bytes(message))
        except Malformed as error:
            assert "\n" not in str(error) and len(str(error)) <= 300
            venue.feed.closed(START_NS, venue.rows)
            venue.fold.hear(venue.rows.take())
            venue.feed.opened(START_NS, venue.rows)

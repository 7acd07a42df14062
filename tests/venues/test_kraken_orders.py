"""Kraken's single orders: the rows give the venue's queues, and a lost message never leaves a wrong book live."""

from __future__ import annotations

import json
import zlib
from decimal import Decimal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, LINK_GAP
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_orders import order_id_of
from pinnacle.venues.feed import CAUSE_CHECKSUM, LIVE, SYNCING, Followed, Rows
from pinnacle.venues.kraken_messages import Order
from pinnacle.venues.kraken_orders import KrakenOrdersFeed, OrderDepth
from tests.venues.fold import Fold

BTC = Instrument("kraken", "BTC/USD", Decimal("0.1"), Decimal("0.00000001"))
START_NS = 1_705_320_000_000_000_000
ASKS = "44939545230839344939511126144939510000044939510000004495001033492644953064537449550250000449596356300004495963563000044960133807244960288967575449670314392283449785677896044979235630000"  # noqa: E501
BIDS = "449394889686994493944521000044939410000000449394142963234493942500000044939410292988449394338800004493941281408604493713346877449347356300004493022273429944930210000004493025550000449302700000004493021500000044928010524044919633870000449195761000044912035630000449097669000044901988982"  # noqa: E501


class Venue:
    """A book of orders told as Kraken tells it: the first levels, adds of what comes into them, a checksum."""

    def __init__(self, depth=10):
        self.depth = depth
        self.queues = {BID: {}, ASK: {}}  # ticks -> id -> lots
        self.told = {BID: {}, ASK: {}}

    def seen(self):
        return {
            side: {t: dict(self.queues[side][t]) for t in sorted(self.queues[side], reverse=side == BID)[: self.depth]}
            for side in (BID, ASK)
        }

    def place(self, side, ticks, name, lots):
        self.queues[side].setdefault(ticks, {})[name] = lots

    def end(self, name):
        for levels in self.queues.values():
            for ticks, queue in list(levels.items()):
                queue.pop(name, None)
                if not queue:
                    del levels[ticks]

    def message(self, kind):
        """What changed since the last message."""
        now, before = self.seen(), self.told if kind == "update" else {BID: {}, ASK: {}}
        sides = {BID: [], ASK: []}
        for side, levels in now.items():
            worst = next(reversed(levels)) if len(levels) == self.depth else None
            for ticks, queue in before[side].items():
                if worst is not None and (ticks - worst) * side < 0:
                    continue  # fell out: nothing is said
                for name in queue:
                    if name not in levels.get(ticks, {}):
                        sides[side].append(("delete", ticks, name, 0))
            for ticks, queue in levels.items():
                had = before[side].get(ticks, {})
                for name, lots in queue.items():
                    if name not in had:
                        sides[side].append(("add" if kind == "update" else "", ticks, name, lots))
                    elif had[name] != lots:
                        sides[side].append(("modify", ticks, name, lots))
        self.told = now
        text = "".join(
            f"{ticks}{lots}"
            for side in (ASK, BID)
            for ticks, queue in list(now[side].items())[:10]
            for lots in queue.values()
        )
        rows = {
            side: ",".join(
                f'{{"event":"{event}","order_id":"{name}","limit_price":{BTC.price_text(ticks)},'
                f'"order_qty":{BTC.qty_text(lots)},"timestamp":"2024-01-15T12:00:00.000000Z"}}'.replace(
                    '"event":"",', ""
                )
                for event, ticks, name, lots in listed
            )
            for side, listed in sides.items()
        }
        return (
            f'{{"channel":"level3","type":"{kind}","data":[{{"symbol":"BTC/USD","checksum":{zlib.crc32(text.encode())},'
            f'"timestamp":"2024-01-15T12:00:00.000000Z","bids":[{rows[BID]}],"asks":[{rows[ASK]}]}}]}}'
        ).encode()

    def queued(self, side):
        return [(order_id_of(n), t, q) for t, queue in self.seen()[side].items() for n, q in queue.items()]


CHANGE = st.tuples(
    st.sampled_from([BID, ASK]), st.integers(0, 25), st.integers(0, 30), st.integers(0, 5), st.integers(0, 9)
)


@settings(deadline=None, max_examples=80)
@given(st.lists(st.lists(CHANGE, min_size=1, max_size=6), max_size=25), st.booleans())
def test_orders_are_the_venues_and_losses_are_noticed(steps, losing):
    """After each message that is heard the orders said are the venue's in their queues; a lost one is never covered."""
    venue, fold, rows = Venue(), Fold(), Rows()
    feed = KrakenOrdersFeed([Followed(BTC, 0, 0, depth=10, orders=True)], "token")
    feed.opened(START_NS, rows)
    (asked,) = (json.loads(one)["params"] for one in feed.sends)
    assert asked == {"channel": "level3", "symbol": ["BTC/USD"], "depth": 10, "token": "token"}
    feed.received(venue.message("snapshot"), START_NS, rows)
    for step in steps:
        lost = False
        for side, off, number, lots, luck in step:
            name = f"O{number:05d}-AAAAA-{'B' if side == BID else 'S'}0000"
            ticks = (420_000 - off) if side == BID else (420_001 + off)
            known = next((t for t, queue in venue.queues[side].items() if name in queue), None)
            if lots == 0:
                venue.end(name)
            elif known is None:
                venue.place(side, ticks, name, lots)
            else:
                venue.queues[side][known][name] = lots
            lost = lost or (losing and luck == 0)
        message = venue.message("update")
        if lost:
            continue
        feed.received(message, START_NS, rows)
        fold.hear(rows.take())
        if not fold.live:
            assert fold.losses[-1] == (LINK_GAP, CAUSE_CHECKSUM) and feed.states() == [SYNCING]
            feed.received(venue.message("snapshot"), START_NS, rows)
            fold.hear(rows.take())
        assert fold.live and feed.states() == [LIVE]
        for side in (BID, ASK):
            said = [(n, t, q) for n, (s, t, q) in fold.orders.items() if s == side]
            want = venue.queued(side)
            assert sorted(said) == sorted(want)
            for ticks in {t for _, t, _ in want}:
                mine = [n for t, queue in feed.orders[0].levels[side].items() if t == ticks for n in queue]
                assert [order_id_of(n) for n in mine] == [n for n, t, _ in want if t == ticks]


def test_the_published_checksum():
    """The documentation's text of a book of orders has the documentation's checksum."""
    assert zlib.crc32((ASKS + BIDS).encode()) == 1063832831


def test_samples(recordings):
    """Recorded shapes: a whole book, an add, changes of quantity and price, a deletion; checksums set right."""
    folder = recordings / "exec" / "kraken" / "nautilus"
    book, rows = OrderDepth(Followed(BTC, 0, 0, depth=10)), Rows()
    feed = KrakenOrdersFeed([Followed(BTC, 0, 0, depth=10)], "t")
    feed.opened(START_NS, rows)
    fold = Fold()
    steps = ["snapshot", "update_add", "update_modify_qty", "update_modify_price", "update_delete"]
    kinds = {"snapshot": 5, "update_add": 6, "update_modify_qty": 6, "update_modify_price": 6, "update_delete": 5}
    for name in steps:
        text = (folder / f"ws_l3_{name}.json").read_text()
        (data,) = json.loads(text, parse_float=str)["data"]
        for side, key in ((BID, "bids"), (ASK, "asks")):
            for one in data[key]:
                order = Order(
                    one["order_id"], msgspec.Raw(one["limit_price"].encode()), msgspec.Raw(one["order_qty"].encode()),
                    event=one.get("event", ""),
                )  # fmt: skip
                book.apply(side, order, 0, 0, 0, Rows())
        feed.received(text.replace('"checksum": 0', f'"checksum": {book.checksum()}').encode(), START_NS, rows)
        fold.hear(rows.take())
        assert fold.live and len(fold.orders) == kinds[name], name
    bid = fold.orders[order_id_of("order-bid-1")]
    assert bid == (BID, 419_980, 50_000_000)

"""Coinbase Advanced Trade: published payloads decode, every lost message of a connection is noticed."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from pinnacle.errors import OperatorError
from pinnacle.event import ASK, BID, LINK_GAP, LINK_STALE, LINK_UP
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_advanced import AdvancedFeed, book_name, feeds, instruments, instruments_path
from pinnacle.venues.feed import (
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
from tests.venues.tape import Player

S = 1_000_000_000
BTC = Instrument("coinbase-advanced", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
ETH = Instrument("coinbase-advanced", "ETH-USDC", Decimal("0.01"), Decimal("0.00000001"))


class Venue:
    """Messages of one connection, numbered."""

    def __init__(self):
        self.number = -1

    def say(self, channel, events, skip=0):
        self.number += 1 + skip
        return json.dumps(
            {"channel": channel, "client_id": "", "timestamp": "2026-04-07T14:30:01.000000Z",
             "sequence_num": self.number, "events": events}
        ).encode()  # fmt: skip

    def levels(self, kind, *levels, product="BTC-USD", **how):
        updates = [{"side": s, "event_time": "x", "price_level": p, "new_quantity": q} for s, p, q in levels]
        return self.say("l2_data", [{"type": kind, "product_id": product, "updates": updates}], **how)


WHOLE = (("bid", "10.00", "1"), ("offer", "10.02", "3"), ("ask", "10.03", "2.5"))


def started():
    made, venue = Player(AdvancedFeed([Followed(BTC, 0, 7), Followed(ETH, 0, 8)])), Venue()
    made.sent()
    made.receive(venue.levels("snapshot", *WHOLE))
    made.receive(venue.levels("snapshot", *WHOLE, product="ETH-USD"))
    assert made.feed.states() == [LIVE, LIVE]
    return made, venue


def test_published_payloads_decode(recordings):
    """Every public sample becomes the records that it says; "offer" is the ask side."""
    made = Player(AdvancedFeed([Followed(BTC, 0, 7)]))
    folder = recordings / "exec" / "coinbase" / "nautilus"
    said = {}
    for name in ("l2_data_snapshot", "l2_data_update", "market_trades", "ticker", "heartbeats", "subscriptions"):
        message = json.loads((folder / f"ws_{name}.json").read_text())
        message["sequence_num"] = len(said)
        said[name] = made.receive(json.dumps(message).encode())
    books = made.books
    assert books.live[7] and not made.feed.restart
    assert books.levels[7][BID][6_890_000] == 2 * 10**8 and books.levels[7][BID][6_889_950] == 75 * 10**6
    assert 6_890_100 not in books.levels[7][ASK] and books.levels[7][ASK][6_890_150] == 12 * 10**7
    assert [(side, ticks, trade_id) for _, side, ticks, _, trade_id in books.trades] == [
        (-1, 6_890_050, 995_098_700), (1, 6_890_000, 995_098_701)
    ], "a BUY was the maker's"  # fmt: skip
    assert [(side, ticks, lots) for _, side, ticks, lots, _ in books.tickers] == [
        (BID, 6_890_000, 15 * 10**7), (ASK, 6_890_100, 5 * 10**7)
    ]  # fmt: skip
    assert said["heartbeats"].size == said["subscriptions"].size == 0
    assert said["l2_data_update"]["ts_venue_ns"][0] == 1_775_572_201_456_789_000


def test_it_subscribes_channel_by_channel():
    """One message a channel, heartbeats without products, a fresh token each where there is a key; USDC is its twin."""
    (plain,) = feeds([Followed(BTC, 0, 0), Followed(ETH, 0, 1)])
    asked = [json.loads(text) for text in Player(plain).sent()]
    assert [one["channel"] for one in asked] == ["heartbeats", "level2", "market_trades", "ticker"]
    assert "product_ids" not in asked[0] and asked[1]["product_ids"] == ["BTC-USD", "ETH-USD"]
    assert not any("jwt" in one for one in asked)
    tokens = iter("abcd")
    (private,) = feeds([Followed(BTC, 0, 0)], sign=lambda ts_ns: next(tokens))
    assert [json.loads(text)["jwt"] for text in Player(private).sent()] == list("abcd")
    assert book_name("USDT-USDC") == "USDT-USDC"
    twin = Instrument("coinbase-advanced", "BTC-USDC", Decimal("0.01"), Decimal("0.00000001"))
    with pytest.raises(OperatorError, match="twice"):
        feeds([Followed(BTC, 0, 0), Followed(twin, 0, 1)])
    with pytest.raises(OperatorError, match="not offered"):
        feeds([Followed(BTC, 0, 0, orders=True)])


@pytest.mark.parametrize("channel", ["l2_data", "heartbeats", "market_trades", "candles"])
def test_a_lost_message_of_any_channel_loses_every_book(channel):
    """The number is the connection's: all books LINK_GAP, a new connection, and nothing more is said."""
    made, venue = started()
    events = {"market_trades": [], "l2_data": []}.get(channel, [{"any": 1}])
    made.receive(venue.say(channel, events, skip=1))
    assert made.books.links[-2:] == [(7, LINK_GAP, CAUSE_SEQUENCE), (8, LINK_GAP, CAUSE_SEQUENCE)]
    assert made.feed.states() == [STALE, STALE] and "2 is missing" in made.feed.restart
    assert made.receive(venue.levels("update", ("bid", "9.00", "1"))).size == 0
    made.close()
    made.feed.opened(made.ts_ns, made.rows)
    assert made.feed.states() == [SYNCING, SYNCING] and made.feed.restart == ""
    again = Venue()
    made.receive(again.levels("snapshot", *WHOLE))
    assert made.books.links[-1][:2] == (7, LINK_UP)


def test_doubled_and_swapped_messages():
    """A message again changes nothing; two in the wrong order are a gap."""
    made, venue = started()
    text = venue.levels("update", ("bid", "10.01", "1"))
    assert made.receive(text).size == 1 and made.receive(text).size == 0 and made.feed.counts["late"] == 1
    first, second = venue.levels("update", ("bid", "10.01", "2")), venue.levels("update", ("bid", "10.01", "0"))
    made.receive(second), made.receive(first)
    assert made.books.links[-1][1:] == (LINK_GAP, CAUSE_SEQUENCE)


def test_trades_from_before_the_subscription_are_not_said():
    """The first event is a snapshot of the past; later trades are said once each, oldest first."""
    made, venue = started()
    made_of = {"product_id": "BTC-USD", "price": "10.00", "size": "1", "side": "SELL", "time": "2026-04-07T14:30:02Z"}

    def trades(kind, *ids):
        return venue.say("market_trades", [{"type": kind, "trades": [made_of | {"trade_id": str(k)} for k in ids]}])

    assert made.receive(trades("snapshot", 4, 3)).size == 0
    assert made.receive(trades("update", 6, 5, 4))["aux"].tolist() == [5, 6]
    with pytest.raises(Malformed):
        made.receive(trades("update", "x"))


def test_crossed_silent_refused_and_garbage():
    """Each with its own cause, every book stale, and a new connection wanted."""
    made, venue = started()
    made.receive(venue.levels("update", ("bid", "10.05", "1")))
    assert made.books.links[-1][1:] == (LINK_STALE, CAUSE_CROSSED) and made.feed.restart
    made, venue = started()
    made.tick(made.ts_ns + made.feed.silence_ns + 1)
    assert made.books.links[-1][1:] == (LINK_STALE, CAUSE_SILENCE) and made.feed.restart
    made, venue = started()
    made.receive(b'{"type":"error","message":"authentication failure"}')
    assert made.books.links[-1][1:] == (LINK_STALE, CAUSE_VENUE) and "authentication failure" in made.feed.restart
    garbage = [b"", b"{}", b"[1]", b"\xff\xfe", b'{"channel":"l2_data","sequence_num":2}']
    for text in [*garbage, ("odd",), ("update", ("bid", "1e", "1"))]:
        made, venue = started()
        with pytest.raises(Malformed, match="coinbase-advanced"):
            made.receive(text if isinstance(text, bytes) else venue.levels(*text))
        made.hear()
        assert made.books.links[-1][1:] == (LINK_STALE, CAUSE_MALFORMED), text


def test_products_are_instruments(recordings):
    """price_increment is the tick; a list and a single product are taken."""
    folder = recordings / "exec" / "coinbase" / "nautilus"
    found = instruments((folder / "http_products.json").read_bytes())
    assert (found[0].symbol, found[0].tick, found[0].lot) == ("BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
    assert found[0].notional_min == 1 and found[0].base == "BTC"
    assert instruments((folder / "http_product.json").read_bytes())[0].symbol == "BTC-USD"
    assert instruments_path(["BTC-USD"]).endswith("/BTC-USD")
    with pytest.raises(Malformed):
        instruments(b"busy")

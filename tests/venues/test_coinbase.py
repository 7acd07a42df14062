"""Coinbase Exchange: the recordings give the venue's own books, and losses are noticed where they can be."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pytest

from pinnacle.errors import OperatorError
from pinnacle.event import (
    ASK,
    BID,
    LINK_DOWN,
    LINK_GAP,
    LINK_STALE,
    LINK_UP,
    MARKET_STATE,
    ORDER_ADD,
    ORDER_DELETE,
    ORDER_MODIFY,
    STATE_CANCEL_ONLY,
    TRADE,
)
from pinnacle.history.coinbase import order_id_of as order_id_of_history
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase import CoinbaseFeed, feeds, instruments, instruments_path
from pinnacle.venues.coinbase_orders import order_id_of
from pinnacle.venues.feed import (
    CAUSE_CLOCK,
    CAUSE_CLOSED,
    CAUSE_CROSSED,
    CAUSE_MALFORMED,
    CAUSE_SEQUENCE,
    CAUSE_SILENCE,
    CAUSE_VENUE,
    EMPTY,
    LIVE,
    STALE,
    SYNCING,
    Followed,
    Malformed,
)
from tests.recordings.tapes import instruments as recorded_instruments
from tests.venues.tape import Player, lines

S = 1_000_000_000
BTC = Instrument("coinbase", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
SNAPSHOT = {
    "type": "snapshot",
    "product_id": "BTC-USD",
    "bids": [["10.00", "1"], ["9.99", "2"]],
    "asks": [["10.02", "3"]],
}


def signed(ts_ns):
    return {"signature": "s", "key": "k", "passphrase": "p", "timestamp": str(ts_ns // S)}


def iso(seconds):
    return f"2024-01-01T00:{seconds // 60:02d}:{seconds % 60:02d}.000000Z"


def update(changes, seconds=0):
    return {"type": "l2update", "product_id": "BTC-USD", "changes": changes, "time": iso(seconds)}


def match(trade_id, side="buy", **more):
    return {
        "type": "match", "trade_id": trade_id, "sequence": trade_id * 10, "maker_order_id": "m", "taker_order_id": "t",
        "time": iso(0), "product_id": "BTC-USD", "size": "0.5", "price": "10.00", "side": side,
    } | more  # fmt: skip


def heartbeat(trade_id):
    return {"type": "heartbeat", "sequence": 1, "last_trade_id": trade_id, "product_id": "BTC-USD", "time": iso(0)}


def player(*messages, orders=False, **how):
    made = Player(CoinbaseFeed([Followed(BTC, 0, 7, orders=orders)], signed if orders else None, **how))
    made.sent()
    for message in messages:
        made.receive(json.dumps(message).encode())
    return made


def say(to, message, ts_ns=None):
    return to.receive(json.dumps(message).encode(), ts_ns)


# --- recordings -------------------------------------------------------------------------------------------------------


def test_the_2021_recording_gives_books_that_the_ticker_confirms(recordings):
    """6 books never cross, 6,963 updates are taken, the top equals the ticker in 85 of 90, trades agree with it."""
    tape = recordings / "coinbase" / "recorded_20210417" / "ws.raw"
    found = recorded_instruments(recordings, "coinbase")
    names = ["SKL-USD", "DASH-BTC", "BAND-BTC", "NMR-EUR", "YFI-BTC", "SKL-GBP"]
    first_ns = next(iter(lines(tape)))[0]
    made = Player(CoinbaseFeed([Followed(found[name], 0, k) for k, name in enumerate(names)]), first_ns)
    equal = tickers = updates = 0
    levels = 0
    takers = {}
    for ts_ns, data in lines(tape):
        kind = json.loads(data)["type"]
        said = made.receive(data, ts_ns)
        updates += kind == "l2update"
        levels += int((said["kind"] == 2).sum()) if kind == "l2update" else 0
        if kind == "ticker":
            who, _, ticks, _, _ = made.books.tickers[-1]
            tickers += 1
            best = made.books.best(who) if who in made.books.levels else (0, 0)
            equal += best == (made.books.tickers[-2][2], ticks)
            message = json.loads(data)
            takers[message["product_id"], message["trade_id"]] = {"buy": 1, "sell": -1}[message["side"]]
        for who, live in made.books.live.items():
            bid, ask = made.books.best(who)
            assert live and 0 < bid < ask
    assert (tickers, equal, updates, levels) == (90, 85, 6963, 6963)
    assert len(made.books.trades) == 84
    agreed = [takers[names[who], trade_id] == side for who, side, _, _, trade_id in made.books.trades]
    assert all(agreed) and len(agreed) == 84, "the match says the maker's side, the ticker the taker's"
    assert [link[1] for link in made.books.links] == [LINK_UP] * 6
    assert list(made.feed.states()) == [LIVE] * 6
    assert not made.feed.restart and set(made.feed.counts) <= {"acknowledged"}


def test_single_orders_summed_are_the_levels(recordings):
    """The level 3 book over REST, summed per price, is the level 2 book in 18,323 of 18,376 and 26,967 of 27,017."""
    folder = recordings / "coinbase" / "book_snapshots_20260807"
    books = {level: json.loads(gzip.decompress((folder / f"btcusd_l{level}.json.gz").read_bytes())) for level in (2, 3)}
    made = player(orders=True)
    start = books[3]["sequence"]
    say(made, {"type": "noop", "product_id": "BTC-USD", "sequence": start + 1, "time": iso(0)})
    (fetch,) = made.feed.fetches
    assert fetch.path == "/products/BTC-USD/book?level=3"
    said = made.answer(fetch.tag, 200, json.dumps(books[3]).encode())
    assert made.books.live[7] and said.size == 57_419 + 53_187 + 2
    summed = made.books.summed(7)
    for side, name, wanted in ((BID, "bids", (18_323, 18_376)), (ASK, "asks", (26_967, 27_017))):
        counts = {}
        for one_side, ticks, _ in made.books.orders[7].values():
            if one_side == side:
                counts[ticks] = counts.get(ticks, 0) + 1
        level2 = [(BTC.ticks(price), BTC.lots(size), count) for price, size, count in books[2][name]]
        same = sum(summed[side].get(t) == q and counts.get(t) == n for t, q, n in level2)
        assert (same, len(level2)) == wanted


# --- levels -----------------------------------------------------------------------------------------------------------


def test_it_subscribes_and_signs_where_it_must():
    """Levels without a key go by level2_batch, with one by level2; the four fields of the signature are at the top."""
    (plain,) = feeds([Followed(BTC, 0, 0)])
    asked = json.loads(Player(plain).sent()[0])
    assert asked["type"] == "subscribe" and asked["product_ids"] == ["BTC-USD"] and "key" not in asked
    assert {one["name"] for one in asked["channels"]} == {"heartbeat", "ticker", "level2_batch", "matches"}
    (private,) = feeds([Followed(BTC, 0, 0)], sign=signed)
    asked = json.loads(Player(private).sent()[0])
    assert {one["name"] for one in asked["channels"]} == {"heartbeat", "ticker", "level2", "matches"}
    assert {name: asked[name] for name in signed(S)} == signed(S)
    assert plain.headers["User-Agent"]
    with pytest.raises(OperatorError, match="credentials"):
        feeds([Followed(BTC, 0, 0, orders=True)])
    with pytest.raises(OperatorError, match="twice"):
        feeds([Followed(BTC, 0, 0), Followed(BTC, 0, 1)])


def test_a_book_goes_live_and_changes():
    """Snapshot, then changes by side; zero however spelled removes."""
    made = player(SNAPSHOT)
    assert made.feed.states() == [LIVE]
    say(made, update([["buy", "10.01", "0.5"], ["sell", "10.02", "0.00000000"], ["sell", "10.03", "1"]]))
    say(made, update([["buy", "9.99", "0"]]))
    assert made.books.levels[7] == {BID: {1000: 10**8, 1001: 5 * 10**7}, ASK: {1003: 10**8}}


def test_a_missing_trade_makes_the_book_stale_and_it_is_asked_for_again():
    """trade ids 5, 7: LINK_GAP, unsubscribe and subscribe of that book, and nothing of it until its snapshot."""
    made = player(SNAPSHOT, match(5))
    say(made, match(7))
    assert made.books.links[-1] == (7, LINK_GAP, CAUSE_SEQUENCE) and made.feed.states() == [SYNCING]
    asked = [json.loads(text) for text in made.sent()]
    assert [one["type"] for one in asked] == ["unsubscribe", "subscribe"]
    assert all(one["channels"] == [{"name": "level2_batch", "product_ids": ["BTC-USD"]}] for one in asked)
    assert say(made, update([["buy", "9.98", "1"]])).size == 0
    say(made, SNAPSHOT)
    assert made.feed.states() == [LIVE] and made.books.links[-1][1] == LINK_UP


def test_trades_twice_or_late_are_said_once():
    """A trade id at or below the last is not a trade again, and no loss."""
    made = player(SNAPSHOT, match(5), match(6), match(6), match(5))
    assert [trade[4] for trade in made.books.trades] == [5, 6]
    assert made.feed.counts["late"] == 2 and made.feed.states() == [LIVE]
    assert made.books.trades[0][1] == -1, "the maker bought, so the aggressor sold"


def test_the_last_match_before_the_subscription_is_no_news_but_counts():
    """last_match says no trade; the next one must follow it."""
    made = player(SNAPSHOT, match(5, type="last_match"), match(6))
    assert [trade[4] for trade in made.books.trades] == [6] and made.feed.states() == [LIVE]
    say(made, match(8))
    assert made.books.links[-1][1] == LINK_GAP


def test_a_heartbeat_tells_of_trades_that_never_came():
    """Trades that a heartbeat knew of have come before the next one, or the book is stale; in time, nothing happens."""
    made = player(SNAPSHOT, match(5), heartbeat(6), match(6), heartbeat(6))
    assert made.feed.states() == [LIVE]
    say(made, heartbeat(7))
    assert made.feed.states() == [LIVE]
    say(made, heartbeat(7))
    assert made.books.links[-1] == (7, LINK_GAP, CAUSE_SEQUENCE)


def test_updates_in_the_wrong_order_are_noticed_by_their_times():
    """A time that goes back is a message out of order: the book is asked for anew."""
    made = player(SNAPSHOT, update([["buy", "9.98", "1"]], 5), update([["buy", "9.98", "2"]], 5))
    assert made.feed.states() == [LIVE]
    assert say(made, update([["buy", "9.98", "3"]], 4))[-1]["kind"] == LINK_GAP
    assert made.books.levels[7][BID][998] == 2 * 10**8


def test_a_lost_update_that_crosses_the_book_is_noticed():
    """The sign of a lost removal: the next best bid stands above an ask that should have gone."""
    made = player(SNAPSHOT, update([["buy", "10.02", "1"], ["sell", "10.02", "0"], ["sell", "10.04", "1"]]))
    assert made.feed.states() == [LIVE], "sides may pass each other within a message"
    say(made, update([["buy", "10.04", "1"]]))
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_CROSSED) and made.feed.states() == [SYNCING]
    say(made, SNAPSHOT)
    assert made.feed.states() == [LIVE]


def test_a_lost_update_that_crosses_nothing_is_not_noticed():
    """What no client can know: levels have no number, so a message lost between two trades leaves a wrong level."""
    made = player(SNAPSHOT, update([["buy", "9.97", "1"]], 1))
    # lost: update([["buy", "9.97", "0"]], 2)
    say(made, update([["buy", "9.96", "1"]], 3))
    assert made.feed.states() == [LIVE] and 997 in made.books.levels[7][BID]


def test_silence_and_a_book_that_never_comes():
    """Nothing for longer than silence_ns: LINK_STALE and a new connection; no snapshot in 30 s: a new connection."""
    made = player(SNAPSHOT)
    made.tick(made.ts_ns + made.feed.silence_ns)
    assert made.feed.states() == [LIVE] and not made.feed.restart
    made.tick(made.ts_ns + 1)
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_SILENCE) and "nothing came" in made.feed.restart
    assert made.feed.states() == [STALE]
    made.close()
    assert made.books.links[-1] == (7, LINK_DOWN, CAUSE_CLOSED) and made.feed.states() == [EMPTY]
    made.feed.opened(made.ts_ns, made.rows)
    assert made.feed.restart == "" and made.feed.states() == [SYNCING]
    for k in range(40):
        say(made, heartbeat(1), made.ts_ns + S)
        made.tick(made.ts_ns)
        assert bool(made.feed.restart) == (k > 30), k
    assert "BTC-USD" in made.feed.restart


def test_clocks_that_jump():
    """Our clock set back, or data far older than the freshest heard: the books are stale and the connection is new."""
    made = player(SNAPSHOT, update([["buy", "9.98", "1"]], 100))
    say(made, update([["buy", "9.98", "2"]], 101), made.ts_ns + 5 * S)
    assert made.feed.states() == [LIVE], "five seconds late, and no more than that"
    said = say(made, update([["buy", "9.98", "3"]], 102), made.ts_ns + 7 * S)
    assert said["kind"].tolist() == [LINK_STALE] and made.books.links[-1][2] == CAUSE_CLOCK
    made = player(SNAPSHOT)
    made.tick(made.ts_ns + 3 * S)
    made.tick(made.ts_ns - 2 * S)
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_CLOCK) and "clock" in made.feed.restart


def test_a_refusal_ends_the_connection_and_is_quoted():
    """`error` from the venue: the reason it gives is what the person reads."""
    made = player(SNAPSHOT, {"type": "error", "message": "Failed to subscribe", "reason": "BTC-USDX is not a product"})
    assert "BTC-USDX is not a product" in made.feed.restart
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_VENUE)


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"\xff", b'{"type":1}', b'{"type":"l2update"}', b"[" * 10_000,
        b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","x","1"]],"time":"2024-01-01T00:00:00Z"}',
        b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","10.001","1"]],"time":"2024-01-01T00:00:00Z"}',
        b'{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","1"]],"time":"yesterday"}',
        b'{"type":"match","product_id":"BTC-USD","trade_id":99999999999999999999,"sequence":1,"side":"buy"}',
    ],
)  # fmt: skip
def test_what_is_no_message_is_malformed_and_the_book_stale(text):
    """One error of one line that says the venue, and LINK_STALE before it."""
    made = player(SNAPSHOT)
    with pytest.raises(Malformed, match="coinbase") as error:
        made.receive(text)
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    made.hear()
    assert made.books.links[-1] == (7, LINK_STALE, CAUSE_MALFORMED) and made.feed.restart


def test_what_is_new_or_of_others_is_counted():
    """Types and products that nobody asked for change nothing."""
    made = player(SNAPSHOT, {"type": "auctionfeed", "x": 1}, SNAPSHOT | {"product_id": "ETH-USD"})
    assert made.feed.counts == {"unknown types": 1, "not followed": 1} and made.feed.states() == [LIVE]


def test_the_status_channel_says_what_the_market_takes():
    """MARKET_STATE where it changed, and only then."""
    product = {"id": "BTC-USD", "base_increment": "0.1", "quote_increment": "0.1", "status": "online"}
    made = player(SNAPSHOT, {"type": "status", "products": [product]})
    said = say(made, {"type": "status", "products": [product | {"cancel_only": True}]})
    assert said["kind"].tolist() == [MARKET_STATE] and said["aux"].tolist() == [STATE_CANCEL_ONLY]
    assert say(made, {"type": "status", "products": [product | {"cancel_only": True}]}).size == 0


# --- single orders ----------------------------------------------------------------------------------------------------


def order(kind, sequence, order_id="a", **more):
    return {"type": kind, "product_id": "BTC-USD", "sequence": sequence, "order_id": order_id, "time": iso(0)} | more


def opened(sequence, order_id, side="buy", price="10.00", size="1"):
    return order("open", sequence, order_id, side=side, price=price, remaining_size=size)


BOOK3 = {"sequence": 100, "bids": [["10.00", "1", "a"], ["10.00", "2", "b"]], "asks": [["10.02", "3", "c"]]}


def with_book(*before):
    made = player(*before, orders=True)
    (fetch,) = made.feed.fetches
    made.feed.fetches = []
    made.answer(fetch.tag, 200, json.dumps(BOOK3).encode())
    return made


def test_orders_join_the_whole_book_where_its_sequence_says():
    """Queued messages up to the snapshot are dropped, the rest follow it; ids are those of the importers."""
    made = with_book(
        opened(99, "a"),
        order("received", 100, "d"),
        opened(101, "d", price="9.99"),
        order("done", 102, "b", reason="canceled"),
    )
    assert made.feed.states() == [LIVE]
    assert made.books.orders[7] == {
        order_id_of("a"): [BID, 1000, 10**8], order_id_of("c"): [ASK, 1002, 3 * 10**8],
        order_id_of("d"): [BID, 999, 10**8],
    }  # fmt: skip
    assert order_id_of is order_id_of_history


def test_what_happens_to_orders():
    """A match reduces the maker and removes it at nothing; change keeps or moves; unknown ids change nothing."""
    made = with_book(order("received", 101, "x"))
    maker = {"maker_order_id": "b", "product_id": "BTC-USD", "side": "buy"}
    said = say(made, match(5, **maker, sequence=102, size="0.5"))
    assert said["kind"].tolist() == [TRADE, ORDER_MODIFY] and said[0]["side"] == -1
    assert said[0]["order_id"] == said[1]["order_id"] == order_id_of("b") and said[1]["qty_lots"] == 15 * 10**7
    said = say(made, match(6, **maker, sequence=103, size="1.5"))
    assert said["kind"].tolist() == [TRADE, ORDER_DELETE] and said[1]["qty_lots"] == 0
    assert say(made, order("done", 104, "b", reason="filled")).size == 0
    said = say(made, order("change", 105, "a", new_size="0.4", old_size="1", price="10.00"))
    assert (said[0]["kind"], said[0]["price_ticks"], said[0]["qty_lots"]) == (ORDER_MODIFY, 1000, 4 * 10**7)
    said = say(made, order("change", 106, "a", new_size="2", old_size="0.4", new_price="10.01", old_price="10.00"))
    assert (said[0]["price_ticks"], said[0]["qty_lots"]) == (1001, 2 * 10**8)
    assert say(made, order("change", 107, "never", new_size="2", price="1.00")).size == 0
    said = say(made, order("done", 108, "a", reason="canceled", remaining_size="2"))
    assert (said[0]["kind"], said[0]["qty_lots"]) == (ORDER_DELETE, 2 * 10**8)
    assert say(made, {"type": "activate", "product_id": "BTC-USD", "order_id": "z"}).size == 0
    assert say(made, opened(109, "e", side="sell"))[0]["kind"] == ORDER_ADD


def test_a_gap_in_the_orders_is_noticed_at_once_and_mended():
    """Dropped: LINK_GAP and a new whole book; doubled: nothing; swapped: a gap."""
    made = with_book(order("received", 101, "x"))
    assert say(made, order("received", 101, "x")).size == 0 and made.feed.counts["late"] == 1
    said = say(made, opened(103, "f"))
    assert said["kind"].tolist() == [LINK_GAP] and made.feed.states() == [SYNCING]
    (fetch,) = made.feed.fetches
    made.feed.fetches = []
    assert say(made, opened(102, "g")).size == 0
    made.answer(fetch.tag, 200, json.dumps(BOOK3 | {"sequence": 101}).encode())
    assert made.feed.states() == [SYNCING], "102 is not in that book, nor will it come"
    (again,) = made.feed.fetches
    assert again.after_ns > 0
    made.answer(again.tag, 200, json.dumps(BOOK3 | {"sequence": 102}).encode())
    assert made.feed.states() == [LIVE] and order_id_of("f") in made.books.orders[7]


def test_a_refused_whole_book_is_asked_for_later_and_later():
    """429 and no answer at all: again after one, two, four ... seconds."""
    made = player(order("received", 101, "x"), orders=True)
    waits = []
    for status in (429, 0, 503, 500, 500, 500, 500):
        (fetch,) = made.feed.fetches
        made.feed.fetches = []
        made.answer(fetch.tag, status, b"")
        waits.append(made.feed.fetches[0].after_ns // S)
    assert waits == [1, 2, 4, 8, 16, 32, 32]


def test_the_compact_channel_says_the_same():
    """level3 arrays by the order of its schema message; noop counts; a trade's side is its maker's by the book."""
    schema = {
        "change": ["type", "product_id", "sequence", "order_id", "price", "size", "time"],
        "done": ["type", "product_id", "sequence", "order_id", "time"],
        "match": ["type", "product_id", "sequence", "maker_order_id", "taker_order_id", "price", "size", "time"],
        "noop": ["type", "product_id", "sequence", "time"],
        "open": ["type", "product_id", "sequence", "order_id", "side", "price", "size", "time"],
    }
    made = player({"type": "level3", "schema": schema}, orders=True, orders_channel="level3")
    say(made, ["noop", "BTC-USD", "101", iso(0)])
    made.answer(made.feed.fetches[0].tag, 200, json.dumps(BOOK3).encode())
    say(made, ["open", "BTC-USD", "102", "d", "sell", "10.05", "0.02", iso(1)])
    said = say(made, ["match", "BTC-USD", "103", "c", "t", "10.02", "1", iso(2)])
    assert said["kind"].tolist() == [TRADE, ORDER_MODIFY] and said["side"].tolist() == [1, ASK]
    say(made, ["change", "BTC-USD", "104", "d", "10.05", "0.01", iso(2)])
    say(made, ["done", "BTC-USD", "105", "a", iso(3)])
    assert made.books.orders[7][order_id_of("d")] == [ASK, 1005, 10**6] and len(made.books.orders[7]) == 3
    assert say(made, ["noop", "BTC-USD", "107", iso(3)])["kind"].tolist() == [LINK_GAP]
    with pytest.raises(Malformed):
        made.receive(b'["open","BTC-USD","1"]')


# --- instruments ------------------------------------------------------------------------------------------------------


def test_products_are_instruments(recordings):
    """The recorded answer gives the steps and minimums of instruments.json; one product alone is taken as well."""
    text = (recordings / "coinbase" / "recorded_20210417" / "products.raw").read_bytes()
    body = text[text.index(b": [") + 2 :].splitlines()[0]
    found = {one.symbol: one for one in instruments(body)}
    for symbol, wanted in recorded_instruments(recordings, "coinbase").items():
        if symbol in found:
            assert (found[symbol].tick, found[symbol].lot) == (wanted.tick, wanted.lot)
    assert found["SKL-USD"].qty_min == 5 and found["SKL-USD"].base == "SKL"
    one = b'{"id":"A-B","base_increment":"0.1","quote_increment":"0.01","min_market_funds":"1"}'
    assert instruments(one)[0].notional_min == 1
    assert instruments_path(["A-B"]) == "/products/A-B" and instruments_path(["A-B", "C-D"]) == "/products"
    assert instruments(b'[{"id":"A-B","base_increment":"0","quote_increment":"x"}]') == []
    with pytest.raises(Malformed):
        instruments(b"<html>")

"""Binance USD-M's gateway against its dialect, without sockets: the stream's key, orders by REST, and what is told."""

from __future__ import annotations

import random
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.dialects.binance_usdm import BinanceUsdm
from pinnacle.dialects.dialect import Ping, Session
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.venues import binance_usdm_entry as entry
from pinnacle.venues import signing
from pinnacle.venues.binance_entry import cancel_params
from pinnacle.venues.binance_usdm_gateway import HEDGE, KEEP_EVERY_NS, KEY_NS_MAX, STREAM_NS_MAX, UsdmGateway
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.credentials import signer
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Answer, Order
from pinnacle.venues.private.said import SWITCH_REFUSED, SWITCH_SET, Balance, Note, Step
from tests.dialects.rig import NS, PEM, Rig
from tests.dialects.test_binance import PUBLIC
from tests.venues.test_fuzz_private import asked, sound, spoiled

STRIDE_NS = 100 * NS
IDS = ClientIds("6d1b345e282140e2ad834ecb18a06876")
KEYS = {"hmac": None, "ed25519": signing.private_key(f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----")}


class Line:
    """A gateway on the line with an exchange: everything arrives at once, but for what is lost.  away_ns: our clock
    less the venue's.  deaf: nothing of the stream arrives."""

    def __init__(self, key: Any = None, away_ns: int = 0, symbols: int = 1) -> None:
        self.rig = Rig(BinanceUsdm, ("BTCUSDT", "ETHUSDT"), public_key=PUBLIC)
        self.away_ns, self.deaf = away_ns, False
        self.followed = [Followed(one.instrument, 0, k) for k, one in enumerate(self.rig.listings[:symbols])]
        key = key or signer("binance-usdm", self.rig.accounts[0].secret.encode())[1]
        self.gateway = UsdmGateway(self.followed, IDS, self.rig.accounts[0].key, key)
        self.session: Session | None = None
        self.calls: list[Any] = []

    @property
    def now_ns(self) -> int:
        return self.rig.now_ns + self.away_ns

    @property
    def house(self) -> Any:
        return self.rig.house

    def order(self, order_id: int = 1, price: int = 5_900_000, flags: int = e.POST_ONLY, side: int = 1) -> Order:
        return Order(self.followed[0], order_id, IDS.text(order_id), side, price, 1_000, flags)

    def open(self) -> Line:
        """Ask for what a connection needs, then connect."""
        for _ in range(5):
            if self.gateway.opening(self.now_ns) is not None:
                break
            self.run()
        assert self.gateway.opening(self.now_ns) == {}
        self.session = self.rig.connect(self.gateway.url)
        self.gateway.opened(self.now_ns)
        return self.run()

    def run(self) -> Line:
        """Carry everything there and back until nobody has more to say."""
        while self.gateway.calls:
            calls, self.gateway.calls = self.gateway.calls, []
            self.calls += calls
            for call in calls:
                headers = {name.lower(): value for name, value in call.headers.items()}
                answer = self.rig.request(call.method, call.path, headers=headers)
                self.gateway.answered(call.tag, answer.status, answer.body, self.now_ns)
            self.hear()
        self.hear()
        return self

    def hear(self) -> None:
        if self.session is not None:
            for message in self.rig.hear(self.session):
                if isinstance(message, Ping):
                    self.session.ponged(message.payload, self.rig.now_ns)
                elif not self.deaf:
                    self.gateway.received(msgspec.json.encode(message), self.now_ns)

    def step(self, ns: int) -> Line:
        """What waits is carried, and time passes at both ends, in strides."""
        self.run()
        end_ns = self.rig.now_ns + ns
        while self.rig.now_ns < end_ns:
            self.rig.now_ns = min(end_ns, self.rig.now_ns + STRIDE_NS) - 1
            self.rig.step(1)
            self.gateway.tick(self.now_ns)
            self.run()
        return self

    def place(self, order: Order) -> Line:
        self.gateway.place(order, self.now_ns)
        return self

    def said(self) -> list[Any]:
        self.run()
        said, self.gateway.said = self.gateway.said, []
        return said

    def steps(self) -> list[tuple[str, int | None, str]]:
        """(kind, order, cause) of the steps, each once: a stream and an answer may both say it."""
        found = [(e.KIND_NAMES[one.kind], one.order_id, one.cause) for one in self.said() if isinstance(one, Step)]
        return list(dict.fromkeys(found))

    def notes(self, what: str) -> list[str]:
        return [one.text for one in self.said() if isinstance(one, Note) and one.what == what]


@pytest.mark.parametrize("key", sorted(KEYS))
@pytest.mark.parametrize("away_s", [-40.0, 0.0, 3.5])
def test_a_life_of_an_order_by_either_key_and_any_clock(key: str, away_s: float) -> None:
    """Connected, placed, cancelled: signed with the venue's time, whatever our clock says."""
    line = Line(KEYS[key], int(away_s * NS)).open()
    assert line.gateway.ready and line.gateway.hedged is False
    line.said()
    expires_ns = line.gateway.place(line.order(), line.now_ns)
    assert abs(expires_ns - line.rig.now_ns - 3 * NS) < 2_000_000
    assert line.steps() == [("order_acknowledged", 1, "")]
    line.gateway.cancel(line.order(), line.now_ns)
    assert line.steps() == [("order_cancelled", 1, "")]
    assert not line.house.open_orders(1, 0)


def test_refusals_have_their_causes() -> None:
    """Crossing, unknown, duplicate and too large orders by cause; a fill comes by the stream, with its trade's id."""
    line = Line().open()
    line.house.place(2, 0, -1, 500, 6_000_000)
    line.said()
    line.place(line.order(1, 6_000_000))
    assert line.steps() == [("order_rejected", 1, "would_cross")]
    line.gateway.cancel(line.order(9), line.now_ns)
    assert line.steps() == [("cancel_rejected", 9, "unknown_order")]
    line.place(line.order(2)).place(line.order(2))
    assert ("order_rejected", 2, "duplicate") in line.steps()
    line.place(line.order(3, 6_000_000, e.IOC))
    said = line.said()
    fills = [one for one in said if isinstance(one, Step) and one.kind == e.ORDER_FILLED]
    (fill,) = line.house.fills(1, 0)
    assert [(one.trade_id, one.qty_lots, one.order_id) for one in fills] == [(fill.id, 500, 3)]
    fee = fills[0].fee_units
    assert fee == fill.fee_units > 0 and fills[0].done_lots == 500
    ends = [one for one in said if isinstance(one, Step) and one.kind == e.ORDER_EXPIRED]
    assert {(one.cause, one.done_lots) for one in ends} == {("unfilled", 500)}
    line.house.leverage = 1
    line.place(Order(line.followed[0], 4, IDS.text(4), 1, 5_900_000, 9_000_000, e.POST_ONLY))
    assert line.steps() == [("order_rejected", 4, "funds")]
    line.place(line.order(5, 5_900_000, e.FOK))
    assert ("order_expired", 5, "unfilled") in line.steps()


def test_reduce_only_orders_only_reduce() -> None:
    """REDUCE is said to the venue, which takes the order for what is held and no more, and drops it with that."""
    line = Line().open()
    reduce_at = line.order(1, 6_100_000, e.POST_ONLY | e.REDUCE, -1)
    assert "reduceOnly" not in entry.place_params(line.order())
    line.place(reduce_at)
    assert line.steps() == [("order_rejected", 1, "funds")]
    line.house.place(2, 0, -1, 1_000, 6_000_000)
    line.place(line.order(2, 6_000_000, e.IOC)).steps()
    assert line.house.position(1, 0).lots == 1_000
    line.place(line.order(3, 6_100_000, e.POST_ONLY | e.REDUCE, -1))
    assert line.steps() == [("order_acknowledged", 3, "")] and line.house.open_orders(1, 0)[0].flags & e.REDUCE
    line.place(line.order(4, 6_200_000, e.POST_ONLY | e.REDUCE, -1))
    assert line.steps() == [("order_rejected", 4, "funds")]
    line.house.place(2, 0, 1, 600, 5_990_000)
    line.place(line.order(5, 5_990_000, e.IOC, -1)).step(NS)
    found = [step[:2] for step in line.steps()]
    assert ("order_filled", 5) in found and ("order_expired", 3) in found
    assert line.house.position(1, 0).lots == 400 and not line.house.open_orders(1, 0)


def test_questions_show_what_is_there() -> None:
    """Open orders with foreign ones told apart, one by client id, fills, wallets, and the position as the base."""
    line = Line().open()
    line.house.place(1, 0, 1, 100, 5_800_000, client_id="web_1")
    line.place(line.order(1)).said()
    line.house.place(2, 0, -1, 400, 5_900_000)
    gateway, one = line.gateway, line.followed[0]
    numbers = [
        gateway.ask_open(one, line.now_ns), gateway.ask_order(line.order(1), line.now_ns),
        gateway.ask_order(line.order(7), line.now_ns), gateway.ask_balances(line.now_ns),
        gateway.ask_fills(one, 0, None, line.now_ns),
    ]  # fmt: skip
    answers = {one.number: one for one in line.said() if isinstance(one, Answer)}
    opened, order, none, held, fills = [answers[number] for number in numbers]
    assert {(s.order_id, s.qty_lots, s.done_lots, s.end) for s in opened.standings} == {
        (None, 100, 0, 0), (1, 1_000, 400, 0)
    }  # fmt: skip
    assert [s.order_id for s in order.standings] == [1] and none.cause == "unknown_order"
    assert {b.asset: b.free for b in held.balances}["BTC"] == "0.00400"
    assert float({b.asset: b.free for b in held.balances}["USD"]) < 1_000_000
    assert [(s.venue_id, s.qty_lots, s.side) for s in fills.fills] == [(line.house.open_orders(1, 0)[1].id, 400, 1)]
    assert fills.fills[0].flags & e.MAKER


def test_cancels_and_questions_do_not_need_the_stream() -> None:
    """A place is refused as busy then, because nobody would hear what becomes of it; a cancel reaches the venue."""
    line = Line().open()
    line.place(line.order(1)).said()
    line.gateway.closed(line.now_ns)
    line.place(line.order(2))
    assert line.steps() == [("order_rejected", 2, "busy")]
    line.gateway.cancel(line.order(1), line.now_ns)
    assert line.steps() == [("order_cancelled", 1, "")] and not line.house.open_orders(1, 0)


def test_a_clock_that_is_off_is_measured_again() -> None:
    """Our clock jumps by ten seconds: the next request is refused for it, and one after the measurement is not."""
    line = Line().open()
    line.away_ns += 10 * NS
    line.place(line.order(1))
    assert line.steps() == [("order_rejected", 1, "clock")] and not line.gateway.ready
    line.step(NS).place(line.order(2))
    assert line.steps() == [("order_acknowledged", 2, "")] and line.gateway.ready


def test_the_key_of_the_stream_lives() -> None:
    """It is asked for before each connection, kept every half hour, and when it is no more another one is asked for."""
    line = Line().open()
    first = line.gateway.url
    for _ in range(3):
        line.step(KEEP_EVERY_NS)
    assert [c.method for c in line.calls if c.path == entry.LISTEN_PATH] == ["POST", "PUT", "PUT", "PUT"]
    assert line.gateway.ready and not line.gateway.restart
    line.rig.dialect.private_streams.end(line.rig.accounts[0], line.rig.now_ns)
    line.step(KEEP_EVERY_NS)
    assert "no more" in line.gateway.restart and not line.gateway.ready
    line.gateway.restart = ""
    line.gateway.closed(line.now_ns)
    assert line.gateway.opening(line.now_ns) is None
    line.open()
    assert line.gateway.ready and line.gateway.url != first
    line.rig.dialect.private_streams.keep = lambda account, now_ns: {}
    line.step(3601 * NS)
    assert "expired" in line.gateway.restart and not line.gateway.ready
    # What was asked for and not used grows old.
    idle = Line()
    while idle.gateway.opening(idle.now_ns) is None:
        idle.run()
    idle.rig.now_ns += KEY_NS_MAX + 1
    assert idle.gateway.opening(idle.now_ns) is None


def test_a_stream_that_says_nothing_is_given_up() -> None:
    """The venue takes an order and the stream is silent: another connection is wanted.  Silence alone shows nothing."""
    line = Line().open()
    line.step(600 * NS).step(600 * NS)
    assert line.gateway.ready and not line.gateway.restart
    line.deaf = True
    line.place(line.order(1)).run().step(STREAM_NS_MAX - 1)
    assert line.gateway.ready
    line.step(1)
    assert "says nothing" in line.gateway.restart and not line.gateway.ready


def test_hedge_mode_is_refused_in_one_sentence() -> None:
    """The account has a long and a short side: the operator is told what to do, and no order leaves; cancels do."""
    line = Line()
    line.rig.dialect.usdm_orders.hedged.add(1)
    line.open()
    assert line.notes("permission") == [HEDGE] and "\n" not in HEDGE and HEDGE.count(". ") == 0
    line.place(line.order(1))
    assert line.steps() == [("order_rejected", 1, "permission")]
    line.house.place(1, 0, 1, 100, 5_800_000, client_id=IDS.text(5))
    line.gateway.cancel(line.order(5), line.now_ns)
    assert ("order_cancelled", 5, "") in line.steps()
    # Chosen by hand later: the venue refuses, and that stops trading too.
    line = Line().open()
    line.rig.dialect.usdm_orders.hedged.add(1)
    line.place(line.order(1))
    assert line.steps() == [("order_rejected", 1, "permission")]


def test_the_dead_mans_switch_cancels_what_nobody_holds() -> None:
    """It is set when every symbol's countdown is; wound, it waits; left alone, it cancels; at 0 it is off."""
    line = Line(symbols=2).open()
    line.place(line.order(1)).said()
    line.gateway.dead_man(10 * NS, line.now_ns)
    assert len(line.notes(SWITCH_SET)) == 1
    line.step(9 * NS)
    line.gateway.dead_man(10 * NS, line.now_ns)
    line.step(9 * NS)
    assert line.house.open_orders(1, 0)
    line.step(2 * NS)
    assert ("order_cancelled", 1, "") in line.steps() and not line.house.open_orders(1, 0)
    line.place(line.order(2)).said()
    line.gateway.dead_man(5 * NS, line.now_ns)
    line.run().gateway.dead_man(0, line.now_ns)
    line.step(60 * NS)
    assert line.house.open_orders(1, 0) and len(line.notes(SWITCH_SET)) == 2
    line.gateway.dead_man(10 * NS, line.now_ns)
    first, second = line.gateway.calls
    line.gateway.calls = []
    line.gateway.answered(first.tag, 200, b'{"symbol":"BTCUSDT","countdownTime":"10000"}', line.now_ns)
    line.gateway.answered(second.tag, 500, b"", line.now_ns)
    assert [n.what for n in line.said() if isinstance(n, Note) and n.what in (SWITCH_SET, SWITCH_REFUSED)] == [
        SWITCH_REFUSED
    ]  # fmt: skip


def test_an_order_is_amended() -> None:
    """Price and open quantity change, filled lots counted in; what would take is cancelled; others are not amended."""
    line = Line().open()
    line.place(line.order(1)).said()
    line.house.place(2, 0, -1, 300, 5_900_000, e.IOC)
    line.said()
    order = Order(line.followed[0], 1, IDS.text(1), 1, 5_890_000, 500, e.POST_ONLY, 0, 300)
    line.gateway.replace(order, line.now_ns)
    assert line.steps() == [("order_replaced", 1, "")]
    (rests,) = line.house.open_orders(1, 0)
    assert (rests.price_ticks, rests.open_lots, rests.qty_lots, rests.filled_lots) == (5_890_000, 500, 800, 300)
    line.gateway.replace(order, line.now_ns)
    assert line.steps() == [("replace_rejected", 1, "amend")]
    line.house.place(2, 0, -1, 300, 6_000_000)
    crossing = Order(line.followed[0], 1, IDS.text(1), 1, 6_000_000, 500, e.POST_ONLY, 0, 300)
    line.gateway.replace(crossing, line.now_ns)
    assert [step[:2] for step in line.steps()] == [("order_expired", 1)] and not line.house.open_orders(1, 0)
    line.gateway.replace(line.order(1, flags=0), line.now_ns)
    assert line.steps() == [("replace_rejected", 1, "amend")]


def test_everything_of_an_instrument_is_cancelled() -> None:
    """All orders of the symbol go and none of another one; where there is none that is no error."""
    line = Line(symbols=2).open()
    for price in (5_800_000, 5_700_000):
        line.house.place(1, 0, 1, 100, price)
    line.house.place(1, 1, 1, 1_000, 200_000)
    for _ in range(2):
        line.gateway.cancel_all(line.followed[0], line.now_ns)
        assert "refused" not in [one.what for one in line.said() if isinstance(one, Note)]
    assert not line.house.open_orders(1, 0) and len(line.house.open_orders(1, 1)) == 1
    line.gateway.cancel_all(None, line.now_ns)
    line.run()
    assert not line.house.open_orders(1)


def test_what_the_venue_does_to_a_position_is_told() -> None:
    """A liquidation is somebody else's order whose fill is ours to know of: it has a note of its own."""
    line = Line().open()
    fill = {
        "s": "BTCUSDT", "c": "autoclose-1", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.01", "p": "60000",
        "x": "CALCULATED", "X": "FILLED", "i": 9, "l": "0.01", "z": "0.01", "L": "60000", "N": "USD", "n": "0.1",
        "T": 1, "t": 5,
    }  # fmt: skip
    line.gateway.received(msgspec.json.encode({"e": "ORDER_TRADE_UPDATE", "T": 1, "E": 1, "o": fill}), line.now_ns)
    assert len(line.notes("liquidation")) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (0, b"no answer"), (502, b"<html>bad gateway</html>"), (503, b'{"code":-1000,"msg":"Unknown error"}'),
        (500, b""),
        (408, b'{"code":-1007,"msg":"Timeout waiting for response from backend server."}'), (200, b"<html>"),
        (200, b'{"orderId":1}'),
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing_certain_is_an_unknown_outcome(status: int, body: bytes) -> None:
    """HTML, a timeout, nothing at all: the order may be there, and it is not sent again."""
    line = Line().open()
    line.said()
    line.gateway.place(line.order(1), line.now_ns)
    tag = line.gateway.calls.pop().tag
    if status == 200:
        with pytest.raises(Malformed):
            line.gateway.answered(tag, status, body, line.now_ns)
    else:
        line.gateway.answered(tag, status, body, line.now_ns)
    assert line.steps() == [("order_unknown", 1, "outcome_unknown")]
    line.gateway.answered(tag, 200, b"{}", line.now_ns)
    assert line.gateway.counts["late"] == 1 and not line.gateway.calls


def test_limits_are_waited_for() -> None:
    """Too many requests: nothing for ten seconds, or until a ban ends; too many orders: cancels still go."""
    line = Line().open()
    for body, wait_ns in (
        (b'{"code":-1015,"msg":"Too many new orders; current limit is 300 orders per 10 SECOND."}', 0),
        (b'{"code":-1003,"msg":"Too many requests; current limit is 2400 requests per minute."}', 10 * NS),
        (f'{{"code":-1003,"msg":"IP banned until {line.now_ns // 10**6 + 90_000}."}}'.encode(), 90 * NS),
    ):
        line.gateway.place(line.order(1), line.now_ns)
        line.gateway.answered(line.gateway.calls.pop().tag, 429, body, line.now_ns)
        assert line.steps() == [("order_rejected", 1, "rate_limit")]
        assert abs(max(0, line.gateway.retry_ns - line.now_ns) - wait_ns) < 10**7


def test_requests_are_signed_as_others_sign_them() -> None:
    """The venue's published vector; and what leaves is signed over exactly its own text, with the venue's time."""
    secret = b"2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
    text = "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC"
    text += "&recvWindow=5000&timestamp=1591702613943"
    query = signing.binance_signed_query(secret, dict(parse_qsl(text)))
    assert query == f"{text}&signature=3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9"
    line = Line(away_ns=7 * NS).open()
    line.gateway.place(line.order(1), line.now_ns)
    call = line.gateway.calls.pop()
    path, _, query = call.path.partition("?")
    sent = {name: value for name, (value,) in parse_qs(query).items()}
    assert (call.method, path, call.headers) == ("POST", "/fapi/v1/order", {"X-MBX-APIKEY": "key1"})
    assert (sent["timeInForce"], sent["type"], sent["quantity"], sent["price"]) == (
        "GTX",
        "LIMIT",
        "0.01000",
        "59000.00",
    )
    assert int(sent["timestamp"]) == line.rig.now_ns // 10**6
    key = signer("binance-usdm", line.rig.accounts[0].secret.encode())[1]
    assert isinstance(key, bytes)
    unsigned, _, signature = query.partition("&signature=")
    assert signing.binance_signature(key, unsigned.encode()) == signature
    assert cancel_params(line.order(1)) == {"symbol": "BTCUSDT", "origClientOrderId": IDS.text(1)}


def test_a_key_that_is_none_is_not_asked_for_often() -> None:
    """The venue refuses the account's key: the desk is told, and a minute's patience is reached by doubling."""
    line = Line()
    line.gateway._headers = {"X-MBX-APIKEY": "who"}
    asked, seconds = [], 0
    while seconds < 300:
        line.gateway.opening(line.now_ns)
        if any(call.path == entry.LISTEN_PATH for call in line.gateway.calls):
            asked.append(seconds)
        line.run()
        line.rig.now_ns += NS
        seconds += 1
    assert asked == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243]
    assert len(line.notes("permission")) == 2 * len(asked)  # the position mode is asked for with it


def test_a_liquidation_stops_trading() -> None:
    """The venue traded the position itself: the desk places nothing more."""
    line, safety = Line().open(), Safety()
    desk = Desk(line.gateway, line.followed, IDS, safety)
    desk.hear(Note("liquidation", "BTCUSDT: 10 lots"), line.now_ns)
    assert safety.killed


def recorded() -> tuple[list[bytes], list[bytes]]:
    """(messages of the stream, good and bad answers) of an order's whole life."""
    line = Line()
    heard: list[bytes] = []
    answers: list[bytes] = []
    received, answered = line.gateway.received, line.gateway.answered
    line.gateway.received = lambda data, ts: (heard.append(data), received(data, ts))[1]  # type: ignore[method-assign]
    line.gateway.answered = lambda tag, status, body, ts: (  # type: ignore[method-assign]
        answers.append(body), answered(tag, status, body, ts)
    )[1]  # fmt: skip
    line.open().place(line.order(1)).run()
    line.house.place(2, 0, -1, 300, 5_900_000, e.IOC)
    for ask in range(4):
        asked(line.gateway, line.order(1), ask, line.now_ns)
    line.run()
    for _ in range(2):
        line.gateway.cancel(line.order(1), line.now_ns)
        line.run()
    assert len(heard) >= 5 and len(answers) >= 10
    return heard, answers


def opened() -> Line:
    """A line whose gateway is ready, with no exchange to answer."""
    line = Line()
    line.gateway.hedged, line.gateway.away_ns = False, 0
    line.gateway.opened(line.now_ns)
    return line


def test_spoiled_messages_and_answers() -> None:
    """A spoiled message is the one error, or is said; a spoiled answer to a question is at most one answer to it."""
    heard, answers = recorded()
    line, malformed, kinds = opened(), 0, set()
    for seed in range(600):
        chance, gateway = random.Random(seed), line.gateway
        gateway.opened(line.now_ns)
        data = spoiled(chance, chance.choice(heard))
        try:
            gateway.received(data, line.now_ns)
        except Malformed as error:
            malformed += 1
            assert len(str(error)) < 400 and gateway.restart and not gateway.ready, f"seed {seed}: {data!r}"
        sound(gateway.said)
        gateway.said.clear()
        number = asked(gateway, line.order(1), chance.randrange(4), line.now_ns)
        for _ in range(2):
            body = chance.choice(answers)
            data = body if seed % 5 == 0 else spoiled(chance, body)
            for call in gateway.calls[:1]:
                gateway.calls.clear()
                try:
                    gateway.answered(call.tag, chance.choice((200, 200, 200, 400, 403, 500)), data, line.now_ns)
                except Malformed as error:
                    assert len(str(error)) < 400
        sound(gateway.said)
        found = [one for one in gateway.said if isinstance(one, Answer)]
        assert [one.number for one in found] in ([number], []), f"seed {seed}"
        kinds |= {one.cause for one in found}
        gateway.said.clear()
        gateway.retry_ns, gateway.away_ns = 0, 0
        gateway.pending.clear()
    assert 60 < malformed < 600 and {"", "outcome_unknown"} <= kinds


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda more: (
        st.lists(more, max_size=3)
        | st.dictionaries(st.sampled_from(["e", "o", "a", "code", "msg", "orderId", "listenKey", "serverTime"]), more)
    ),
    max_leaves=8,
).map(msgspec.json.encode)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=60) | JSON, max_size=4),
    st.lists(st.tuples(st.sampled_from([0, 200, 400, 429, 503]), st.binary(max_size=30) | JSON), max_size=9),
)
def test_garbage_is_understood_or_malformed(frames: list[bytes], bodies: list[tuple[int, bytes]]) -> None:
    """Whatever comes, the one error or something said; of each question at most one answer, of each order a step."""
    line = Line().open()
    line.said()
    gateway = line.gateway
    gateway.place(line.order(1), line.now_ns)
    gateway.cancel(line.order(1), line.now_ns)
    asked = [gateway.ask_open(line.followed[0], line.now_ns), gateway.ask_balances(line.now_ns)]
    gateway.dead_man(NS, line.now_ns)
    gateway.tick(line.now_ns + NS)
    for frame in frames:
        try:
            gateway.received(frame, line.now_ns)
        except Malformed as error:
            assert gateway.restart and "\n" not in str(error)
    for status, body in bodies:
        if not gateway.calls:
            break
        try:
            gateway.answered(gateway.calls.pop(0).tag, status, body, line.now_ns)
        except Malformed as error:
            assert "\n" not in str(error)
    answers = [one.number for one in gateway.said if isinstance(one, Answer)]
    assert all(answers.count(number) <= 1 for number in asked)
    assert all(isinstance(one, (Step, Note, Answer, Balance)) for one in gateway.said)

"""Binance's gateway against Binance's dialect, without sockets: what is signed is taken, what comes is understood."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import event as e
from pinnacle.dialects.binance import Binance
from pinnacle.dialects.dialect import Session
from pinnacle.instrument import Instrument
from pinnacle.venues import binance_entry as entry
from pinnacle.venues import signing
from pinnacle.venues.binance_gateway import BinanceGateway
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.credentials import signer
from pinnacle.venues.feed import Followed, Malformed
from pinnacle.venues.gateway import Answer, Order
from pinnacle.venues.private.said import Note, Step
from tests.dialects.rig import NS, PEM, Rig
from tests.dialects.test_binance import PUBLIC

IDS = ClientIds("6d1b345e282140e2ad834ecb18a06876")
INSTRUMENT = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"), base="BTC", quote="USD")
FOLLOWED = Followed(INSTRUMENT, 0, 0)
MS = 1_000_000
PLACED = "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=30000.01&newClientOrderId=mm-1"


def order(order_id: int = 1, price: int = 5_900_000, flags: int = e.POST_ONLY, side: int = 1) -> Order:
    return Order(FOLLOWED, order_id, IDS.text(order_id), side, price, 1_000, flags)


class Line:
    """A gateway on the line with an exchange: every frame arrives at once, in both directions."""

    def __init__(self, key: Any = None, away_ns: int = 0) -> None:
        self.rig = Rig(Binance, ("BTCUSDT", "ETHUSDT"), public_key=PUBLIC)
        self.away_ns = away_ns  # our clock less the venue's
        key = key or signer("binance", self.rig.accounts[0].secret.encode())[1]
        self.gateway = BinanceGateway([FOLLOWED], IDS, self.rig.accounts[0].key, key)
        self.session: Session | None = None

    @property
    def now_ns(self) -> int:
        return self.rig.now_ns + self.away_ns

    def open(self) -> Line:
        self.session = self.rig.connect(self.gateway.url)
        self.gateway.opened(self.now_ns)
        return self.run()

    def run(self) -> Line:
        """Carry everything there and back until nobody has more to say."""
        assert self.session is not None
        while self.gateway.sends or self.gateway.calls:
            sends, self.gateway.sends = self.gateway.sends, []
            for frame in sends:
                self.rig.say(self.session, frame)
            calls, self.gateway.calls = self.gateway.calls, []
            for call in calls:
                headers = {name.lower(): value for name, value in call.headers.items()}
                answer = self.rig.request(call.method, call.path, headers=headers)
                self.gateway.answered(call.tag, answer.status, answer.body, self.now_ns)
            for message in self.rig.hear(self.session):
                self.gateway.received(msgspec.json.encode(message), self.now_ns)
        return self

    def said(self) -> list[Any]:
        self.run()
        said, self.gateway.said = self.gateway.said, []
        return said

    def steps(self) -> list[tuple[str, int | None, str]]:
        """(kind, order, cause) of the steps, each once: a stream and an answer may both say it."""
        found = [
            (e.KIND_NAMES[one.kind], one.order_id, one.cause) for one in self.said() if isinstance(one, Step)
        ]  # fmt: skip
        return list(dict.fromkeys(found))


KEYS = {"hmac": None, "ed25519": signing.private_key(f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----")}


@pytest.mark.parametrize("key", sorted(KEYS))
@pytest.mark.parametrize("away_s", [-40.0, 0.0, 3.5])
def test_a_life_of_an_order_by_either_key_and_any_clock(key: str, away_s: float) -> None:
    """Subscribed, placed, cancelled: signed with the venue's time, whatever our clock says."""
    line = Line(KEYS[key], int(away_s * NS)).open()
    assert line.gateway.ready
    line.said()
    line.gateway.place(order(), line.now_ns)
    assert line.steps() == [("order_acknowledged", 1, "")]
    line.gateway.cancel(order(), line.now_ns)
    assert line.steps() == [("order_cancelled", 1, "")]
    assert not line.rig.house.open_orders(1, 0)


def test_refusals_have_their_causes() -> None:
    """Crossing, unknown and duplicate orders are told by cause; what takes is filled with its trade's id."""
    line = Line().open()
    house = line.rig.house
    house.place(2, 0, -1, 500, 6_000_000)
    line.said()
    line.gateway.place(order(1, 6_000_000), line.now_ns)
    assert line.steps() == [("order_rejected", 1, "would_cross")]
    line.gateway.cancel(order(9), line.now_ns)
    assert line.steps() == [("cancel_rejected", 9, "unknown_order")]
    line.gateway.place(order(2), line.now_ns)
    line.gateway.place(order(2), line.now_ns)
    assert ("order_rejected", 2, "duplicate") in line.steps()
    line.gateway.place(order(3, 6_000_000, e.IOC), line.now_ns)
    fills = [one for one in line.said() if isinstance(one, Step) and one.kind == e.ORDER_FILLED]
    assert {(one.trade_id, one.qty_lots, one.order_id) for one in fills} == {(house.fills(1, 0)[0].id, 500, 3)}


def test_questions_show_what_is_there() -> None:
    """Open orders with foreign ones told apart, one order by client id, fills by the venue's number, balances."""
    line = Line().open()
    house = line.rig.house
    house.place(1, 0, 1, 100, 5_800_000, client_id="web_1")
    line.gateway.place(order(1), line.now_ns)
    line.said()
    house.place(2, 0, -1, 400, 5_900_000)
    numbers = [
        line.gateway.ask_open(FOLLOWED, line.now_ns), line.gateway.ask_order(order(1), line.now_ns),
        line.gateway.ask_order(order(7), line.now_ns), line.gateway.ask_balances(line.now_ns),
        line.gateway.ask_fills(FOLLOWED, 0, None, line.now_ns),
    ]  # fmt: skip
    opened, one, none, balances, fills = [
        next(a for a in answers if a.number == number)
        for answers in [[a for a in line.said() if isinstance(a, Answer)]]
        for number in numbers
    ]
    assert {(s.order_id, s.qty_lots, s.done_lots, s.end) for s in opened.standings} == {
        (None, 100, 0, 0), (1, 1_000, 400, 0)
    }  # fmt: skip
    assert [s.order_id for s in one.standings] == [1] and none.cause == "unknown_order"
    assert {b.asset for b in balances.balances} >= {"BTC", "USD"}
    assert [(s.venue_id, s.qty_lots) for s in fills.fills] == [(house.open_orders(1, 0)[1].id, 400)]


def test_cancels_and_questions_go_by_rest_while_the_socket_is_away() -> None:
    """A place is refused as busy then, because nobody would hear what becomes of it; a cancel reaches the venue."""
    line = Line().open()
    line.gateway.place(order(1), line.now_ns)
    line.said()
    line.gateway.closed(line.now_ns)
    line.gateway.place(order(2), line.now_ns)
    assert line.steps() == [("order_rejected", 2, "busy")]
    line.gateway.cancel(order(1), line.now_ns)
    assert line.steps() == [("order_cancelled", 1, "")] and not line.rig.house.open_orders(1, 0)


def test_a_clock_that_is_off_is_measured_again() -> None:
    """Our clock jumps by ten seconds: the next request is refused for it, and the one after is not."""
    line = Line().open()
    line.away_ns += 10 * NS
    line.gateway.place(order(1), line.now_ns)
    assert line.steps() == [("order_rejected", 1, "clock")] and line.gateway.ready
    line.gateway.place(order(2), line.now_ns)
    assert line.steps() == [("order_acknowledged", 2, "")]


def test_silence_and_a_lost_subscription_end_the_connection() -> None:
    """Nothing heard for five seconds, or no stream that long after opening: another connection is wanted."""
    line = Line().open()
    line.gateway.tick(line.now_ns + 6 * NS)
    assert "silent" in line.gateway.restart and not line.gateway.ready
    line = Line()
    line.session = line.rig.connect(line.gateway.url)
    line.gateway.opened(line.now_ns)
    line.gateway.received(b'{"id":"w1","status":200,"result":{"serverTime":1}}', line.now_ns)
    line.gateway._heard_ns += 10 * NS
    line.gateway.tick(line.now_ns + 6 * NS)
    assert "no private stream" in line.gateway.restart


@pytest.mark.parametrize(
    ("status", "body"),
    [(0, b"no answer"), (502, b"<html>bad gateway</html>"), (504, b'{"code":-1007,"msg":"Timeout"}'), (500, b"")],
)
def test_an_answer_that_says_nothing_certain_is_an_unknown_outcome(status: int, body: bytes) -> None:
    """HTML, a timeout, nothing at all: the order may be there."""
    line = Line().open()
    line.said()
    line.gateway.closed(line.now_ns)
    line.gateway.cancel(order(1), line.now_ns)
    tag = line.gateway.calls.pop().tag
    line.gateway.answered(tag, status, body, line.now_ns)
    assert line.steps() == [("order_unknown", 1, "outcome_unknown")]


def test_parameters_are_those_of_the_published_vectors() -> None:
    """A post-only order of the venue's sheet, with the signatures that independent clients computed for it."""
    one = Order(
        Followed(Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.001")), 0, 0), 1, "mm-1", 1, 3_000_001, 1,
        e.POST_ONLY,
    )  # fmt: skip
    made = entry.place_params(one)
    wanted = dict(parse_qsl(PLACED))
    assert {name: made[name] for name in wanted} == wanted
    params: entry.Params = {name: made[name] for name in wanted} | {"timestamp": 1_700_000_000_000}
    secret = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    query = signing.binance_signed_query(secret, params)
    assert query.endswith("signature=8994d500b331fd455b0877bd9956892a645df3547f6001eab524341521170afa")
    on_socket = signing.binance_websocket_params(secret, params | {"apiKey": "fakekey"})
    assert on_socket["signature"] == "97f8f8c586bd4b9f75d75c651cd05bc0abb22d9ccff85e4b8737947dfc94669c"
    key = KEYS["ed25519"]
    assert base64.b64decode(signing.binance_signature(key, query.partition("&signature")[0].encode()))  # type: ignore[arg-type]


FRAMES = st.one_of(
    st.binary(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda more: (
            st.lists(more, max_size=3)
            | st.dictionaries(st.sampled_from(["id", "status", "result", "error", "event", "e", "code", "msg"]), more)
        ),
        max_leaves=8,
    ).map(msgspec.json.encode),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FRAMES, max_size=4), st.booleans())
def test_garbage_is_understood_or_malformed(frames: list[bytes], pending: bool) -> None:
    """Whatever comes, the one error of a parser or something said; the gateway asks for another connection then."""
    gateway = BinanceGateway([FOLLOWED], IDS, "key", b"secret")
    gateway.opened(NS)
    if pending:
        gateway.received(b'{"id":"w1","status":200,"result":{"serverTime":1700000000000}}', NS)
        gateway.place(order(1), NS)
    for frame in frames:
        try:
            gateway.received(frame, NS)
        except Malformed as error:
            assert gateway.restart and "\n" not in str(error)
    assert all(isinstance(one, (Step, Note, Answer)) or one for one in gateway.said)

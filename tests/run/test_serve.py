"""The desk between server and dialect, with a clock in a variable and a wire of paper."""

from __future__ import annotations

import asyncio
from typing import Any

from pinnacle.dialects.binance import Binance
from pinnacle.limits import EXCHANGE_STEP_NS
from pinnacle.run.serve import Desk
from pinnacle.transport.faults import Faults
from tests.dialects.rig import NS, Rig


class PaperWire:
    """Writes down what it is given."""

    waiting_bytes = 0

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, messages: list[bytes]) -> None:
        self.sent += messages


def desk_of(per_s: float) -> tuple[Rig, Desk]:
    rig = Rig(Binance, ("BTCUSDT", "ETHUSDT"), per_s)
    return rig, Desk(rig.dialect, Faults({}, 0, lambda kind, where: None), lambda: rig.now_ns)


def test_what_is_said_during_a_handshake_is_not_lost() -> None:
    """Messages between a websocket's request and its being open are sent when it is, and later ones follow."""
    rig, desk = desk_of(2_000)
    made: Any = asyncio.run(desk.opening("/ws/btcusdt@bookTicker", {}, "1.1.1.1"))
    rig.now_ns += NS // 10
    desk.step()
    wire: Any = PaperWire()
    made(wire)
    early = len(wire.sent)
    assert early > 10
    rig.now_ns += NS // 10
    desk.step()
    assert len(wire.sent) > early + 10
    ids = [int(said.partition(b'"u":')[2].split(b",")[0]) for said in wire.sent]
    assert ids == sorted(set(ids))


def test_a_pause_is_made_up_for_in_short_steps() -> None:
    """After ten seconds in which nobody stepped, no batch spans more than a step, and all of the market is there."""
    rig, desk = desk_of(500)
    spans = []

    class Ears:
        def private(self, update: Any) -> None: ...

        def market(self, batch: Any) -> None:
            times = batch.rows["ts_ns"]
            spans.append(int(times[-1] - times[0]))

    desk.advance()
    rig.house.listeners.append(Ears())
    rig.now_ns += 10 * NS
    assert desk.advance() == rig.now_ns
    assert max(spans) <= EXCHANGE_STEP_NS and len(spans) >= 190
    other, plain = desk_of(500)
    plain.advance()
    other.house.advance(rig.now_ns)
    assert other.house.levels(0, 1) == rig.house.levels(0, 1)


def test_the_control_endpoint_is_for_this_machine_alone() -> None:
    """Another machine is refused; what is no fault is answered with what there is."""
    _, desk = desk_of(0)

    def ask(body: bytes, peer: str = "127.0.0.1", path: str = "/pinnacle/fault") -> tuple[int, bytes]:
        answer = asyncio.run(desk.request("POST", path, {}, body, peer))
        assert answer is not None
        return answer[0], answer[2]

    assert ask(b'{"kind": "drop"}', "10.0.0.1")[0] == 403 and desk.faults.counts == {}
    assert ask(b'{"kind": "drop"}')[0] == 200
    assert ask(b'{"kind": "drop", "rate": 0.5}')[0] == 200 and desk.faults.rates == {"drop": 0.5}
    for wrong in (b"{", b'{"kind": "explode"}', b'{"kind": "drop", "rate": 2}', b'{"kind": "drop", "x": 1}', b"[]"):
        status, said = ask(wrong)
        assert status == 400 and b"error" in said
    assert ask(b"{}", path="/pinnacle/other")[0] == 404

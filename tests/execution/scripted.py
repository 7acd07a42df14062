"""A desk with a gateway that says what a test has it say, and an engine's transition table that judges every record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from pinnacle import event as e
from pinnacle.event import EVENT
from pinnacle.execution.desk import Desk, Limits
from pinnacle.execution.memory import Memory
from pinnacle.execution.safety import Safety
from pinnacle.instrument import Instrument
from pinnacle.kernels.orders import FREE, ILLEGAL, NEXT_STATUS, PLACING
from pinnacle.venues.binance_entry import CAPABILITIES
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Answer, Call, Order, Standing
from pinnacle.venues.private.said import Said, Step

RUN = "6d1b345e282140e2ad834ecb18a06876"
IDS = ClientIds(RUN)
INSTRUMENT = Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"), base="BTC", quote="USDT")
FOLLOWED = Followed(INSTRUMENT, 0, 0)
MS, SECOND = 1_000_000, 1_000_000_000
LIFE_NS = CAPABILITIES.order_life_ns


class ScriptedGateway:
    """Notes what it is asked to do; a test says what comes of it."""

    def __init__(self) -> None:
        self.capabilities = CAPABILITIES
        self.url, self.restart = "", ""
        self.sends: list[bytes] = []
        self.calls: list[Call] = []
        self.said: list[Said | Answer] = []
        self.counts: dict[str, int] = {}
        self.silence_ns = SECOND
        self.ready = True
        self.retry_ns = self.venue_ns = 0
        self.did: list[tuple[str, Any]] = []
        self.number = 0

    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        return {}

    def opened(self, ts_ns: int) -> None: ...

    def received(self, data: bytes, ts_ns: int) -> None: ...

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None: ...

    def tick(self, ts_ns: int) -> None: ...

    def closed(self, ts_ns: int) -> None:
        self.ready = False

    def place(self, order: Order, ts_ns: int) -> int:
        self.did.append(("place", order))
        return ts_ns + LIFE_NS

    def cancel(self, order: Order, ts_ns: int) -> None:
        self.did.append(("cancel", order))

    def replace(self, order: Order, ts_ns: int) -> None:
        self.did.append(("replace", order))

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        self.did.append(("cancel all", followed))

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        self.did.append(("dead man", timeout_ns))

    def ask_order(self, order: Order, ts_ns: int) -> int:
        return self._ask("order", order)

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        return self._ask("open", followed)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        return self._ask("fills", order or first_trade_id)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask("balances", None)

    def _ask(self, what: str, about: Any) -> int:
        self.number += 1
        self.did.append((what, (self.number, about)))
        return self.number


class Scene:
    """Time, a desk, and what the engine would make of its records: `heard` are the kinds, in order."""

    def __init__(self, limits: Limits | None = None, memory: Memory | None = None, dead_man_ns: int = 0) -> None:
        self.now_ns = 1_700_000_000 * SECOND
        self.gateway, self.safety = ScriptedGateway(), Safety()
        self.gateway.capabilities = replace(CAPABILITIES, dead_man_ns=dead_man_ns)
        self.desk = Desk(self.gateway, [FOLLOWED], IDS, self.safety, memory, limits)
        self.desk.stale.clear()
        self.status: dict[int, int] = {}
        self.left: dict[int, int] = {}
        self.heard: list[int] = []
        self.records: list[np.void] = []
        self.gateway.venue_ns = self.now_ns

    def compared(self) -> Scene:
        """The account is known and empty."""
        self.desk.begin(self.now_ns)
        self.tick()
        self.answer("open", standings=())
        self.answer("balances")
        self.tick()
        self.answer("fills")
        self.tick()
        self.gateway.did.clear()
        self.heard.clear()
        return self

    def take(self) -> None:
        """The engine hears everything, and has a row for each step or a reason for none."""
        while self.desk.rows or self.safety.rows:
            for row in self.desk.rows.popleft() if self.desk.rows else self.safety.rows.popleft():
                kind, order_id = int(row["kind"]), int(row["order_id"])
                self.heard.append(kind)
                self.records.append(row.copy())
                if not e.ORDER_ACKNOWLEDGED <= kind <= e.ORDER_UNKNOWN or order_id not in self.status:
                    continue
                after = int(NEXT_STATUS[self.status[order_id], kind])
                assert after != ILLEGAL, (self.status[order_id], e.KIND_NAMES[kind])
                if kind == e.ORDER_FILLED:
                    self.left[order_id] -= int(row["qty_lots"])
                    after = FREE if self.left[order_id] == 0 else after
                self.status[order_id] = after
                if after == FREE:
                    del self.status[order_id]

    def command(self, kind: int, order_id: int, side: int = 1, price: int = 6_000_000, lots: int = 100) -> None:
        """The engine says it, and it stands in the log."""
        record = np.zeros(1, EVENT)[0]
        record["kind"], record["order_id"], record["side"] = kind, order_id, side
        record["price_ticks"], record["qty_lots"], record["flags"] = price, lots, e.POST_ONLY
        if kind == e.PLACE:
            self.status[order_id], self.left[order_id] = PLACING, lots
        else:
            self.status[order_id] = 3
        self.desk.command(record, self.now_ns)
        self.take()

    def say(self, *said: Said | Answer) -> None:
        """The venue says it."""
        for one in said:
            self.desk.hear(one, self.now_ns)
            self.take()

    def step(self, kind: int, order_id: int | None, lots: int = 100, **more: Any) -> None:
        """A step of an order at the venue."""
        given: dict[str, Any] = {"venue_id": 1000 + (order_id or 0), "side": 1, "price_ticks": 6_000_000} | more
        client_id = IDS.text(order_id) if order_id else "web_1"
        self.say(
            Step(
                kind, FOLLOWED, order_id, client_id, given.pop("venue_id"), given.pop("side"),
                given.pop("price_ticks"), lots, 0, **given,
            )
        )  # fmt: skip

    def fill(self, order_id: int, lots: int, trade_id: int, **more: Any) -> None:
        self.step(e.ORDER_FILLED, order_id, lots, trade_id=trade_id, **more)

    def answer(self, what: str, cause: str = "", **shown: Any) -> None:
        """The answer to the last question of a kind."""
        number = next(about[0] for name, about in reversed(self.gateway.did) if name == what)
        self.say(Answer(number, what, cause, **shown))

    def standing(self, order_id: int, lots: int = 100, done: int = 0, end: int = 0) -> Standing:
        return Standing(FOLLOWED, order_id, IDS.text(order_id), 1000 + order_id, 1, 6_000_000, lots, done, end)

    def tick(self, ns: int = 50 * MS) -> None:
        """Time goes by, in the venue too."""
        self.now_ns += ns
        self.gateway.venue_ns += ns
        self.safety.tick(self.now_ns)
        self.desk.tick(self.now_ns)
        self.take()

    def wait(self, ns: int) -> None:
        """Ticks for so long."""
        for _ in range(ns // (50 * MS)):
            self.tick()

    def count(self, what: str) -> int:
        """How often the gateway was asked to do it."""
        return sum(name == what for name, _ in self.gateway.did)

"""The trader without sockets: an engine, a scripted gateway and a log in memory."""

from __future__ import annotations

import numpy as np

from pinnacle import event as e
from pinnacle.event import empty
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.run.trader import Trader
from pinnacle.venues.private.said import Step
from tests.execution.scripted import FOLLOWED, IDS, INSTRUMENT, MS, SECOND, ScriptedGateway
from tests.storm.process import first_state, strategy

NOW_NS = 1_700_000_000 * SECOND


class Short:
    """A log that a test ends after so many records: what would never end is a failure."""

    def __init__(self, most: int) -> None:
        self.most, self.records = most, empty(0)

    def append(self, records: np.ndarray) -> None:
        self.records = np.concatenate([self.records, records])
        assert self.records.size < self.most, "it does not come to an end"


def book(kind: int, side: int = 0, price: int = 0, lots: int = 0) -> np.ndarray:
    row = empty(1)
    row[0]["kind"], row[0]["side"], row[0]["price_ticks"], row[0]["qty_lots"] = kind, side, price, lots
    row[0]["flags"] = e.LAST
    return row


def test_an_engine_that_is_woken_by_answers_comes_to_rest_when_it_is_stopped() -> None:
    """The session fails elsewhere and cancels everything without its engine, which goes on hearing answers: it does
    not want again what is refused here, and what rests is cancelled."""
    loaded, quote = strategy()
    gateway, safety, log = ScriptedGateway(), Safety(), Short(400)
    desk = Desk(gateway, [FOLLOWED], IDS, safety)
    trader = Trader(first_state(INSTRUMENT, 0.0), quote, loaded, [INSTRUMENT], log, [desk], safety, 100 * MS)
    now_ns = NOW_NS
    trader.begin(now_ns)
    for rows in (book(e.BOOK_LEVEL, e.BID, 6_000_000, 5), book(e.BOOK_LEVEL, e.ASK, 6_000_100, 5), book(e.LINK_UP)):
        trader.hear(rows, now_ns)
    desk._comparison.phase = 0
    desk.compared(now_ns)
    trader.settle(now_ns)
    trader.tick(now_ns + 200 * MS)
    assert len(desk.orders) >= 2
    trader.stop(now_ns + 200 * MS)
    cancelled = {one.order_id for what, one in gateway.did if what == "cancel"}
    assert cancelled == set(desk.orders)
    for order_id in cancelled:
        order = desk.orders[order_id].order
        gateway.said.append(
            Step(
                e.ORDER_CANCELLED, FOLLOWED, order_id, order.client_id, 7 + order_id, order.side, order.price_ticks,
                order.qty_lots, 0,
            )
        )  # fmt: skip
    for k in range(5, 50):
        trader.tick(now_ns + k * 50 * MS)
    assert not desk.orders and not trader.open_orders()
    assert (log.records["kind"] == e.OPERATOR_KILL).sum() == 0

"""One order of ours on the desk: what the engine believes of it, what the venue said, and what is being found out.

`status` is always the engine's own (kernels/orders.py), because a record is only written where its transition table has
a row for it; the rest is what a table of states cannot hold: fills that are missing, questions that are out.
"""

from __future__ import annotations

from dataclasses import dataclass

from pinnacle.event import ORDER_CANCELLED, ORDER_EXPIRED, ORDER_REJECTED
from pinnacle.kernels.orders import CANCELLING, ILLEGAL, NEXT_STATUS, PLACING, UNKNOWN, WORKING
from pinnacle.venues.gateway import Order

__all__ = ["CANCELLING", "PLACING", "UNKNOWN", "WORKING", "LiveOrder", "end_heard", "legal"]


@dataclass(slots=True)
class End:
    """The venue ended the order: kind as the venue says it, and how much it had filled by then."""

    kind: int
    done_lots: int
    cause: str
    ts_venue_ns: int


@dataclass(slots=True)
class LiveOrder:
    """filled_lots: counted by trade id, and heard by the engine.  due_ns: an answer is awaited until then, 0 for none.
    expires_ns: venue time after which the place cannot arrive any more; None until the venue's clock is known.
    doubt: it must be asked about.  done_lots: the most that the venue said was filled.  end: heard, but fills of it are
    missing.  asking: number of the question that is out, asked_ns when, asked_venue_ns the venue's time then.
    """

    order: Order
    status: int = PLACING
    sent: bool = False
    sent_ns: int = 0
    due_ns: int = 0
    expires_ns: int | None = 0
    acknowledged: bool = False
    filled_lots: int = 0
    done_lots: int = 0
    end: End | None = None
    doubt: bool = False
    missing_ns: int = 0
    asking: int = 0
    asked_ns: int = 0
    asked_venue_ns: int = 0
    asked: int = 0
    ask_ns: int = 0
    cancel_ns: int = 0  # a cancel must be sent (again) at this time, 0 for none
    cancels: int = 0

    @property
    def open_lots(self) -> int:
        return self.order.qty_lots - self.filled_lots

    @property
    def missing_lots(self) -> int:
        """Filled at the venue and not heard of here."""
        done = max(self.done_lots, self.end.done_lots if self.end else 0)
        return done - self.filled_lots


def legal(status: int, kind: int) -> bool:
    """Whether the engine has a row for it."""
    return int(NEXT_STATUS[status, kind]) != ILLEGAL


def end_heard(status: int, kind: int) -> int:
    """The kind under which the engine can hear an end: a refusal of what rests already is an end by the venue."""
    assert kind in (ORDER_CANCELLED, ORDER_EXPIRED, ORDER_REJECTED)
    if legal(status, kind):
        return kind
    assert legal(status, ORDER_EXPIRED)
    return ORDER_EXPIRED

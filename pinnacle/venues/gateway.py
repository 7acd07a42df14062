"""What a venue's private side is to the rest of the house: commands in, frames and signed calls out, and what was said.

A gateway is the protocol of ONE account at one venue, without sockets: it never opens, awaits, sleeps or reads a clock.
Whoever owns the sockets calls it with what was received and when, and afterwards takes what it wants done (`sends`,
`calls`, `restart`) and what the venue said (`said`).  It knows the venue's words and nothing of what to do about them:
that is pinnacle/execution, which sees only this file and private/said.py.

**What a gateway promises.**

- Every command is answered by at least one Step with its order id, or not at all.  "Not at all" is for the owner to
  notice: after limits.ANSWER_NS_MAX the outcome is unknown.  An answer that says nothing certain (5xx, a timeout at the
  venue, text that is no answer) is a Step ORDER_UNKNOWN with cause "outcome_unknown".  A gateway never sends again what
  it sent before.
- A refused command is ORDER_REJECTED, CANCEL_REJECTED or REPLACE_REJECTED with a cause of said.CAUSES, by which the
  owner decides.  `retry_ns` is set where the venue said how long to wait.
- What cannot be sent now (`ready` is false and there is no other way) is refused at once with cause "busy".
- Every ask is answered by exactly one Answer with its number, or not at all.  What an answer shows is in `standings`,
  `fills` or `balances`, never in Steps beside it.
- Fills come as often as the venue says them, each with its trade id: the owner counts them once.
- Orders that are not ours have order_id None.
- What came of `dead_man` is a Note SWITCH_SET or SWITCH_REFUSED of said.py, or nothing.
- `venue_ns` is the latest time that the venue itself has told; it never goes back.  `place` returns the venue's time
  after which an order that has not arrived will be refused by its age: only a "no such order" asked after that proves
  that there is none.

**Who is on time.**  Requests are signed with the venue's time as the gateway knows it (`clock_ns`, our clock plus a
measured difference).  Until it is known `ready` is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pinnacle.venues.feed import Followed
from pinnacle.venues.private.said import Balance, Said, Step

# What can be asked.
ASK_ORDER = "order"  # how one order of ours stands, by its client id (or the venue's number where it must be that)
ASK_OPEN = "open"  # all open orders of an instrument
ASK_FILLS = "fills"  # own fills of an instrument, from a trade id on, or of one order
ASK_BALANCES = "balances"
# How an order that would take is refused where it is post-only.
POST_ONLY_REFUSED = "refused"  # never accepted: ORDER_REJECTED
POST_ONLY_ENDED = "ended"  # accepted, then ORDER_EXPIRED
# What a request costs, beside its name, for a budget: PLACE, CANCEL, REPLACE, CANCEL_ALL and the ASK_* above.
PLACE_COST, CANCEL_COST, REPLACE_COST, CANCEL_ALL_COST = "place", "cancel", "replace", "cancel_all"


@dataclass(frozen=True, slots=True)
class Window:
    """A limit of the venue: at most `most` in any `length_ns` (fixed windows), or a counter that decays.

    per_instrument: counted for each apart.  decay_per_s: not 0 for a counter that falls by this each second instead
    of windows.  reserve: of `most`, what only cancels and questions may use.
    """

    name: str
    most: int
    length_ns: int
    reserve: int
    per_instrument: bool = False
    decay_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a venue can do, as data.

    amend: "" none, "reduce" (quantity down, same price), "full".  batch_max: places in one request.  cancel_all: ""
    none, "instrument", "account"; it may take foreign orders along, so it is for emergencies.  cancel_on_disconnect: of
    the session that placed.  dead_man_ns: the longest timeout of a dead-man's switch, 0 if there is none.
    venue_ids_only: cancels need the venue's number, which the owner passes on.  order_life_ns: how long after it was
    signed an order may still be taken, at most.  windows, costs: for the budget; costs by request, (name of the window,
    weight).  age_costs: what a request costs beside that by the age of its order: (window, ((younger than ns, weight),
    ..)), the youngest first.  counted_only: requests that the venue counts and never refuses for it.
    """

    venue: str
    amend: str = ""
    batch_max: int = 1
    post_only: str = POST_ONLY_REFUSED
    cancel_all: str = ""
    cancel_on_disconnect: bool = False
    dead_man_ns: int = 0
    venue_ids_only: bool = False
    order_life_ns: int = 5_000_000_000
    windows: tuple[Window, ...] = ()
    costs: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    age_costs: Mapping[str, tuple[str, tuple[tuple[int, int], ...]]] = field(default_factory=dict)
    counted_only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """An order as a command names it.  flags: POST_ONLY, IOC, FOK, REDUCE of event.py.  qty_lots: of a place, all of
    it; of a replace, what is to be open.  venue_id: the venue's number as the last Step of the order said it, 0 if none
    was.  done_lots: filled so far."""

    followed: Followed
    order_id: int
    client_id: str
    side: int
    price_ticks: int
    qty_lots: int
    flags: int = 0
    venue_id: int = 0
    done_lots: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """How an order stands at the venue, by a question about it.

    order_id: None for a foreign one.  qty_lots: as placed or amended; done_lots: filled of it.  end: 0 while it is
    open, else ORDER_FILLED (whole), ORDER_CANCELLED, ORDER_EXPIRED or ORDER_REJECTED.
    """

    followed: Followed
    order_id: int | None
    client_id: str
    venue_id: int
    side: int
    price_ticks: int
    qty_lots: int
    done_lots: int
    end: int
    cause: str = ""
    ts_venue_ns: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question.  number: as `ask_*` returned it.  cause: "" if it was answered; "unknown_order" if the
    venue knows no such order; else why it was not answered.  fills: with order_id None also for ours where the venue
    tells only its own number, by which the owner knows.  more: there are more fills after the last one.
    """

    number: int
    what: str
    cause: str = ""
    standings: tuple[Standing, ...] = ()
    fills: tuple[Step, ...] = ()
    balances: tuple[Balance, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A signed HTTP request; what comes of it goes to `answered` with the same tag.  path: with its query, below the
    venue's REST address.  It is valid for a short time only and must not be made twice."""

    tag: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Gateway(Protocol):
    """The private side of one account.

    url: of the private websocket, below the venue's address.  sends: text frames; calls: HTTP requests; restart: not
    empty means close this connection and open another.  said: what the venue said, in order.  The owner takes and
    clears these after every call.  ready: commands can be sent, and what happens to orders is heard.  retry_ns: our
    time before which the venue wants no more requests, 0 for none.
    """

    capabilities: Capabilities
    url: str
    sends: list[bytes]
    calls: list[Call]
    restart: str
    said: list[Said | Answer]
    counts: dict[str, int]
    silence_ns: int
    ready: bool
    retry_ns: int
    venue_ns: int

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        """Headers for the connection about to be opened; None if calls are wanted first (a token): it is asked again
        after they are answered."""

    def opened(self, ts_ns: int) -> None:
        """The connection is up: log on, subscribe.  May come again after `closed`."""

    def received(self, data: bytes, ts_ns: int) -> None:
        """One message.  Raises Malformed; what was said before that is to be heard."""

    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        """What came of a Call; status 0 if nothing came.  Raises Malformed."""

    def tick(self, ts_ns: int) -> None:
        """Time goes by: called several times a second."""

    def closed(self, ts_ns: int) -> None:
        """The connection is gone.  What was sent on it and not answered has an unknown outcome, which is not said here:
        the owner knows what it waits for."""

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        """Send a new order; returns the venue's time after which it cannot be taken any more."""

    def cancel(self, order: Order, ts_ns: int) -> None:
        """Send a cancel, by client id or the venue's number.  Also while not `ready`, by HTTP, where there is a way."""

    def replace(self, order: Order, ts_ns: int) -> None:
        """Give an open order the price and open quantity given, where `capabilities.amend` allows it."""

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        """Everything of an instrument, or of the account (None): foreign orders go along."""

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        """Set the dead-man's switch, 0 to disarm it."""

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        """How an order stands; returns the question's number, above 0.  0: it cannot be asked now."""

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        """All open orders of an instrument."""

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        """Own fills from a trade id on (0: the latest ones), or those of one order."""

    def ask_balances(self, ts_ns: int) -> int:
        """What the account holds."""


def costs_of(capabilities: Capabilities, request: str, age_ns: int = 0) -> Sequence[tuple[str, int]]:
    """(window, weight) of a request; nothing where the venue does not count it.  age_ns: of the order it is about."""
    fixed = capabilities.costs.get(request, ())
    by_age = capabilities.age_costs.get(request)
    if by_age is None:
        return fixed
    weight = next((weight for below_ns, weight in by_age[1] if age_ns < below_ns), 0)
    return (*fixed, (by_age[0], weight))

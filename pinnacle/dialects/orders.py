"""What the local exchange keeps of an order, and what it tells of it: order, fill, update, and why it refused.

Every venue shows the same facts in its own words; a dialect writes them from here and keeps none of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from pinnacle import event as e
from pinnacle.instrument import Instrument


class Status(Enum):
    """Where an order is in its life.  OPEN and PARTIAL may still trade; the others are final."""

    OPEN = "open"
    PARTIAL = "partial"  # open, and something was executed
    FILLED = "filled"
    CANCELLED = "cancelled"  # at its owner's request; something may have been executed before
    EXPIRED = "expired"  # the exchange ended it: see end_reason
    REJECTED = "rejected"


LIVE = (Status.OPEN, Status.PARTIAL)


class Why(Enum):
    """Why a command was refused.  The first ones are the matching engine's END_*; the others are the house's."""

    WOULD_CROSS = e.END_WOULD_CROSS
    UNFILLED = e.END_UNFILLED
    SELF_TRADE = e.END_SELF_TRADE
    PRICE = e.END_PRICE_FILTER
    QTY = e.END_QTY_FILTER
    NOTIONAL = e.END_NOTIONAL_FILTER
    NO_LIQUIDITY = e.END_NO_LIQUIDITY
    UNKNOWN_ORDER = e.END_UNKNOWN_ORDER
    ORDERS_MAX = e.END_ORDERS_MAX
    STATE = e.END_STATE
    DUPLICATE = e.END_DUPLICATE
    MALFORMED = e.END_MALFORMED
    FUNDS = 100  # the account has not what the order would cost
    CLIENT_ID = 101  # an open order of the account has this client id


class Refused(Exception):
    """The exchange did not do what it was asked, and nothing has changed.  A dialect says it in its venue's words."""

    def __init__(self, why: Why, order: Order | None = None) -> None:
        super().__init__(why.name)
        self.why, self.order = why, order


@dataclass(slots=True)
class Order:
    """One order of an account, live: it changes as things happen to it.

    id: the exchange's, above every id of background orders, unique over all instruments.  client_id: the owner's, ""
    for none.  price_ticks: 0 for a market order without protection.  qty_lots: executed and open together, as it was
    placed or last replaced.  flags: POST_ONLY, IOC, FOK, MARKET of event.py.  value_units: of what was executed, money
    units of the instrument.  end_reason: END_* where the exchange ended it.  extra: what the dialect was told and
    repeats (a display quantity, a tag), never read here.
    """

    id: int
    account: int
    instrument: int
    client_id: str
    side: int
    price_ticks: int
    qty_lots: int
    flags: int
    created_ns: int
    updated_ns: int
    status: Status = Status.OPEN
    filled_lots: int = 0
    value_units: int = 0
    fees: dict[str, int] = field(default_factory=dict)  # currency -> units of that currency
    fills: list[Fill] = field(default_factory=list)
    end_reason: int = 0
    held_units: int = 0  # of the currency it would pay with
    engine_id: int = 0  # the matching engine's, 0 if it never rested
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def live(self) -> bool:
        """Whether it may still trade."""
        return self.status in LIVE

    @property
    def open_lots(self) -> int:
        """What may still trade."""
        return self.qty_lots - self.filled_lots if self.live else 0

    @property
    def rest_lots(self) -> int:
        """What was not executed, whether or not it still may be."""
        return self.qty_lots - self.filled_lots


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution of an account's order.  id: the trade's, per instrument, the same that everyone hears.
    value_units: money units of the instrument.  fee_units: of fee_currency, negative for a rebate.  won_units: of the
    quote currency, what closing a position brought, where trading is on margin."""

    id: int
    order: Order
    side: int
    price_ticks: int
    qty_lots: int
    value_units: int
    fee_units: int
    fee_currency: str
    maker: bool
    ts_ns: int
    won_units: int = 0


class Happened(Enum):
    """What an update is about."""

    ACCEPTED = "accepted"  # also for orders that trade at once; not for those that ended without being taken up
    FILLED = "filled"
    REPLACED = "replaced"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Update:
    """Something happened to an order; `order` is as it is right after it, until the listener returns.

    number: counts the updates of the whole house from 1.  fill: of FILLED.  reason: END_* of EXPIRED and REJECTED,
    and of a REPLACED that self-trade prevention made; else 0.
    """

    number: int
    what: Happened
    order: Order
    ts_ns: int
    fill: Fill | None = None
    reason: int = 0


@dataclass(slots=True)
class Balance:
    """Units of one currency: all of it, and what open orders hold of it."""

    total_units: int = 0
    held_units: int = 0

    @property
    def free_units(self) -> int:
        return self.total_units - self.held_units


@dataclass(slots=True)
class Position:
    """What an account holds of an instrument where trading is on margin.  lots: below 0 when short.  cost_units: of the
    quote currency, what those lots were bought or sold for."""

    lots: int = 0
    cost_units: int = 0

    def trade(self, side: int, lots: int, value_units: int) -> int:
        """Lots were bought or sold for so much; returns what that won of the quote currency, below 0 if it lost.

        value_units is a whole number of units a lot.  Over a position's life what was won is exactly what was received
        less what was paid, because the last lots closed take the rest of the cost with them.
        """
        held = abs(self.lots)
        closed = min(lots, held) if self.lots * side < 0 else 0
        closing_units = value_units // lots * closed
        opened_units = self.cost_units * closed // held if closed else 0
        self.cost_units += value_units - closing_units - opened_units
        self.lots += side * lots
        return side * (opened_units - closing_units)


@dataclass(slots=True)
class Account:
    """A client of the exchange.  key, secret, passphrase: as clients are given them.  public_key: base64 of a raw
    Ed25519 key, where the venue signs with such.  tier: row of the fee schedule.  balances: by currency."""

    name: str
    key: str
    secret: str
    passphrase: str = ""
    public_key: str = ""
    tier: int = 0
    balances: dict[str, Balance] = field(default_factory=dict)
    index: int = 0  # 1 .. : its number at the house, and the participant's at each matching engine


@dataclass(frozen=True, slots=True)
class Listing:
    """An instrument as the exchange lists it.

    Prices from price_min_ticks to price_max_ticks (less than limits.BOOK_WINDOW_TICKS apart).  fees: (maker, taker) in
    parts per 1e9 by tier.
    """

    instrument: Instrument
    price_min_ticks: int
    price_max_ticks: int
    qty_max_lots: int
    fees: tuple[tuple[int, int], ...] = ((0, 0),)
    orders_max: int = 200  # open orders of an account

    @property
    def qty_min_lots(self) -> int:
        """The least quantity of an account's order."""
        least = self.instrument.qty_min
        return max(1, self.instrument.lots(str(least)) if least else 1)

    @property
    def notional_min_units(self) -> int:
        """The least value of an account's order, money units of the instrument."""
        return int(self.instrument.notional_min * 10**self.instrument.money_digits)

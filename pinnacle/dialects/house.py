"""The exchange as its dialects see it: several instruments, accounts with money, orders by id, views, and news.

The matching engine knows participants and their order numbers; a venue knows API keys, balances, client order ids and
executions with fees.  The house is what lies between, and the same for every venue's protocol.  It has no clock:
`advance` tells it the time.

It tells its listeners everything at once, while a command is obeyed, in this sequence: the updates of accounts' orders
one by one, then the market's batch.  A listener formats and remembers; it gives no commands.

What things cost, and what accounts have, is till.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import numpy as np

from pinnacle import event as e
from pinnacle.dialects.market import Batch, Market, MarketEvent, QuietMarket, among
from pinnacle.dialects.minutes import Minutes
from pinnacle.dialects.orders import Account, Fill, Happened, Listing, Order, Refused, Status, Update, Why
from pinnacle.dialects.till import Till
from pinnacle.dialects.views import resting
from pinnacle.errors import OperatorError
from pinnacle.event import BUY, EVENT
from pinnacle.kernels.exchange_state import PUBLISH_ALL, PUBLISH_TRADES, Exchange, new_exchange
from pinnacle.kernels.venue import STP_EXPIRE_TAKER
from pinnacle.limits import (
    FEE_TIERS_MAX,
    HOUSE_ACCOUNTS_MAX,
    HOUSE_ENDED_ORDERS_MAX,
    HOUSE_FILLS_MAX,
    HOUSE_ORDER_ID_FIRST,
    HOUSE_TRADES_MAX,
)

AT_ONCE = e.IOC | e.FOK | e.MARKET
# What a background order that rests nowhere is called in a trade: this plus the number of its first trade.
_PASSING_ID_FIRST = 1 << 35
_REFUSED = among((e.CANCEL_REJECTED, e.REPLACE_REJECTED))
_NAMED = among((e.ORDER_ACKNOWLEDGED, e.ORDER_REPLACED))


class Listener(Protocol):
    """Who wants to hear what happens."""

    def private(self, update: Update) -> None: ...

    def market(self, batch: Batch) -> None: ...


def new_venue(listing: Listing, accounts: int, background: int = 0, publish: int = PUBLISH_ALL) -> Exchange:
    """A matching engine for a listing, with `accounts` participants and `background` more after them."""
    instrument = listing.instrument
    units = instrument.units_per_ticklot
    venue = new_exchange(
        max(1, accounts + background), listing.price_min_ticks, listing.price_max_ticks, listing.qty_max_lots, units
    )
    venue.exchange[0]["publish"] = publish | PUBLISH_TRADES
    list_at(venue, listing, 1, accounts)
    return venue


def list_at(venue: Exchange, listing: Listing, first: int, accounts: int) -> None:
    """Give a matching engine a listing's bounds and fees, and its limits to the participants from `first` on.

    Prices may only become narrower than they are.  The least quantity and value bind accounts alone, and are the
    house's to check: a background is fitted to what others did.
    """
    record = venue.exchange[0]
    record["price_min_ticks"] = max(int(record["price_min_ticks"]), listing.price_min_ticks)
    record["price_max_ticks"] = min(int(record["price_max_ticks"]), listing.price_max_ticks)
    record["qty_max_lots"] = listing.qty_max_lots
    for tier, (maker, taker) in enumerate(listing.fees[:FEE_TIERS_MAX]):
        record["maker_ppb"][tier], record["taker_ppb"][tier] = maker, taker
    venue.participants["orders_max"][first : first + accounts] = listing.orders_max
    venue.participants["stp"][first : first + accounts] = STP_EXPIRE_TAKER


class House(Till):
    """See the file's first words.  Instruments are numbered as listed, accounts from 1."""

    def __init__(
        self,
        listings: Sequence[Listing],
        accounts: Sequence[Account],
        markets: Sequence[Market] | None = None,
        fees_in: Literal["received", "quote"] = "quote",
        publish: int = PUBLISH_ALL,
    ) -> None:
        if len(accounts) > HOUSE_ACCOUNTS_MAX:
            raise OperatorError(f"{len(accounts)} accounts are more than {HOUSE_ACCOUNTS_MAX}; give fewer")
        for index, account in enumerate(accounts, 1):
            account.index = index
        if markets is None:
            markets = [QuietMarket(new_venue(listing, len(accounts), 0, publish)) for listing in listings]
        assert len(markets) == len(listings)
        super().__init__(listings, accounts, markets, fees_in)
        for index, market in enumerate(self.markets):
            market.venue.exchange[0]["instrument"] = index
            for account in self.accounts:
                market.venue.participants[market.first + account.index - 1]["tier"] = account.tier
        self.now_ns = 0
        self.listeners: list[Listener] = []
        # Told of each command, as EVENT[1], before it is obeyed: for who keeps a log.
        self.obeyed: Callable[[int, np.ndarray], None] | None = None
        self.minutes = [Minutes() for _ in self.listings]
        self.trades: list[deque[MarketEvent]] = [deque(maxlen=HOUSE_TRADES_MAX) for _ in self.listings]
        self.states = [e.STATE_OPEN] * len(self.listings)
        self._by_symbol = {listing.instrument.symbol: k for k, listing in enumerate(self.listings)}
        self._by_key = {account.key: account for account in self.accounts}
        self._sequences = [0] * len(self.listings)
        self._next_order_id = HOUSE_ORDER_ID_FIRST
        self._updates = 0
        self._live: dict[int, Order] = {}
        self._live_of: list[dict[int, Order]] = [{} for _ in range(len(self.accounts) + 1)]
        self._by_client: dict[tuple[int, str], Order] = {}
        self._ended: dict[int, Order] = {}
        self._ended_by_client: dict[tuple[int, str], Order] = {}
        self._ended_of: list[deque[Order]] = [deque() for _ in range(len(self.accounts) + 1)]
        self._fills_of: list[deque[Fill]] = [deque(maxlen=HOUSE_FILLS_MAX) for _ in range(len(self.accounts) + 1)]
        self._public: list[dict[int, int]] = [{} for _ in self.listings]
        self._busy = False

    # --- looking up -----------------------------------------------------------------------------------------------
    def instrument_of(self, symbol: str) -> int | None:
        """Index of a symbol as listed, None if it is not."""
        return self._by_symbol.get(symbol)

    def account_of(self, key: str) -> Account | None:
        """The account with an API key."""
        return self._by_key.get(key)

    def order(self, account: int, order_id: int) -> Order | None:
        """An account's order, open or among those remembered."""
        found = self._live.get(order_id) or self._ended.get(order_id)
        return found if found is not None and found.account == account else None

    def order_by_client_id(self, account: int, client_id: str) -> Order | None:
        """The open order, else the last one remembered, with an account's client id."""
        return self._by_client.get((account, client_id)) or self._ended_by_client.get((account, client_id))

    def open_orders(self, account: int, instrument: int | None = None) -> list[Order]:
        """An account's open orders, oldest first."""
        orders = self._live_of[account].values()
        return [order for order in orders if instrument is None or order.instrument == instrument]

    def ended_orders(self, account: int, instrument: int | None = None) -> list[Order]:
        """An account's finished orders that are remembered, in the sequence in which they ended."""
        return [o for o in self._ended_of[account] if instrument is None or o.instrument == instrument]

    def fills(self, account: int, instrument: int | None = None) -> list[Fill]:
        """An account's executions that are remembered, oldest first."""
        return [f for f in self._fills_of[account] if instrument is None or f.order.instrument == instrument]

    def resting(self, instrument: int, side: int, depth: int = 0) -> list[tuple[int, int, int]]:
        """(order id, price_ticks, lots), best price first, in queue order, of `depth` levels (0: all)."""
        public = self._public[instrument]
        found = resting(self.markets[instrument].venue, side, depth)
        return [(public.get(number, number), price, lots) for number, price, lots, _ in found]

    def sequence(self, instrument: int) -> int:
        """Number of the last event that everyone has heard of an instrument, 0 before the first."""
        return self._sequences[instrument]

    # --- commands -------------------------------------------------------------------------------------------------
    def advance(self, now_ns: int) -> None:
        """The time is now_ns; what the background did until then is done.  Time that goes back is ignored."""
        if now_ns <= self.now_ns:
            return
        self.now_ns = now_ns
        for instrument, market in enumerate(self.markets):
            self._publish(instrument, *market.advance(now_ns))

    def place(
        self,
        account: int,
        instrument: int,
        side: int,
        qty_lots: int,
        price_ticks: int = 0,
        flags: int = 0,
        client_id: str = "",
        stp: int | None = None,
        unique: bool = True,
        **extra: object,
    ) -> Order:
        """A new order, and whatever it did at once: look at its status, fills and end_reason.

        flags: POST_ONLY, IOC, FOK, MARKET (price_ticks 0: no protection).  stp: STP_* of the kernels, None for the
        account's.  unique: refuse a client id that an open order of the account has.  A post-only order that would
        cross comes back EXPIRED with END_WOULD_CROSS; so do IOC and FOK orders that did not trade, with their reason.
        Raises Refused, with nothing changed, for what the exchange does not take.
        """
        if client_id and unique and (account, client_id) in self._by_client:
            raise Refused(Why.CLIENT_ID, self._by_client[account, client_id])
        order = Order(
            self._next_order_id, account, instrument, client_id, side, price_ticks, qty_lots, flags, self.now_ns,
            self.now_ns, extra=dict(extra),
        )  # fmt: skip
        command = self._command(e.PLACE, order)
        if stp is not None:
            command["flags"] |= (stp + 1) << e.STP_SHIFT
        listing = self.listings[instrument]
        # Orders that no filter would let pass are the engine's to refuse; money is worked out for the others.
        sane = 0 < qty_lots <= listing.qty_max_lots and 0 <= price_ticks <= listing.price_max_ticks
        if sane:
            self._filter(instrument, side, price_ticks, qty_lots, flags)
        need = self._need(order, qty_lots) if sane else 0
        if need and need > self._free(order):
            raise Refused(Why.FUNDS)
        self._next_order_id += 1
        self._hold(order, need)
        self._live[order.id] = self._live_of[account][order.id] = order
        if client_id:
            self._by_client[account, client_id] = order
        self._submit(instrument, command)
        if order.status is Status.REJECTED:
            raise Refused(Why(order.end_reason), order)
        return order

    def replace(self, order: Order, price_ticks: int, open_lots: int, flags: int = 0) -> Order:
        """Give an open order another price and open quantity; it keeps its place in the queue if the price is the same
        and the quantity did not grow.  flags: POST_ONLY refuses a price that would cross.  Raises Refused."""
        if not order.live:
            raise Refused(Why.UNKNOWN_ORDER, order)
        command = self._command(e.REPLACE, order)
        command["price_ticks"], command["qty_lots"], command["flags"] = price_ticks, open_lots, flags
        listing = self.listings[order.instrument]
        if 0 < open_lots <= listing.qty_max_lots and 0 < price_ticks <= listing.price_max_ticks:
            self._filter(order.instrument, order.side, price_ticks, open_lots, order.flags)
            was = order.price_ticks
            order.price_ticks = price_ticks
            need = self._need(order, open_lots)
            order.price_ticks = was
            if need and need > self._free(order):
                raise Refused(Why.FUNDS, order)
        refused = self._submit(order.instrument, command)
        if refused:
            raise Refused(Why(refused), order)
        return order

    def rename(self, order: Order, client_id: str) -> None:
        """Give an open order another client id, as some venues do when it is amended.  Raises Refused."""
        if not order.live:
            raise Refused(Why.UNKNOWN_ORDER, order)
        if client_id and self._by_client.get((order.account, client_id), order) is not order:
            raise Refused(Why.CLIENT_ID, self._by_client[order.account, client_id])
        if self._by_client.get((order.account, order.client_id)) is order:
            del self._by_client[order.account, order.client_id]
        order.client_id = client_id
        if client_id:
            self._by_client[order.account, client_id] = order

    def cancel(self, order: Order) -> Order:
        """Cancel an open order.  Raises Refused."""
        if not order.live:
            raise Refused(Why.UNKNOWN_ORDER, order)
        refused = self._submit(order.instrument, self._command(e.CANCEL, order))
        if refused:
            raise Refused(Why(refused), order)
        return order

    def cancel_all(self, account: int, instrument: int | None = None, side: int = 0) -> list[Order]:
        """Cancel an account's open orders, of an instrument and side or of all; returns those that went.  Raises
        Refused when an instrument is halted."""
        which = range(len(self.listings)) if instrument is None else (instrument,)
        gone: list[Order] = []
        for one in which:
            before = [o for o in self.open_orders(account, one) if side in (0, o.side)]
            if not before:
                continue
            command = np.zeros(1, EVENT)[0]
            command["kind"], command["side"] = e.CANCEL_ALL, side
            command["aux"] = self._participant(one, account)
            refused = self._submit(one, command)
            if refused:
                raise Refused(Why(refused))
            gone += [order for order in before if not order.live]
        return gone

    def set_state(self, instrument: int, state: int) -> None:
        """Open, halt or restrict an instrument: STATE_* of event.py."""
        command = np.zeros(1, EVENT)[0]
        command["kind"], command["aux"] = e.MARKET_STATE, state
        self._submit(instrument, command)

    def _filter(self, instrument: int, side: int, price_ticks: int, lots: int, flags: int) -> None:
        """The least quantity and value of an order; at its price, or the other side's best for a market order.  What
        can only reduce a position may be worth less."""
        listing = self.listings[instrument]
        if lots < listing.qty_min_lots:
            raise Refused(Why.QTY)
        if price_ticks == 0:
            best = self.levels(instrument, -side, 1)
            if not best:
                return
            price_ticks = best[0][0]
        outside = not listing.price_min_ticks <= price_ticks <= listing.price_max_ticks
        worth = price_ticks * lots * listing.instrument.units_per_ticklot
        if not outside and worth < listing.notional_min_units and not (self.leverage and flags & e.REDUCE):
            raise Refused(Why.NOTIONAL)

    def _participant(self, instrument: int, account: int) -> int:
        """An account's number at a matching engine."""
        return self.markets[instrument].first + account - 1

    def _command(self, kind: int, order: Order) -> np.void:
        command = np.zeros(1, EVENT)[0]
        command["kind"], command["order_id"] = kind, order.id
        command["aux"] = self._participant(order.instrument, order.account)
        command["side"], command["flags"] = order.side, order.flags
        command["price_ticks"], command["qty_lots"] = order.price_ticks, order.qty_lots
        return command

    def _submit(self, instrument: int, command: np.void) -> int:
        """Give the engine one command; returns END_* if it was a cancel or replace that was refused."""
        assert not self._busy, "a listener gave a command"
        commands = np.zeros(1, EVENT)
        commands[0] = command
        commands["ts_ns"] = commands["ts_venue_ns"] = self.now_ns
        if self.obeyed is not None:
            self.obeyed(instrument, commands)
        rows, to = self.markets[instrument].submit(commands)
        refused = _REFUSED[rows["kind"]] & (to == int(command["aux"]))
        self._publish(instrument, rows, to)
        return e.reason_of(int(rows["flags"][refused][0])) if refused.any() else 0

    # --- news -----------------------------------------------------------------------------------------------------
    def _publish(self, instrument: int, rows: np.ndarray, to: np.ndarray) -> None:
        """Book what was said to accounts, and tell the listeners."""
        if rows.size == 0:
            return
        self._busy = True
        try:
            first = self.markets[instrument].first
            for k in np.flatnonzero((to >= first) & (to < first + len(self.accounts))).tolist():
                self._report(instrument, rows, k)
            everyone = np.flatnonzero(to == 0)
            if everyone.size:
                self._tell(instrument, rows, to, everyone)
        finally:
            self._busy = False

    def _tell(self, instrument: int, rows: np.ndarray, to: np.ndarray, everyone: np.ndarray) -> None:
        market = rows[everyone]
        takers = self._taker_ids(instrument, rows, to)
        public = self._public[instrument]
        if public:
            for k, number in enumerate(market["order_id"].tolist()):
                if number in public:
                    market["order_id"][k] = public[number]
        first = self._sequences[instrument] + 1
        self._sequences[instrument] += market.size
        batch = Batch(instrument, market, takers[everyone], first, self.now_ns)
        for trade in batch.events(e.TRADE, e.MARKET_STATE):
            if trade.kind == e.MARKET_STATE:
                self.states[instrument] = trade.aux
                continue
            self.trades[instrument].append(trade)
            self.minutes[instrument].add(trade)
        for listener in self.listeners:
            listener.market(batch)
        # Only now: the batch itself speaks of orders that have just gone.
        for number, order_id in list(public.items()):
            if order_id not in self._live:
                del public[number]

    def _taker_ids(self, instrument: int, rows: np.ndarray, to: np.ndarray) -> np.ndarray:
        """int64[n]: of each TRADE the incoming order's id; its own fill is the row before."""
        takers = np.zeros(rows.size, np.int64)
        trades = np.flatnonzero(rows["kind"] == e.TRADE)
        if trades.size == 0:
            return takers
        first = self.markets[instrument].first
        people = to[trades - 1]
        own = (people >= first) & (people < first + len(self.accounts))
        # A command ends with its LAST row; one that may rest was acknowledged, or replaced, earlier in it.
        ends = np.flatnonzero((to == 0) & (rows["flags"] & e.LAST != 0))
        begins = np.concatenate(([0], ends + 1))[np.searchsorted(ends, trades)]
        named = np.flatnonzero(_NAMED[rows["kind"]])
        name_at = np.searchsorted(named, trades) - 1
        first_of = np.searchsorted(trades, begins)
        for k, trade in enumerate(trades.tolist()):
            at = int(named[name_at[k]]) if name_at[k] >= 0 else -1
            if own[k]:
                takers[trade] = rows["order_id"][trade - 1]
            elif at >= begins[k] and to[at] == people[k]:
                takers[trade] = rows["aux"][at]
            else:
                takers[trade] = _PASSING_ID_FIRST + int(rows["aux"][trades[first_of[k]]])
        return takers

    def _update(self, what: Happened, order: Order, fill: Fill | None = None, reason: int = 0) -> None:
        self._updates += 1
        update = Update(self._updates, what, order, order.updated_ns, fill, reason)
        for listener in self.listeners:
            listener.private(update)

    def _report(self, instrument: int, rows: np.ndarray, k: int) -> None:
        """One record of the engine to an account: its order, its money, and an update."""
        row = rows[k]
        kind, reason = int(row["kind"]), e.reason_of(int(row["flags"]))
        if kind in (e.CANCEL_REJECTED, e.REPLACE_REJECTED):
            return
        order = self._live[int(row["order_id"])]
        order.updated_ns = int(row["ts_ns"])
        if kind == e.ORDER_ACKNOWLEDGED:
            order.engine_id = int(row["aux"])
            self._public[instrument][order.engine_id] = order.id
            self._update(Happened.ACCEPTED, order)
        elif kind == e.ORDER_FILLED:
            if order.flags & AT_ONCE and order.filled_lots == 0:
                self._update(Happened.ACCEPTED, order)
            self._fill(order, rows, k)
        elif kind == e.ORDER_REPLACED:
            order.price_ticks = int(row["price_ticks"])
            order.qty_lots = order.filled_lots + int(row["qty_lots"])
            self._hold(order, self._need(order, order.open_lots))
            self._update(Happened.REPLACED, order, reason=reason)
        else:
            self._end(order, kind, reason)

    def _end(self, order: Order, kind: int, reason: int) -> None:
        order.end_reason = reason
        took_up = order.filled_lots or order.engine_id
        if kind == e.ORDER_EXPIRED and not took_up and reason != e.END_WOULD_CROSS:
            self._update(Happened.ACCEPTED, order)
        ends = {
            e.ORDER_CANCELLED: (Status.CANCELLED, Happened.CANCELLED),
            e.ORDER_EXPIRED: (Status.EXPIRED, Happened.EXPIRED),
            e.ORDER_REJECTED: (Status.REJECTED, Happened.REJECTED),
        }
        order.status, what = ends[kind]
        self._forget(order)
        self._update(what, order, reason=reason)

    def _fill(self, order: Order, rows: np.ndarray, k: int) -> None:
        row = rows[k]
        trade = k + 1
        while rows["kind"][trade] != e.TRADE:
            trade += 1
        one = self.listings[order.instrument].instrument
        price, lots, maker = int(row["price_ticks"]), int(row["qty_lots"]), bool(row["flags"] & e.MAKER)
        fee, currency, won = self._book(order, price, lots, maker)
        order.filled_lots += lots
        order.value_units += price * lots * one.units_per_ticklot
        order.status = Status.FILLED if order.filled_lots == order.qty_lots else Status.PARTIAL
        fill = Fill(
            int(rows["aux"][trade]), order, order.side, price, lots, price * lots * one.units_per_ticklot, fee,
            currency, maker, order.updated_ns, won,
        )  # fmt: skip
        order.fills.append(fill)
        self._fills_of[order.account].append(fill)
        if order.status is Status.FILLED:
            self._forget(order)
        elif order.flags & e.MARKET and order.side == BUY and not self.leverage:
            value = self.money(order.instrument, price, lots)
            self._hold(order, max(0, order.held_units - value - fee))
        else:
            self._hold(order, self._need(order, order.open_lots))
        self._update(Happened.FILLED, order, fill)

    def _forget(self, order: Order) -> None:
        """An order has ended: its money is free, and it is remembered among the last of its account."""
        self._hold(order, 0)
        del self._live[order.id], self._live_of[order.account][order.id]
        if self._by_client.get((order.account, order.client_id)) is order:
            del self._by_client[order.account, order.client_id]
        if order.status is Status.REJECTED:
            return
        ended = self._ended_of[order.account]
        if len(ended) == HOUSE_ENDED_ORDERS_MAX:
            oldest = ended.popleft()
            del self._ended[oldest.id]
            if self._ended_by_client.get((order.account, oldest.client_id)) is oldest:
                del self._ended_by_client[order.account, oldest.client_id]
        ended.append(order)
        self._ended[order.id] = self._ended_by_client[order.account, order.client_id] = order

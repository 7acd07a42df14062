"""Advanced Trade's websocket: channels, and one count of messages for each connection.

What a channel says is written once; the envelope with the connection's number is each session's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.coinbase_advanced_orders import big
from pinnacle.dialects.coinbase_advanced_rest import Rest
from pinnacle.dialects.coinbase_words import ORDERS, Words, money, uuid_of
from pinnacle.dialects.dialect import Session
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.dialects.orders import Account, Happened, Order, Update
from pinnacle.event import ASK, BID
from pinnacle.limits import SESSION_STREAMS_MAX

if TYPE_CHECKING:
    from pinnacle.dialects.coinbase_advanced import CoinbaseAdvanced

encode = msgspec.json.encode
SECOND_NS = 1_000_000_000
TRADES_NS = 250_000_000
FIRST_NS = 5 * SECOND_NS
CHANNELS = ("heartbeats", "level2", "market_trades", "ticker", "ticker_batch", "status", "user")
# Trades told at first, and open orders in one event of the user channel.
_TRADES_FIRST, _ORDERS_EVENT = 50, 50
Who = Callable[[str, str | None, int], Account | None]


class AdvancedSession(Session):
    """One websocket.  number: of its next message."""

    def __init__(self, dialect: CoinbaseAdvanced, path: str, peer: str, now_ns: int) -> None:
        super().__init__(dialect, path, peer)
        self.venue, self.began_ns = dialect, now_ns
        self.subscribed: dict[tuple[str, int], None] = {}
        self.account = self.number = 0
        self.spoke = False

    def receive(self, message: bytes, now_ns: int) -> None:
        if self.venue.may_say(self, now_ns):
            self.spoke = True
            self.venue.words.skew_ns = now_ns - self.venue.house.now_ns
            self.venue.channels.said(self, message, now_ns)

    def silent_too_long(self, now_ns: int) -> bool:
        """Whether it has not said what it wants in time."""
        return not self.spoke and now_ns - self.began_ns > FIRST_NS


class AdvancedChannels:
    """All channels.  who: whose a token is; spoil: whether a message is to be lost."""

    def __init__(self, words: Words, rest: Rest, who: Who, spoil: Callable[[str], bool]) -> None:
        self.words, self.house, self.rest, self._who, self._spoil = words, words.house, rest, who, spoil
        self._listeners: dict[tuple[str, int], list[AdvancedSession]] = {}
        self._trades: list[list[MarketEvent]] = [[] for _ in words.symbols]
        self._due_ns = dict.fromkeys(("trades", "second", "slow"), 0)
        self._beats = 0

    # --- what clients say ---------------------------------------------------------------------------------------------
    def said(self, session: AdvancedSession, message: bytes, now_ns: int) -> None:
        """One message of a client: subscribe or unsubscribe, one channel at a time."""
        try:
            wanted = msgspec.json.decode(message)
            channel, pairs = self._pairs(wanted)
            if wanted.get("jwt") is not None:
                account = self._who(str(wanted["jwt"]), None, now_ns)
                if account is None:
                    raise ValueError("authentication failure")
                session.account = account.index
            if channel == "user" and session.account == 0:
                raise ValueError("authentication failure")
            if len(set(session.subscribed) | set(pairs)) > SESSION_STREAMS_MAX:
                raise ValueError("too many subscriptions")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            session.send(encode({"type": "error", "message": "malformed JSON"}))
            return
        except ValueError as error:
            session.send(encode({"type": "error", "message": str(error)}))
            return
        news: list[int] = []
        for pair in pairs:
            if wanted["type"] == "unsubscribe":
                self._drop(session, pair)
            elif pair not in session.subscribed:
                session.subscribed[pair] = None
                self._listeners.setdefault(pair, []).append(session)
                news.append(pair[1])
        for k in news:
            self._first(session, channel, k)
        if channel == "user" and news:
            self._open_orders(session)
        self._say(session, "subscriptions", encode([{"subscriptions": self._subscriptions(session)}]))

    def _pairs(self, wanted: Any) -> tuple[str, list[tuple[str, int]]]:
        """(channel, (channel, product) pairs).  Raises ValueError with the reason."""
        if not isinstance(wanted, dict) or wanted.get("type") not in ("subscribe", "unsubscribe"):
            raise ValueError("type must be subscribe or unsubscribe")
        channel, products = wanted.get("channel"), wanted.get("product_ids") or []
        if not isinstance(channel, str) or channel not in CHANNELS:
            raise ValueError(f"channel {channel!r:.40} is not supported")
        if channel == "heartbeats":
            return channel, [(channel, 0)]
        if not isinstance(products, list):
            raise ValueError("product_ids must be a list")
        if not products and channel not in ("user", "status"):
            raise ValueError("product_ids is required")
        pairs = []
        for name in products or self.words.symbols:
            k = self.house.instrument_of(name) if isinstance(name, str) else None
            if k is None:
                raise ValueError(f"product {name!r:.40} was not found")
            pairs.append((channel, k))
        return channel, list(dict.fromkeys(pairs))

    def _subscriptions(self, session: AdvancedSession) -> dict[str, list[str]]:
        """All that a session is subscribed to."""
        found: dict[str, list[str]] = {}
        for channel, k in session.subscribed:
            names = found.setdefault(channel, [])
            names.append("heartbeats" if channel == "heartbeats" else self.words.symbols[k])
        return found

    def _drop(self, session: AdvancedSession, pair: tuple[str, int]) -> None:
        if pair in session.subscribed:
            del session.subscribed[pair]
            self._listeners[pair].remove(session)
            if not self._listeners[pair]:
                del self._listeners[pair]

    def leave(self, session: AdvancedSession) -> None:
        """A session has gone."""
        for pair in list(session.subscribed):
            self._drop(session, pair)

    # --- saying -------------------------------------------------------------------------------------------------------
    def _say(self, session: AdvancedSession, channel: str, events: bytes) -> None:
        """One message with the connection's next number; a lost one takes its number with it."""
        number, session.number = session.number, session.number + 1
        if self._spoil("gap"):
            return
        head = (
            f'{{"channel":"{channel}","client_id":"","timestamp":"{self.words.time(self.house.now_ns)}",'
            f'"sequence_num":{number},"events":'
        )
        session.send(head.encode() + events + b"}")

    def _tell(self, pair: tuple[str, int], channel: str, make: Callable[[], Any]) -> None:
        """To all who listen, if anyone does."""
        sessions = self._listeners.get(pair)
        if sessions:
            events = encode(make())
            for session in sessions:
                self._say(session, channel, events)

    def _first(self, session: AdvancedSession, channel: str, k: int) -> None:
        """What a channel begins with."""
        if channel == "level2":
            levels = [(side, *level) for side in (BID, ASK) for level in self.house.levels(k, side)]
            self._say(session, "l2_data", encode([self._levels("snapshot", levels, k)]))
        elif channel == "market_trades":
            trades = list(self.house.trades[k])[-_TRADES_FIRST:]
            listed = [self.rest.trade(k, trade) for trade in reversed(trades)]
            self._say(session, channel, encode([{"type": "snapshot", "trades": listed}]))
        elif channel in ("ticker", "ticker_batch"):
            self._say(session, channel, encode([{"type": "snapshot", "tickers": [self.rest.ticker(k)]}]))
        elif channel == "status":
            self._say(session, channel, encode([{"type": "snapshot", "products": [self.rest.product(k)]}]))

    def _open_orders(self, session: AdvancedSession) -> None:
        """The user channel's first events: the open orders, some at a time."""
        wanted = {k for channel, k in session.subscribed if channel == "user"}
        orders = [order for order in self.house.open_orders(session.account) if order.instrument in wanted]
        for begin in range(0, max(1, len(orders)), _ORDERS_EVENT):
            listed = [self._order(order) for order in orders[begin : begin + _ORDERS_EVENT]]
            self._say(session, "user", encode([{"type": "snapshot", "orders": listed}]))

    def _levels(self, kind: str, levels: list[tuple[int, int, int]], k: int) -> dict[str, Any]:
        now, price, qty = self.words.time(self.house.now_ns), self.words.price[k], self.words.qty[k]
        updates = [
            {"side": "bid" if side == BID else "offer", "event_time": now, "price_level": price(p),
             "new_quantity": qty(q)}
            for side, p, q in levels
        ]  # fmt: skip
        return {"type": kind, "product_id": self.words.symbols[k], "updates": updates}

    # --- news ---------------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        """Levels and tickers at once, trades in batches."""
        k = batch.instrument
        if ("level2", k) in self._listeners:
            levels = {(one.side, one.price_ticks): one.qty_lots for one in batch.events(e.BOOK_LEVEL)}
            if levels:
                changed = [(side, price, lots) for (side, price), lots in levels.items()]
                self._tell(("level2", k), "l2_data", lambda: [self._levels("update", changed, k)])
        trades = list(batch.events(e.TRADE))
        if trades:
            if ("market_trades", k) in self._listeners:
                self._trades[k] += trades
            self._tell(("ticker", k), "ticker", lambda: [{"type": "update", "tickers": [self.rest.ticker(k)]}])
        if any(True for _ in batch.events(e.MARKET_STATE)):
            self._tell(("status", k), "status", lambda: [{"type": "update", "products": [self.rest.product(k)]}])

    def private(self, update: Update) -> None:
        """An account's order as it is now, in cumulative numbers."""
        order = update.order
        if update.what is Happened.REJECTED:
            return
        for session in self._listeners.get(("user", order.instrument), ()):
            if session.account == order.account:
                self._say(session, "user", encode([{"type": "update", "orders": [self._order(order)]}]))

    def _order(self, order: Order) -> dict[str, Any]:
        k, one = order.instrument, self.words.instruments[order.instrument]
        average = one.money(order.value_units) / (order.filled_lots * one.lot) if order.filled_lots else 0
        value, fees = one.money(order.value_units), self.house.amount(one.quote, order.fees.get(one.quote, 0))
        return {
            "order_id": uuid_of(ORDERS, order.id), "client_order_id": order.client_id,
            "cumulative_quantity": self.words.qty[k](order.filled_lots),
            "leaves_quantity": self.words.qty[k](order.open_lots),
            "avg_price": f"{average:.8f}".rstrip("0").rstrip("."),
            "total_fees": money(fees), "status": self.rest.status(order), "product_id": self.words.symbols[k],
            "creation_time": self.words.time(order.created_ns), "order_side": big(order.side),
            "order_type": "Market" if order.flags & e.MARKET else "Limit", "cancel_reason": "", "reject_reason": "",
            "total_value_after_fees": money(value + order.side * fees), "product_type": "SPOT",
            "time_in_force": order.extra.get("tif", "GOOD_UNTIL_CANCELLED"), "trigger_status": "INVALID_ORDER_TYPE",
            "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE", "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        }  # fmt: skip

    def tick(self) -> None:
        """Trades each 250 ms, heartbeats each second, slow tickers each five."""
        now_ns = self.house.now_ns
        due = {}
        for what, every_ns in (("trades", TRADES_NS), ("second", SECOND_NS), ("slow", 5 * SECOND_NS)):
            due[what] = now_ns >= self._due_ns[what]
            if due[what]:
                self._due_ns[what] = (now_ns // every_ns + 1) * every_ns
        for k in range(len(self.words.symbols)):
            if due["trades"] and self._trades[k]:
                trades, self._trades[k] = self._trades[k], []
                listed = [self.rest.trade(k, trade) for trade in reversed(trades)]
                self._tell(("market_trades", k), "market_trades", [{"type": "update", "trades": listed}].copy)
            if due["slow"]:
                ticker = self.rest.ticker(k)
                self._tell(("ticker_batch", k), "ticker_batch", [{"type": "update", "tickers": [ticker]}].copy)
        if due["second"]:
            self._beats += 1
            # Not RFC 3339: the venue writes a space and nanoseconds here.
            now = self.words.time(now_ns).replace("T", " ").removesuffix("Z") + "000+00:00"
            beat = [{"current_time": now, "heartbeat_counter": self._beats}]
            self._tell(("heartbeats", 0), "heartbeats", beat.copy)

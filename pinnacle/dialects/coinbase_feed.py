"""Coinbase Exchange's websocket: subscriptions, and what each channel says when.

Each product has one count of messages, which every order message advances and trades, tickers and heartbeats carry; a
client of `full` or `level3` sees it without a hole.  Channels by levels have none, as at Coinbase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.coinbase_full import GroupTeller, Told, array_of, object_of, schema
from pinnacle.dialects.coinbase_words import ORDERS, PROFILES, USERS, Words, side, uuid_of
from pinnacle.dialects.dialect import Session
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.dialects.orders import Account, Happened, Order, Status, Update
from pinnacle.event import ASK, BID
from pinnacle.limits import DEPTH_PENDING_MAX, HOUSE_ORDER_ID_FIRST, SESSION_STREAMS_MAX

if TYPE_CHECKING:
    from pinnacle.dialects.coinbase import Coinbase

encode = msgspec.json.encode
SECOND_NS = 1_000_000_000
BATCH_NS = 50_000_000
# A client has so long to say the first time what it wants.
FIRST_NS = 5 * SECOND_NS
# channel as asked for -> as it is acknowledged
CHANNELS = {
    "level2": "level2", "level2_batch": "level2_50", "level2_50": "level2_50", "matches": "matches", "ticker": "ticker",
    "ticker_batch": "ticker_batch", "heartbeat": "heartbeat", "status": "status", "full": "full", "level3": "level3",
    "user": "user",
}  # fmt: skip
PRIVATE = {"level2", "full", "level3", "user"}
StampFault = Callable[[str, str, str, str, str, str, bytes, int], Account | str]


class FeedSession(Session):
    """One websocket.  subscribed: (channel, product) in sequence; account: 0 until a signed subscription."""

    def __init__(self, dialect: Coinbase, path: str, peer: str, now_ns: int) -> None:
        super().__init__(dialect, path, peer)
        self.venue, self.began_ns = dialect, now_ns
        self.subscribed: dict[tuple[str, int], None] = {}
        self.account = 0
        self.spoke = False

    def receive(self, message: bytes, now_ns: int) -> None:
        if self.venue.may_say(self, now_ns):
            self.spoke = True
            self.venue.words.skew_ns = now_ns - self.venue.house.now_ns
            self.venue.feed.said(self, message, now_ns)

    def silent_too_long(self, now_ns: int) -> bool:
        """Whether it has not said what it wants in time."""
        return not self.spoke and now_ns - self.began_ns > FIRST_NS

    def fail(self, message: str, reason: str) -> None:
        """Say what was wrong."""
        self.send(encode({"type": "error", "message": message, "reason": reason}))


class ExchangeFeed:
    """All channels.  stamp_fault: whose a signature is; spoil: whether a message is to be lost."""

    def __init__(self, words: Words, stamp_fault: StampFault, spoil: Callable[[str], bool]) -> None:
        self.words, self.house, self._stamp_fault, self._spoil = words, words.house, stamp_fault, spoil
        count = len(words.symbols)
        self.sequence = [0] * count
        self._listeners: dict[tuple[str, int], list[FeedSession]] = {}
        self._tellers = [GroupTeller() for _ in range(count)]
        self._pending: list[dict[tuple[int, int], int]] = [{} for _ in range(count)]
        self._due_ns = dict.fromkeys(("batch", "heartbeat", "slow"), 0)

    # --- what clients say ---------------------------------------------------------------------------------------------
    def said(self, session: FeedSession, message: bytes, now_ns: int) -> None:
        """One message of a client."""
        try:
            wanted = msgspec.json.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            session.fail("Malformed JSON", "")
            return
        kind = wanted.get("type") if isinstance(wanted, dict) else None
        if kind not in ("subscribe", "unsubscribe"):
            session.fail("Unknown message type", f"{kind!r:.40} is not one of subscribe, unsubscribe")
            return
        try:
            pairs = self._pairs(wanted)
        except ValueError as error:
            session.fail("Failed to subscribe", str(error))
            return
        if kind == "unsubscribe":
            for pair in pairs:
                self._drop(session, pair)
        else:
            fault = self._admit(session, wanted, pairs, now_ns)
            if fault:
                session.fail(*fault)
                return
        news = [pair for pair in pairs if pair not in session.subscribed] if kind == "subscribe" else []
        for pair in news:
            if pair[0] == "level2_50":
                # What the others wait for is older than the book that the new one is shown.
                self._flush(pair[1])
            session.subscribed[pair] = None
            self._listeners.setdefault(pair, []).append(session)
        session.send(self._subscriptions(session))
        if any(channel == "level3" for channel, _ in news):
            session.send(schema())
        if any(channel == "status" for channel, _ in news):
            session.send(self._status())
        for channel, k in news:
            self._first(session, channel, k)

    def _pairs(self, wanted: dict[str, Any]) -> list[tuple[str, int]]:
        """(channel, product) that a message names.  Raises ValueError with the reason."""
        everywhere, channels = wanted.get("product_ids", []), wanted.get("channels", [])
        if not isinstance(channels, list) or not channels:
            raise ValueError("channels is required")
        pairs: list[tuple[str, int]] = []
        for one in channels:
            name, products = (one.get("name"), one.get("product_ids", everywhere)) if isinstance(one, dict) else (
                one, everywhere
            )  # fmt: skip
            channel = CHANNELS.get(name) if isinstance(name, str) else None
            if channel is None:
                raise ValueError(f"{name!r:.40} is not a valid channel")
            if not isinstance(products, list) or (not products and channel not in ("status", "user")):
                raise ValueError(f"product_ids is required for {name}")
            for product in products or self.words.symbols:
                k = self.house.instrument_of(product) if isinstance(product, str) else None
                if k is None:
                    raise ValueError(f"{product!r:.40} is not a valid product")
                pairs.append((channel, k))
        if len(pairs) > SESSION_STREAMS_MAX:
            raise ValueError("too many subscriptions")
        return list(dict.fromkeys(pairs))

    def _admit(
        self, session: FeedSession, wanted: dict[str, Any], pairs: list[tuple[str, int]], now_ns: int
    ) -> tuple[str, str] | None:
        """Look at a subscription's signature, if it has one; what is wrong with it, or with its lack."""
        key, sign = wanted.get("key"), wanted.get("signature")
        if key is not None or sign is not None:
            key, phrase, stamp, sign = (str(wanted.get(n, "")) for n in ("key", "passphrase", "timestamp", "signature"))
            found = self._stamp_fault(key, phrase, stamp, sign, "GET", "/users/self/verify", b"", now_ns)
            if isinstance(found, str):
                return "Authentication Failed", found
            session.account = found.index
        if session.account == 0:
            for channel, _ in pairs:
                if channel in PRIVATE:
                    return "Failed to subscribe", f"{channel} channel requires authentication"
        if len(set(session.subscribed) | set(pairs)) > SESSION_STREAMS_MAX:
            return "Failed to subscribe", "too many subscriptions"
        return None

    def _subscriptions(self, session: FeedSession) -> bytes:
        """All that a session is subscribed to, by channel."""
        channels: dict[str, list[str]] = {}
        for channel, k in session.subscribed:
            channels.setdefault(channel, []).append(self.words.symbols[k])
        listed = [{"name": name, "product_ids": products} for name, products in channels.items()]
        return encode({"type": "subscriptions", "channels": listed})

    def _drop(self, session: FeedSession, pair: tuple[str, int]) -> None:
        if pair in session.subscribed:
            del session.subscribed[pair]
            self._listeners[pair].remove(session)
            if not self._listeners[pair]:
                del self._listeners[pair]
                if pair[0] == "level2_50":
                    self._pending[pair[1]].clear()

    def leave(self, session: FeedSession) -> None:
        """A session has gone."""
        for pair in list(session.subscribed):
            self._drop(session, pair)

    def _first(self, session: FeedSession, channel: str, k: int) -> None:
        """What a channel says right after the acknowledgement."""
        trades = self.house.trades[k]
        if channel in ("level2", "level2_50"):
            price, qty = self.words.price[k], self.words.qty[k]
            bids, asks = ([[price(p), qty(q)] for p, q in self.house.levels(k, one)] for one in (BID, ASK))
            whole = {"type": "snapshot", "product_id": self.words.symbols[k], "asks": asks, "bids": bids}
            session.send(encode(whole))
        elif channel == "matches" and trades:
            session.send(self._match("last_match", trades[-1], k, self.sequence[k]))
        elif channel in ("ticker", "ticker_batch") and trades:
            session.send(self._ticker(trades[-1], k, self.sequence[k]))

    # --- news ---------------------------------------------------------------------------------------------------------
    def market(self, batch: Batch) -> None:
        """Tell what happened, command by command."""
        k = batch.instrument
        teller = self._tellers[k]
        levels: dict[tuple[int, int], int] = {}
        trades: list[tuple[MarketEvent, int]] = []
        for event in batch.events():
            if event.kind == e.BOOK_LEVEL:
                levels[event.side, event.price_ticks] = event.qty_lots
            elif event.kind == e.MARKET_STATE:
                self._say(("status", k), self._status)
            else:
                for told in teller.hear(event):
                    self._tell(told, k)
                    if event.kind == e.TRADE and told.kind == "match":
                        trades.append((event, self.sequence[k]))
            if event.last:
                for told in teller.end():
                    self._tell(told, k)
        for trade, sequence in trades:
            self._lose_or_say("matches", k, lambda t=trade, n=sequence: self._match("match", t, k, n))  # type: ignore[misc]
            self._say(("ticker", k), lambda t=trade, n=sequence: self._ticker(t, k, n))  # type: ignore[misc]
        if levels:
            self._say(("level2", k), lambda: self._update(levels, k))
            if ("level2_50", k) in self._listeners:
                self._pending[k] |= levels
                if len(self._pending[k]) > DEPTH_PENDING_MAX:
                    self._flush(k)

    def _tell(self, told: Told, k: int) -> None:
        """One message of the product's count."""
        self.sequence[k] += 1
        full, compact = self._listeners.get(("full", k)), self._listeners.get(("level3", k))
        if (full or compact) and self._spoil("gap"):
            return
        if full:
            self._send(full, encode(object_of(told, k, self.sequence[k], self.words)))
        if compact:
            self._send(compact, encode(array_of(told, k, self.sequence[k], self.words)))
        if told.kind == "open" and told.order_id >= HOUSE_ORDER_ID_FIRST:
            for session in self._listeners.get(("user", k), ()):
                if self.house.order(session.account, told.order_id) is not None:
                    own = {"user_id": uuid_of(USERS, session.account), "profile_id": uuid_of(PROFILES, session.account)}
                    session.send(encode(object_of(told, k, self.sequence[k], self.words) | own))

    def _send(self, sessions: Iterable[FeedSession], message: bytes) -> None:
        for session in sessions:
            session.send(message)

    def _say(self, pair: tuple[str, int], make: Callable[[], bytes]) -> None:
        """Make a message, if anyone listens, and send it."""
        sessions = self._listeners.get(pair)
        if sessions:
            self._send(sessions, make())

    def _lose_or_say(self, channel: str, k: int, make: Callable[[], bytes]) -> None:
        """The same of a channel in which a loss is made by leaving a message out; in level2 the venue loses none."""
        if (channel, k) in self._listeners and not self._spoil("gap"):
            self._say((channel, k), make)

    def _match(self, kind: str, trade: MarketEvent, k: int, sequence: int) -> bytes:
        return encode(
            {
                "type": kind, "trade_id": trade.aux, "maker_order_id": uuid_of(ORDERS, trade.order_id),
                "taker_order_id": uuid_of(ORDERS, trade.taker_id), "side": side(-trade.side),
                "size": self.words.qty[k](trade.qty_lots), "price": self.words.price[k](trade.price_ticks),
                "product_id": self.words.symbols[k], "sequence": sequence, "time": self.words.time(trade.ts_ns),
            }
        )  # fmt: skip

    def best(self, k: int) -> dict[str, str]:
        """Best prices and sizes of a product as tickers write them; 0 for an empty side."""
        found = {}
        for name, which in (("best_bid", BID), ("best_ask", ASK)):
            level = self.house.levels(k, which, 1)
            ticks, lots = level[0] if level else (0, 0)
            found[name], found[f"{name}_size"] = self.words.price[k](ticks), self.words.qty[k](lots)
        return found

    def _ticker(self, trade: MarketEvent, k: int, sequence: int) -> bytes:
        day = self.house.minutes[k].since(self.house.now_ns - 86_400 * SECOND_NS)
        price, qty = self.words.price[k], self.words.qty[k]
        volume = qty(day.lots if day else 0)
        return encode(
            {
                "type": "ticker", "sequence": sequence, "product_id": self.words.symbols[k],
                "price": price(trade.price_ticks), "open_24h": price(day.open_ticks if day else 0),
                "volume_24h": volume, "low_24h": price(day.low_ticks if day else 0),
                "high_24h": price(day.high_ticks if day else 0), "volume_30d": volume, **self.best(k),
                "side": side(trade.side), "time": self.words.time(trade.ts_ns), "trade_id": trade.aux,
                "last_size": qty(trade.qty_lots),
            }
        )  # fmt: skip

    def _update(self, levels: dict[tuple[int, int], int], k: int) -> bytes:
        price, qty = self.words.price[k], self.words.qty[k]
        changes = ",".join(f'["{side(s)}","{price(p)}","{qty(q)}"]' for (s, p), q in levels.items())
        return (
            f'{{"type":"l2update","product_id":"{self.words.symbols[k]}","changes":[{changes}],'
            f'"time":"{self.words.time(self.house.now_ns)}"}}'
        ).encode()

    def _status(self) -> bytes:
        products = [self.words.product(k) for k in range(len(self.words.symbols))]
        currencies = [{"id": name, "name": name, "status": "online"} for name in self.house.digits]
        return encode({"type": "status", "products": products, "currencies": currencies})

    def _flush(self, k: int) -> None:
        levels, self._pending[k] = self._pending[k], {}
        self._say(("level2_50", k), lambda: self._update(levels, k))

    def tick(self) -> None:
        """Say what is due at intervals: batches of 50 ms, heartbeats each second, status and slow tickers each five."""
        now_ns = self.house.now_ns
        due = {}
        for what, every_ns in (("batch", BATCH_NS), ("heartbeat", SECOND_NS), ("slow", 5 * SECOND_NS)):
            due[what] = now_ns >= self._due_ns[what]
            if due[what]:
                self._due_ns[what] = (now_ns // every_ns + 1) * every_ns
        for k in range(len(self.words.symbols)):
            if due["batch"] and self._pending[k]:
                self._flush(k)
            if due["heartbeat"]:
                self._say(("heartbeat", k), lambda k=k: self._heartbeat(k))  # type: ignore[misc]
            trades = self.house.trades[k]
            if due["slow"] and trades:
                self._say(("ticker_batch", k), lambda k=k: self._ticker(self.house.trades[k][-1], k, self.sequence[k]))  # type: ignore[misc]
        if due["slow"]:
            told: list[FeedSession] = []
            for (channel, _), sessions in self._listeners.items():
                if channel == "status":
                    told += [session for session in sessions if session not in told]
            if told:
                self._send(told, self._status())

    def _heartbeat(self, k: int) -> bytes:
        trades = self.house.trades[k]
        return encode(
            {
                "type": "heartbeat", "sequence": self.sequence[k], "last_trade_id": trades[-1].aux if trades else 0,
                "product_id": self.words.symbols[k], "time": self.words.time(self.house.now_ns),
            }
        )  # fmt: skip

    # --- own orders ---------------------------------------------------------------------------------------------------
    def private(self, update: Update) -> None:
        """Tell an account what became of its order; that it rests is told with the market's own message."""
        order = update.order
        sessions = [s for s in self._listeners.get(("user", order.instrument), ()) if s.account == order.account]
        if not sessions:
            return
        for body in self._own(update, order):
            whole = body | {
                "product_id": self.words.symbols[order.instrument], "sequence": self.sequence[order.instrument],
                "time": self.words.time(update.ts_ns), "user_id": uuid_of(USERS, order.account),
                "profile_id": uuid_of(PROFILES, order.account),
            }  # fmt: skip
            self._send(sessions, encode(whole))

    def _own(self, update: Update, order: Order) -> list[dict[str, Any]]:
        k, number = order.instrument, uuid_of(ORDERS, order.id)
        price, qty = self.words.price[k], self.words.qty[k]
        base: dict[str, Any] = {"order_id": number, "side": side(order.side)}
        if order.client_id:
            base["client_oid"] = order.client_id
        done = base | {"type": "done", "remaining_size": qty(order.rest_lots), "price": price(order.price_ticks)}
        match update.what:
            case Happened.ACCEPTED:
                kind = "market" if order.flags & e.MARKET else "limit"
                body = base | {"type": "received", "order_type": kind, "size": qty(order.qty_lots)}
                return [body | ({} if kind == "market" else {"price": price(order.price_ticks)})]
            case Happened.FILLED:
                fill = update.fill
                assert fill is not None
                maker, taker = self.house.rates(order.account, k)
                role = "maker" if fill.maker else "taker"
                other = uuid_of(ORDERS, 0)
                body = {
                    "type": "match", "trade_id": fill.id, "price": price(fill.price_ticks), "size": qty(fill.qty_lots),
                    "side": side(fill.side if fill.maker else -fill.side),
                    f"{role}_user_id": uuid_of(USERS, order.account),
                    f"{role}_profile_id": uuid_of(PROFILES, order.account),
                    f"{role}_fee_rate": f"{(maker if fill.maker else taker) / 1e9:.4f}",
                    "maker_order_id": number if fill.maker else other,
                    "taker_order_id": other if fill.maker else number,
                }  # fmt: skip
                filled = order.status is Status.FILLED
                return [body, done | {"reason": "filled"}] if filled else [body]
            case Happened.REPLACED:
                body = base | {"type": "change", "new_size": qty(order.open_lots)}
                reason = "STP" if update.reason else "modify_order"
                return [body | {"reason": reason, "new_price": price(order.price_ticks)}]
            case Happened.CANCELLED:
                return [done | {"reason": "canceled"}]
            case Happened.EXPIRED:
                code = "102" if update.reason == e.END_SELF_TRADE else "101"
                return [done | {"reason": "canceled", "cancel_reason": code}]
        return []

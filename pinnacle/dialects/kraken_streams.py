"""Kraken's public channels, websocket v2: books with their checksum, trades, tickers, instruments.

Messages are written by hand where numbers stand bare, because their digits are what the checksum is over.  A book is
told as the venue does: what changed within the depth subscribed to, what came into it, and nothing of what fell out.
"""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from pinnacle import event as e
from pinnacle.dialects.kraken_words import SYSTEM, Words, time
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.event import ASK, BID, BUY

if TYPE_CHECKING:
    from pinnacle.dialects.kraken_session import KrakenSession

DEPTHS = (10, 25, 100, 500, 1000)
CHECKSUM_LEVELS = 10
SNAPSHOT_TRADES = 50
SECOND_NS = 1_000_000_000
encode = msgspec.json.encode
Levels = dict[int, int]


class Mirror:
    """All levels of one pair by what everyone heard, in order; walking the house's own for each message is slow."""

    def __init__(self, words: Words, k: int) -> None:
        self.levels: dict[int, Levels] = {side: dict(words.house.levels(k, side)) for side in (BID, ASK)}
        self._keys = {side: sorted(side * ticks for ticks in self.levels[side]) for side in (BID, ASK)}

    def set(self, side: int, ticks: int, lots: int) -> None:
        """The quantity at a price is now lots."""
        levels, keys = self.levels[side], self._keys[side]
        if lots:
            if ticks not in levels:
                bisect.insort(keys, side * ticks)
            levels[ticks] = lots
        elif levels.pop(ticks, 0):
            del keys[bisect.bisect_left(keys, side * ticks)]

    def top(self, side: int, depth: int) -> Levels:
        """The first levels, best first."""
        levels = self.levels[side]
        return {side * key: levels[side * key] for key in self._keys[side][: -depth - 1 : -1]}


class Book:
    """What subscribers of one pair and depth have: levels by side, best first."""

    def __init__(self, words: Words, k: int, depth: int, mirror: Mirror) -> None:
        self.words, self.k, self.depth, self.mirror = words, k, depth, mirror
        self.sessions: dict[KrakenSession, None] = {}
        self.sides: dict[int, Levels] = {BID: {}, ASK: {}}
        self.load()

    def load(self) -> dict[int, Levels]:
        """The present book becomes what subscribers have; returns what they had."""
        had = self.sides
        self.sides = {side: self.mirror.top(side, self.depth) for side in (BID, ASK)}
        return had

    def concerned(self, changed: list[MarketEvent]) -> bool:
        """Whether any of these levels is within the depth, or could come into it."""
        for side, levels in self.sides.items():
            worst = next(reversed(levels)) if len(levels) == self.depth else 0
            if any(one.side == side and (not worst or (one.price_ticks - worst) * side >= 0) for one in changed):
                return True
        return False

    def changes(self) -> dict[int, list[tuple[int, int]]]:
        """(price_ticks, lots) by side that lead from what subscribers had to what they have now."""
        had = self.load()
        out: dict[int, list[tuple[int, int]]] = {}
        for side, now in self.sides.items():
            gone = [ticks for ticks in had[side] if ticks not in now]
            if len(now) == self.depth:
                worst = next(reversed(now))
                gone = [ticks for ticks in gone if (ticks - worst) * side > 0]  # the others fell out, or as good as
            out[side] = [(ticks, 0) for ticks in gone]
            out[side] += [level for level in now.items() if had[side].get(level[0]) != level[1]]
        return out

    def checksum(self) -> int:
        """CRC-32 of the ten best asks and bids."""
        text = ""
        for side in (ASK, BID):
            for n, (ticks, lots) in enumerate(self.sides[side].items()):
                if n == CHECKSUM_LEVELS:
                    break
                for number in (self.words.price(self.k, ticks), self.words.qty(self.k, lots)):
                    text += number.replace(".", "").lstrip("0")
        return zlib.crc32(text.encode())

    def message(self, kind: str, sides: dict[int, list[tuple[int, int]]], checksum: int, now_ns: int) -> bytes:
        """A message of the book channel."""
        price, qty, k = self.words.price, self.words.qty, self.k
        bids, asks = (
            ",".join(f'{{"price":{price(k, ticks)},"qty":{qty(k, lots)}}}' for ticks, lots in sides[side])
            for side in (BID, ASK)
        )
        return (
            f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{self.words.symbols[k]}","bids":[{bids}],'
            f'"asks":[{asks}],"checksum":{checksum},"timestamp":"{time(now_ns)}"}}]}}'
        ).encode()

    def snapshot(self, now_ns: int) -> bytes:
        """The whole book."""
        return self.message(
            "snapshot", {side: list(self.sides[side].items()) for side in self.sides}, self.checksum(), now_ns
        )


class Streams:
    """Who hears what.  spoil: the dialect's faults."""

    def __init__(self, words: Words, spoil: Callable[[str], bool]) -> None:
        self.words, self.spoil = words, spoil
        self.books: dict[tuple[int, int], Book] = {}
        self._mirrors: dict[int, Mirror] = {}
        self.trades: list[dict[KrakenSession, None]] = [{} for _ in words.symbols]
        self.tickers: list[dict[KrakenSession, str]] = [{} for _ in words.symbols]  # -> event_trigger
        self.instruments: dict[KrakenSession, None] = {}

    # --- subscriptions ------------------------------------------------------------------------------------------------

    def join_book(self, session: KrakenSession, k: int, depth: int, snapshot: bool, now_ns: int) -> None:
        """Everyone at a depth has the same book, so a new one is given it as the others have it."""
        book = self.books.get((k, depth))
        if book is None:
            if k not in self._mirrors:
                self._mirrors[k] = Mirror(self.words, k)
            book = self.books[k, depth] = Book(self.words, k, depth, self._mirrors[k])
        book.sessions[session] = None
        if snapshot:
            session.send(book.snapshot(now_ns))

    def leave_book(self, session: KrakenSession, k: int, depth: int) -> None:
        """An end of a subscription."""
        book = self.books.get((k, depth))
        if book is not None:
            book.sessions.pop(session, None)
            if not book.sessions:
                del self.books[k, depth]
                if not any(of == k for of, _ in self.books):
                    del self._mirrors[k]

    def leave(self, session: KrakenSession) -> None:
        """A session has gone."""
        for k, depth in list(self.books):
            self.leave_book(session, k, depth)
        for k in range(len(self.words.symbols)):
            self.trades[k].pop(session, None)
            self.tickers[k].pop(session, None)
        self.instruments.pop(session, None)

    # --- news ---------------------------------------------------------------------------------------------------------

    def market(self, batch: Batch, skew_ns: int) -> None:
        """What a step of the market changed, to all who want it."""
        k, now_ns = batch.instrument, batch.ts_ns + skew_ns
        by_kind: dict[int, list[MarketEvent]] = {}
        for one in batch.events():
            by_kind.setdefault(one.kind, []).append(one)
        trades = by_kind.get(e.TRADE, [])
        if trades and self.trades[k]:
            self._send(self.trades[k], self.trade_message("update", k, trades, skew_ns))
        mirror = self._mirrors.get(k)
        if mirror is not None:
            changed = by_kind.get(e.BOOK_LEVEL, [])
            for one in changed:
                mirror.set(one.side, one.price_ticks, one.qty_lots)
            for (of, _), book in self.books.items():
                if of == k and book.concerned(changed):
                    self._tell_book(book, now_ns)
        if self.tickers[k]:
            moved = e.TICKER in by_kind
            if trades or moved:
                message = self.ticker_message("update", k, now_ns)
                self._send(
                    {one: None for one, on in self.tickers[k].items() if (on == "bbo" and moved) or trades}, message
                )
        for change in by_kind.get(e.MARKET_STATE, ()):
            self._send(self.instruments, self.instrument_message("update", [k], change.aux))

    def _send(self, sessions: dict[KrakenSession, None], message: bytes) -> None:
        for session in sessions:
            session.send(message)

    def _tell_book(self, book: Book, now_ns: int) -> None:
        changes = book.changes()
        if not changes[BID] and not changes[ASK]:
            return
        if self.spoil("gap"):
            return
        checksum = book.checksum()
        if self.spoil("checksum"):
            checksum ^= 1
        self._send(book.sessions, book.message("update", changes, checksum, now_ns))

    # --- messages -----------------------------------------------------------------------------------------------------

    def trade_message(self, kind: str, k: int, trades: list[MarketEvent], skew_ns: int) -> bytes:
        """Of the trade channel; the side is the taker's."""
        words = self.words
        rows = ",".join(
            f'{{"symbol":"{words.symbols[k]}","side":"{"buy" if one.side == BUY else "sell"}",'
            f'"price":{words.price(k, one.price_ticks)},"qty":{words.qty(k, one.qty_lots)},"ord_type":"limit",'
            f'"trade_id":{one.aux},"timestamp":"{time(one.ts_ns + skew_ns)}"}}'
            for one in trades
        )
        return f'{{"channel":"trade","type":"{kind}","data":[{rows}]}}'.encode()

    def ticker_message(self, kind: str, k: int, now_ns: int) -> bytes:
        """Of the ticker channel."""
        words, house = self.words, self.words.house
        best = {side: next(iter(house.levels(k, side, 1)), (0, 0)) for side in (BID, ASK)}
        day = house.minutes[k].since(house.now_ns - 86_400 * SECOND_NS)
        last = words.price(k, day.close_ticks if day else 0)
        low, high = (words.price(k, ticks) for ticks in ((day.low_ticks, day.high_ticks) if day else (0, 0)))
        change = words.instrument(k).price_text(day.close_ticks - day.open_ticks) if day else "0"
        percent = f"{100 * (day.close_ticks - day.open_ticks) / day.open_ticks:.2f}" if day else "0.00"
        vwap = words.price(k, day.value_ticklots // day.lots if day and day.lots else 0)
        return (
            f'{{"channel":"ticker","type":"{kind}","data":[{{"symbol":"{words.symbols[k]}",'
            f'"bid":{words.price(k, best[BID][0])},"bid_qty":{words.qty(k, best[BID][1])},'
            f'"ask":{words.price(k, best[ASK][0])},"ask_qty":{words.qty(k, best[ASK][1])},"last":{last},'
            f'"volume":{words.qty(k, day.lots if day else 0)},"vwap":{vwap},"low":{low},"high":{high},'
            f'"change":{change},"change_pct":{percent},"timestamp":"{time(now_ns)}"}}]}}'
        ).encode()

    def instrument_message(self, kind: str, which: list[int], state: int | None = None) -> bytes:
        """Of the instrument channel: data is an object.  state: of the one that just changed."""
        words = self.words
        pairs, assets = [], {}
        for k in which:
            one = words.instrument(k)
            prices, quantities = words.decimals(k)
            status = SYSTEM[words.house.states[k] if state is None else state]
            pairs.append(
                f'{{"symbol":"{one.symbol}","base":"{one.base}","quote":"{one.quote}","status":"{status}",'
                f'"qty_precision":{quantities},"qty_increment":{one.lot:f},"price_precision":{prices},'
                f'"price_increment":{one.tick:f},"cost_precision":5,"marginable":false,"has_index":false,'
                f'"cost_min":{one.notional_min:f},"qty_min":{max(one.qty_min, one.lot):f},"tick_size":{one.tick:f}}}'
            )
            for asset in (one.base, one.quote):
                assets[asset] = (
                    f'{{"id":"{asset}","status":"enabled","precision":{words.house.digits[asset]},'
                    '"precision_display":5,"borrowable":false,"collateral_value":1.0,"margin_rate":0.0}'
                )
        return (
            f'{{"channel":"instrument","type":"{kind}","data":{{"assets":[{",".join(assets.values())}],'
            f'"pairs":[{",".join(pairs)}]}}}}'
        ).encode()

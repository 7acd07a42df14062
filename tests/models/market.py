"""Markets whose truth is known, as EVENT rows: what a venue would publish of them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from pinnacle.event import ASK, BID, BOOK_LEVEL, EVENT, LAST, SNAPSHOT, TRADE
from pinnacle.instrument import Instrument

NS = 1_000_000_000
START_NS = 1_723_075_200_000_000_000
INSTRUMENT = Instrument("naive", "XY", Decimal("0.1"), Decimal("0.001"))
LIMIT, CANCEL, MARKET = 0, 1, 2


def rows_of(listed: list[tuple[int, int, int, int, int, int]]) -> np.ndarray:
    """EVENT rows of (ts_ns, kind, side, price_ticks, qty_lots, flags)."""
    rows = np.zeros(len(listed), EVENT)
    for field, column in zip(("ts_ns", "kind", "side", "price_ticks", "qty_lots", "flags"), zip(*listed)):
        rows[field] = column
    rows["ts_venue_ns"] = rows["ts_ns"]
    rows["seq"] = np.arange(rows.size)
    return rows


class NaiveMarket:
    """A zero-intelligence market, order by order: dictionaries, and one exponential wait after another.

    limit_per_s[d - 1]: arrivals of one side at distance d from the other side's best; cancel_per_s: of each order;
    market_per_s: of one side.  `truth` lists what happened: (ts_ns, kind, side, price_ticks, qty_lots, bid, ask).
    """

    def __init__(self, seed: int, limit_per_s: np.ndarray, cancel_per_s: float, market_per_s: float) -> None:
        self.draw = np.random.default_rng(seed)
        self.limit_per_s, self.cancel_per_s, self.market_per_s = limit_per_s, cancel_per_s, market_per_s
        self.resting: list[list[int]] = []  # [side, price, lots]
        self.truth: list[tuple[int, ...]] = []
        self.messages: list[list[tuple[int, int, int, int, int, int]]] = []
        self.now_s = 0.0
        for side, price in ((BID, 1000), (ASK, 1001)):
            for d in range(limit_per_s.size):
                self.resting += [[side, price - side * d, 5] for _ in range(4)]
        self.messages.append(
            [(START_NS, BOOK_LEVEL, side, price, lots, SNAPSHOT) for (side, price), lots in self.levels().items()]
        )

    def levels(self) -> dict[tuple[int, int], int]:
        book: dict[tuple[int, int], int] = {}
        for side, price, lots in self.resting:
            book[side, price] = book.get((side, price), 0) + lots
        return book

    def best(self, side: int) -> int:
        return side * max(side * price for one, price, _ in self.resting if one == side)

    def run(self, seconds: float) -> NaiveMarket:
        """Let the market go on to a time; one atomic message for each order."""
        limit_total = 2.0 * self.limit_per_s.sum()
        while True:
            rate = limit_total + 2.0 * self.market_per_s + self.cancel_per_s * len(self.resting)
            self.now_s += self.draw.exponential(1.0 / rate)
            if self.now_s >= seconds:
                return self
            u = self.draw.random() * rate
            side = BID if self.draw.random() < 0.5 else ASK
            if u < limit_total:
                self.limit(side)
            elif u < limit_total + 2.0 * self.market_per_s:
                self.market(side)
            else:
                self.cancel(int(self.draw.integers(len(self.resting))))

    def limit(self, side: int) -> None:
        d = 1 + int(self.draw.choice(self.limit_per_s.size, p=self.limit_per_s / self.limit_per_s.sum()))
        bid, ask = self.best(BID), self.best(ASK)
        price, lots = (ask - d) if side == BID else (bid + d), 1 + int(self.draw.geometric(0.3))
        self.resting.append([side, price, lots])
        self.say(LIMIT, side, price, lots, bid, ask, [(side, price)])

    def cancel(self, k: int) -> None:
        side, price, lots = self.resting[k]
        if sum(one == side for one, _, _ in self.resting) == 1:
            return
        bid, ask = self.best(BID), self.best(ASK)
        del self.resting[k]
        self.say(CANCEL, side, price, lots, bid, ask, [(side, price)])

    def market(self, side: int) -> None:
        bid, ask = self.best(BID), self.best(ASK)
        there = sum(lots for one, _, lots in self.resting if one == -side)
        wanted = min(1 + int(self.draw.geometric(0.3)), there - 1)
        ts_ns = START_NS + round(self.now_s * NS)
        left, touched = wanted, []
        while left > 0:
            price = self.best(-side)
            one = next(one for one in self.resting if one[0] == -side and one[1] == price)
            used = min(left, one[2])
            one[2] -= used
            left -= used
            if one[2] == 0:
                self.resting.remove(one)
            touched.append((-side, price))
            self.messages.append([(ts_ns, TRADE, side, price, used, 0)])
        if wanted > 0:
            self.say(MARKET, side, touched[-1][1], wanted, bid, ask, touched)

    def say(
        self, kind: int, side: int, price: int, lots: int, bid: int, ask: int, touched: list[tuple[int, int]]
    ) -> None:
        ts_ns, book = START_NS + round(self.now_s * NS), self.levels()
        self.truth.append((ts_ns, kind, side, price, lots, bid, ask))
        self.messages.append(
            [(ts_ns, BOOK_LEVEL, one, at, book.get((one, at), 0), 0) for one, at in dict.fromkeys(touched)]
        )

    def rows(self, batch_ns: int = 0, trades_late_ns: int = 0) -> np.ndarray:
        """EVENT rows.  batch_ns: levels are told at its multiples, each with its newest lots, and trades at once (or
        trades_late_ns later); 0: everything in messages of its own."""
        if not batch_ns:
            return self._sealed(self.messages)
        told: list[list[tuple[int, int, int, int, int, int]]] = [self.messages[0]]
        changed: dict[tuple[int, int], int] = {}
        due = START_NS + batch_ns
        for message in self.messages[1:]:
            while message[0][0] >= due:
                if changed:
                    told.append([(due, BOOK_LEVEL, s, p, lots, 0) for (s, p), lots in sorted(changed.items())])
                    changed = {}
                due += batch_ns
            for ts_ns, kind, side, price, lots, _ in message:
                if kind == TRADE:
                    told.append([(ts_ns + trades_late_ns, kind, side, price, lots, 0)])
                else:
                    changed[side, price] = lots
        told.append([(due, BOOK_LEVEL, s, p, lots, 0) for (s, p), lots in sorted(changed.items())])
        told.sort(key=lambda message: message[0][0])
        rows = self._sealed([message for message in told if message])
        rows["ts_venue_ns"][rows["kind"] == TRADE] -= trades_late_ns
        return rows

    @staticmethod
    def _sealed(messages: list[list[tuple[int, int, int, int, int, int]]]) -> np.ndarray:
        return rows_of(
            [(*row[:5], row[5] | (LAST if row is message[-1] else 0)) for message in messages for row in message]
        )


def cut(rows: np.ndarray, seed: int, parts: int) -> list[np.ndarray]:
    """The same rows in batches cut anywhere."""
    at = np.sort(np.random.default_rng(seed).integers(0, rows.size, parts))
    return np.split(rows, at)

"""The obvious price-level book: two dicts of price to lots, and a best that remembers which news came last.

Slow and plain, so that it can be read against the rules; the compiled book must agree with it after every row.
"""

from __future__ import annotations

BID, ASK, BOTH = 1, -1, 0


class BookNaive:
    """Levels of both sides in whole ticks and lots; best_ticks[side] is None where a side shows nothing.

    A level at or through the other side's best hides what it crosses: the crossed levels stay stored, but the other
    best gives way to the next level strictly beyond.  Hidden levels show again only by being set anew.
    """

    def __init__(self) -> None:
        self.lots: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self.best_ticks: dict[int, int | None] = {BID: None, ASK: None}

    def level(self, side: int, price_ticks: int, lots: int) -> None:
        """The quantity at a price is now `lots` (absolute); 0 removes the level, present or not."""
        assert side in (BID, ASK) and lots >= 0
        if lots == 0:
            self.lots[side].pop(price_ticks, None)
            if price_ticks == self.best_ticks[side]:
                self.best_ticks[side] = self._next_beyond(side, price_ticks)
            return
        self.lots[side][price_ticks] = lots
        best = self.best_ticks[side]
        if best is None or _better(side, price_ticks, best):
            self.best_ticks[side] = price_ticks
            other = self.best_ticks[-side]
            # The newest information wins: the other side's best is the nearest that this price does not reach.
            if other is not None and not _better(side, other, price_ticks):
                self.best_ticks[-side] = self._next_beyond(-side, price_ticks)

    def clear(self, side: int, upto_ticks: int) -> None:
        """Remove every level of a side at upto_ticks or better, hidden ones included; 0: the whole side.

        A best among them gives way to the next level beyond upto_ticks; a best that was worse already stays.  side 0:
        both sides.
        """
        if side == BOTH:
            self.clear(BID, upto_ticks)
            self.clear(ASK, upto_ticks)
            return
        for price_ticks in list(self.lots[side]):
            if upto_ticks == 0 or not _better(side, upto_ticks, price_ticks):
                del self.lots[side][price_ticks]
        best = self.best_ticks[side]
        if best is not None and best not in self.lots[side]:
            self.best_ticks[side] = self._next_beyond(side, best)

    def best_lots(self, side: int) -> int:
        """Lots at a side's best, 0 where it shows nothing."""
        best = self.best_ticks[side]
        return 0 if best is None else self.lots[side][best]

    def visible(self, side: int) -> list[tuple[int, int]]:
        """(price_ticks, lots) of a side, best first, without the hidden levels."""
        best = self.best_ticks[side]
        if best is None:
            return []
        shown = [item for item in self.lots[side].items() if not _better(side, item[0], best)]
        return sorted(shown, reverse=side == BID)

    def stored(self, side: int) -> list[tuple[int, int]]:
        """(price_ticks, lots) of a side, best first, hidden levels included."""
        return sorted(self.lots[side].items(), reverse=side == BID)

    def check(self) -> None:
        """Assert what must hold after every row: positive lots, best stored, and bid below ask."""
        for side in (BID, ASK):
            best = self.best_ticks[side]
            assert all(lots > 0 for lots in self.lots[side].values())
            assert best is None or best in self.lots[side]
        bid, ask = self.best_ticks[BID], self.best_ticks[ASK]
        assert bid is None or ask is None or bid < ask

    def _next_beyond(self, side: int, price_ticks: int) -> int | None:
        """The best stored price of a side that is strictly worse than price_ticks."""
        worse = [price for price in self.lots[side] if _better(side, price_ticks, price)]
        if not worse:
            return None
        return max(worse) if side == BID else min(worse)


def _better(side: int, price_ticks: int, than_ticks: int) -> bool:
    """Whether a price is strictly nearer to the other side than another of the same side: bids up, asks down."""
    return price_ticks * side > than_ticks * side

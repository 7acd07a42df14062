"""Holds a book of orders to the books that the venue says itself, and gives each difference a reason.

A level that was so a few messages earlier, or is a few later, is the venue's book of another moment than that at which
it was received.  A level of which the venue has more may hold orders from before the recording; but these can only
leave, so they are no reason for an excess where there was less of it before, nor after a whole book.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from pinnacle.history.orders import Level, OrderBook
from pinnacle.limits import INT64_MAX

# Messages by which the venue's book may be of another moment: its two streams are not in one order.
MESSAGES_APART_MAX = 10
# Depths at which the venue's books are compared.
DEPTHS = (1, 5, 20)
COMPARED, EQUAL = "comparisons with the venue's book", "comparisons that are equal"
REASONS = {
    "older": "comparisons that differ only in orders from before the recording",
    "moment": "comparisons that differ by the moment at which the venue's book was taken",
    "unseen": "comparisons with a level that the venue showed once and never again, so that nothing can be said",
    "unexplained": "comparisons that differ for no known reason",
}


@dataclass(slots=True)
class _Doubt:
    """A level that differs from the venue's, until it has a reason."""

    side: int
    ticks: int
    wanted_lots: int
    excess_lots: int  # the venue's less ours
    until_message: int
    older_possible: bool
    comparison: _Comparison
    settled: bool = False

    def settle(self, reason: str) -> None:
        """The level has its reason; once only."""
        self.settled = True
        self.comparison.waiting -= 1
        setattr(self.comparison, reason, getattr(self.comparison, reason) + 1)


@dataclass(slots=True)
class _Comparison:
    """One book of the venue's that was not equal: its levels by their reasons."""

    waiting: int = 0
    moment: int = 0
    older: int = 0
    unseen: int = 0
    unexplained: int = 0


@dataclass(slots=True)
class Comparisons:
    """Counts of all comparisons of one book; `changed` after each change of it, `compare` for each of the venue's."""

    book: OrderBook
    complete: bool = False  # whether the recording began with the whole book
    count: dict[str, int] = field(default_factory=lambda: dict.fromkeys((COMPARED, EQUAL, *REASONS.values()), 0))
    equal_to_depth: dict[int, int] = field(default_factory=lambda: dict.fromkeys(DEPTHS, 0))
    depth: int = 1  # most levels of a side that the venue has said
    messages: int = 0
    _recent: deque[tuple[int, int, int, int]] = field(default_factory=deque)  # message, side, ticks, lots before
    _doubts: list[_Doubt] = field(default_factory=list)
    _open: deque[_Comparison] = field(default_factory=deque)  # whose levels do not all have a reason yet
    _older: dict[tuple[int, int], int] = field(default_factory=dict)  # lots of older orders that a level may have
    _frontier: dict[int, int] = field(default_factory=dict)  # side * ticks of the worst level ever said, by side

    def changed(self) -> None:
        """The book's levels have changed; a doubt that is now as the venue said was of a later moment."""
        for side, ticks, before in self.book.level_changed:
            self._recent.append((self.messages, side, ticks, before))
            lots = self.book.lots[side].get(ticks, 0)
            for doubt in self._doubts:
                if (doubt.side, doubt.ticks, doubt.wanted_lots) == (side, ticks, lots):
                    if doubt.until_message > self.messages and not doubt.settled:
                        doubt.settle("moment")
        self._drop_settled()

    def message_ended(self) -> None:
        """Changes of so many messages ago are forgotten."""
        self.messages += 1
        while self._recent and self._recent[0][0] < self.messages - MESSAGES_APART_MAX:
            self._recent.popleft()

    def compare(self, sides: dict[int, list[Level]]) -> None:
        """The venue says that the first levels of each side, best first, are these."""
        self.count[COMPARED] += 1
        self.depth = max(self.depth, *(len(levels) for levels in sides.values()))
        excess = self._excess(sides)
        worst = {side: side * levels[-1][0] for side, levels in sides.items() if levels}
        self._judge_older(excess, worst)
        if not excess:
            self.count[EQUAL] += 1
        else:
            comparison = _Comparison(waiting=len(excess))
            self._open.append(comparison)
            for level, (wanted, more) in excess.items():
                self._differs(level, wanted, more, comparison)
        for side, key in worst.items():
            self._frontier[side] = min(key, self._frontier.get(side, key))
        self._count_settled()

    def finish(self) -> None:
        """No more is to come: doubts that found no reason have none."""
        for doubt in self._doubts:
            doubt.settle("unseen" if doubt.older_possible else "unexplained")
        self._drop_settled()
        self._count_settled()

    def _excess(self, sides: dict[int, list[Level]]) -> dict[tuple[int, int], tuple[int, int]]:
        """(side, ticks): (the venue's lots, these less ours) of every level that is not equal."""
        ours = {side: self.book.top(side, len(levels)) for side, levels in sides.items()}
        for depth in DEPTHS:
            self.equal_to_depth[depth] += all(ours[side][:depth] == levels[:depth] for side, levels in sides.items())
        excess: dict[tuple[int, int], tuple[int, int]] = {}
        for side, levels in sides.items():
            said, worst = dict(levels), levels[-1][0] if levels else 0
            seen = {ticks for ticks, _ in ours[side] if side * ticks >= side * worst}
            for ticks in {*said, *seen}:
                wanted, has = said.get(ticks, 0), self.book.lots[side].get(ticks, 0)
                if wanted != has:
                    excess[side, ticks] = (wanted, wanted - has)
        return excess

    def _differs(self, level: tuple[int, int], wanted: int, more: int, comparison: _Comparison) -> None:
        side, ticks = level
        known = self._older.get(level)
        never_seen = side * ticks < self._frontier.get(side, INT64_MAX)
        most = known if known is not None else (INT64_MAX if never_seen else 0)
        possible = 0 < more <= most and not self.complete
        doubt = _Doubt(side, ticks, wanted, more, self.messages + MESSAGES_APART_MAX, possible, comparison)
        if any(one[1:] == (side, ticks, wanted) for one in self._recent):
            doubt.settle("moment")
            return
        if possible:
            self._older[level] = more
        if possible and known is not None:
            doubt.settle("older")
        else:
            self._doubts.append(doubt)

    def _judge_older(self, excess: dict[tuple[int, int], tuple[int, int]], worst: dict[int, int]) -> None:
        """Doubts of earlier comparisons by what the venue says now, and levels that hold no older order any more."""
        for doubt in self._doubts:
            level = (doubt.side, doubt.ticks)
            if doubt.older_possible and 0 < excess.get(level, (0, 0))[1] <= doubt.excess_lots:
                doubt.settle("older")
            elif doubt.until_message <= self.messages and doubt.side * doubt.ticks >= worst.get(doubt.side, INT64_MAX):
                doubt.settle("unexplained")
        self._drop_settled()
        gone = [one for one in self._older if one not in excess and one[0] * one[1] >= worst.get(one[0], INT64_MAX)]
        for level in gone:
            del self._older[level]

    def _drop_settled(self) -> None:
        if self._doubts:
            self._doubts = [doubt for doubt in self._doubts if not doubt.settled]

    def _count_settled(self) -> None:
        """Comparisons whose levels all have a reason, by the worst of these."""
        while self._open and self._open[0].waiting == 0:
            comparison = self._open.popleft()
            reason = next(one for one in ("unexplained", "unseen", "moment", "older") if getattr(comparison, one))
            self.count[REASONS[reason]] += 1

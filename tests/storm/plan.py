"""What befalls a world, drawn from its seed: how fast it goes, how long it lasts, and its troubles.

Most worlds are quick and crowded: three seconds of a busy market, where everything happens at once.  Others go slowly
and last for minutes or for half an hour: they reach what works by the clock (comparisons on a timer, tokens and
connections that are renewed, budgets of a minute), and their market comes alive around each trouble only.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from pinnacle.limits import RECONCILE_NS
from tests.storm.network import MS, Weather

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """per_s: commands of the market in a second; lively_per_s: around a trouble.  our_tick_ns, venue_tick_ns: how often
    our process and the exchange look at the clock.  timer_ns: the strategy's.  reconcile_ns: between comparisons.
    calm_s: how long the strategy keeps its mind."""

    name: str
    per_s: float
    lively_per_s: float
    our_tick_ns: int
    venue_tick_ns: int
    timer_ns: int
    reconcile_ns: int
    calm_s: float


# A busy market, for worlds of their own.
QUICK = Pace("quick", 150.0, 150.0, 50 * MS, 40 * MS, 100 * MS, 2 * SECOND, 0.0)


@dataclass
class Plan:
    """Times in seconds from the start.  breaks: (when, "api" or "feed").  silences: (when, "api" or "feed", for how
    long): a connection is there and brings nothing.  break_at_order: number of the order or cancel
    that leaves at which the connection breaks, break_before: before it arrives or after, held_s: how much later it
    arrives, where each goes by a call of its own.  jumps: of our clock, (when,
    by).  kills: of our process.  kill_at_append, torn, disk_full_after: see Disk.  refusals: share of new orders that
    the exchange refuses in a bad moment; rude: share of HTTP requests that something before the exchange answers.
    lots: of the others' orders, mean: small ones fill ours in parts.
    strangers: when another hand trades on the account.  stop: when the operator stops all, 0 for not before the end.
    after_stop: what befalls us when all has stopped already: "", "api", "feed" or "death"."""

    seconds: float
    weather: Weather
    pace: Pace
    breaks: list[tuple[float, str]] = field(default_factory=list)
    silences: list[tuple[float, str, float]] = field(default_factory=list)
    break_at_order: int = 0
    break_before: bool = False
    held_s: float = 0.0
    jumps: list[tuple[float, float]] = field(default_factory=list)
    kills: list[float] = field(default_factory=list)
    kill_at_append: int = 0
    torn: float = 1.0
    disk_full_after: int = 0
    refusals: float = 0.0
    rude: float = 0.0
    lots: int = 1000
    strangers: list[float] = field(default_factory=list)
    stop: float = 0.0
    after_stop: str = ""

    @staticmethod
    def drawn(seed: int) -> Plan:
        """Some worlds are calm, most have two or three kinds of trouble, a few have all."""
        chance = random.Random(seed ^ 0x5EED)
        pace, seconds = _pace(chance)
        trouble = chance.random()
        many = 1 if pace.name == "quick" else 2

        def some(most: float) -> float:
            return chance.uniform(0, most) if chance.random() < trouble else 0.0

        def times(most: int) -> list[float]:
            return sorted(chance.uniform(0.5, seconds) for _ in range(chance.randint(0, most * many)))

        weather = Weather(
            lost=some(0.08), doubled=some(0.15), swapped=some(0.15), late=some(0.05), lost_up=some(0.08),
            spike_ms=chance.choice((50.0, 400.0, 2_000.0, 5_000.0)), http_lost=some(0.4),
            latency_ms=chance.choice((0.5, 3.0, 15.0)),
        )  # fmt: skip
        plan = Plan(seconds, weather, pace, refusals=some(0.2), rude=some(0.15))
        if chance.random() < trouble:
            plan.breaks = [(when, chance.choice(("api", "feed", "api"))) for when in times(3)]
        if chance.random() < trouble:
            plan.break_at_order, plan.break_before = chance.randint(1, 30), chance.random() < 0.5
            plan.held_s = chance.choice((0.0, 0.0, 1.0, 4.0))
        if chance.random() < trouble:
            plan.jumps = [(when, chance.choice((-5.0, -0.4, 0.3, 2.0, 8.0))) for when in times(2)]
        if chance.random() < trouble:
            plan.kills = times(2)
        if chance.random() < 0.5 * trouble:
            plan.kill_at_append, plan.torn = chance.randint(5, 400), chance.choice((0.0, 0.5, 1.0))
        if chance.random() < 0.15 * trouble:
            plan.disk_full_after = chance.randint(50, 400)
        if chance.random() < trouble:
            plan.strangers = times(3)
        if chance.random() < 0.5 * trouble:
            plan.silences = [
                (when, chance.choice(("api", "feed")), chance.choice((0.5, 4.0, 20.0))) for when in times(2)
            ]
        if chance.random() < 0.15 * trouble:
            plan.stop = chance.uniform(0.5, seconds)
        plan.lots = chance.choice((150, 1000))
        plan.after_stop = chance.choice(("", "", "api", "feed", "death"))
        return plan

    def lively(self) -> list[tuple[float, float]]:
        """(from, to) of the times around the troubles, when the market is lively."""
        return [(max(0.0, when - 1.0), when + 1.5) for when in self.troubles()]

    def troubles(self) -> list[float]:
        """When something befalls it."""
        stop = [self.stop] if self.stop else []
        return sorted(
            [when for when, _ in (*self.breaks, *self.jumps)]
            + [when for when, _, _ in self.silences] + self.kills + self.strangers + stop + [0.5]
        )  # fmt: skip


def _pace(chance: random.Random) -> tuple[Pace, float]:
    """(pace, seconds) of a world."""
    kind = chance.random()
    ours_ns = chance.choice((50, 250)) * MS
    if kind < 0.72:
        per_s = chance.choice((20.0, 60.0, 150.0))
        timer_ns = chance.choice((100, 250)) * MS
        # Where nothing limits orders, a mind that changes with every event lives on the echo of its own orders.
        calm_s = 0.0 if chance.random() < 0.1 else chance.choice((0.03, 0.1, 0.3))
        return Pace("quick", per_s, per_s, ours_ns, 40 * MS, timer_ns, 2 * SECOND, calm_s), chance.uniform(1.5, 4.0)
    if kind < 0.94:
        return Pace("slow", 1.0, 40.0, 250 * MS, 100 * MS, SECOND, RECONCILE_NS, 3.0), chance.uniform(40, 150)
    return Pace("long", 0.15, 30.0, 250 * MS, 250 * MS, 5 * SECOND, RECONCILE_NS, 20.0), chance.uniform(900, 2100)

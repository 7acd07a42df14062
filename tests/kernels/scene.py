"""A hand-made market, a script of what is wanted when, and the tale of what came of it.

A test of the simulated venue reads as a story: levels and trades go in, one line for each command and answer comes
out.  The script is a strategy outside the kernels, so no test has to compile one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pinnacle.event import (
    ASK,
    BID,
    BOOK_CLEAR,
    BOOK_LEVEL,
    END_REASON_NAMES,
    EVENT,
    FILL_REASON_NAMES,
    FUNDING,
    KIND_NAMES,
    LAST,
    ORDER_FILLED,
    POST_ONLY,
    TICKER,
    TRADE,
    reason_of,
)
from pinnacle.kernels import drive as drives
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.kernels.latency import least_ns
from pinnacle.kernels.observe import new_observed
from pinnacle.kernels.state import NEVER, OUT, WAKE_FEED, WAKE_TIMER, new_state
from pinnacle.kernels.step import answer_external, fold
from pinnacle.kernels.venue import FILL_WHOLE, new_venues
from pinnacle.kernels.weave import WOVEN, pack, weave

# More than any scene asks its script; a run that goes on and on is stopped here.
CALLS_MAX = 20_000

# One quote of a script: (side, price_ticks, qty_lots) rests post-only, or (.., flags).
Quotes = Sequence[tuple[int, ...]]


def event(kind: int, ts_ns: int, side: int = 0, price: int = 0, lots: int = 0, **fields: int) -> np.ndarray:
    """One EVENT as an array of one; the venue's time is ours unless `ts_venue_ns` says otherwise."""
    row = np.zeros(1, EVENT)
    row["kind"], row["ts_ns"], row["ts_venue_ns"] = kind, ts_ns, ts_ns
    row["side"], row["price_ticks"], row["qty_lots"] = side, price, lots
    for name, value in fields.items():
        row[name] = value
    return row


def bid(ts_ns: int, price: int, lots: int, **fields: int) -> np.ndarray:
    """A level of the bid side."""
    return event(BOOK_LEVEL, ts_ns, BID, price, lots, **fields)


def ask(ts_ns: int, price: int, lots: int, **fields: int) -> np.ndarray:
    """A level of the ask side."""
    return event(BOOK_LEVEL, ts_ns, ASK, price, lots, **fields)


def bought(ts_ns: int, price: int, lots: int, **fields: int) -> np.ndarray:
    """A trade whose aggressor bought: it hits asks."""
    return event(TRADE, ts_ns, BID, price, lots, **fields)


def sold(ts_ns: int, price: int, lots: int, **fields: int) -> np.ndarray:
    """A trade whose aggressor sold: it hits bids."""
    return event(TRADE, ts_ns, ASK, price, lots, **fields)


def cleared(ts_ns: int, side: int, price: int, **fields: int) -> np.ndarray:
    """A side is emptied of a price and better."""
    return event(BOOK_CLEAR, ts_ns, side, price, **fields)


def funded(ts_ns: int, rate_ppb: int, price: int = 0, **fields: int) -> np.ndarray:
    """Funding at a rate."""
    return event(FUNDING, ts_ns, 0, price, rate_ppb, **fields)


def wake(ts_ns: int, **fields: int) -> np.ndarray:
    """Something that changes no book and ends a message, so that the script is asked."""
    return event(TICKER, ts_ns, BID, 1, 1, flags=LAST, **fields)


def market(*rows: np.ndarray) -> np.ndarray:
    """Rows as one array, in order of the time at which we heard them."""
    rows_ = np.concatenate(rows)
    return rows_[np.argsort(rows_["ts_ns"], kind="stable")]


def woven(events: np.ndarray) -> np.ndarray:
    """The whole market as the drive walks it."""
    rows, late = np.zeros(events.size, WOVEN), np.zeros(events.size, WOVEN)
    count, _, back = pack(events, rows, late, -NEVER)
    assert back == -1
    held = late[:count][np.argsort(late[:count]["ts_venue_ns"], kind="stable")]
    target = np.zeros(events.size + count, WOVEN)
    assert weave(rows, held, NEVER, target) == (events.size, count, target.size)
    return target


class Scene:
    """One run over a hand-made market.

    script: what is wanted from a time on, asked once at the first wake not before it; at every other wake what works
    is held.  Or a function of the state and the instrument that writes its own want.  quote: the address of a compiled
    strategy instead.  Delays are (entry, cancel, response) in ns.  linger_ns: how long the run goes on after the last
    row, for what is still on its way.
    """

    def __init__(
        self,
        script: Mapping[int, Quotes] | Callable[[np.void, int], None] | None = None,
        delays: tuple[int, int, int] = (10, 10, 10),
        quote: int = 0,
        wake_on: int = WAKE_FEED,
        timer_every_ns: int = 0,
        first_ns: int = 0,
        linger_ns: int = NEVER // 4,
    ) -> None:
        self.linger_ns = linger_ns
        self.state, self.venues, self.out = new_state(1), new_venues(1), np.zeros(1, OUT)
        self.points = np.zeros((0, 4), np.int64)
        self.observed = new_observed(0, (1, 2, 3))
        self.cursor = np.zeros(1, drives.CURSOR)
        self.script, self.quote = script, quote
        self.asked: set[int] = set()
        self.records = np.zeros(0, EVENT)
        self.fault = 0
        market_, lane = self.state[0]["market"], self.state[0]["lane"]
        market_["instruments"] = self.venues.sim[0]["instruments"] = 1
        lane["external"], lane["wake_on"] = quote == 0, wake_on
        self.own, self.venue = lane["own"][0], self.venues.sim[0]["site"][0]
        self.own["traded"] = 1
        self.own["units_per_ticklot"] = self.venue["units_per_ticklot"] = 1
        self.own["tick"] = self.own["lot"] = self.venue["lot_qty"] = 1.0
        self.venue["queue_n"] = 3.0
        self.venue["latency"]["constant_ns"][:] = delays
        cursor = self.cursor[0]
        cursor["timer_every_ns"] = timer_every_ns
        cursor["timer_ns"] = first_ns + timer_every_ns if wake_on & WAKE_TIMER else NEVER
        cursor["snapped"], cursor["stop_ns"] = -1, NEVER - 1

    def whole(self) -> Scene:
        """Fill orders whole, whatever was traded."""
        self.venue["fill_model"] = FILL_WHOLE
        return self

    def checkpoints(self, every: int) -> Scene:
        """Say a checkpoint after every so many inputs, counted from here; 0 for none."""
        lane = self.state[0]["lane"]
        lane["checkpoint_every"] = every
        lane["checkpoint_seq"] = self.state[0]["market"]["seq"] + every if every else 1 << 62
        return self

    def run(self, events: np.ndarray, sizes: Sequence[int] = ()) -> Scene:
        """Drive the market to its end, handing its woven rows over in batches of `sizes`, again and again."""
        return self.run_woven(woven(events), sizes, events)

    def run_woven(self, rows: np.ndarray, sizes: Sequence[int] = (), events: np.ndarray | None = None) -> Scene:
        """The same from rows that are woven already."""
        cursor, state, latency = self.cursor[0], self.state[0], self.venue["latency"]
        if rows.size and cursor["stop_ns"] == NEVER - 1:
            cursor["stop_ns"] = int(max(rows["ts_ns"].max(), rows["ts_venue_ns"].max())) + self.linger_ns
        cursor["request_least_ns"] = least_ns(latency, self.points, False)
        cursor["answer_least_ns"] = least_ns(latency, self.points, True)
        batches = _batches(rows, sizes)
        held, log = np.zeros(0, WOVEN), np.zeros(0, EVENT) if events is None else events
        calls = 0
        while True:
            code = drives.drive(
                state["market"], state["lane"], self.venues.sim[0], self.venues.desks[0], self.venues.resting[0],
                cursor, held, log, self.points, self.quote, self.out[0], self.observed[0],
            )  # fmt: skip
            if code == drives.NEED_ROWS:
                batch = next(batches, None)
                if batch is None:
                    cursor["final"] = 1
                    cursor["market_end_ns"] = held["ts_ns"].max() if held.size else 0
                    continue
                passed = int(min(cursor["i"], cursor["j"]))
                held = np.concatenate((held[passed:], batch))
                cursor["i"] -= passed
                cursor["j"] -= passed
                cursor["rows"] = held.size
            elif code == drives.CALL_STRATEGY:
                self._ask()
                calls += 1
                assert calls < CALLS_MAX, "the run finds no end"
            elif code == drives.OUT_FULL:
                self._empty()
            elif code == drives.OBSERVED_FULL:
                self.observed[0]["count"] = 0
            elif code == drives.FAULT:
                self.fault = int(state["lane"]["fault"] or self.venues.desks[0]["fault"])
                break
            else:
                assert code == drives.ENDED
                break
        self._empty()
        return self

    def _empty(self) -> None:
        record = self.out[0]
        self.records = np.concatenate((self.records, record["rows"][: int(record["count"])]))
        record["count"] = 0
        self.cursor[0]["sent"] = 0

    def _ask(self) -> None:
        answer_due(self.script, self.state[0], self.asked)
        answer_external(self.state[0], self.out[0])

    def kinds(self, *kinds: int) -> np.ndarray:
        """The log's records of the given kinds, in order."""
        return self.records[np.isin(self.records["kind"], kinds)]

    def fingerprint(self) -> int:
        """Of the state at the end."""
        return int(fingerprint(self.state[0]["market"], self.state[0]["lane"]))

    def tale(self, start: int = 0) -> list[str]:
        """One line for each command and answer from a time on; an answer is told at the time when it was heard."""
        return [told(row) for row in self.records if row["ts_ns"] >= start]

    def replayed(self, events: np.ndarray) -> tuple[np.ndarray, int]:
        """Outputs and last fingerprint when the inputs of this run's log and market are folded from the start."""
        state, out = new_state(1), np.zeros(1, OUT)
        fresh = Scene(self.script, quote=self.quote)
        state[0]["market"]["instruments"] = 1
        lane = state[0]["lane"]
        for name in ("external", "wake_on", "checkpoint_every", "overlap"):
            lane[name] = self.state[0]["lane"][name]
        if lane["checkpoint_every"]:
            lane["checkpoint_seq"] = lane["checkpoint_every"] - 1
        own = lane["own"][0]
        own["traded"], own["units_per_ticklot"], own["tick"], own["lot"] = 1, 1, 1.0, 1.0
        own["params"][:] = self.own["params"]
        for name in own["risk"].dtype.names:
            if name not in ("rate_start_ns", "rate_count", "alerts", "refused"):
                own["risk"][name] = self.own["risk"][name]
        inputs, asked, outputs, at = numbered(events, self.records), fresh.asked, [], 0
        while at < inputs.size and lane["fault"] == 0:
            at = fold(state, inputs, at, self.quote, out)
            if lane["due"]:
                answer_due(self.script, state[0], asked)
                answer_external(state[0], out[0])
            outputs.append(out[0]["rows"][: int(out[0]["count"])].copy())
            out[0]["count"] = 0
        return np.concatenate(outputs), int(fingerprint(state[0]["market"], state[0]["lane"]))


def answer_due(script: Any, state: np.void, asked: set[int]) -> None:
    """Let a script write what it wants on the one instrument."""
    want = state["lane"]["own"][0]["want"]
    if callable(script):
        script(state, 0)
        return
    now = int(state["market"]["ts_ns"])
    due = [time for time in script or {} if time <= now and time not in asked]
    if not due:
        want["hold"] = 1
        return
    asked.update(due)
    for side, price, lots, *flags in script[max(due)]:
        add_want(want, side, price, lots, flags[0] if flags else POST_ONLY)


def add_want(want: np.void, side: int, price: int, lots: int, flags: int = POST_ONLY) -> None:
    """Append one quote to a want record, as `want_order` does, without a check."""
    n = int(want["count"])
    want["side"][n], want["price_ticks"][n], want["qty_lots"][n], want["flags"][n] = side, price, lots, flags
    want["count"] = n + 1


def numbered(events: np.ndarray, records: np.ndarray) -> np.ndarray:
    """All inputs of a run by number: the logged ones at theirs, the market's rows in the numbers left over."""
    logged = records[records["kind"] < 128]
    inputs = np.zeros(events.size + logged.size, EVENT)
    own = np.zeros(inputs.size, bool)
    # A run that was stopped early has not heard the whole market.
    own[logged["seq"]] = True
    inputs[own] = logged
    inputs[~own] = events
    inputs["seq"] = np.arange(inputs.size)
    return inputs


def told(row: np.void) -> str:
    """A record as a line of a tale."""
    kind = int(row["kind"])
    side = {1: " buy", -1: " sell", 0: ""}[int(row["side"])]
    line = f"{row['ts_ns']} {KIND_NAMES[kind].removeprefix('order_')} #{row['order_id']}{side}"
    if row["qty_lots"]:
        line += f" {row['qty_lots']} @ {row['price_ticks']}"
    reason = reason_of(int(row["flags"])) if kind < 128 else 0
    if kind == ORDER_FILLED:
        return f"{line} {FILL_REASON_NAMES[reason]}"
    return f"{line} {END_REASON_NAMES[reason]}" if reason else line


def _batches(rows: np.ndarray, sizes: Sequence[int]) -> Any:
    """Rows in batches of the given sizes, repeated; all at once for none."""
    at, k = 0, 0
    while at < rows.size:
        size = sizes[k % len(sizes)] if sizes else rows.size
        yield rows[at : at + size]
        at, k = at + size, k + 1

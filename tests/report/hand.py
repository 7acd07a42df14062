"""Writes small runs by hand: an account book that knows nothing of the report, and the files it would leave."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pinnacle import event
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import Manifest, StrategySource, Versions, instrument_rows, write_manifest
from pinnacle.log.segment import write_segment
from pinnacle.report.source import FILL, MARKOUT, NO_PRICE, OBSERVED, SAMPLE

# A tick of 0.5 and a lot of 0.01, so that one tick of one lot is 0.005 USD: 5,000,000 units of 1e-9.
BTC = Instrument("venue", "BTC-USD", Decimal("0.5"), Decimal("0.01"), base="BTC", quote="USD")
ETH = Instrument("venue", "ETH-USD", Decimal("0.25"), Decimal("0.1"), base="ETH", quote="USD")
EUR = Instrument("venue", "BTC-EUR", Decimal("0.5"), Decimal("0.01"), base="BTC", quote="EUR")
START_NS = 1_700_000_000_000_000_000
SECOND_NS = 1_000_000_000
MS_NS = 1_000_000


class Hand:
    """A run being written.  Times are in milliseconds after START_NS; prices in ticks, sizes in lots."""

    def __init__(self, *instruments: Instrument) -> None:
        self.instruments = list(instruments) or [BTC]
        self.events: list[np.ndarray] = []
        self.observed: list[np.ndarray] = []
        self.book = dict.fromkeys(range(len(self.instruments)), (NO_PRICE, NO_PRICE))
        self.quotes = dict.fromkeys(range(len(self.instruments)), (NO_PRICE, NO_PRICE))
        self.account = {k: {"position": 0, "cash": 0, "fees": 0, "funding": 0} for k in range(len(self.instruments))}
        self.fills = 0

    def say(self, ms: float, kind: int, **fields: int) -> None:
        """One record of the log."""
        row = event.empty(1)
        row["seq"], row["ts_ns"], row["kind"] = len(self.events), START_NS + round(ms * MS_NS), kind
        for name, value in fields.items():
            row[name] = value
        self.events.append(row)

    def place(self, ms: float, order_id: int, side: int, price: int, qty: int, me: int = 0, flags: int = 16) -> None:
        self.say(
            ms, event.PLACE, order_id=order_id, side=side, price_ticks=price, qty_lots=qty, flags=flags, instrument=me
        )

    def answer(self, ms: float, kind: int, order_id: int, aux: int = 0, reason: int = 0, me: int = 0) -> None:
        """An answer that executes nothing; the venue dates it 10 ms earlier."""
        self.say(
            ms, kind, order_id=order_id, aux=aux, flags=reason << event.REASON_SHIFT, instrument=me,
            ts_venue_ns=START_NS + round((ms - 10) * MS_NS),
        )  # fmt: skip

    def fill(
        self, ms: float, order_id: int, side: int, price: int, qty: int, fee: int = 0, me: int = 0,
        reason: int = event.FILL_QUEUE_FRONT, flags: int = event.MAKER, seen: bool = True,
    ) -> None:  # fmt: skip
        """An execution heard 10 ms after it happened, and its observation unless `seen` is false."""
        self.say(
            ms, event.ORDER_FILLED, order_id=order_id, side=side, price_ticks=price, qty_lots=qty, aux=fee,
            flags=flags | reason << event.REASON_SHIFT, instrument=me, ts_venue_ns=START_NS + round((ms - 10) * MS_NS),
        )  # fmt: skip
        account = self.account[me]
        account["position"] += side * qty
        account["cash"] -= side * price * qty * self.instruments[me].units_per_ticklot
        account["fees"] += fee
        if seen:
            self.observe(ms, FILL, me, number=self.fills)
        self.fills += 1

    def observe(self, ms: float, kind: int, me: int = 0, number: int = -1, horizon: int = -1) -> None:
        """An observation of one instrument as it is now."""
        row = np.zeros(1, OBSERVED)
        row["ts_ns"], row["kind"], row["instrument"] = START_NS + round(ms * MS_NS), kind, me
        row["bid_ticks"], row["ask_ticks"] = self.book[me]
        row["buy_ticks"], row["sell_ticks"] = self.quotes[me]
        row["position_lots"] = self.account[me]["position"]
        for name in ("cash", "fees", "funding"):
            row[f"{name}_units"] = self.account[me][name]
        row["number"], row["horizon"] = number, horizon
        self.observed.append(row)

    def sample(self, ms: float) -> None:
        """A timer, and a sample of every instrument."""
        self.say(ms, event.TIMER)
        for me in range(len(self.instruments)):
            self.observe(ms, SAMPLE, me)

    def markout(self, ms: float, number: int, horizon: int, me: int = 0) -> None:
        self.observe(ms, MARKOUT, me, number, horizon)

    def write_empty(self, run_dir: Path) -> Path:
        """The folder of a run that only sampled an unmoved market."""
        self.book = dict.fromkeys(self.book, (100, 102))
        for second in range(3):
            self.sample(1000 * second)
        return self.write(run_dir)

    def write(
        self, run_dir: Path, observed: bool = True, status: str = "complete", name: str = "hand", **config
    ) -> Path:
        """The run's folder."""
        (run_dir / "log").mkdir(parents=True)
        write_segment(run_dir / "log" / "log-000000.parquet", self.events)
        if observed:
            rows = np.concatenate(self.observed) if self.observed else np.zeros(0, OBSERVED)
            write_observations(run_dir, rows)
        manifest = Manifest(
            run_id="ab" * 16, mode="backtest", status=status, code_hash="c0" * 32,
            versions=Versions("0", "0", "0", "0", "cpu"), config=config,
            strategy=StrategySource("hand.py", name, "5a" * 32, "pass\n"), params={"spread": 2.0},
            instruments=instrument_rows(self.instruments),
        )  # fmt: skip
        write_manifest(run_dir, manifest)
        return run_dir


def write_observations(run_dir: Path, rows: np.ndarray) -> None:
    """observations.parquet out of OBSERVED rows."""
    columns = {name: np.ascontiguousarray(rows[name]) for name in OBSERVED.names}
    pq.write_table(pa.table(columns), run_dir / "observations.parquet")


def small_run() -> Hand:
    """Two orders filled, one cancelled, one expired; every number can be checked on paper.

    Buy 2 lots at 100 ticks with the mid at 101, sell 1 lot at 104 with the mid at 102.5; a fee of 3 and a rebate of 1.
    """
    hand = Hand()
    hand.book[0], hand.quotes[0] = (100, 102), (100, 102)
    hand.sample(0)
    hand.place(0, 1, 1, 100, 2)
    hand.place(0, 2, -1, 104, 1)
    hand.place(0, 3, -1, 110, 5)
    hand.place(0, 4, 1, 103, 5)
    hand.answer(20, event.ORDER_ACKNOWLEDGED, 1, aux=7)
    hand.answer(20, event.ORDER_ACKNOWLEDGED, 2, aux=0)
    hand.answer(30, event.ORDER_ACKNOWLEDGED, 3, aux=4)
    hand.answer(20, event.ORDER_EXPIRED, 4, reason=event.END_WOULD_CROSS)
    hand.fill(500, 1, 1, 100, 2, fee=3)
    hand.sample(1000)
    hand.say(1000, event.CANCEL, order_id=3, instrument=0)
    hand.answer(1040, event.ORDER_CANCELLED, 3)
    hand.book[0] = (102, 103)
    hand.markout(1500, 0, 0)
    hand.fill(1600, 2, -1, 104, 1, fee=-1, reason=event.FILL_TRADE_THROUGH)
    hand.quotes[0] = (101, NO_PRICE)
    hand.sample(2000)
    hand.book[0] = (98, 100)
    hand.markout(2600, 1, 0)
    hand.sample(3000)
    return hand

"""A paper session without sockets or clocks: a seeded market straight into engine and log, as fast as it goes."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pinnacle.config import Config, apply_settings, parse_config
from pinnacle.config_live import Live
from pinnacle.engine.strategy import Strategy, bind, load_strategy
from pinnacle.event import LAST, LINK_DOWN, empty
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import Manifest, Versions
from pinnacle.resources import find_file
from pinnacle.run.keeper import Keeper
from pinnacle.run.livelog import LiveLog
from pinnacle.run.loop import Engine
from pinnacle.run.recovery import Files, last_record
from pinnacle.run.refold import Refold
from pinnacle.run.settings import engine_state
from pinnacle.venues.feed import CAUSE_START, Followed, Rows
from tests.run.local_venue import CONFIG, NAME, LocalFeed, Market

RUN_ID = "00" * 16
START_NS = 1_700_000_000_000_000_000


def parsed(sets: Sequence[str]) -> Config:
    raw = tomllib.loads(CONFIG)
    apply_settings(raw, [*sets, "run.record=full"])
    return parse_config(raw, "the test")


def strategy(config: Config) -> Strategy:
    return load_strategy(find_file(config.strategy.path, None, "strategies", ".py"))


class Scene:
    """config, instruments and strategy of a session in `folder`, which has log/."""

    def __init__(self, folder: Path, seed: int, sets: Sequence[str] = ()) -> None:
        self.folder, self.config = folder, parsed(sets)
        self.strategy = strategy(self.config)
        known = self.config.instruments[0].instrument("the test")
        assert known is not None and known.venue == NAME
        self.instruments: list[Instrument] = [known]
        self.feed = LocalFeed(Followed(known, 0, 0))
        self.market = Market(seed)
        self.rows = Rows()
        self.now_ns = START_NS

    def state(self) -> np.ndarray:
        return engine_state(self.config, self.instruments, self.strategy, "the test")

    def refold(self, state: np.ndarray | None) -> Refold:
        state = self.state() if state is None else state
        return Refold(state, self.strategy, bind(self.strategy, len(state[0]["lane"]["own"])), self.instruments)

    def manifest(self) -> Manifest:
        return Manifest(
            run_id=RUN_ID, mode="paper", status="running", code_hash="", versions=Versions("", "", "", "", "")
        )

    def open(self, files: Files, state: np.ndarray | None = None, rotate_bytes: int = 1 << 28) -> Engine:
        """An engine on the log as recovery left it."""
        (self.folder / "log").mkdir(exist_ok=True)
        self.keeper = Keeper(self.folder, self.manifest(), self.refold(None) if not files.sealed else None)
        self.log = LiveLog(
            self.folder / "log", RUN_ID, Live(fsync="never"), self.keeper, files.number, files.records, files.journal
        )
        self.log._rotate_bytes = rotate_bytes
        last = last_record(files)
        if last.size:
            self.now_ns = int(last[0]["ts_ns"]) + 1_000_000
        begun = self.state() if state is None else state
        engine = Engine(self.config, "the test", self.instruments, self.strategy, begun, self.log)
        engine.begin(self.now_ns)
        down = empty(1)
        down["ts_ns"], down["kind"], down["aux"], down["flags"] = self.now_ns, LINK_DOWN, CAUSE_START, LAST
        engine.hear(down, self.now_ns)
        return engine

    def play(self, engine: Engine, messages: int) -> None:
        """A whole book and so many messages, a millisecond apart, heard 0.2 ms after they happened."""
        self.feed.opened(self.now_ns, self.rows)
        for k in range(messages):
            self.now_ns += 1_000_000
            said = self.market.whole(self.now_ns - 200_000) if k == 0 else self.market.next(self.now_ns - 200_000)
            self.feed.received(json.dumps(said).encode(), self.now_ns, self.rows)
            engine.hear(self.rows.take(), self.now_ns)

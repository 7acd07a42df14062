"""A track on the bundled sample for tests of lanes: one tape for all of them, and candidates drawn by seed."""

from __future__ import annotations

import random
from pathlib import Path

from pinnacle.run.backtest import Backtest
from pinnacle.run.lanes import Track
from pinnacle.run.prepare import prepare_backtest
from pinnacle.run.tape import make_tape
from pinnacle.run.window import Window

# Afterwards a lane is still answered, as a backtest's last orders are.
LINGER_NS = 120_000_000_000


def prepared(strategy: str | None, folder: Path, *settings: str, data: tuple[str, ...] = ()) -> Backtest:
    """A backtest of the bundled sample with its histories open; its folder is not made."""
    run = prepare_backtest(None, strategy, list(data), list(settings), folder, None)
    run.open_histories()
    return run


def track_of(run: Backtest, tapes: Path, bucket_ns: int = 1_000_000_000) -> Track:
    """Lanes of a prepared run; its tape is made once in `tapes` for each market."""
    names = [f"{one.name.replace(':', '-')}-{one.funding.rate_bps:g}" for one in run.config.instruments]
    key = " ".join(names)
    tape = make_tape(tapes / key, run.sources(), key)
    return Track(run.config, run.where, run.strategy, run.instruments, tape, bucket_ns)


def whole(track: Track) -> Window:
    """All of a track's data, to the last answer."""
    return Window("all", track.tape.first_ns, track.tape.end_ns + LINGER_NS)


def candidates(track: Track, count: int, seed: int = 0) -> list[dict[str, float]]:
    """Parameter sets around the strategy's defaults, inside its bounds."""
    draw = random.Random(seed)
    sets = []
    for _ in range(count):
        one = {}
        for param in track.strategy.params:
            value = param.default * draw.uniform(0.3, 2.5)
            value = float(round(value)) if param.whole else value
            one[param.name] = min(max(value, param.low), param.high)
        sets.append(one)
    return sets

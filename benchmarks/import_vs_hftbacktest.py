"""Converting a raw recording beside hftbacktest's converter: same settings, equal rows, alternating rounds.

    python benchmarks/import_vs_hftbacktest.py [--rounds 5]

Both read the gzip file and give rows in memory, with the clock corrected.  Compiling is left out for ours; theirs is
plain Python.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
import time
from decimal import Decimal
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions, recordings
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument
from tests.peers import scenarios

PERPETUAL = Instrument("binance-usdm", "BTCUSDT", Decimal("0.1"), Decimal("0.001"))


def ours(recording: Path, options: ImportOptions) -> tuple[np.ndarray, float]:
    """(rows, seconds)."""
    start = time.perf_counter()
    rows = np.concatenate(list(open_history(recording, PERPETUAL, options)))
    return rows, time.perf_counter() - start


def theirs(recording: Path) -> tuple[np.ndarray, float]:
    """(rows, seconds)."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        rows = scenarios.rows_of(recording)
    return rows, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    recording = recordings() / "binance" / "usdm_btcusdt_20240808.gz"
    print_conditions(f"import of {recording.name} ({recording.stat().st_size:,} bytes) beside hftbacktest 2.4.4")
    same = ImportOptions(bridge="as-received", tickers=False)
    rows, _ = ours(recording, same)
    peer, _ = theirs(recording)
    local = peer[(peer["ev"] & (1 << 30)) > 0]
    if not (
        len(rows) == len(local)
        and (rows["ts_ns"] == local["local_ts"]).all()
        and (rows["price_ticks"] == np.round(local["px"] / 0.1).astype(np.int64)).all()
    ):
        sys.exit("error: the rows differ; the comparison would mean nothing")
    for name, options in (("as theirs: as received, no tickers", same), ("bridged, with tickers", ImportOptions())):
        pairs = [(theirs(recording)[1], ours(recording, options)[1]) for _ in range(chosen.rounds)]
        ratios = [their_s / our_s for their_s, our_s in pairs]
        print(
            f"{name:<36} ours {statistics.median(p[1] for p in pairs):.3f} s  hftbacktest "
            f"{statistics.median(p[0] for p in pairs):.2f} s  ratio {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f}), asked for 8"
        )


if __name__ == "__main__":
    main()

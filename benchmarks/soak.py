"""A local exchange and a paper session that follows it for minutes at a steady rate: does either grow or lose anything?

    python benchmarks/soak.py --minutes 30

Both are processes of their own over TLS on loopback.  Every second: resident memory of both (what they allocated; the
mapped journal is the kernel's to drop) and messages received.  At the end the session is stopped as Ctrl-C stops it,
and its log is verified, replayed and searched for gaps.  Exits 1 if anything of this is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import ROOT, print_conditions
from pinnacle.dialects.names import DIALECTS, dialect_class
from pinnacle.event import LINK_DOWN, LINK_GAP, LINK_STALE, LINK_UP, PLACE
from pinnacle.log.check import verify
from pinnacle.log.reader import LogReader
from pinnacle.transport.control import ask

os.environ["PYTHONPATH"] = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
PROGRAM = [sys.executable, "-u", "-m", "pinnacle.cli"]
# Growth over the second half of a run that is noise: allocators give back in arenas of a megabyte, and a sealed journal
# passes through Parquet's buffers.
NOISE_MB = 4.0
CONFIG = """
[strategy]
path = "join_best"
[strategy.params]
order_qty = 0.01
position_max = 0.2
[wake]
every_ms = 100
on_book = true
[latency]
entry_ms = 5
response_ms = 30
[run]
checkpoint_every = 65536
[live]
disk_free_mb = 0
rotate_s = 10
ca_file = "{certificate}"
[live.venues.{dialect}]
websocket = "wss://{address}"
rest = "https://{address}"
"""


def resident_mb(pid: int) -> float:
    """What a process has allocated and touched, MB; files that it maps are not counted."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def growth_mb(seconds: list[float], sizes: list[float]) -> tuple[float, float]:
    """(MB by which the second half of a run grew, MB an hour), of a straight line through it."""
    half = len(sizes) // 2
    x, y = np.array(seconds[half:]), np.array(sizes[half:])
    slope = float(np.polyfit(x - x[0], y, 1)[0])
    return slope * float(x[-1] - x[0]), slope * 3600


def start_exchange(folder: Path, dialect: str, rate: float) -> tuple[subprocess.Popen[str], str]:
    """The exchange and its host:port."""
    words = ["simulate", "--listen", "127.0.0.1:0", "--dialect", dialect, "--tls"]
    words += ["--set", "flow.model=plain", "--set", f"flow.per_s={rate}", "--set", "flow.taking=0.3"]
    words += ["--set", "flow.resting=500", "--set", "flow.distance_ticks=20"]
    process = subprocess.Popen([*PROGRAM, *words], stdout=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        found = re.search(r"listens on (\S+)", line)
        address = found[1] if found else address
        if "Ctrl-C" in line:
            return process, address
    raise SystemExit("the exchange did not start")


def start_session(folder: Path, dialect: str, address: str) -> subprocess.Popen[bytes]:
    """A paper session on two instruments of the exchange, once it can be asked how it stands."""
    spoken = dialect_class(dialect)
    text = CONFIG.format(certificate=folder / "runs" / "exchange-certificate.pem", dialect=dialect, address=address)
    for base in ("BTC", "ETH"):
        text += f'[[instruments]]\nvenue = "{dialect}"\nsymbol = "{spoken.symbol(base, spoken.quote)}"\n'
    (folder / "config.toml").write_text(text)
    words = ["live", "run", str(folder / "config.toml"), "--out", str(folder / "run"), "--headless"]
    with (folder / "session.out").open("w") as sink:
        process = subprocess.Popen([*PROGRAM, *words], stdout=sink, stderr=sink)
    while not (folder / "run" / "control.sock").exists():
        if process.poll() is not None:
            raise SystemExit((folder / "session.out").read_text())
        time.sleep(0.05)
    return process


def status(folder: Path) -> tuple[int, dict[str, Any]]:
    """(messages received so far, all that the session says)."""
    said = ask(folder / "run", {"do": "status"})
    return sum(one["messages"] for one in said["connections"]), said


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=2000.0, help="messages a second that the session is to receive")
    parser.add_argument(
        "--flow", type=float, default=1000.0, help="commands a second and symbol, until the rate is known"
    )
    parser.add_argument("--dialect", choices=sorted(DIALECTS), default="binance")
    parser.add_argument("--quiet", action="store_true", help="a line a minute instead of a second")
    given = parser.parse_args()
    print_conditions(f"soak: {given.dialect}, {given.minutes:g} minutes at {given.rate:,.0f} messages/s")
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        return soak(given, Path(name))


def soak(given: argparse.Namespace, folder: Path) -> int:
    """The run.  Returns what the process exits with."""
    flow = given.flow
    # How many messages a command makes depends on the dialect, so it is measured first.
    while True:
        exchange, address = start_exchange(folder, given.dialect, flow)
        session = start_session(folder, given.dialect, address)
        time.sleep(4)
        before, began = status(folder)[0], time.monotonic()
        time.sleep(6)
        rate = (status(folder)[0] - before) / (time.monotonic() - began)
        if rate > 0.97 * given.rate:
            break
        print(f"{flow:,.0f} commands/s and symbol make {rate:,.0f} messages/s; once more with more of them")
        for one in (session, exchange):
            one.send_signal(signal.SIGINT)
            one.wait()
        shutil.rmtree(folder / "run")
        flow *= 1.03 * given.rate / max(rate, 1)
    # What the first sealing loads stays.
    while not list((folder / "run" / "log").glob("*.parquet")):
        time.sleep(0.2)
    seconds: list[float] = []
    sizes: dict[str, list[float]] = {"exchange": [], "session": []}
    rates: list[float] = []
    began = last = time.monotonic()
    before = status(folder)[0]
    said: dict[str, Any] = {}
    while time.monotonic() - began < given.minutes * 60:
        time.sleep(1)
        messages, said = status(folder)
        now = time.monotonic()
        rates.append((messages - before) / (now - last))
        before, last = messages, now
        seconds.append(now - began)
        sizes["exchange"].append(resident_mb(exchange.pid))
        sizes["session"].append(resident_mb(session.pid))
        if not given.quiet or len(seconds) % 60 == 0:
            print(
                f"{seconds[-1]:7.0f} s  exchange {sizes['exchange'][-1]:7.1f} MB  "
                f"session {sizes['session'][-1]:7.1f} MB  "
                f"{np.mean(rates[-60:]) if given.quiet else rates[-1]:7,.0f} messages/s  {said['records']:,} records",
                flush=True,
            )
    session.send_signal(signal.SIGINT)
    code = session.wait(120)
    exchange.send_signal(signal.SIGINT)
    exchange.wait(60)
    good = code == 0
    print(f"session ended with {code}")
    for who, numbers in sizes.items():
        grew, hourly = growth_mb(seconds, numbers)
        flat = grew < NOISE_MB
        good &= flat
        print(
            f"{who}: {min(numbers):.1f} to {max(numbers):.1f} MB; the second half grew by {grew:+.2f} MB "
            f"({hourly:+.1f} MB an hour), bound {NOISE_MB} MB: {'flat' if flat else 'NOT FLAT'}"
        )
    print(f"{np.mean(rates):,.0f} messages/s on average over {seconds[-1]:,.0f} s, {sum(rates):,.0f} in all")
    return 0 if good & judge(folder) else 1


def judge(folder: Path) -> bool:
    """Whether the session's log is sealed, whole, without a gap, and folds to its own commands."""
    run = folder / "run"
    kinds: dict[int, int] = {}
    for batch in LogReader(run).records():
        for kind, count in zip(*np.unique(batch["kind"], return_counts=True)):
            kinds[int(kind)] = kinds.get(int(kind), 0) + int(count)
    losses = {name: kinds.get(kind, 0) for name, kind in (("gap", LINK_GAP), ("stale", LINK_STALE))}
    # Each book is down at the start and at the end.
    whole = losses == {"gap": 0, "stale": 0} and kinds[LINK_UP] == 2 and kinds[LINK_DOWN] == 4
    problems = verify(run / "log").problems
    replay = subprocess.run([*PROGRAM, "replay", str(run)], capture_output=True, text=True)
    print(f"{sum(kinds.values()):,} records, {kinds.get(PLACE, 0):,} orders; losses of a book: {losses}")
    print(f"{len(list((run / 'log').glob('*.parquet')))} sealed files; {len(problems)} problems")
    print(replay.stdout.strip() or replay.stderr.strip())
    return whole and not problems and replay.returncode == 0


if __name__ == "__main__":
    sys.exit(main())

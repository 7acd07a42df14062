"""The terminal view of a running session: a process of its own that reads the log's tail and the manifest.

The session never waits for it; it may be started, killed and started again in any terminal.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.errors import OperatorError, PinnacleError
from pinnacle.log.manifest import Manifest, instruments_of, read_manifest
from pinnacle.watch.standing import Place, Standing
from pinnacle.watch.tail import Tail

_EVERY_S = 0.5
_COLUMNS = 80


def watch_session(run: Path, once: bool = False) -> None:
    """Draw until the session ends or Ctrl-C.  once: draw what there is and return.  Raises OperatorError."""
    from rich.console import Console
    from rich.live import Live

    manifest = read_manifest(run)
    standing, tail = Standing(instruments_of(manifest.instruments)), Tail(run / "log")
    console = Console(width=min(_COLUMNS, Console().width) if not once else _COLUMNS)
    rates = Rates()
    try:
        with Live(console=console, auto_refresh=False, transient=False) as live:
            while True:
                for records in tail.more():
                    standing.take(records)
                rates.note(standing, time.monotonic())
                manifest = read_manifest(run)
                live.update(picture(run, manifest, standing, rates), refresh=True)
                if once or manifest.status != "running":
                    return
                time.sleep(_EVERY_S)
    except KeyboardInterrupt:
        return
    finally:
        tail.close()


class Rates:
    """Messages, rows and commands a second since the last picture."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._was = (0, 0, 0)
        self.messages = self.rows = self.commands = 0.0

    def note(self, standing: Standing, now_s: float) -> None:
        now = (standing.messages, standing.rows, standing.commands)
        if self._at_s:
            passed = max(1e-6, now_s - self._at_s)
            self.messages, self.rows, self.commands = ((b - a) / passed for a, b in zip(self._was, now))
        self._at_s, self._was = now_s, now


def picture(run: Path, manifest: Manifest, standing: Standing, rates: Rates) -> Any:
    """What is drawn, no wider than 80 columns."""
    from rich.console import Group
    from rich.text import Text

    age_s = max(0.0, time.time() - standing.last_ns / 1e9) if standing.last_ns else 0.0
    state = manifest.status if manifest.status != "running" else standing.paused or "running"
    title = Text(f"{run.name}  {manifest.mode}  ", style="bold", overflow="ellipsis", no_wrap=True)
    title.append(state, style="green" if state == "running" else "yellow")
    title.append(f"  {_clock(standing.last_ns)} UTC, {age_s:.1f} s ago", style="dim")
    latency = "no latency yet"
    if standing.latencies_ns:
        p50, p99 = np.percentile(np.array(standing.latencies_ns), (50, 99)) / 1e6
        latency = f"feed latency {p50:.2f} ms, 99% {p99:.2f} ms"
    flow = Text(
        f"{rates.messages:,.0f} messages/s  {rates.rows:,.0f} rows/s  {rates.commands:,.0f} commands/s  {latency}",
        style="dim", overflow="ellipsis", no_wrap=True,
    )  # fmt: skip
    parts = [title, flow, _markets(standing)]
    if manifest.strategy is not None:
        parts += [_accounts(standing), _fills(standing)]
    if standing.alerts:
        parts.append(Text("alerts  " + ", ".join(f"{n} {name}" for name, n in standing.alerts.items()), style="yellow"))
    parts += [Text(line, style="dim", overflow="ellipsis", no_wrap=True) for line in _said(run)]
    return Group(*parts)


def _table(*columns: str) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1), expand=True)
    for k, name in enumerate(columns):
        table.add_column(name, justify="left" if k < 1 else "right", no_wrap=True, overflow="ellipsis")
    return table


def _markets(standing: Standing) -> Any:
    table = _table("instrument", "book", "bid", "ask", "our bid", "our ask")
    for place in standing.places:
        colour = "green" if place.link == "live" else "red"
        table.add_row(
            place.instrument.name, f"[{colour}]{place.link}[/]",
            *(_price(place, place.book.best(side)) for side in (1, -1)),
            *(_price(place, place.quote(side)) for side in (1, -1)),
        )  # fmt: skip
    return table


def _accounts(standing: Standing) -> Any:
    table = _table("instrument", "position", "PnL", "fees", "fills", "orders")
    for place in standing.places:
        one = place.instrument
        table.add_row(
            one.name, one.qty_text(place.position_lots), f"{one.money(place.pnl_units):,.4f}",
            f"{one.money(place.fees_units):,.4f}", f"{place.fills:,}", str(len(place.orders)),
        )  # fmt: skip
    return table


def _fills(standing: Standing) -> Any:
    from rich.text import Text

    text = Text(overflow="ellipsis", no_wrap=True)
    for at_ns, k, side, ticks, lots in list(standing.fills)[-3:]:
        one = standing.places[k].instrument
        words = "bought" if side > 0 else "sold"
        text.append(f"{_clock(at_ns)}  {words} {one.qty_text(lots)} {one.name} at {one.price_text(ticks)}\n")
    text.rstrip()
    return text


def _price(place: Place, ticks: int | None) -> str:
    return "-" if ticks is None else place.instrument.price_text(ticks)


def _clock(ts_ns: int) -> str:
    return datetime.fromtimestamp(ts_ns / 1e9, UTC).strftime("%H:%M:%S")


def _said(run: Path) -> list[str]:
    """The session's last words for people."""
    try:
        with (run / "session.jsonl").open("rb") as source:
            source.seek(max(0, source.seek(0, 2) - 4096))
            lines = source.read().splitlines()[-3:]
    except OSError:
        return []
    words = []
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        at, what = str(told.pop("at", ""))[11:19], told.pop("what", "")
        words.append(f"{at}  {what}  " + "  ".join(f"{key} {value}" for key, value in told.items()))
    return words


def main() -> None:
    """`python -m pinnacle.watch.screen RUN`: waits until the session has begun, then draws it."""
    run = Path(sys.argv[1])
    # Ctrl-C is for the session, which ends this process when it has said its last word.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    while True:
        try:
            watch_session(run)
            return
        except OperatorError:
            time.sleep(0.2)
        except PinnacleError as error:
            print(error, file=sys.stderr)
            return


if __name__ == "__main__":
    main()

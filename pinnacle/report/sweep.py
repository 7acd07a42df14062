"""The table of a sweep: one row a run, what they come to by currency, and how that is printed in 80 columns.

Apart from the running, because it needs nothing but the rows.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from statistics import fmean, stdev
from textwrap import wrap
from typing import Any, TextIO

import msgspec

from pinnacle.log.manifest import replacing
from pinnacle.report.terminal import WIDTH, writable
from pinnacle.report.wording import NOT_MEASURED, amount, count, plain

_FIGURES = (
    "net_quote", "fees_quote", "turnover_quote", "sharpe", "max_drawdown_quote", "markout_1s_bps", "markout_5s_bps",
    "markout_30s_bps",
)  # fmt: skip


class Row(msgspec.Struct, kw_only=True):
    """One run of a sweep.  folder: within the sweep's.  status: complete, failed, or missing if it never came to it.

    error: one sentence where it failed.  quote: the currency of the figures.  net_quote, fees_quote (paid less
    rebates), turnover_quote, fills, sharpe (annualised), max_drawdown_quote and the mean mark-outs are those of the
    traded instrument, None where there is no value.
    """

    folder: str
    day: str
    instrument: str
    status: str
    error: str = ""
    quote: str = ""
    fills: int | None = None
    net_quote: float | None = None
    fees_quote: float | None = None
    turnover_quote: float | None = None
    sharpe: float | None = None
    max_drawdown_quote: float | None = None
    markout_1s_bps: float | None = None
    markout_5s_bps: float | None = None
    markout_30s_bps: float | None = None


def totals(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """By quote currency, over runs that are complete.  Amounts of different currencies are never added.

    net_quote, fees_quote, turnover_quote, fills: sums.  days: on which a result was measured, with days_won, the
    worst_day and its worst_day_net_quote, and the mean of the daily net with its standard error (None below two days;
    daily net is the sum over the instruments).  runs_without_result: complete, but nothing was filled or valued.
    """
    found: dict[str, dict[str, Any]] = {}
    for currency in sorted({row.quote for row in rows if row.status == "complete"}):
        mine = [row for row in rows if row.status == "complete" and row.quote == currency]
        daily: dict[str, list[float]] = {}
        for row in mine:
            if row.net_quote is not None:
                daily.setdefault(row.day, []).append(row.net_quote)
        nets = {day: _sum(daily[day]) for day in sorted(daily)}
        worst = min(nets, key=lambda day: nets[day], default=None)
        several = len(nets) > 1
        found[currency] = {
            "runs": len(mine),
            "runs_without_result": sum(row.net_quote is None for row in mine),
            "fills": sum(row.fills or 0 for row in mine),
            "net_quote": _sum(nets.values()) if nets else None,
            "fees_quote": _sum(row.fees_quote for row in mine if row.fees_quote is not None) if nets else None,
            "turnover_quote": _sum(row.turnover_quote or 0.0 for row in mine),
            "days": len(nets),
            "days_won": sum(net > 0 for net in nets.values()),
            "worst_day": worst,
            "worst_day_net_quote": None if worst is None else nets[worst],
            "daily_mean_quote": fmean(nets.values()) if nets else None,
            "daily_error_quote": stdev(nets.values()) / math.sqrt(len(nets)) if several else None,
        }
    return found


def _sum(amounts: Iterable[float]) -> float:
    """A sum of decimal amounts as a decimal, so that adding leaves no dust behind."""
    return float(sum((Decimal(repr(one)) for one in amounts), Decimal(0)))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """The rows as Parquet, whole or not at all.  Raises DiskError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = [(name, pa.string()) for name in ("folder", "day", "instrument", "status", "error", "quote")]
    schema = pa.schema([*texts, ("fills", pa.int64()), *((name, pa.float64()) for name in _FIGURES)])
    with replacing(path) as sink:
        pq.write_table(pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows], schema), sink)


def print_sweep(told: dict[str, Any], stream: TextIO | None = None) -> None:
    """Write what sweep.json holds as a table of 80 columns to a stream (the standard output)."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    stream = stream or sys.stdout
    page = stream if stream.isatty() else io.StringIO()
    console = Console(file=page, highlight=False, width=WIDTH)
    plain_box = box.SIMPLE_HEAD if stream.isatty() else None
    table = Table(box=plain_box, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("day", no_wrap=True)
    table.add_column("instrument", no_wrap=True, overflow="ellipsis")
    for name in ("fills", "net", ""):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    table.add_column("Sharpe", justify="right", no_wrap=True)
    for row in told["runs"]:
        table.add_row(*_cells(row))
    for currency, total in told["totals"].items():
        runs = f"{total['runs']} run{'s' if total['runs'] != 1 else ''}"
        net = Text(amount(total["net_quote"], True), style=_colour(total["net_quote"]))
        table.add_row("total", runs, count(total["fills"]), net, currency, "", style="bold")
    console.print(table)
    for line, style in _remarks(told):
        console.print(Text(line, style=style), soft_wrap=True)
    if isinstance(page, io.StringIO):
        text = "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"
        stream.write(writable(text, stream))


def _cells(row: dict[str, Any]) -> list[Any]:
    from rich.text import Text

    if row["status"] != "complete":
        style = "red" if row["status"] == "failed" else "yellow"
        return [row["day"], row["instrument"], Text(row["status"], style=style), NOT_MEASURED, "", NOT_MEASURED]
    net = Text(amount(row["net_quote"], True), style=_colour(row["net_quote"]))
    return [row["day"], row["instrument"], count(row["fills"]), net, row["quote"], plain(row["sharpe"], 1)]


def _colour(net: float | None) -> str:
    return "" if not net else "green" if net > 0 else "red"


def _remarks(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What stands below the table, as lines of at most WIDTH characters with their style."""
    for currency, total in told["totals"].items():
        if total["days"]:
            error = total["daily_error_quote"]
            spread = "" if error is None else f" ± {amount(error)}"
            text = (
                f"{currency}: {total['days_won']} of {total['days']} days won, worst "
                f"{amount(total['worst_day_net_quote'], True)} on {total['worst_day']}, "
                f"mean {amount(total['daily_mean_quote'], True)}{spread} a day"
            )
            yield from ((line, "") for line in wrap(text, WIDTH, subsequent_indent="  "))
    for row in told["runs"]:
        if row["error"]:
            text = f"! {row['day']} {row['instrument']}: {row['error']}"
            yield from ((line, "red") for line in _wrapped(text))
    if told["days_incomplete"] and told["totals"]:
        days = len(told["days_incomplete"])
        text = f"! {days} day{'s lack runs' if days > 1 else ' lacks a run'}, failed or missing; the totals go without."
        yield from ((line, "yellow") for line in _wrapped(text))
    for text in told["left_out"]:
        yield from ((line, "yellow") for line in _wrapped(f"! {text}"))


def _wrapped(text: str) -> list[str]:
    # A path is never broken, or it could not be copied.
    return wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)

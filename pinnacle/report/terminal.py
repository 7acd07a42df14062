"""The summary of a run on a terminal: what it earned, why, and what to doubt, in 80 columns.

Colour and rules appear only on a terminal; a pipe or a file gets the same words as plain lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, TextIO

from pinnacle.report.wording import (
    NOT_MEASURED,
    amount,
    count,
    mean_and_error,
    moment,
    plain,
    quantity,
    share,
    span,
)

WIDTH = 80
_LABEL, _VALUE = 19, 20
_REMARK = WIDTH - _LABEL - _VALUE - 4

Row = tuple[str, str, str, float | None]


def print_summary(summary: dict[str, Any], stream: TextIO | None = None) -> None:
    """Write a summary to a stream (the standard output), in colour where it is a terminal."""
    stream = stream or sys.stdout
    if stream.isatty():
        _show_rich(summary, stream)
    else:
        stream.write(writable("\n".join(plain_lines(summary)) + "\n", stream))


def writable(text: str, stream: TextIO) -> str:
    """The text in what the stream can write: a pipe in an ASCII locale has no minus sign."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return text.translate({0x2212: "-", 0x2013: "-", 0xB1: "+/-", 0x2026: "."}).encode("ascii", "replace").decode()
    return text


def plain_lines(summary: dict[str, Any]) -> list[str]:
    """The summary as lines of at most WIDTH characters."""
    out = [*wrap(heading(summary), WIDTH), *wrap(_when(summary), WIDTH)]
    for title, figures in blocks(summary):
        out += ["", title]
        for label, value, remark, _ in rows(figures):
            said = wrap(remark, _REMARK) or [""]
            out.append(f"  {label:<{_LABEL}}{value:>{_VALUE}}  {said[0]}".rstrip())
            out += [" " * (_LABEL + _VALUE + 4) + more for more in said[1:]]
    for text in market_lines(summary):
        out += ["", *wrap(text, WIDTH)]
    for text in notes(summary):
        out += ["", *wrap(f"! {text}", WIDTH, subsequent_indent="  ")]
    return out


def heading(summary: dict[str, Any]) -> str:
    """What was run, on what."""
    run = summary["run"]
    return f"{run['strategy'] or 'run'} on {', '.join(summary['instruments'])} ({run['mode']}, {run['status']})"


def _when(summary: dict[str, Any]) -> str:
    told = summary["span"]
    return f"{moment(told['first_ns'])} to {moment(told['last_ns'])} UTC, {span(told['length_s'])}"


def notes(summary: dict[str, Any]) -> list[str]:
    """Warnings and alerts, as sentences."""
    alerts = [f"The engine raised {n:,} alerts: {name.replace('_', ' ')}." for name, n in summary["alerts"].items()]
    return [*summary["warnings"], *alerts]


def market_lines(summary: dict[str, Any]) -> list[str]:
    """How a generated market compares with the real one, one sentence; none for other runs."""
    told = summary.get("generated_market")
    if told is None:
        return []
    if told["claimed"] is None:
        return [f"Generated market: {told['note'] or 'no facts of a real market to compare with'}."]
    return [
        f"Generated market ({told['model']}): {told['claimed_in_range']} of {told['claimed']} claimed stylised facts "
        f"in range of the real market's; of all facts {told['in_range']} in range, {told['out_of_range']} not."
    ]


def blocks(summary: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """What is shown, with its title: totals of several instruments that traded, then each instrument."""
    for currency, total in summary["total"].items():
        of = [summary["instruments"][name] for name in total["instruments"]]
        if sum(bool(mine["orders"]["placed"] or mine["fills"]["count"]) for mine in of) > 1:
            yield f"All in {currency}", total
    yield from summary["instruments"].items()


def rows(figures: dict[str, Any]) -> Iterator[Row]:
    """Label, value, remark and the number whose sign decides the colour."""
    pnl, risk, fills, orders = figures["pnl"], figures["risk"], figures["fills"], figures["orders"]
    currency = figures["currency"]
    if not orders["placed"] and not fills["count"]:
        yield "net result", NOT_MEASURED, "no order was placed, so there is no result", None
        return
    captured, net = fills["captured_spread"], pnl["net"]
    fees = None if pnl["fees"] is None else -pnl["fees"]
    turnover = fills["turnover_quote"]
    of_it = f"{plain(net / turnover * 1e4, 3, True)} bps of turnover" if net is not None and turnover else ""
    yield "net result", _money(net, currency, True), pnl["note"] or of_it, net
    if net is not None:
        edge = f"{mean_and_error(captured['mean_bps'], captured['error_bps'])} bps a fill"
        yield "  spread captured", _money(pnl["spread"], currency, True), edge, pnl["spread"]
        inventory = pnl["inventory"]
        yield "  inventory", _money(inventory, currency, True), "mid moves on the position", inventory
        paid = f"paid {amount(pnl['fees_paid'])}, rebates {amount(pnl['rebates'])}"
        yield "  fees", _money(fees, currency, True), paid, fees
        if pnl["funding"]:
            yield "  funding", _money(pnl["funding"], currency, True), "", pnl["funding"]
    error = f"± {plain(risk['sharpe_standard_error'], 1)} a year; " if risk["sharpe"] is not None else ""
    yield "Sharpe ratio", plain(risk["sharpe"], 1), error + risk["ratio_note"], None
    fell = _money(risk["drawdown_max_quote"], currency)
    yield "largest drawdown", fell, f"longest below a peak {span(risk['drawdown_longest_s'])}", None
    for horizon, sides in figures["markouts"].items():
        moments = sides["all"]
        if moments["count"]:
            value = f"{mean_and_error(moments['mean_bps'], moments['error_bps'])} bps"
            yield f"mark-out {horizon}", value, f"over {count(moments['count'])} fills", moments["mean_bps"]
    reasons = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in fills["by_reason"].items())
    yield "fills", count(fills["count"]), reasons, None
    ends = [f"{orders[name]:,} {name}" for name in ("cancelled", "expired", "rejected") if orders[name]]
    whole = [f"{share(orders['fill_rate_share'])} filled"] if orders["placed"] else []
    yield "orders", count(orders["placed"]), ", ".join(whole + ends), None
    yield "turnover", _money(turnover, currency), f"{share(fills['maker_share'])} as maker", None
    if "inventory" in figures:
        yield from _held(figures)
    trip = figures["latency"]["round_trip"]
    if trip["count"]:
        yield "order round trip", f"{plain(trip['median_ms'])} ms", f"99%: {plain(trip['p99_ms'])} ms", None


def _money(value: float | None, currency: str, signed: bool = False) -> str:
    return amount(value, signed) + (f" {currency}" if value is not None else "")


def _held(figures: dict[str, Any]) -> Iterator[Row]:
    """Position and quotes, which have a meaning for one instrument only."""
    held, quotes = figures["inventory"], figures["quotes"]
    at_limit = "" if held["at_limit_share"] is None else f", at the limit {share(held['at_limit_share'])}"
    if held["max_absolute_qty"] is not None:
        mean = f"mean size {quantity(held['mean_absolute_qty'])}{at_limit}"
        yield "largest position", quantity(held["max_absolute_qty"]), mean, None
    if quotes["two_sided_share"] is not None:
        yield "two-sided quotes", share(quotes["two_sided_share"]), f"spread {plain(quotes['spread_bps'], 3)} bps", None


def _show_rich(summary: dict[str, Any], stream: TextIO) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    console.width = min(console.width, WIDTH)
    console.print(Text(heading(summary), style="bold"))
    console.print(Text(_when(summary), style="dim"))
    for title, figures in blocks(summary):
        told = Table(box=box.SIMPLE_HEAD, show_header=True, pad_edge=False, expand=True, header_style="bold")
        told.add_column(Text(title), no_wrap=True, ratio=None)
        told.add_column("", justify="right", no_wrap=True)
        told.add_column("", style="dim", ratio=1)
        for label, value, remark, sign in rows(figures):
            colour = "" if not sign else "green" if sign > 0 else "red"
            told.add_row(Text(label), Text(value, style=colour), Text(remark))
        console.print(told)
    for text in market_lines(summary):
        console.print(Text(text))
    for text in notes(summary):
        console.print(Text(f"! {text}", style="yellow"))

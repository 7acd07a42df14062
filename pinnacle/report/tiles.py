"""The figures at the head of a report: what a trader asks first, each with what it needs to be read rightly."""

from __future__ import annotations

from html import escape
from typing import Any

from pinnacle.report.wording import NOT_MEASURED, amount, count, mean_and_error, plain, quantity, share, span


def tiles(figures: dict[str, Any]) -> str:
    """The cards of one instrument or total."""
    cards = _result(figures) + _trading(figures)
    return f'<div class="cards">{"".join(cards)}</div>\n'


def _result(figures: dict[str, Any]) -> list[str]:
    """The net result, its parts, and what it risked."""
    pnl, risk, currency = figures["pnl"], figures["risk"], figures["currency"]
    captured, marked = figures["fills"]["captured_spread"], figures["markouts"]["5s"]["all"]
    fees = None if pnl["fees"] is None else -pnl["fees"]
    gross = f"gross {amount(pnl['gross'], True)}"
    edge = f"{mean_and_error(captured['mean_bps'], captured['error_bps'])} bps a fill"
    paid = f"paid {amount(pnl['fees_paid'])}, rebates {amount(pnl['rebates'])}"
    cards = [
        card("Net result", amount(pnl["net"], True), currency, pnl["note"] or gross, pnl["net"]),
        card("Spread captured", amount(pnl["spread"], True), currency, edge, pnl["spread"]),
        card("Inventory", amount(pnl["inventory"], True), currency, "mid moves on the position", pnl["inventory"]),
        card("Fees", amount(fees, True), currency, paid, fees),
    ]
    if pnl["funding"]:
        cards.append(card("Funding", amount(pnl["funding"], True), currency, "received", pnl["funding"]))
    error = f"± {plain(risk['sharpe_standard_error'], 1)}; " if risk["sharpe"] is not None else ""
    made_of = risk["ratio_note"] or f"changes over {span(risk['ratio_interval_s'])}"
    longest = f"longest below a peak {span(risk['drawdown_longest_s'])}"
    doubt = f"± {plain(marked['error_bps'], 3)} over {count(marked['count'])} fills"
    return [
        *cards,
        card("Sharpe ratio", plain(risk["sharpe"], 1), "a year", error + made_of),
        card("Largest drawdown", amount(risk["drawdown_max_quote"]), currency, longest),
        card("Mark-out after 5 s", plain(marked["mean_bps"], 3, True), "bps", doubt, marked["mean_bps"]),
    ]


def _trading(figures: dict[str, Any]) -> list[str]:
    """How much was traded and held."""
    fills, orders, net = figures["fills"], figures["orders"], figures["pnl"]["net"]
    turnover = fills["turnover_quote"]
    earned = f"net {plain(net / turnover * 1e4, 3, True)} bps of it" if net is not None and turnover else ""
    cards = [
        card("Fills", count(fills["count"]), "", f"{share(fills['maker_share'])} as maker"),
        card("Orders", count(orders["placed"]), "", f"{share(orders['fill_rate_share'])} filled whole"),
        card("Turnover", amount(turnover), figures["currency"], earned),
    ]
    if "inventory" in figures:
        held = figures["inventory"]
        at_limit = "" if held["at_limit_share"] is None else f", at limit {share(held['at_limit_share'])}"
        mean = f"mean size {quantity(held['mean_absolute_qty'])}{at_limit}"
        cards.append(card("Largest position", quantity(held["max_absolute_qty"]), "", mean))
    return cards


def card(label: str, value: str, unit: str, under: str, sign: float | None = None) -> str:
    tone = "" if not sign else " gain" if sign > 0 else " loss"
    unit = f" <small>{escape(unit)}</small>" if unit and value != NOT_MEASURED else ""
    return (
        f'<div class="card"><div class="label">{escape(label)}</div>'
        f'<div class="value{tone}">{escape(value)}{unit}</div><div class="under">{escape(under)}</div></div>'
    )

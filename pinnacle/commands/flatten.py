"""`pinnacle flatten`: what is held is taken off with the engine dead, by its log or by what a person says is held."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pinnacle.commands import screen
from pinnacle.commands.cancel_all import places, with_key
from pinnacle.commands.keys import open_keys, unlocking
from pinnacle.errors import OperatorError, VenueError
from pinnacle.limits import FLATTEN_S, FLATTEN_S_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from pinnacle.instrument import Instrument

# What a session says that a person in a hurry wants to see at once; its folder keeps all of it.
_SHOWN = {"unreachable", "malformed", "killed", "in doubt", "stopping", "cancel"}
_DONE = {1: "bought", -1: "sold"}


@click.command()
@click.argument("what")
@click.argument("symbol", required=False)
@click.option("--i-understand", is_flag=True, help="Real orders cost real money; nothing is sent without it.")
@click.option(
    "--position", "qty", metavar="QTY", help="With VENUE SYMBOL: what is held, above 0 to sell, below to buy."
)
@click.option("--through-bps", default="50", show_default=True, help="With --position: how far through the best price.")
@click.option(
    "--for",
    "for_s",
    type=float,
    help=f"Seconds to try.  [default: {FLATTEN_S:g}; where an order may still arrive, until it cannot]",
)
@click.option("--key", "names", multiple=True, metavar="VENUE/NAME", help="Which key of the vault (default: default).")
@click.option("--websocket", default="", help="Address of the venue's websocket, for a local exchange.")
@click.option("--rest", default="", help="Its REST address.")
@unlocking
def flatten(
    what: str,
    symbol: str | None,
    i_understand: bool,
    qty: str | None,
    through_bps: str,
    for_s: float | None,
    names: tuple[str, ...],
    websocket: str,
    rest: str,
    path: Path | None,
    password_file: Path | None,
    password_fd: int | None,
) -> None:
    """Cancel orders and take positions off at the market; no session need run.

    \b
    pinnacle flatten RUN                           a session that is dead, by its log
    pinnacle flatten VENUE SYMBOL --position QTY   no log at hand: the disk is lost

    RUN is a session's folder.  Its log is recovered, its own orders are cancelled and nobody else's, and its positions
    are taken off within its own limits; all of that stands in its log.  The strategy is not asked and its file not
    read.  For a session that runs: pinnacle live flatten RUN.

    With --position EVERY open order of the account on SYMBOL is cancelled, whoever placed it, as `pinnacle cancel-all`
    does; then QTY is sold (or bought back, below 0) and never more, by orders that rest nowhere.

    Exit 0 once it is flat, or what is left is below the venue's smallest order; 4 if it is not.
    """
    if not i_understand:
        raise OperatorError("flatten: sends real orders; say --i-understand with it")
    if for_s is not None and not (math.isfinite(for_s) and 0 < for_s <= FLATTEN_S_MAX):
        raise OperatorError(f"--for {for_s:g}: must be a number of seconds above 0, at most {FLATTEN_S_MAX:g}")

    def unlocked() -> Any:
        return open_keys(path, password_file, password_fd)[0]

    if Path(what).is_dir():
        if symbol or qty:
            raise OperatorError(f"{what}: is a session's folder, whose log knows what is held; leave the rest out")
        _flatten_run(Path(what), names, websocket, rest, for_s, unlocked)
        return
    if not symbol:
        raise OperatorError(f"{what}: is no session's folder; a venue wants a SYMBOL and --position QTY")
    if not qty:
        raise OperatorError(f"{what} {symbol}: say how much is held with --position QTY, below 0 if it is short")
    _flatten_position(what, symbol, qty, _bps(through_bps), names, websocket, rest, for_s, unlocked)


def _bps(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal(-1)
    if not (value.is_finite() and 0 <= value < 10_000):
        raise OperatorError(f"--through-bps {text}: must be a number from 0 to below 10000")
    return value


# --- by the log -------------------------------------------------------------------------------------------------------
def _flatten_run(
    run: Path, names: tuple[str, ...], websocket: str, rest: str, for_s: float | None, unlocked: Callable[[], Any]
) -> None:
    from pinnacle.commands.live import Said
    from pinnacle.run.flatten import prepare_flatten
    from pinnacle.run.prepare_live import prepare_accounts

    kept, show = Said(headless=False), _once()

    def say(what: str, **fields: Any) -> None:
        kept(what, **fields)
        if what == "started":
            click.echo(f"held    {', '.join(fields['held'])}, by the log; the account is compared now")
        else:
            show(what, fields)

    session = prepare_flatten(run, for_s, say, websocket, rest)
    prepare_accounts(session, names, unlocked)
    kept.file = run / "session.jsonl"
    screen.say_if_compiling(False)
    session.run()
    deals = _Deals()
    for instrument, side, lots, price_ticks, fee_units in session.fills():
        deals.add(instrument, side, lots, price_ticks, fee_units)
    deals.sum_up()
    shown = screen.shown(run)
    click.echo(f"sealed  {session.log.records:,} records; pinnacle replay {shown}")
    if why := session.outcome():
        raise VenueError(why)
    for left in session.left():
        if left.lots:
            click.echo(_small(left.instrument, left.lots))
    click.secho(f"flat    {shown}: nothing is held and none of its orders rests", fg="green")


# --- by what a person says --------------------------------------------------------------------------------------------
def _flatten_position(
    name: str,
    symbol: str,
    qty: str,
    through_bps: Decimal,
    names: tuple[str, ...],
    websocket: str,
    rest: str,
    for_s: float | None,
    unlocked: Callable[[], Any],
) -> None:
    from pinnacle.run.flatten_position import flatten_position
    from pinnacle.transport.websocket import Route

    if len(names) > 1:
        raise OperatorError(f"--key {' --key '.join(names)}: there is one venue, so give one")
    key = (names[0] if names else "default").removeprefix(f"{name}/")
    (place,) = places(name, (symbol,))
    vault = unlocked()
    if vault.key(name, key).permissions != "trade":
        raise OperatorError(f"{vault.key(name, key).label} was added for reading; add a key that may trade")
    place = with_key(place, vault, key, websocket, rest)
    vault.wipe()
    deals, show = _Deals(), _once()

    def say(what: str, **fields: Any) -> None:
        if what == "cancelled":
            click.echo(f"cancelled {fields['orders']} orders of the account on {symbol}, whoever placed them")
        elif what == "orders":
            click.echo(f"ours carry client ids {fields['client_ids']}")
        elif what == "fill":
            deals.add(**fields)
        else:
            show(what, fields)

    sold = flatten_position(place, qty, through_bps, for_s, Route(), say)
    deals.sum_up()
    one = sold.instrument
    if sold.why:
        left = f"{one.qty_text(sold.left_lots)} of {qty} {one.symbol} is left"
        raise VenueError(f"{one.name}: not flat, {sold.why}; {left}")
    if sold.left_lots:
        click.echo(_small(one, sold.left_lots))
    click.secho(f"flat    {one.name}: of {qty} nothing is left that could be traded, and nothing rests", fg="green")


def _once() -> Callable[[str, dict[str, Any]], None]:
    """Shows what a person wants to see, and what is repeated while a venue cannot be reached only once."""
    shown: set[str] = set()

    def show(what: str, fields: dict[str, Any]) -> None:
        line = f"{what}: {', '.join(str(value) for value in fields.values())}" if fields else what
        if what in _SHOWN and line not in shown:
            shown.add(line)
            click.echo(line)

    return show


def _small(instrument: Instrument, lots: int) -> str:
    return f"left    {instrument.qty_text(lots)} {instrument.name}: below the venue's smallest order"


class _Deals:
    """Fills on the screen, each as it comes, and their sum by instrument."""

    def __init__(self) -> None:
        self._sums: dict[tuple[Instrument, int], list[int]] = {}

    def add(self, instrument: Instrument, side: int, lots: int, price_ticks: int, fee_units: int) -> None:
        """fee_units: money units, negative for a rebate."""
        price = f"{instrument.qty_text(lots)} {instrument.symbol} at {instrument.price_text(price_ticks)}"
        click.echo(f"fill    {_DONE[side]} {price}")
        one = self._sums.setdefault((instrument, side), [0, 0, 0, 0])
        for k, more in enumerate((lots, lots * price_ticks * instrument.units_per_ticklot, fee_units, 1)):
            one[k] += more

    def sum_up(self) -> None:
        for (instrument, side), (lots, cash_units, fee_units, count) in self._sums.items():
            cash, fee = (f"{instrument.money(units).normalize():f}" for units in (cash_units, fee_units))
            fills = f"{count} fill{'s' if count > 1 else ''}"
            click.echo(
                f"sum     {_DONE[side]} {instrument.qty_text(lots)} {instrument.symbol} for {cash} {instrument.quote} "
                f"in {fills}, fees {fee}"
            )

"""An instrument and its exact numbers: decimal text to whole ticks and lots, and back.

Prices and sizes reach us as decimal text and leave as decimal text.  Between the two they are integers; a binary
float is never in between, because checksums and equality would fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from pinnacle.errors import HistoryError, OperatorError
from pinnacle.limits import CASH_UNITS_MAX, PRICE_TICKS_MAX, QTY_LOTS_MAX

# Money is counted at least this finely, so that the rounding of one fee (always against us) stays below 1e-9.
MONEY_DIGITS_MIN = 9
# The largest sum of money that must fit, in quote currency, before digits are given up.
_MONEY_RANGE = 10**8
# Of prices and quantities: 2^52 steps of 1e-30 are far below it.
_EXPONENT_MAX = 64


@dataclass(frozen=True, slots=True)
class Instrument:
    """One symbol on one venue, with its steps as exact decimals.

    tick: price step, in quote currency.  lot: quantity step, in base currency or contracts.  contract: base currency
    in one unit of quantity (1 on spot).  qty_min, notional_min: the venue's filters, 0 for none.
    Raises OperatorError when a step is not positive or the numbers cannot fit 64-bit integers.
    """

    venue: str
    symbol: str
    tick: Decimal
    lot: Decimal
    contract: Decimal = Decimal(1)
    qty_min: Decimal = Decimal(0)
    notional_min: Decimal = Decimal(0)
    base: str = ""
    quote: str = ""

    def __post_init__(self) -> None:
        for field in ("tick", "lot", "contract"):
            step = getattr(self, field)
            if not step.is_finite() or step <= 0:
                raise OperatorError(f"{self.name}: {field} is {step}, and must be a positive decimal")
        if self.units_per_ticklot * 1000 > CASH_UNITS_MAX:
            raise OperatorError(f"{self.name}: tick {self.tick} times lot {self.lot} is too coarse for exact money")

    @property
    def name(self) -> str:
        """`venue:symbol`, unique in a run."""
        return f"{self.venue}:{self.symbol}"

    @property
    def money_digits(self) -> int:
        """One money unit is 10^-money_digits of quote currency; tick * lot * contract is a whole number of them."""
        return _money_of(self.tick, self.lot, self.contract)[0]

    @property
    def units_per_ticklot(self) -> int:
        """Money units that one lot changes in value when the price moves by one tick."""
        return _money_of(self.tick, self.lot, self.contract)[1]

    def money(self, units: int) -> Decimal:
        """Money units as quote currency, exact."""
        return Decimal(int(units)).scaleb(-self.money_digits)

    def ticks(self, text: str) -> int:
        """Exact number of ticks in a price written as decimal text.  Raises HistoryError if it is off the tick."""
        return self._steps(text, self.tick, "price", "tick", PRICE_TICKS_MAX)

    def lots(self, text: str) -> int:
        """Exact number of lots in a quantity written as decimal text.  Raises HistoryError if it is off the lot."""
        return self._steps(text, self.lot, "quantity", "lot", QTY_LOTS_MAX)

    def _steps(self, text: str, step: Decimal, noun: str, step_name: str, most: int) -> int:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise HistoryError(f"{self.name}: {noun} {text!r} is not a decimal number") from None
        if not value.is_finite():
            raise HistoryError(f"{self.name}: {noun} {text!r} is not finite")
        if abs(value.adjusted()) > _EXPONENT_MAX:
            # As a fraction it would be an integer of as many digits.
            raise HistoryError(f"{self.name}: {noun} {text[:40]!r} is beyond any market's numbers")
        # Decimal division rounds to the context's 28 digits, whole numbers do not.
        (above, below), (step_above, step_below) = value.as_integer_ratio(), step.as_integer_ratio()
        steps, rest = divmod(above * step_below, below * step_above)
        if rest:
            raise HistoryError(
                f"{self.name}: {noun} {text} is not a multiple of the {step_name} {step}; "
                f"set the instrument's {step_name} to the venue's"
            )
        if abs(steps) >= most:
            raise HistoryError(f"{self.name}: {noun} {text} is {steps} {step_name}s, more than {most}")
        return steps

    def price_text(self, price_ticks: int) -> str:
        """Ticks as decimal text with as many decimals as the tick has."""
        return _plain(self.tick, price_ticks)

    def qty_text(self, qty_lots: int) -> str:
        """Lots as decimal text with as many decimals as the lot has."""
        return _plain(self.lot, qty_lots)


def decimal_of(text: str, what: str) -> Decimal:
    """A finite decimal from config text.  Raises OperatorError naming `what`."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise OperatorError(f"{what} is {text!r}, and must be a decimal number such as '0.01'")
    return value


@lru_cache(1 << 12)
def _money_of(tick: Decimal, lot: Decimal, contract: Decimal) -> tuple[int, int]:
    """(money_digits, units_per_ticklot): asked for with every order and fill, and the same for ever."""
    ticklot = tick * lot * contract
    exact = max(0, -int(ticklot.normalize().as_tuple().exponent))
    digits = max(exact, MONEY_DIGITS_MIN)
    while digits > exact and _MONEY_RANGE * 10**digits > CASH_UNITS_MAX:
        digits -= 1
    return digits, int(ticklot * 10**digits)


@lru_cache(1 << 12)
def _step_of(step: str) -> tuple[int, int]:
    """(digits behind the point, the step in units of the last of them).  By its text: 0.1 and 0.10 are the same number,
    and written differently."""
    one = Decimal(step)
    digits = max(0, -int(one.as_tuple().exponent))
    return digits, int(one.scaleb(digits))


def _plain(step: Decimal, count: int) -> str:
    """count * step, exact, without an exponent."""
    digits, unit = _step_of(str(step))
    scaled = unit * int(count)
    sign, body = ("-" if scaled < 0 else ""), str(abs(scaled)).rjust(digits + 1, "0")
    return f"{sign}{body[:-digits]}.{body[-digits:]}" if digits else f"{sign}{body}"

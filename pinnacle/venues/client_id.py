"""Client order ids: which run an order is of, and its number there, in a text that every venue takes.

    6d1b345e-2821-440e-8000-00000000002a      run 6d1b345e282140e.., order 42

It is a pure function of the run's id and the order's number, so whoever has the log knows what may be at the venue.
The form is that of a random UUID, because Coinbase takes nothing else; it is within Kraken's, Gemini's, Bitstamp's and
Binance's rules (36 characters of `0-9a-f-`).  An order whose text begins otherwise is somebody else's, or of another
run.
"""

from __future__ import annotations

# Hexadecimal digits of the run's id that are in the text, and of the number.
_RUN_DIGITS = 15
_NUMBER_DIGITS = 12
# A run that gave no order its id: for who only asks and cancels.
NO_RUN = "0" * 32
ORDER_ID_MAX = (1 << (4 * _NUMBER_DIGITS)) - 1


class ClientIds:
    """run_id: hexadecimal text, at least 15 digits."""

    def __init__(self, run_id: str) -> None:
        run = run_id[:_RUN_DIGITS].lower()
        assert len(run) == _RUN_DIGITS and all(c in "0123456789abcdef" for c in run), "a run's id is hexadecimal"
        self.prefix = f"{run[:8]}-{run[8:12]}-4{run[12:15]}-8000-"

    def text(self, order_id: int) -> str:
        """The client id of our order."""
        assert 0 < order_id <= ORDER_ID_MAX
        return f"{self.prefix}{order_id:012x}"

    def order_id(self, text: str) -> int | None:
        """Our order of a client id, None if this run did not give it."""
        number = text[len(self.prefix) :]
        if not text.startswith(self.prefix) or len(number) != _NUMBER_DIGITS:
            return None
        if not all(c in "0123456789abcdef" for c in number):
            return None
        return int(number, 16) or None

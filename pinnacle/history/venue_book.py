"""A book as the venue itself says it, beside the orders or levels of a recording: what the recording can be held to.

Recordings that have them can prove more than that they are whole: that the book made of them is the venue's.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pinnacle.errors import HistoryError
from pinnacle.instrument import Instrument


class VenueBook(NamedTuple):
    """The first levels of both sides, best first, as (ticks, lots).

    number: the aux of the TICKER rows that stand where the book was heard; 0 for a book that is said at the end.
    messages_apart: most messages of the venue that lie between this book and the rows; 0 if it is of the same moment.
    """

    number: int
    bids: list[tuple[int, int]]
    asks: list[tuple[int, int]]
    messages_apart: int = 0


def refuse_other_venue(path: Path, instrument: Instrument, venue: str) -> None:
    """Raises HistoryError if the instrument is not of the venue whose format the file has."""
    if venue.lower() not in instrument.venue.lower():
        raise HistoryError(
            f"{path}: is a recording of {venue}, and the instrument is {instrument.name}; give a venue whose name has "
            f"{venue.lower()} in it, or another file"
        )

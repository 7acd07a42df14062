"""What a person may decide about reading a recording; every field changes the rows, so all are kept with the result.

The defaults make a history that can be traded on: a book that starts from its snapshot, a clock that never hears an
event before it happened, and a refusal wherever something would have to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from pinnacle.errors import OperatorError

Bridge = Literal["snapshot", "as-received"]
OffTick = Literal["refuse", "drop"]
Progress = Callable[[int, int, int], None]  # bytes done, bytes in all, rows so far


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to read a recording.

    bridge: "snapshot" joins depth messages to the snapshot by their ids; "as-received" gives every row in order of
    arrival as it stands.  tickers: keep best bid and ask messages as TICKER rows.
    latency_floor_ns: the smallest latency from venue to us that is believed; a recording whose smallest is below it
    has its local times moved by one constant.  offset_ns: move them by exactly this instead.
    partial: use what precedes the damage of a damaged file.  off_tick: "refuse" a price that is not a multiple of the
    tick, or "drop" such rows and count them.
    feed: read a recorded Binance stream through the venue's live feed, as tapes are, instead of the importer.
    columns: the column map of a CSV or Parquet file that is in no known format, see `columns.py`.
    """

    bridge: Bridge = "snapshot"
    tickers: bool = True
    latency_floor_ns: int = 0
    offset_ns: int | None = None
    partial: bool = False
    off_tick: OffTick = "refuse"
    feed: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.bridge not in get_args(Bridge):
            raise OperatorError(f"bridge is {self.bridge!r}, and must be one of {', '.join(get_args(Bridge))}")
        if self.off_tick not in get_args(OffTick):
            raise OperatorError(f"off_tick is {self.off_tick!r}, and must be one of {', '.join(get_args(OffTick))}")

    def as_dict(self) -> dict[str, Any]:
        """The options as plain values for JSON."""
        return asdict(self)

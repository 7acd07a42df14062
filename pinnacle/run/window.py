"""A stretch of the data that a strategy is judged on.

A file of its own because whoever plans the windows and whoever runs them must mean the same by it.
"""

from __future__ import annotations

import msgspec


class Window(msgspec.Struct, frozen=True):
    """name: "train", "validation", "test", "fold 2 train" and so on.

    first_ns: the strategy starts flat here, over a book that is warm.  stop_ns: nothing later is heard, and what is
    held is valued at the last mid; above first_ns.
    """

    name: str
    first_ns: int
    stop_ns: int

    def __post_init__(self) -> None:
        assert self.first_ns < self.stop_ns, f"{self.name}: an empty window"

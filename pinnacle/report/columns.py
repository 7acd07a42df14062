"""A view's charts as plain data in plotly's schema; nothing is drawn and nothing is imported to make them.

Two words of ours are resolved in the page: "@name" is a column of the payload (so that a time axis is kept once), and
"$name" a colour of the page's theme (so that light and dark need no second copy).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Figure = dict[str, Any]


class Charts:
    """The figures of one view, by id.  columns: arrays by name; notes: what was left out of a figure, by its id."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.columns: dict[str, list[Any]] = {}
        self.figures: dict[str, Figure] = {}
        self.notes: dict[str, str] = {}

    def column(self, name: str, values: Any) -> str:
        """Keep a column and say its reference.  NaN becomes null."""
        key = f"{self.prefix}.{name}"
        values = np.asarray(values)
        if values.dtype.kind == "f":
            values = np.round(values, 8)
        self.columns[key] = values.tolist()
        return f"@{key}"

    def add(self, name: str, data: list[Figure], layout: Figure | None = None, note: str = "") -> None:
        """Keep a figure."""
        self.figures[f"{self.prefix}-{name}"] = {"data": data, "layout": layout or {}}
        if note:
            self.notes[f"{self.prefix}-{name}"] = note


def line(name: str, x: str, y: str, colour: str, **more: Any) -> Figure:
    """A line trace.  x, y: references of columns.  colour: name of the theme."""
    drawn = {"color": f"${colour}", "width": more.pop("width", 1.5)} | more.pop("line", {})
    return {"type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "line": drawn} | more

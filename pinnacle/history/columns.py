"""A column map: which column of a table means what.  Known formats are maps too, written down in `tardis.py`.

One reader with a map in front of it, instead of a reader a format: a person with another file writes ten lines of
TOML and needs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pinnacle import event
from pinnacle.errors import OperatorError

KINDS = ("book", "trade", "quote")
UNIT_DIGITS = {"s": 9, "ms": 6, "us": 3, "ns": 0}
_BUY_WORDS = ("bid", "buy", "b", "1", "+1", "true")
_SELL_WORDS = ("ask", "sell", "s", "a", "-1", "false")


def _default_sides() -> dict[str, int]:
    return dict.fromkeys(_BUY_WORDS, event.BUY) | dict.fromkeys(_SELL_WORDS, event.SELL)


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What the columns of a table are called and how they are written.

    ts: local time; ts_unit: s, ms, us or ns.  ts_venue: the venue's time, same unit unless ts_venue_unit.
    kind: "book" (absolute quantity at a price), "trade" or "quote" (best bid and ask in one row) of every row; or
    kind_column with kind_values, `{text: kind}`; rows of other kinds are skipped and counted.
    side: column with side_values, `{text: 1 or -1}` (book: the side of the level, trade: the aggressor's).
    price, qty, id: of book and trade rows.  snapshot: column that is true in rows of a whole book, snapshot_values
    the texts that mean true.  bid_price, bid_qty, ask_price, ask_qty: of quote rows.  symbol: column that must hold
    the instrument's symbol, rows of others are skipped.
    """

    ts: str
    ts_unit: str = "ns"
    ts_venue: str = ""
    ts_venue_unit: str = ""
    kind: str = ""
    kind_column: str = ""
    kind_values: Mapping[str, str] = field(default_factory=dict)
    side: str = ""
    side_values: Mapping[str, int] = field(default_factory=_default_sides)
    price: str = ""
    qty: str = ""
    id: str = ""
    snapshot: str = ""
    snapshot_values: tuple[str, ...] = ("true", "True", "TRUE", "1", "t")
    bid_price: str = ""
    bid_qty: str = ""
    ask_price: str = ""
    ask_qty: str = ""
    symbol: str = ""

    def __post_init__(self) -> None:
        for unit in (self.ts_unit, self.ts_venue_unit or self.ts_unit):
            if unit not in UNIT_DIGITS:
                raise OperatorError(f"columns: unit {unit!r} is not one of {', '.join(UNIT_DIGITS)}")
        if bool(self.kind) == bool(self.kind_column):
            raise OperatorError("columns: give either kind, or kind_column with kind_values")
        for kind in self.kinds:
            if kind not in KINDS:
                raise OperatorError(f"columns: kind {kind!r} is not one of {', '.join(KINDS)}")
            needed = ("bid_price", "bid_qty", "ask_price", "ask_qty") if kind == "quote" else ("side", "price", "qty")
            absent = [name for name in needed if not getattr(self, name)]
            if absent:
                raise OperatorError(f"columns: rows of kind {kind} need the column of {', '.join(absent)}")
        if any(value not in (event.BUY, event.SELL, 0) for value in self.side_values.values()):
            raise OperatorError("columns: side_values must be 1 (bid, buy), -1 (ask, sell) or 0 (unknown)")

    @property
    def kinds(self) -> list[str]:
        """The kinds of rows there can be."""
        return [self.kind] if self.kind else list(dict.fromkeys(self.kind_values.values()))

    def names(self) -> list[str]:
        """Every column that is read, once each."""
        keys: tuple[str, ...] = ("ts", "ts_venue", "kind_column", "side", "price", "qty", "id", "snapshot", "symbol")
        if "quote" in self.kinds:
            keys += ("bid_price", "bid_qty", "ask_price", "ask_qty")
        return list(dict.fromkeys(getattr(self, key) for key in keys if getattr(self, key)))


def column_map(values: Mapping[str, Any]) -> ColumnMap:
    """A map from TOML or JSON.  Raises OperatorError naming the key that is unknown, missing or of the wrong type."""
    known = {one.name: one for one in fields(ColumnMap)}
    for key, value in values.items():
        if key not in known:
            raise OperatorError(f"columns: unknown key {key!r}; the keys are {', '.join(known)}")
        wanted: tuple[type, ...] = (str,)
        if key.endswith("_values"):
            wanted = (list, tuple) if key == "snapshot_values" else (Mapping,)
        if not isinstance(value, wanted):
            raise OperatorError(f"columns: {key} is {value!r}, and must be {'text' if wanted == (str,) else 'a table'}")
    if "ts" not in values:
        raise OperatorError("columns: ts is missing; name the column that holds the local time")
    given = dict(values)
    if "snapshot_values" in given:
        given["snapshot_values"] = tuple(given["snapshot_values"])
    return ColumnMap(**given)

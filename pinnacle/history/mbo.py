"""Databento Binary Encoding, schema MBO (market by order), as rows in order of receipt; needs `databento-dbn`.

The actions are those of Databento's documentation (https://databento.com/docs/schemas-and-data-formats/mbo): Add,
Cancel (of the quantity it says, which may be less than the order's), Modify, cleaR; a Trade and its Fills change no
order, the Cancel or Modify that follows them does.  A trade becomes a TRADE row for each of its fills, with the resting
order's id, and one without an id for what no fill accounts for (an implied order of another book).  F_LAST ends an
event of the venue and is LAST here; the F_SNAPSHOT records at the start are the whole book, whose times are those at
which the orders were entered, so they have no venue time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle import event
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.history.blocks import existing_file
from pinnacle.history.options import ImportOptions, Progress
from pinnacle.history.report import ImportReport
from pinnacle.instrument import Instrument
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX

ZSTD, DBN = b"\x28\xb5\x2f\xfd", b"DBN"
_F_LAST, _F_TOB, _F_SNAPSHOT, _F_MBP, _F_MAYBE_BAD_BOOK = 128, 64, 32, 16, 4
_PRICE_UNITS = 1_000_000_000
_READ_BYTES = 1 << 18
_UNDEFINED = (1 << 63) - 1
_MBO_RTYPE = 160
# As in the encoding: little-endian, without padding.
RECORD = np.dtype(
    [
        ("length", "u1"), ("rtype", "u1"), ("publisher_id", "<u2"), ("instrument_id", "<u4"), ("ts_event", "<u8"),
        ("order_id", "<u8"), ("price", "<i8"), ("size", "<u4"), ("flags", "u1"), ("channel_id", "u1"),
        ("action", "u1"), ("side", "u1"), ("ts_recv", "<u8"), ("ts_in_delta", "<i4"), ("sequence", "<u4"),
    ]
)  # fmt: skip
assert RECORD.itemsize == 56
_SIDES = {ord("B"): event.BID, ord("A"): event.ASK, ord("N"): 0}
_NOUNS = {
    ord("A"): "orders added", ord("C"): "cancels", ord("M"): "orders modified", ord("R"): "clears",
    ord("T"): "trades", ord("F"): "fills", ord("N"): "records without an action",
}  # fmt: skip
_ROW = ("ts_ns", "ts_venue_ns", "order_id", "price_ticks", "qty_lots", "kind", "side", "flags")


class _File:
    """The records of one file in arrays of RECORD; with `ids`, the instrument ids of the symbol asked for."""

    def __init__(self, path: Path, symbol: str, options: ImportOptions) -> None:
        self.path, self.symbol, self.options = existing_file(path), symbol, options
        self.bytes_total, self.bytes_done, self.records = path.stat().st_size, 0, 0
        self.ids: list[int] = []
        self.damage = ""
        try:
            import databento_dbn
        except ImportError:
            raise OperatorError(
                f"{path}: reading DBN needs the package databento-dbn, which is not installed; "
                "install it with: pip install 'pinnacle-mm[dbn]'"
            ) from None
        self.dbn: Any = databento_dbn

    def __iter__(self) -> Iterator[np.ndarray]:
        decoder = self.dbn.DBNDecoder()
        for data in self._decompressed():
            try:
                decoded = decoder.write_and_decode(data)
            except self.dbn.DBNError as error:
                raise self._damaged(f"is not DBN ({error})") from None
            if decoded and isinstance(decoded[0], self.dbn.Metadata):
                self._metadata(decoded.pop(0))
            wrong = next((one for one in decoded if not isinstance(one, self.dbn.MBOMsg)), None)
            if wrong is not None:
                raise self._damaged(f"holds a {type(wrong).__name__} among its MBO records")
            if decoded:
                # One copy of the bytes in place of fourteen attributes of each record.
                records = np.frombuffer(b"".join(map(bytes, decoded)), RECORD)
                self.records += records.size
                yield records
        left = len(decoder.buffer())
        if not self.damage and (left or not self.ids):
            self.damage = f"truncated DBN, it ends within a record at byte {self.bytes_done:,}"
        if self.damage and not (self.options.partial and self.ids):
            raise self._damaged(self.damage)

    def _decompressed(self) -> Iterator[bytes]:
        import pyarrow as pa

        with self.path.open("rb") as file:
            zstd = file.read(4) == ZSTD
        with pa.OSFile(str(self.path), "rb") as raw:
            stream = pa.CompressedInputStream(raw, "zstd") if zstd else raw
            try:
                while data := stream.read(_READ_BYTES):
                    self.bytes_done = raw.tell()
                    yield data
            except OSError as error:
                self.bytes_done = raw.tell()
                self.damage = f"corrupt zstd near byte {self.bytes_done:,} ({str(error).splitlines()[0]})"

    def _metadata(self, metadata: Any) -> None:
        """Raises HistoryError for another schema or other symbols."""
        schema = metadata.schema
        if schema is None or str(schema).lower() != "mbo":
            raise HistoryError(
                f"{self.path}: holds DBN of the schema {schema or 'unknown'}, and only MBO (market by order) is read"
            )
        mappings: dict[str, list[dict[str, Any]]] = metadata.mappings
        known = {str(name).upper(): intervals for name, intervals in mappings.items()}
        intervals = known.get(self.symbol.upper(), [])
        self.ids = sorted({int(one["symbol"]) for one in intervals if str(one["symbol"]).isdigit()})
        if not self.ids:
            symbols = ", ".join(sorted(mappings)[:10]) or "none by name"
            raise HistoryError(
                f"{self.path}: holds nothing of {self.symbol}; the symbols in it are {symbols} ({metadata.dataset})"
            )

    def _damaged(self, what: str) -> HistoryError:
        keep = "; import them alone with --partial" if what == self.damage and self.ids else ""
        return HistoryError(f"{self.path}: {what}; {self.records:,} records before it are intact{keep}")


def read_mbo(
    path: Path, instrument: Instrument, options: ImportOptions, report: ImportReport, progress: Progress | None
) -> Iterator[np.ndarray]:
    """Rows of one file, seq not set yet.  Raises HistoryError for what is no MBO of the symbol, OperatorError without
    the package that reads it."""
    file = _File(path, instrument.symbol, options)
    orders = _Orders(path, report)
    report.offset_ns = options.offset_ns or 0
    before = 0
    for records in file:
        ours = np.isin(records["instrument_id"], file.ids)
        report.skipped["records of other instruments"] += int((~ours).sum())
        rows = orders.rows(_priced(path, records[ours], before, instrument, options, report))
        rows["ts_ns"] += report.offset_ns
        before += records.size
        yield rows
        if progress is not None:
            progress(file.bytes_done, file.bytes_total, report.rows)
    if file.damage:
        report.note(f"{file.damage}; {file.records:,} records before it are intact and were used")
    yield orders.end()
    if progress is not None:
        progress(file.bytes_total, file.bytes_total, report.rows)


def _priced(
    path: Path, records: np.ndarray, before: int, instrument: Instrument, options: ImportOptions, report: ImportReport
) -> np.ndarray:
    """The records with prices in ticks and sizes in lots, those off the tick refused or left out."""
    aggregated = np.flatnonzero(records["flags"] & (_F_TOB | _F_MBP))
    if aggregated.size:
        raise HistoryError(
            f"{path}: record {before + int(aggregated[0]) + 1:,} is an aggregated level (flag F_TOB or F_MBP), not an "
            "order; a book of orders cannot be made of it"
        )
    report.found["records the venue's feed may have damaged"] += int((records["flags"] & _F_MAYBE_BAD_BOOK > 0).sum())
    records = records.copy()
    tick = int(instrument.tick * _PRICE_UNITS)
    lot = instrument.lot
    priced = records["price"] != _UNDEFINED
    ticks, rest = np.divmod(np.where(priced, records["price"], 0), max(tick, 1))
    off = np.flatnonzero(rest) if tick == instrument.tick * _PRICE_UNITS else np.flatnonzero(priced)
    if off.size:
        price = int(records["price"][off[0]]) / _PRICE_UNITS
        if options.off_tick == "refuse":
            raise HistoryError(
                f"{path}: record {before + int(off[0]) + 1:,}: price {price} is not a multiple of the tick "
                f"{instrument.tick} ({off.size:,} of {records.size:,}); set the instrument's tick to the venue's"
            )
        report.skipped["rows off the tick"] += off.size
    outside = np.flatnonzero((ticks < 0) | (ticks >= PRICE_TICKS_MAX))
    if outside.size:
        price = int(records["price"][outside[0]]) / _PRICE_UNITS
        raise HistoryError(f"{path}: record {before + int(outside[0]) + 1:,}: price {price} is negative or too large")
    records["price"] = ticks
    if lot != 1:
        lots = records["size"].astype(np.float64) / float(lot)
        if (lots != np.floor(lots)).any() or (lots >= min(QTY_LOTS_MAX, 1 << 32)).any():
            raise HistoryError(f"{path}: sizes are whole numbers of contracts; the lot is {lot}, set it to 1")
        records["size"] = lots.astype(np.uint32)
    return np.delete(records, off) if off.size else records


class _Orders:
    """What must be remembered between records: open orders, what was filled of them, the trade being filled."""

    def __init__(self, path: Path, report: ImportReport) -> None:
        self.path, self.report = path, report
        self.open: dict[int, int] = {}  # lots by id
        self.filled: dict[int, int] = {}
        self.trade: list[int] = []  # ts, venue ts, id, ticks, lots not filled yet, kind, side, flags
        self.out: list[list[int]] = []
        self.noun = report.found

    def rows(self, records: np.ndarray) -> np.ndarray:
        """EVENT rows of RECORD[n], all but those of an event that has not ended yet."""
        ended = 0
        columns = (records[name].tolist() for name in _COLUMNS)
        for action, side_code, order_id, ticks, size, flags, ts_event, ts_recv in zip(*columns):
            if action not in _NOUNS or side_code not in _SIDES:
                raise HistoryError(
                    f"{self.path}: a record has action {chr(action)!r} and side {chr(side_code)!r}; not MBO as known"
                )
            snapshot = flags & _F_SNAPSHOT
            told = event.SNAPSHOT if snapshot else 0
            venue = 0 if snapshot or ts_event >= _UNDEFINED else ts_event
            row = [ts_recv if ts_recv < _UNDEFINED else venue, venue, order_id, ticks, size, 0, _SIDES[side_code], told]
            self.noun[_NOUNS[action]] += 1
            self._record(action, row)
            if flags & _F_LAST:
                self._end_trade()
                if len(self.out) > ended:
                    self.out[-1][7] |= event.LAST
                ended = len(self.out)
        done, self.out = self.out[:ended], self.out[ended:]
        return _events(done)

    def end(self) -> np.ndarray:
        """What is left when the file has ended within an event."""
        self._end_trade()
        if self.out:
            self.report.note("the file ends within an event of the venue; the last message is not whole")
            self.out[-1][7] |= event.LAST
        return _events(self.out)

    def _record(self, action: int, row: list[int]) -> None:
        order_id, lots = row[2], row[4]
        if action == ord("A"):
            self._put(event.ORDER_ADD, row)
        elif action == ord("M"):
            self.filled.pop(order_id, 0)
            if order_id not in self.open:
                self.report.repaired["modifications of unknown orders, taken as additions"] += 1
            self._put(event.ORDER_MODIFY if order_id in self.open else event.ORDER_ADD, row)
        elif action == ord("C"):
            left = self.open.get(order_id, lots) - lots
            filled = self.filled.pop(order_id, 0)
            if left > 0:
                row[4] = left
                self._put(event.ORDER_MODIFY, row)
            else:
                self.open.pop(order_id, None)
                row[4], row[5] = max(0, lots - filled), event.ORDER_DELETE
                self.out.append(row)
        elif action == ord("T"):
            self._end_trade()
            row[2], row[5] = 0, event.TRADE
            self.trade = row
        elif action == ord("F"):
            self.filled[order_id] = self.filled.get(order_id, 0) + lots
            if self.trade:
                self.trade[4] -= lots
            row[5], row[6] = event.TRADE, -row[6]
            self.out.append(row)
        elif action == ord("R"):
            self._clear(row)

    def _put(self, kind: int, row: list[int]) -> None:
        self.open[row[2]] = row[4]
        row[5] = kind
        self.out.append(row)

    def _clear(self, row: list[int]) -> None:
        """All orders of the instrument leave; a record of the instrument says so once for both sides."""
        self.open.clear()
        self.filled.clear()
        row[2:7] = 0, 0, 0, event.BOOK_CLEAR, 0
        self.out.append(row)

    def _end_trade(self) -> None:
        """What of the last trade no fill accounts for."""
        trade, self.trade = self.trade, []
        if trade and trade[4] > 0:
            self.report.found["trades without a fill"] += 1
            self.out.append(trade)
        elif trade and trade[4] < 0:
            self.report.found["trades with fills of more than they"] += 1


_COLUMNS = ("action", "side", "order_id", "price", "size", "flags", "ts_event", "ts_recv")


def _events(rows: list[list[int]]) -> np.ndarray:
    made = event.empty(len(rows))
    if rows:
        for name, column in zip(_ROW, zip(*rows)):
            made[name] = column
    return made

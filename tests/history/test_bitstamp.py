"""Bitstamp order by order: rows, the start, trades, and what is refused."""

from __future__ import annotations

import gzip
import json
import random
from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history.check import check_history
from pinnacle.history.history import open_history
from pinnacle.history.options import ImportOptions
from pinnacle.instrument import Instrument

BTCUSD = Instrument("bitstamp", "BTCUSD", Decimal("0.01"), Decimal("0.00000001"))
START_MS = 1_430_438_404_000
QTY = 10**8
AS_RECEIVED = ImportOptions(bridge="as-received")


def order(word, identity, side, price, amount):
    """A line without its time; side 1 is a bid."""
    body = {"price": price, "amount": amount, "datetime": "1430438404", "id": identity, "order_type": int(side < 0)}
    return f"order_{word} {json.dumps(body)}"


def book(bids, asks):
    """The venue's own book."""
    return f"order_book {json.dumps({'bids': bids, 'asks': asks})}"


def write(path, lines):
    """The lines 100 ms apart, gzip."""
    text = "".join(f"{START_MS + 100 * n} {line}\n" for n, line in enumerate(lines))
    path.write_bytes(gzip.compress(text.encode()))
    return path


def told(path, options=None):
    """(kind, side, id, ticks, lots) of every row."""
    rows = np.concatenate(list(open_history(path, BTCUSD, options)))
    return [tuple(int(row[n]) for n in ("kind", "side", "order_id", "price_ticks", "qty_lots")) for row in rows]


def test_rows_of_each_line(tmp_path):
    """Created, changed, deleted and trade become their rows, each a message; the resting order is the older one."""
    path = write(
        tmp_path / "l3.gz",
        [
            order("created", 5, -1, "236.50", "2.00000000"),
            order("created", 6, 1, "236.60", "0.50000000"),
            order("changed", 5, -1, "236.50", "1.50000000"),
            order("deleted", 6, 1, "236.60", "0.00000000"),
            f"trade {json.dumps({'price': 236.5, 'amount': 0.5, 'id': 77})}",
            book([], [["236.50", "1.50000000"]]),
        ],
    )
    assert told(path) == [
        (event.ORDER_ADD, -1, 5, 23650, 2 * QTY),
        (event.ORDER_ADD, 1, 6, 23660, QTY // 2),
        (event.ORDER_MODIFY, -1, 5, 23650, 3 * QTY // 2),
        (event.ORDER_DELETE, 1, 6, 23660, 0),
        (event.TRADE, 1, 5, 23650, QTY // 2),
        (event.TICKER, -1, 0, 23650, 3 * QTY // 2),
    ]
    rows = np.concatenate(list(open_history(path, BTCUSD)))
    assert (rows["flags"] == event.LAST).all() and (rows["ts_venue_ns"] == 0).all()
    assert (np.diff(rows["ts_ns"]) == 100_000_000).all() and rows["aux"].tolist() == [0, 0, 0, 0, 77, 1]


def test_trade_written_as_a_binary_float(tmp_path):
    """8.8351857299999992 is 8.83518573: the shortest text of the same float, found in the order that lost it."""
    lines = [
        order("created", 5, -1, "235.65", "8.83518573"), order("created", 6, 1, "235.65", "8.83518573"),
        order("deleted", 5, -1, "235.65", "0.00000000"), order("deleted", 6, 1, "235.65", "0.00000000"),
        'trade {"price": 235.65000000000001, "amount": 8.8351857299999992, "id": 8111043}',
    ]  # fmt: skip
    assert told(write(tmp_path / "l3.gz", lines))[-1] == (event.TRADE, 1, 5, 23565, 883518573)


def test_the_start_is_what_the_file_proves(tmp_path):
    """An older order deleted later stands in front; late creations, filled unknowns and second deletions do not."""
    path = write(
        tmp_path / "l3.gz",
        [
            order("created", 50, 1, "99.00", "1.0"),
            order("deleted", 60, 1, "98.00", "3.0"),  # before its creation
            order("created", 60, 1, "98.00", "3.0"),
            order("deleted", 8, -1, "101.00", "2.0"),
            order("deleted", 7, -1, "101.00", "0.0"),
            order("deleted", 50, 1, "99.00", "1.0"),
            order("deleted", 50, 1, "99.00", "1.0"),
            order("changed", 9, -1, "102.00", "4.0"),
        ],
    )
    assert told(path) == [
        (event.ORDER_ADD, -1, 8, 10100, 2 * QTY),
        (event.ORDER_ADD, 1, 50, 9900, QTY),
        (event.ORDER_DELETE, -1, 8, 10100, 2 * QTY),
        (event.ORDER_DELETE, 1, 50, 9900, QTY),
        (event.ORDER_ADD, -1, 9, 10200, 4 * QTY),
    ]
    history = open_history(path, BTCUSD)
    assert next(iter(history))["flags"].tolist() == [event.SNAPSHOT | event.LAST]
    assert len(told(path, AS_RECEIVED)) == 8
    found = check_history(path, BTCUSD, AS_RECEIVED)
    assert found.orders["deletions of unknown ids"] == 4 and found.orders["changes of unknown ids"] == 1
    assert found.orders["deleted ids used again"] == 1 and not found.ok


def random_lines(seed, count, lose=()):
    """A whole book of random orders and, after each, the venue's own view of it; `lose` leaves out these steps."""
    rng = random.Random(seed)
    alive, lines = {}, []
    for step in range(count):
        if rng.random() < 0.6 or len(alive) < 4:
            side = rng.choice((1, -1))
            alive[100 + step] = (side, 10000 - side * rng.randrange(1, 12), rng.randrange(1, 9))
            line = order("created", 100 + step, side, text(alive[100 + step][1]), str(alive[100 + step][2]))
        else:
            identity = rng.choice(list(alive))
            side, ticks, lots = alive.pop(identity)
            if rng.random() < 0.5 and lots > 1:
                alive[identity] = (side, ticks, lots - 1)
                line = order("changed", identity, side, text(ticks), str(lots - 1))
            else:
                line = order("deleted", identity, side, text(ticks), str(lots))
        if step not in lose:
            lines.append(line)
        sides = []
        for side in (1, -1):
            prices = sorted({ticks for its, ticks, _ in alive.values() if its == side}, reverse=side > 0)
            sides.append([[text(p), str(sum(q for s, t, q in alive.values() if (s, t) == (side, p)))] for p in prices])
        lines.append(book(*sides))
    return lines


def text(ticks):
    """Ticks as the venue writes them."""
    return f"{ticks // 100}.{ticks % 100:02d}"


@pytest.mark.parametrize("seed", range(5))
def test_a_whole_stream_is_the_venues_book(tmp_path, seed):
    """Random orders from an empty book: every comparison is equal, at every depth."""
    report = check_history(write(tmp_path / "l3.gz", random_lines(seed, 300)), BTCUSD, AS_RECEIVED)
    compared = report.orders["comparisons with the venue's book"]
    assert report.ok and report.orders["comparisons that are equal"] == compared == 300


@pytest.mark.parametrize("seed", range(5))
def test_a_lost_line_is_found(tmp_path, seed):
    """One order line missing in the middle: the check says WRONG, and not that the order is an older one."""
    lose = next(s for s in range(150, 200) if "order_created" in random_lines(seed, 300)[2 * s])
    report = check_history(write(tmp_path / "l3.gz", random_lines(seed, 300, {lose})), BTCUSD, AS_RECEIVED)
    assert not report.ok and report.verdict.startswith("verdict: ") and "WRONG" in report.verdict


def refusal(path, instrument=BTCUSD, options=None):
    """The sentence a person sees."""
    with pytest.raises(HistoryError) as caught:
        list(open_history(path, instrument, options))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "order_created {", "order_created", "order_eaten {}", 'order_created {"id": 5}', "\xff\xfe",
        'trade {"price": 1}',
        'order_created {"price": "1", "amount": "1", "id": 5, "order_type": 2}',
        'order_created {"price": "1", "amount": "1", "id": -5, "order_type": 1}',
        'order_created {"price": "1x3", "amount": "1", "id": 5, "order_type": 1}',
        'order_created {"price": "-1", "amount": "1", "id": 5, "order_type": 1}',
        'order_book {"bids": [["1"]], "asks": []}',
    ],
)  # fmt: skip
def test_a_bad_line_is_named(tmp_path, line):
    """Whatever is no line of the stream is refused by its number."""
    good = order("created", 1, 1, "99.00", "1.0")
    assert "line 2" in refusal(write(tmp_path / "l3.gz", [good, line, good]))


def test_truncated_wrong_venue_off_tick(tmp_path):
    """A cut file keeps what is before with --partial; another venue's instrument and a coarser tick are refused."""
    path = write(tmp_path / "l3.gz", random_lines(1, 2000))
    whole = sum(rows.size for rows in open_history(path, BTCUSD, AS_RECEIVED))
    other = Instrument("binance", "BTCUSD", BTCUSD.tick, BTCUSD.lot)
    assert "recording of Bitstamp" in refusal(path, other)
    assert "tick" in refusal(path, Instrument("bitstamp", "BTCUSD", Decimal(1), BTCUSD.lot))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert "truncated gzip" in refusal(path) and "--partial" in refusal(path)
    partial = ImportOptions(bridge="as-received", partial=True)
    assert 0 < sum(rows.size for rows in open_history(path, BTCUSD, partial)) < whole

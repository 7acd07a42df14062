"""Coinbase snapshots: orders, levels, their comparison, and what is refused."""

from __future__ import annotations

import gzip
import json
import uuid
from decimal import Decimal

import numpy as np
import pytest

from pinnacle import event
from pinnacle.errors import HistoryError
from pinnacle.history import coinbase
from pinnacle.history.check import check_history
from pinnacle.history.history import open_history
from pinnacle.instrument import Instrument

BTC_USD = Instrument("coinbase", "BTC-USD", Decimal("0.01"), Decimal("0.00000001"))
ORDERS = [["99.5", "1", "a"], ["99.5", "0.5", "b"], ["99", "2", "c"]], [["100.25", "3", "d"]]
LEVELS = [["99.5", "1.5", 2], ["99", "2", 1]], [["100.25", "3", 1]]


def write(path, sides, level, sequence=10, **more):
    """A snapshot file."""
    head = {"product": "BTC-USD", "level": level, "captured_at": "2026-08-07T20:04:10Z", "sequence": sequence}
    path.write_bytes(gzip.compress(json.dumps({**head, **more, "bids": sides[0], "asks": sides[1]}).encode()))
    return path


def test_orders_in_queue_order(tmp_path):
    """A clear, then every order best first and in its queue's order, one message with the sequence in aux."""
    (rows,) = open_history(write(tmp_path / "l3.json.gz", ORDERS, 3), BTC_USD)
    assert rows["kind"].tolist() == [event.BOOK_CLEAR] + [event.ORDER_ADD] * 4
    assert rows["order_id"].tolist() == [0, *(coinbase.order_id_of(one) for one in "abcd")]
    assert rows["price_ticks"].tolist() == [0, 9950, 9950, 9900, 10025]
    assert rows["side"].tolist() == [0, 1, 1, 1, -1] and (rows["aux"] == 10).all()
    assert (rows["flags"] & event.LAST).tolist() == [0, 0, 0, 0, event.LAST] and (rows["flags"] & event.SNAPSHOT).all()


def test_ids_are_stable_and_positive():
    """A text has one id, on every machine, above 0 and below 2^63; different texts have different ones."""
    assert coinbase.order_id_of("60de12d8-f80b-4848-adbc-2b17375a9216") == 5796625924727780783
    ids = np.array([coinbase.order_id_of(str(uuid.UUID(int=n))) for n in range(20_000)])
    assert ids.min() > 0 and np.unique(ids).size == ids.size


def test_collision_is_refused(tmp_path, monkeypatch):
    """Two texts with one id are not made one order."""
    monkeypatch.setattr(coinbase, "order_id_of", lambda text: 7)
    with pytest.raises(HistoryError, match="one hash of 63 bits"):
        list(open_history(write(tmp_path / "l3.json.gz", ORDERS, 3), BTC_USD))


def test_levels_must_follow_from_orders(tmp_path):
    """At one sequence every level must be equal; apart, as many may differ as the messages between can have changed."""
    l3, l2 = write(tmp_path / "l3.json.gz", ORDERS, 3), write(tmp_path / "l2.json.gz", LEVELS, 2)
    report = check_history([l2, l3], BTC_USD)
    assert report.ok and report.orders["levels that are equal"] == 3
    other = [["99.5", "1.25", 2], ["99", "2", 1]], [["100.25", "3", 1]]
    assert not check_history([l3, write(l2, other, 2)], BTC_USD).ok
    assert check_history([l3, write(l2, other, 2, sequence=9)], BTC_USD).ok
    (rows,) = open_history(l2, BTC_USD)
    assert rows["kind"].tolist() == [event.BOOK_CLEAR] + [event.BOOK_LEVEL] * 3


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda raw: raw[: len(raw) // 2], "truncated gzip"),
        (lambda raw: gzip.compress(gzip.decompress(raw)[:-9]), "line 1"),
        (lambda raw: gzip.compress(gzip.decompress(raw).replace(b"99.5", b"9x.5")), "line 1"),
        (lambda raw: gzip.compress(gzip.decompress(raw).replace(b"BTC-USD", b"ETH-USD")), "ETH-USD"),
        (lambda raw: gzip.compress(gzip.decompress(raw).replace(b"20:04", b"xx:04")), "line 1"),
    ],
)
def test_refusals(tmp_path, change, says):
    """A damaged file, garbage and another product are refused by name."""
    path = write(tmp_path / "l3.json.gz", ORDERS, 3)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(HistoryError) as caught:
        list(open_history(path, BTC_USD))
    assert says in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_venue_and_wrong_pairs(tmp_path):
    """An instrument of another venue, and two snapshots of one level, are refused."""
    l3 = write(tmp_path / "l3.json.gz", ORDERS, 3)
    with pytest.raises(HistoryError, match="recording of Coinbase"):
        list(open_history(l3, Instrument("kraken", "BTC-USD", BTC_USD.tick, BTC_USD.lot)))
    with pytest.raises(HistoryError, match="level 3 and 3"):
        list(open_history([l3, l3], BTC_USD))

"""A snapshot: the state as few bytes and back, and never a state that is not the one that was kept."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pinnacle.engine.snapshot import read_snapshot, snapshot_path, state_bytes, state_from, write_snapshot
from pinnacle.errors import DiskError
from pinnacle.event import ASK, BID
from pinnacle.kernels import book as books
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.kernels.state import OUT, new_state
from pinnacle.kernels.step import fold
from pinnacle.limits import BOOK_WINDOW_TICKS
from tests.kernels.scene import Scene, ask, bid, market, numbered, sold, wake

SCRIPT = {100 * k: [(BID, 90 + k % 7, 2), (ASK, 104 + k % 5, 3)] for k in range(1, 20)}
EVENTS = market(
    bid(1, 98, 5),
    ask(2, 101, 5),
    bid(3, 98 + 3 * BOOK_WINDOW_TICKS, 1),
    bid(4, 98 + 3 * BOOK_WINDOW_TICKS, 0),
    *(wake(100 * k) for k in range(1, 20)),
    *(sold(100 * k + 50, 92, 2) for k in range(5, 15)),
)


def busy_state(capacity=1):
    """A state that has quoted, been filled, and holds levels in and outside its window."""
    state = new_state(capacity)
    state[0]["market"]["instruments"] = capacity
    for k in range(capacity):
        book = state[0]["market"]["book"][k]
        for price, lots in ((5_000_000, 3), (4_999_990, 1), (4_000_000 - k, 7), (9_000_000, 2)):
            books.set_price(book, BID, price, lots)
        books.set_price(book, ASK, 9_000_001 + k, 4)
        state[0]["lane"]["own"][k]["position_lots"] = 17 + k
        state[0]["lane"]["own"][k]["memory"][3] = 0.25
    state[0]["market"]["seq"], state[0]["market"]["ts_ns"] = 41, 4_200
    return state


def whole_print(state):
    """Fingerprint of a whole state."""
    return fingerprint(state[0]["market"], state[0]["lane"])


@pytest.mark.parametrize("capacity", [1, 2])
def test_round_trip(capacity, tmp_path):
    """A state read back is the one that was kept: the same fingerprint and every field the same."""
    state = busy_state(capacity)
    back = state_from(state_bytes(state), "memory")
    assert whole_print(back) == whole_print(state)
    assert state_bytes(back) == state_bytes(state)
    assert np.array_equal(back["lane"], state["lane"])
    for k in range(capacity):
        assert np.array_equal(back[0]["market"]["book"][k]["lots"], state[0]["market"]["book"][k]["lots"])
    path = write_snapshot(tmp_path, state)
    assert path == snapshot_path(tmp_path, 41)
    assert state_bytes(read_snapshot(path)) == state_bytes(state)


def test_folding_goes_on_from_a_snapshot():
    """A run that is cut at any input, kept and read back, ends in the same state as one that was not."""
    ran = Scene(SCRIPT).run(EVENTS)
    inputs = numbered(EVENTS, ran.records)
    out = np.zeros(1, OUT)

    def folded(state, first, last):
        state[0]["lane"]["external"] = 0
        state[0]["lane"]["wake_on"] = 0
        at = first
        while at < last:
            at = fold(state, inputs[:last], at, 0, out)
            out[0]["count"] = 0
        return state

    def start():
        state = new_state(1)
        state[0]["market"]["instruments"] = 1
        state[0]["lane"]["own"][0]["units_per_ticklot"] = 1
        return state

    whole = whole_print(folded(start(), 0, inputs.size))
    for cut in (0, 1, 3, inputs.size // 2, inputs.size):
        kept = state_from(state_bytes(folded(start(), 0, cut)), "memory")
        assert whole_print(folded(kept, cut, inputs.size)) == whole


def test_truncated_snapshot_is_refused():
    """Any prefix of a snapshot, and one with more after it, is a DiskError that says what to do."""
    data = state_bytes(busy_state())
    draw = random.Random(3)
    for size in [0, 7, 8, 15, len(data) - 1, *(draw.randrange(len(data)) for _ in range(20))]:
        with pytest.raises(DiskError, match="replay from the start"):
            state_from(data[:size], "x.state")
    with pytest.raises(DiskError):
        state_from(data + b"\0", "x.state")


def test_flipped_bytes_of_the_lane_are_refused():
    """A flipped bit in our own side, the tops or a level is found by the fingerprint."""
    state = busy_state()
    data = state_bytes(state)
    lane_at = 8 + 16 + 24 + 8 + state[0]["market"]["top"].nbytes - 6  # venue_of is two bytes an instrument or eight
    draw = random.Random(4)
    places = [draw.randrange(lane_at + 8, lane_at + state["lane"].nbytes) for _ in range(40)]
    places += [len(data) - 3, len(data) - 8]
    for at in places:
        bad = bytearray(data)
        bad[at] ^= 1 << draw.randrange(8)
        with pytest.raises(DiskError):
            state_from(bytes(bad), "x.state")


@pytest.mark.parametrize("at", range(8, 16))
def test_flipped_capacity_is_refused(at):
    """A capacity that is not one of ours is a DiskError, not a request for all memory."""
    bad = bytearray(state_bytes(busy_state()))
    bad[at] ^= 0x04
    with pytest.raises(DiskError):
        state_from(bytes(bad), "x.state")


def test_damaged_file_is_refused(tmp_path):
    """A snapshot file that was cut short, overwritten or is not there is a DiskError."""
    path = write_snapshot(tmp_path, busy_state())
    data = path.read_bytes()
    for bad in (b"", data[:4], data[: len(data) // 2], data[:8] + b"\xff" * 90, b"\x00" * 8 + data[8:]):
        path.write_bytes(bad)
        with pytest.raises(DiskError):
            read_snapshot(path)
    with pytest.raises(DiskError):
        read_snapshot(tmp_path / "absent.state.zst")


@pytest.mark.parametrize("size", [(1 << 64) - 1, 1 << 60])
def test_impossible_size_is_refused(size, tmp_path):
    """A file whose head claims more bytes than there can be is a DiskError as well."""
    path = write_snapshot(tmp_path, busy_state())
    path.write_bytes(size.to_bytes(8, "little") + path.read_bytes()[8:])
    with pytest.raises(DiskError):
        read_snapshot(path)

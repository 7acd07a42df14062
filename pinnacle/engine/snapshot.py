"""A state as few bytes, and back: what a replay starts from in the middle of a long run.

A book's window is almost all zeros, so its levels are kept as pairs of index and quantity; the rest is the record's
own bytes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pinnacle.errors import DiskError
from pinnacle.kernels.fingerprint import fingerprint
from pinnacle.kernels.state import state_dtype, zeroed
from pinnacle.log.manifest import replacing

_MAGIC = b"PINSNAP1"
# More than the fullest state of the largest capacity.
_SIZE_MAX = 1 << 32


def state_bytes(state: np.ndarray) -> bytes:
    """A state (an array of one record) as bytes: capacity, fingerprint, everything but the windows, then each side's
    levels."""
    record = state[0]
    market, lane = record["market"], record["lane"]
    capacity = len(market["book"])
    parts = [_MAGIC, np.array([capacity, fingerprint(record["market"], record["lane"])], "<i8").tobytes()]
    parts += [np.array([market["seq"], market["ts_ns"], market["instruments"]], "<i8").tobytes()]
    parts += [market["venue_of"].tobytes(), market["top"].tobytes(), lane.tobytes()]
    for k in range(capacity):
        book = market["book"][k]
        parts += [book[name].tobytes() for name in book.dtype.names if name != "lots"]
        for s in range(2):
            x = np.flatnonzero(book["lots"][s])
            parts += [np.array([len(x)], "<i8").tobytes(), x.astype("<i8").tobytes(), book["lots"][s][x].tobytes()]
    return b"".join(parts)


def state_from(data: bytes, where: str) -> np.ndarray:
    """The state out of `state_bytes`.  Raises DiskError if it is not one, or its fingerprint is another."""
    try:
        return _read(data)
    except (ValueError, IndexError, AssertionError) as error:
        raise DiskError(f"{where}: is no intact snapshot ({error}); replay from the start instead") from None


def _read(data: bytes) -> np.ndarray:
    at = 0

    def take(count: int, dtype: np.dtype | str = "<i8") -> np.ndarray:
        nonlocal at
        values = np.frombuffer(data, dtype, count, at)
        at += values.nbytes
        return values

    assert data[:8] == _MAGIC, "wrong magic"
    at = 8
    capacity, expected = (int(value) for value in take(2))
    state = zeroed(state_dtype(capacity))
    market, lane = state[0]["market"], state[0]["lane"]
    market["seq"], market["ts_ns"], market["instruments"] = take(3)
    market["venue_of"][:] = take(capacity)
    market["top"][:] = take(capacity, market["top"].dtype)
    state["lane"][0] = take(1, lane.dtype)[0]
    for k in range(capacity):
        book = market["book"][k]
        for name in book.dtype.names:
            if name == "lots":
                continue
            field = book.dtype[name]
            values = take(int(np.prod(field.shape, dtype=int)), field.base)
            book[name] = values.reshape(field.shape) if field.shape else values[0]
        for s in range(2):
            count = int(take(1)[0])
            x = take(count)
            book["lots"][s][x] = take(count)
    assert at == len(data), "trailing bytes"
    assert fingerprint(state[0]["market"], state[0]["lane"]) == expected, "fingerprint differs"
    return state


def snapshot_path(run: Path, seq: int) -> Path:
    """Where a run keeps the state after input `seq`."""
    return run / "checkpoints" / f"{seq:016d}.state.zst"


def write_snapshot(run: Path, state: np.ndarray) -> Path:
    """Keep a state in a run's folder.  Raises DiskError."""
    import pyarrow as pa

    path = snapshot_path(run, int(state[0]["market"]["seq"]))
    data = state_bytes(state)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise DiskError(f"{path.parent}: cannot be made: {error.strerror}") from None
    with replacing(path) as sink:
        sink.write(len(data).to_bytes(8, "little") + pa.Codec("zstd").compress(data, asbytes=True))
    return path


def read_snapshot(path: Path) -> np.ndarray:
    """A state that `write_snapshot` kept.  Raises DiskError."""
    import pyarrow as pa

    try:
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        if size > _SIZE_MAX:
            raise OSError(f"it claims to hold {size} bytes")
        text = pa.Codec("zstd").decompress(data[8:], size, asbytes=True)
    except OSError as error:
        raise DiskError(f"{path}: cannot be read: {error}; replay from the start instead") from None
    return state_from(text, str(path))

"""CRC32C (Castagnoli), chainable: the checksum of every frame and row group.

Castagnoli because processors compute it in hardware (about 0.04 ns a byte) and because any burst of up to 32 bits, so
any flipped byte, changes it.
"""

from __future__ import annotations

import google_crc32c
import numpy as np

# Large buffers are summed in pieces that stay in the processor's cache, since the library wants its own copy.
_PIECE_BYTES = 1 << 16


def crc32c(data: bytes, crc: int = 0) -> int:
    """CRC32C of `data`, continued from `crc` (the checksum of what came before; 0 at the beginning)."""
    return int(google_crc32c.extend(crc, data))


def crc32c_of_array(array: np.ndarray, crc: int = 0) -> int:
    """CRC32C of the bytes of a contiguous one-dimensional array, continued from `crc`."""
    assert array.flags.c_contiguous and array.ndim == 1
    octets = array.view(np.uint8)
    for start in range(0, octets.size, _PIECE_BYTES):
        crc = google_crc32c.extend(crc, octets[start : start + _PIECE_BYTES].tobytes())
    return int(crc)

"""The frames of a journal walked and verified many at a time, for a start that must be quick.

Only frames that are right in every respect are passed; the first that is not is left to log/journal.py, which says what
is wrong with it.  So nothing is decided here that is not decided there, and a journal can be read without this file.
"""

from __future__ import annotations

import numpy as np

from pinnacle.event import EVENT
from pinnacle.kernels.jit import jit, jit_inner
from pinnacle.limits import FRAME_RECORDS_MAX

_WORDS = EVENT.itemsize // 8
_MAGIC = int.from_bytes(b"FRAM", "little")
# CRC-32C (Castagnoli), reflected; eight bytes at a time by Kounavis and Berry's slicing.
_POLYNOMIAL = 0x82F63B78


def _tables() -> np.ndarray:
    table = np.zeros((8, 256), np.uint64)
    for n in range(256):
        crc = n
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL if crc & 1 else 0)
        table[0, n] = crc
    for n in range(256):
        for k in range(1, 8):
            before = int(table[k - 1, n])
            table[k, n] = (before >> 8) ^ int(table[0, before & 255])
    return table


_TABLE = _tables()
_BYTE = np.uint64(255)
_LOW = np.uint64(0xFFFFFFFF)
_8, _16, _24, _32, _40, _48, _56 = (np.uint64(bits) for bits in range(8, 64, 8))


@jit_inner
def crc_words(crc, words, start, stop):
    """CRC-32C (not complemented) of words[start:stop], continued from crc.  words: uint64[n], little-endian."""
    for k in range(start, stop):
        w = words[k] ^ crc
        crc = (
            _TABLE[7, w & _BYTE]
            ^ _TABLE[6, (w >> _8) & _BYTE]
            ^ _TABLE[5, (w >> _16) & _BYTE]
            ^ _TABLE[4, (w >> _24) & _BYTE]
            ^ _TABLE[3, (w >> _32) & _BYTE]
            ^ _TABLE[2, (w >> _40) & _BYTE]
            ^ _TABLE[1, (w >> _48) & _BYTE]
            ^ _TABLE[0, w >> _56]
        )
    return crc


@jit_inner
def crc_half(crc, half):
    """The same of the four bytes in the low half of a word."""
    w = (half ^ crc) & _LOW
    return (
        _TABLE[3, w & _BYTE]
        ^ _TABLE[2, (w >> _8) & _BYTE]
        ^ _TABLE[1, (w >> _16) & _BYTE]
        ^ _TABLE[0, w >> _24]
    )  # fmt: skip


@jit
def walk_frames(words, chain, first, target):
    """Pass whole frames from the beginning of `words` and copy their records.

    words: uint64[n], a piece of a journal that begins at a frame.  chain: checksum before it.  first: index in the log
    of its first record.  target: uint64[n], written with the records one after the other.  Returns (words passed,
    frames, records, checksum after them).
    """
    at, frames, records = 0, 0, 0
    crc_before = np.uint64(chain)
    while at + _WORDS <= words.size:
        if words[at] & _LOW != np.uint64(_MAGIC):
            break
        count = np.int64(words[at] >> _32)
        end = at + (1 + count) * _WORDS
        if count == 0 or count > FRAME_RECORDS_MAX or end > words.size:
            break
        seen = first + records
        if np.int64(words[at + 1]) != seen or np.int64(words[at + 2]) > seen:
            break
        if words[at + 3] & _LOW != crc_before:
            break
        crc = crc_words(crc_before ^ _LOW, words, at, at + _WORDS - 1)
        crc = crc_half(crc, words[at + _WORDS - 1] & _LOW)
        crc = crc_words(crc, words, at + _WORDS, end) ^ _LOW
        if words[at + _WORDS - 1] >> _32 != crc:
            break
        out = records * _WORDS
        for k in range(count * _WORDS):
            target[out + k] = words[at + _WORDS + k]
        records += count
        frames += 1
        crc_before = crc
        at = end
    return at, frames, records, np.int64(crc_before)

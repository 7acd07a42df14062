"""A 64-bit fingerprint of everything the engine remembers: equal states have equal ones, on every machine.

It proves that a replay, a restart or another batch size led to the same state, without keeping the state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pinnacle.kernels.jit import INTERPRETED, jit, jit_inner

if INTERPRETED:

    def words(record):
        """The record's bytes as int64 words."""
        return np.frombuffer(record.tobytes(), np.int64)
else:
    from llvmlite import ir
    from numba import carray
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def _word_pointer(typingctx: Any, record: Any) -> Any:
        """A record's address as a pointer to int64."""

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return builder.bitcast(args[0], ir.IntType(64).as_pointer())

        return types.CPointer(types.int64)(record), codegen

    @intrinsic
    def _word_count(typingctx: Any, record: Any) -> Any:
        """A record's size in int64 words; a constant of its type."""
        count = record.size // 8

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return ir.Constant(ir.IntType(64), count)

        return types.int64(record), codegen

    @jit_inner
    def words(record):
        """The record's bytes as int64 words, in place."""
        return carray(_word_pointer(record), (_word_count(record),))


# Multiplier of the finaliser of MurmurHash3 (Appleby), as a signed 64-bit number.
_MIX = 0xFF51AFD7ED558CCD - (1 << 64)


if INTERPRETED:

    def mix(h, word):
        """Fold one word into a hash, in Python's unbounded integers, wrapped around as int64 does by itself."""
        h = ((int(h) ^ int(word)) * _MIX) & 0xFFFFFFFFFFFFFFFF
        h ^= h >> 32
        return h - (1 << 64) if h >= 1 << 63 else h
else:

    @jit_inner
    def mix(h, word):
        """Fold one word into a hash: xor, multiply, xor-shift; wraps around, as int64 does."""
        h = (h ^ word) * _MIX
        return h ^ ((h >> 32) & 0xFFFFFFFF)


@jit
def fingerprint(market, lane):
    """Hash of the lane, the tops and every level of every book, hidden ones included.

    Work: the words of the record outside the books, plus each book's span from its lowest to its highest level.
    """
    h = mix(market["seq"], market["ts_ns"])
    # How the strategy is called is no part of what the engine knows.
    external = lane["external"]
    lane["external"] = 0
    memory = words(lane)
    for k in range(memory.size):
        h = mix(h, memory[k])
    lane["external"] = external
    for i in range(market["instruments"]):
        top = words(market["top"][i])
        for k in range(top.size):
            h = mix(h, top[k])
        h = book_fingerprint(h, market["book"][i])
    return h


@jit
def own_fingerprint(lane, instruments):
    """Hash of our own side alone: orders, account, limits, parameters and memory of each instrument."""
    h = mix(lane["next_order_id"], lane["wakes"])
    for i in range(instruments):
        own = words(lane["own"][i])
        for k in range(own.size):
            h = mix(h, own[k])
    return h


@jit
def book_fingerprint(h, book):
    """Hash of one book: its window, bests, levels and what it keeps aside."""
    h = mix(h, book["base_ticks"])
    for s in range(2):
        h = mix(h, book["best"][s])
        for x in range(book["low"][s], book["high"][s] + 1):
            lots = book["lots"][s, x]
            if lots != 0:
                h = mix(mix(h, x), lots)
        for k in range(book["aside_count"][s]):
            h = mix(mix(h, book["aside_ticks"][s, k]), book["aside_lots"][s, k])
    return h

"""The k-th of a row of records, given the first: how kernels reach many lanes without passing an array.

Numba hands a record over as one pointer and an array as seven words and a reference count; a kernel that is given
the first of a row of records pays no more for a thousand of them than for one.
"""

from __future__ import annotations

from typing import Any

from pinnacle.kernels.jit import INTERPRETED

if INTERPRETED:

    def nth(first: Any, k: int) -> Any:
        """Record k of the array that `first` is the first record of."""
        return first if k == 0 else first.base[k]
else:
    from llvmlite import ir
    from numba.core import types
    from numba.extending import intrinsic

    @intrinsic
    def nth(typingctx: Any, first: Any, k: Any) -> Any:
        """Record k of the array that `first` is the first record of.  k is not checked: the owner says how many."""
        size = first.size

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            word = ir.IntType(64)
            start = builder.bitcast(args[0], ir.IntType(8).as_pointer())
            there = builder.gep(start, [builder.mul(args[1], ir.Constant(word, size))])
            return builder.bitcast(there, args[0].type)

        return first(first, types.int64), codegen

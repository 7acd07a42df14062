"""Calling a strategy by its address, so that the engine is compiled once for every strategy there will ever be.

A record is passed as a bare pointer.  So a strategy may be compiled with records of its own (its parameters and its
memory under their names) over the same bytes, and what it raises reaches the caller as it would from any kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pinnacle.kernels.jit import INTERPRETED, jit_inner

# Interpreted mode: the address is a key into this table.
_FUNCTIONS: dict[int, tuple[Callable[..., None], np.dtype, np.dtype]] = {}


def register(function: Callable[..., None], params: np.dtype, memory: np.dtype) -> int:
    """Make a Python function callable from interpreted kernels; returns its address there."""
    address = id(function)
    _FUNCTIONS[address] = (function, params, memory)
    return address


def call_interpreted(address: int, market: Any, lane: Any, me: int) -> None:
    """Call a registered function with the records that compiled code would hand it."""
    function, params, memory = _FUNCTIONS[address]
    own = lane["own"][me]
    lane["calling"] = 1
    function(market, lane, me, own["params"].view(params)[0], own["memory"].view(memory)[0], own["want"])
    lane["calling"] = 0


if INTERPRETED:
    call_quote = call_interpreted
else:
    from llvmlite import ir
    from numba.core import cgutils, types
    from numba.extending import intrinsic

    from pinnacle.kernels.state import OWN

    _OFFSETS = {name: OWN.fields[name][1] for name in ("params", "memory", "want")}  # type: ignore[index]

    @intrinsic
    def _call_quote(typingctx: Any, address: Any, market: Any, lane: Any, me: Any, own: Any) -> Any:
        """Emit the call by numba's own convention; pointers to the strategy's records are offsets into `own`."""
        signature = types.none(address, market, lane, me, own)

        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            byte = ir.IntType(8).as_pointer()
            start = builder.bitcast(args[4], byte)
            records = [
                builder.gep(start, [ir.Constant(ir.IntType(64), _OFFSETS[name])])
                for name in ("params", "memory", "want")
            ]
            # Any record type will do for the three: the callee's own types decide what the bytes mean.
            kinds = [sig.args[1], sig.args[2], types.int64, sig.args[4], sig.args[4], sig.args[4]]
            own_type = context.get_value_type(sig.args[4])
            values = [args[1], args[2], args[3], *(builder.bitcast(record, own_type) for record in records)]
            function_type = context.call_conv.get_function_type(types.none, kinds)
            function = builder.inttoptr(args[0], function_type.as_pointer())
            status, _ = context.call_conv.call_function(builder, function, types.none, kinds, values)
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return context.get_dummy_value()

        return signature, codegen

    @jit_inner
    def call_quote(address, market, lane, me):  # type: ignore[no-untyped-def]
        """Call the strategy at `address` for instrument `me`."""
        lane["calling"] = 1
        _call_quote(address, market, lane, me, lane["own"][me])
        lane["calling"] = 0

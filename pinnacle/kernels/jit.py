"""The one decorator of every kernel, and the folder where compiled kernels are kept.

Numba's cache key holds neither the source of called functions, nor the bounds-check switch, nor our size constants,
so a stale kernel could be loaded without a word.  Here the folder's name is a hash of all of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import config as numba_config
from numba.core import types

from pinnacle import event, limits

INTERPRETED = bool(numba_config.DISABLE_JIT)
BOUNDSCHECK = bool(numba_config.BOUNDSCHECK)
# Options of every kernel.  No fastmath: a float that feeds state must not depend on how a loop was vectorised.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": BOUNDSCHECK, "no_cfunc_wrapper": True}


def code_hash() -> str:
    """sha256 over the source of the kernels, the record and the limits: what a log's manifest calls the code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")) + [Path(event.__file__), Path(limits.__file__)]:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def cache_root() -> Path:
    """PINNACLE_CACHE_DIR, else XDG_CACHE_HOME/pinnacle, else ~/.cache/pinnacle."""
    root = os.environ.get("PINNACLE_CACHE_DIR")
    if root:
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pinnacle"


CODE_HASH = code_hash()
_KEY = hashlib.sha256(
    repr((CODE_HASH, numba.__version__, np.__version__, sorted(OPTIONS.items()), numba_config.OPT)).encode()
).hexdigest()[:24]
CACHE_DIR = cache_root() / _KEY
if not INTERPRETED:
    numba_config.CACHE_DIR = str(CACHE_DIR)


def compiled_before() -> bool:
    """Whether kernels for exactly this code and these options are on disk already."""
    return CACHE_DIR.is_dir() and any(CACHE_DIR.rglob("*.nbc"))


def _one_per_type(dispatcher: Any) -> Any:
    """Compile once for int64, not once for each constant that a caller happens to pass.

    A call with constants has literal types, and numba keeps a version for each; over the kernels' call graph that is
    half of the whole compile time and buys nothing, because what is hot is inlined anyway.
    """
    if INTERPRETED:
        return dispatcher
    template = dispatcher.get_call_template

    def get_call_template(args: Any, kws: Any) -> Any:
        return template(tuple(types.unliteral(arg) for arg in args), kws)

    dispatcher.get_call_template = get_call_template
    return dispatcher


def jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel, cached on disk."""
    return _one_per_type(numba.njit(cache=True, **OPTIONS)(function))


def jit_inner(function: Callable[..., Any]) -> Any:
    """Compile a kernel that only kernels call: without the wrapper that Python would need, which costs as much to
    compile as a small kernel itself."""
    return _one_per_type(numba.njit(cache=True, no_cpython_wrapper=True, **OPTIONS)(function))


def jit_inline(function: Callable[..., Any]) -> Any:
    """Write a kernel out at each place that calls it: for what every market row passes, and for what has one caller.

    Numba copies the code before it infers types, so such a function is never compiled by itself; every function that
    is costs about a tenth of a second of the first start.
    """
    return numba.njit(inline="always", **OPTIONS)(function)

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

from pinnacle import event, limits

INTERPRETED = bool(numba_config.DISABLE_JIT)
BOUNDSCHECK = bool(numba_config.BOUNDSCHECK)
# Options of every kernel.  No fastmath: a float that feeds state must not depend on how a loop was vectorised.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": BOUNDSCHECK}


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


def jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel, cached on disk."""
    return numba.njit(cache=True, **OPTIONS)(function)


def jit_inline(function: Callable[..., Any]) -> Any:
    """Compile a kernel that LLVM must inline where it is called: for the few functions each market row passes."""
    return numba.njit(cache=True, forceinline=True, **OPTIONS)(function)


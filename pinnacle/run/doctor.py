"""What a live session needs of the machine, looked at one by one, each with what to do about it.

Nothing here is guessed: what cannot be measured says so.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pinnacle.config import Config
from pinnacle.errors import PinnacleError, VenueError
from pinnacle.run.connections import fetch_text
from pinnacle.run.opening import address_of
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route, connect
from pinnacle.venues.feed import Address, Followed
from pinnacle.venues.venues import venue

OK, WARNING, FAILED = "ok", "warning", "failed"

OPEN_FILES_MIN = 1024
DISK_BYTES_MIN = 10 << 30
# A venue's Date header has whole seconds, and an answer takes part of one.
SKEW_S_MAX = 1.5
# adjtimex says this where nothing disciplines the clock.
_TIME_ERROR = 5


@dataclass(frozen=True)
class Finding:
    """state: OK, WARNING or FAILED.  remedy: one sentence, "" where there is nothing to do."""

    what: str
    state: str
    found: str
    remedy: str = ""


def examine(config: Config | None, out: Path) -> Iterator[Finding]:
    """Everything in turn.  config: whose venues are tried; None for none.  out: where sessions are kept."""
    yield _cpu()
    yield _uvloop()
    yield _kernels()
    yield _open_files()
    yield _disk(out)
    yield _clock_discipline()
    yield _vault()
    if config is not None:
        yield from asyncio.run(_venues(config))


def _cpu() -> Finding:
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    found = f"{cores} cores for this process, load {load:.2f}"
    if cores < 2:
        return Finding("cpu", WARNING, found, "give it two: one for the loop, one for sealing and the screen")
    if load > cores:
        return Finding("cpu", WARNING, found, "others use it; latencies will be theirs")
    return Finding("cpu", OK, found)


def _uvloop() -> Finding:
    try:
        import uvloop
    except ImportError as error:
        return Finding("uvloop", FAILED, str(error), "pip install uvloop")
    return Finding("uvloop", OK, uvloop.__version__)


def _kernels() -> Finding:
    from pinnacle.kernels.jit import CACHE_DIR, INTERPRETED, compiled_before

    if INTERPRETED:
        return Finding("kernels", FAILED, "interpreted (NUMBA_DISABLE_JIT)", "unset NUMBA_DISABLE_JIT")
    if not compiled_before():
        return Finding(
            "kernels", WARNING, "not compiled yet", "run `pinnacle backtest` once; the first start takes long"
        )
    return Finding("kernels", OK, f"compiled, in {CACHE_DIR}")


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < OPEN_FILES_MIN:
        return Finding("open files", WARNING, f"at most {soft}", f"ulimit -n {min(hard, 65536)}")
    return Finding("open files", OK, f"at most {soft}")


def _disk(out: Path) -> Finding:
    there = next(folder for folder in (out.resolve(), *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    found = f"{free / 1e9:.1f} GB free at {there}"
    if not os.access(there, os.W_OK):
        return Finding("disk", FAILED, f"{there} cannot be written", "choose another --out")
    if free < DISK_BYTES_MIN:
        return Finding("disk", WARNING, found, "a busy symbol fills some GB a day; free space, or choose another --out")
    return Finding("disk", OK, found)


def _clock_discipline() -> Finding:
    """Whether the system says that something keeps its clock right."""

    class Timex(ctypes.Structure):
        _fields_ = (("modes", ctypes.c_uint), ("values", ctypes.c_byte * 252))

    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(Timex()))
    except (OSError, AttributeError) as error:
        return Finding("clock", WARNING, f"not measured ({error})", "run chrony or another time daemon")
    if state < 0:
        return Finding("clock", WARNING, "not measured (adjtimex is refused)", "run chrony or another time daemon")
    if state == _TIME_ERROR:
        return Finding("clock", WARNING, "nothing disciplines it", "run chrony or another time daemon")
    return Finding("clock", OK, "disciplined by a time daemon")


def vault_path() -> Path:
    """Where the vault of API credentials is: keys.vault in the data folder of the XDG rules."""
    home = os.environ.get("XDG_DATA_HOME", "")
    base = Path(home) if os.path.isabs(home) else Path.home() / ".local" / "share"
    return base / "pinnacle" / "keys.vault"


def _vault() -> Finding:
    path = vault_path()
    if not path.exists():
        return Finding("credentials", OK, f"no vault at {path}; paper trading needs none")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("credentials", WARNING, f"{path} may be read by others ({mode:o})", f"chmod 600 {path}")
    return Finding("credentials", OK, f"vault at {path}")


# --- venues -------------------------------------------------------------------------------------------------------
async def _venues(config: Config) -> list[Finding]:
    live = config.live
    route = Route(ca_file=live.ca_file, proxy=live.proxy)
    found = []
    async with Http(route) as http:
        for name in dict.fromkeys(one.venue for one in config.instruments):
            symbols = [one.symbol for one in config.instruments if one.venue == name]
            address = address_of(config, name)
            found.append(await _rest(name, address, symbols, http))
            found.append(await _skew(name, address, http))
            found.append(await _websocket(name, address, symbols, http, route))
    return found


async def _rest(name: str, address: Address, symbols: list[str], http: Http) -> Finding:
    what = f"{name} REST"
    began = time.perf_counter()
    try:
        body = await fetch_text(http, address.rest + venue(name).instruments_path(symbols))
        listed = {one.symbol for one in venue(name).instruments(body)}
    except PinnacleError as error:
        return Finding(what, FAILED, str(error), "see to the network, live.proxy and live.venues")
    took_ms = (time.perf_counter() - began) * 1e3
    missing = sorted(set(symbols) - listed)
    if missing:
        return Finding(what, FAILED, f"does not list {', '.join(missing)}", "see the venue's own list for the spelling")
    return Finding(what, OK, f"{address.rest} answers in {took_ms:.0f} ms and lists {', '.join(symbols)}")


async def _skew(name: str, address: Address, http: Http) -> Finding:
    what = f"{name} clock"
    told = await http.date(address.rest + "/")
    if told is None:
        return Finding(what, WARNING, "not measured (no answer with a date)", "compare with a time server")
    there_s, took_s = told
    # The header is cut to whole seconds, so it is half a second behind on average.
    away_s = time.time() - took_s / 2 - (there_s + 0.5)
    if abs(away_s) > SKEW_S_MAX + took_s / 2:
        return Finding(what, FAILED, f"ours is {away_s:+.1f} s from the venue's", "set the clock: run chrony")
    return Finding(what, OK, f"within {SKEW_S_MAX:.1f} s of the venue's (its header has whole seconds)")


async def _websocket(name: str, address: Address, symbols: list[str], http: Http, route: Route) -> Finding:
    what = f"{name} feed"
    try:
        body = await fetch_text(http, address.rest + venue(name).instruments_path(symbols))
        known = {one.symbol: one for one in venue(name).instruments(body)}
        followed = [Followed(known[symbol], 0, k) for k, symbol in enumerate(symbols)]
        for feed in venue(name).feeds(followed, address):
            began = time.perf_counter()
            opened = await connect(address.websocket + feed.url, feed.headers, route, _ignored, _gone)
            took_ms = (time.perf_counter() - began) * 1e3
            opened.drop("the doctor has seen enough")
    except (PinnacleError, KeyError) as error:
        said = str(error) if isinstance(error, VenueError) else f"not tried ({error})"
        return Finding(what, FAILED, said, "see to the network, live.proxy and live.venues")
    return Finding(what, OK, f"{address.websocket} opens in {took_ms:.0f} ms")


_ignored: Callable[[bytes], None] = lambda data: None  # noqa: E731
_gone: Callable[[str], None] = lambda why: None  # noqa: E731

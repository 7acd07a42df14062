"""The last nonce of a key in a file: nobody is given a number twice, whatever clocks and processes do."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
from pathlib import Path

import pytest

from pinnacle.errors import DiskError
from pinnacle.limits import NONCE_AHEAD_NS_MAX
from pinnacle.vault.nonces import NonceFile
from pinnacle.venues.nonce import Nonces

MS, US = 1_000_000, 1_000
NOW_NS = 1_700_000_000_000_000_000


def taken(vault: Path, count: int, away_ns: int) -> list[int]:
    """What one process is given whose clock is so far off."""
    nonces = Nonces(US, shared=NonceFile(vault, "kraken", "key"))
    return [nonces.next(NOW_NS + away_ns + k * US) for k in range(count)]


def test_two_processes_are_never_given_the_same(tmp_path: Path) -> None:
    """Two processes at once on one key, one with a clock that is an hour behind: each number rises and is its own."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        one, other = pool.starmap(taken, [(tmp_path / "vault", 3_000, 0), (tmp_path / "vault", 3_000, -3600 * 10**9)])
    assert one == sorted(set(one)) and other == sorted(set(other)) and not set(one) & set(other)


def test_a_clock_set_back_between_two_processes(tmp_path: Path) -> None:
    """The first number of a later process is above the last of an earlier one, in whatever unit each counts."""
    chance = random.Random(1)
    last_ns = 0
    for _ in range(50):
        unit, now_ns = chance.choice((MS, US)), NOW_NS + chance.randrange(-(10**13), 10**13)
        number = Nonces(unit, shared=NonceFile(tmp_path / "vault", "gemini", "key")).next(now_ns)
        assert number * unit > last_ns and number >= now_ns // unit
        last_ns = number * unit


def test_a_stopped_process_and_a_spoilt_file_stop_nobody(tmp_path: Path) -> None:
    """While somebody keeps the lock, after the file was cut or overwritten, numbers rise in the process still."""
    import fcntl

    one = NonceFile(tmp_path / "vault", "kraken", "key")
    nonces = Nonces(US, shared=one)
    given = [nonces.next(NOW_NS)]
    holder = os.open(one.path, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)
    given.append(nonces.next(NOW_NS))
    os.close(holder)
    for spoilt in (b"", b"x", os.urandom(16), os.urandom(300)):
        one.path.write_bytes(spoilt)
        given.append(nonces.next(NOW_NS))
    assert given == sorted(set(given))
    assert Nonces(US, shared=NonceFile(tmp_path / "vault", "kraken", "key")).next(0) > given[-1]


def test_each_key_has_its_own_and_shows_nothing(tmp_path: Path) -> None:
    """The file's name and content hold nothing of the key, and only its owner may read it; no folder is an error."""
    one, other = (NonceFile(tmp_path / "vault", "kraken", key) for key in ("a-key-of-mine", "another"))
    assert one.path != other.path and one.take(5, 1) == 5 and other.take(3, 1) == 3
    assert b"a-key" not in one.path.read_bytes() and "a-key" not in str(one.path)
    assert one.path.stat().st_mode & 0o077 == 0 and one.path.parent.stat().st_mode & 0o077 == 0
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="nonce"):
        NonceFile(tmp_path / "file" / "vault", "kraken", "key")


def test_a_clock_that_was_hours_ahead_once_locks_nobody_out(tmp_path: Path) -> None:
    """Where a venue takes nonces near its time alone, those of a clock that was put right since are passed by once it
    has refused one; where it takes any that rises, they are not."""
    for window_ns, near in ((20 * 10**9, True), (NONCE_AHEAD_NS_MAX, False)):
        vault = tmp_path / str(window_ns) / "vault"
        vault.parent.mkdir()
        ahead = Nonces(MS, NonceFile(vault, "gemini", "key"), window_ns).next(NOW_NS + 3600 * 10**9)
        later = Nonces(MS, NonceFile(vault, "gemini", "key"), window_ns)
        assert later.next(NOW_NS) > ahead
        later.refused(NOW_NS)
        given = [later.next(NOW_NS)]
        later.taken()
        given += [later.next(NOW_NS + k) for k in range(3)]
        assert given == sorted(set(given))
        assert (given[-1] * MS < NOW_NS + window_ns) if near else given[0] > ahead


def test_a_disk_that_takes_no_writes_keeps_nobody_from_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is there and can only be read, as after an error of the disk: numbers rise from what it kept."""
    last, opened = NonceFile(tmp_path / "vault", "kraken", "key").take(NOW_NS, 1), os.open

    def reading_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_RDWR:
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, mode)

    monkeypatch.setattr(os, "open", reading_only)
    one = NonceFile(tmp_path / "vault", "kraken", "key")
    assert [one.take(0, 1) for _ in range(3)] == [last + 1, last + 2, last + 3]
    with pytest.raises(DiskError, match="Read-only"):
        NonceFile(tmp_path / "vault", "kraken", "another")

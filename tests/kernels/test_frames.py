"""A journal read with the compiled walk of its frames is read exactly as without: same records, same damage."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from pinnacle.errors import LogDamaged
from pinnacle.event import EVENT
from pinnacle.kernels.frames import crc_words, walk_frames
from pinnacle.log.crc import crc32c
from pinnacle.log.journal import Journal, JournalReader, Walk


def read(path: Path, walk: Walk | None) -> tuple[bytes, str, int, int, int, bool]:
    """Everything a reader says of a file: its records, what is wrong, and where it stood."""
    records, what = b"", ""
    with JournalReader(path, walk) as reader:
        try:
            for batch in reader.read():
                records += batch.tobytes()
        except LogDamaged as damage:
            what = str(damage)
        return records, what, reader.frames, reader.records, reader.offset, reader.closed


def test_the_walk_changes_nothing(tmp_path: Path, seed: int) -> None:
    """Random journals, whole, cut, flipped, with frames swapped or doubled: both readers say the same."""
    chance = random.Random(seed)
    for number in range(60):
        path = tmp_path / f"{number}.journal"
        journal = Journal.create(path, chance.randbytes(16), chance.choice((0, 5, 1 << 40)))
        for _ in range(chance.randrange(1, 30)):
            count = chance.choice((1, 2, 7, 100, 1024, 1500))
            journal.append(np.frombuffer(chance.randbytes(64 * count), EVENT))
            if chance.random() < 0.2:
                journal.sync()
        if chance.random() < 0.5:
            journal.close()
        else:
            journal._release()
        assert read(path, walk_frames) == read(path, None)
        data = bytearray(path.read_bytes())
        used = len(bytes(data).rstrip(b"\0"))
        damage = chance.choice(("none", "cut", "flip", "swap", "double"))
        if damage == "cut":
            data = data[: chance.randrange(64, used)]
        elif damage == "flip":
            data[chance.randrange(64, used)] ^= 1 << chance.randrange(8)
        elif damage != "none":
            units = len(data) // 64
            a, b = (64 * chance.randrange(1, units) for _ in range(2))
            one, other = bytes(data[a : a + 64]), bytes(data[b : b + 64])
            data[b : b + 64] = one
            if damage == "swap":
                data[a : a + 64] = other
        path.write_bytes(data)
        assert read(path, walk_frames) == read(path, None), f"seed {seed}, {number}: {damage}"


def test_the_checksum_is_the_librarys() -> None:
    """CRC-32C of random words, continued from any checksum."""
    chance = random.Random(5)
    for _ in range(50):
        data, before = chance.randbytes(8 * chance.randrange(1, 40)), chance.randrange(1 << 32)
        journal = np.frombuffer(data, "<u8")
        assert crc32c(data, before) == (1 << 32) - 1 - int(checksum(journal, (1 << 32) - 1 - before))


def checksum(words: np.ndarray, crc: int) -> int:
    """crc_words, called as kernels call it."""
    return int(_call(np.uint64(crc), words))


def _call(crc: np.uint64, words: np.ndarray) -> int:
    inner = getattr(crc_words, "py_func", crc_words)
    with np.errstate(over="ignore"):
        return int(inner(crc, words, 0, words.size))

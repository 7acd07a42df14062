"""What is sealed comes out as it was under the right password, and any other bytes or password are refused."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import limits
from pinnacle.errors import DiskError, OperatorError
from pinnacle.vault import sealed as sealing
from pinnacle.vault.sealed import HEADER_BYTES, STANDARD, TAG_BYTES, Cost, Unopened
from pinnacle.vault.secret import Secret
from tests.vault.opened import CHEAP

LOCK = sealing.new_lock(Secret("right"), CHEAP)
PLAIN = b'{"keys": "tell nobody"}'
SEALED = sealing.seal(LOCK, bytearray(PLAIN))


def opened(sealed: bytes, password: str = "right") -> bytes:
    """The plain text without its filling, as somebody with a password would get it."""
    return sealing.unseal(sealing.lock_of(Secret(password), sealed, "v"), sealed, "v").reveal().rstrip(b" ")


@settings(max_examples=50, deadline=None)
@given(plain=st.binary(max_size=20_000), password=st.text(min_size=1, max_size=40))
def test_round_trip(plain: bytes, password: str) -> None:
    """Any bytes under any password come out as they went in."""
    lock = sealing.new_lock(Secret(password), CHEAP)
    sealed = sealing.seal(lock, bytearray(plain))
    assert opened(sealed, password) == plain.rstrip(b" ")
    with pytest.raises(Unopened):
        opened(sealed, password + "x")


def test_every_changed_byte_is_noticed() -> None:
    """No byte of a file can be changed: header, salt, nonce, cipher text, tag; a person is told, and never the text."""
    kinds = set()
    for at in range(len(SEALED)):
        for change in (0x01, 0x80):
            wrong = SEALED[:at] + bytes([SEALED[at] ^ change]) + SEALED[at + 1 :]
            with pytest.raises((Unopened, DiskError)) as caught:
                opened(wrong)
            assert "tell nobody" not in str(caught.value)
            kinds.add((caught.type, at < HEADER_BYTES))
    assert kinds == {(DiskError, True), (Unopened, True), (Unopened, False)}


def test_every_cut_is_noticed() -> None:
    """A file cut off anywhere, or with something behind it, is refused; so is an empty one."""
    for size in range(len(SEALED)):
        with pytest.raises((Unopened, DiskError)):
            opened(SEALED[:size])
    with pytest.raises(Unopened):
        opened(SEALED + b"\0")
    with pytest.raises(DiskError, match="is empty"):
        opened(b"")
    with pytest.raises(DiskError, match="cut off after 20 bytes"):
        opened(SEALED[:20])


@pytest.mark.parametrize("foreign", [b"PK\x03\x04", b"{}", b"PNCLVLT\r\n" + SEALED[8:], bytes(10_000)])
def test_foreign_files_are_named(foreign: bytes) -> None:
    """What is no vault, or was sent as text, is said to be none, without asking scrypt for anything."""
    with pytest.raises(DiskError, match="no vault of pinnacle"):
        opened(foreign)


def test_parts_of_two_files_do_not_mix() -> None:
    """The header of one writing does not go with the cipher text of another, though password and salt are the same."""
    other = sealing.seal(LOCK, bytearray(PLAIN))
    for mixed in (SEALED[:HEADER_BYTES] + other[HEADER_BYTES:], other[:HEADER_BYTES] + SEALED[HEADER_BYTES:]):
        with pytest.raises(Unopened):
            opened(mixed)


def test_a_wrong_password_says_what_is_known() -> None:
    """A wrong password and a changed byte give the same words: which it was is not known."""
    said = []
    for sealed, password in ((SEALED, "wrong"), (SEALED[:-1] + bytes([SEALED[-1] ^ 1]), "right")):
        with pytest.raises(Unopened) as caught:
            opened(sealed, password)
        said.append(str(caught.value))
    assert said[0] == said[1] and "cannot be told apart" in said[0]


def test_nothing_repeats_and_sizes_tell_little() -> None:
    """Each writing has a nonce of its own, each lock a salt; up to 4 KiB of keys make a file of one size."""
    many = {sealing.seal(LOCK, bytearray(PLAIN)) for _ in range(100)}
    assert len({sealed[HEADER_BYTES - 12 : HEADER_BYTES] for sealed in many}) == 100
    assert len({sealing.new_lock(Secret("right"), CHEAP).salt for _ in range(100)}) == 100
    sizes = {len(sealing.seal(LOCK, bytearray(size))) for size in range(1, limits.VAULT_PADDING_BYTES + 1, 500)}
    assert sizes == {HEADER_BYTES + limits.VAULT_PADDING_BYTES + TAG_BYTES}


def test_the_standard_cost_is_memory_hard() -> None:
    """What real vaults are written with takes at least 64 MiB a guess, and is in the header."""
    assert STANDARD.memory_bytes == 128 << 20 >= limits.VAULT_KDF_MEMORY_MIN
    lock = sealing.new_lock(Secret("right"))
    sealed = sealing.seal(lock, bytearray(PLAIN))
    assert lock.fits(sealed) and not LOCK.fits(sealed) and opened(sealed) == PLAIN


@pytest.mark.parametrize(
    "cost", [Cost(31, 8, 1), Cost(21, 8, 1), Cost(0, 8, 1), Cost(10, 0, 1), Cost(10, 8, 17), Cost(16, 1, 1)]
)
def test_a_header_cannot_exhaust_the_machine(cost: Cost) -> None:
    """A cost that no vault has is refused before anything is paid."""
    assert not cost.bounded()
    head = sealing._HEADER.pack(sealing.MAGIC, 1, cost.log2_n, cost.r, cost.p, bytes(16), bytes(12))
    with pytest.raises(DiskError, match="cost that no pinnacle writes"):
        opened(head + bytes(100))


def test_random_headers_are_refused() -> None:
    """Random numbers in the header give an error that a person can act on, never another one."""
    draw = random.Random(5)
    for _ in range(200):
        head = sealing.MAGIC + bytes(
            [1, 0, draw.randrange(12), 0, draw.randrange(9), 0, 0, 0, draw.randrange(4), 0, 0, 0]
        )
        with pytest.raises((OperatorError, DiskError)):
            opened(head + draw.randbytes(28 + TAG_BYTES + draw.randrange(50)))

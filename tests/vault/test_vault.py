"""A vault on the disk is at every moment whole, its owner's alone, and what was last written."""

from __future__ import annotations

import os
import stat
import string
import tempfile
import traceback
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle import limits
from pinnacle.errors import DiskError, OperatorError
from pinnacle.vault import place
from pinnacle.vault.sealed import HEADER_BYTES, Unopened
from pinnacle.vault.secret import Secret
from pinnacle.vault.vault import Credential, Vault, changing, check_name, create_vault, open_vault
from tests.vault.opened import CHEAP, PASSWORD, SECRETS, another_process, credential, made, password

names = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)
secrets = st.binary(min_size=1, max_size=200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a vault may be made."""
    return tmp_path / "own" / "keys.vault"


def shown(vault: Vault) -> list[tuple[object, ...]]:
    """All there is in a vault, to compare with another."""
    return [
        (
            k.venue,
            k.name,
            k.api_key,
            k.secret.reveal(),
            k.passphrase.reveal(),
            k.kind,
            k.permissions,
            k.added,
            k.changed,
        )
        for k in vault.keys
    ]


@settings(max_examples=25, deadline=None)
@given(
    keys=st.dictionaries(
        st.tuples(names, names),
        st.tuples(secrets, st.binary(max_size=20), st.text(max_size=20), st.sampled_from(["read", "trade"])),
        max_size=12,
    )
)
def test_round_trip(keys: dict[tuple[str, str], tuple[bytes, bytes, str, str]]) -> None:
    """Any keys come out as they went in, in the order of venue and name, and the file shows none of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "own" / "keys.vault"
        given_ = [
            Credential(venue, name, api_key, Secret(secret), Secret(phrase), "hmac", may, "2026-01-02", "2026-02-03")  # type: ignore[arg-type]
            for (venue, name), (secret, phrase, api_key, may) in keys.items()
        ]
        wanted = shown(made(path, *given_))
        found = open_vault(path, password())
        assert shown(found) == wanted and [row[:2] for row in wanted] == sorted(keys)
        encrypted = path.read_bytes()[HEADER_BYTES:]
        assert not any(len(secret) > 6 and secret in encrypted for secret, *_ in keys.values())


def test_changes_are_seen_and_names_are_unique(path: Path) -> None:
    """Several keys a venue; a taken name, an unknown one, and one too many are refused, and change nothing."""
    vault = made(path, credential(), credential(name="second"), credential("gemini", secret=SECRETS[1]))
    before = path.read_bytes()
    for change, word in (
        (lambda now: now.add(credential()), "there is a key kraken/default already"),
        (lambda now: now.remove("kraken", "third"), "it has default, second"),
        (lambda now: now.replace(credential("bitstamp")), "no key of bitstamp at all"),
        (lambda now: now.add(credential(name="Not Plain")), "use up to 64"),
    ):
        with pytest.raises(OperatorError, match=word), changing(vault, password()) as now:
            change(now)
    assert path.read_bytes() == before
    with changing(vault, password()) as now:
        now.remove("kraken", "second")
        now.replace(credential(secret="bmV3"))
    found = open_vault(path, password())
    assert [key.label for key in found.keys] == ["gemini/default", "kraken/default"]
    assert found.key("kraken", "default").secret == Secret("bmV3")
    assert before != path.read_bytes()


def test_a_full_vault_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key too many is refused by its number."""
    monkeypatch.setattr(limits, "VAULT_KEYS_MAX", 2)
    with pytest.raises(OperatorError, match="holds 2 keys, which is all it may"):
        made(path, *(credential(name=f"k{i}") for i in range(3)))


@pytest.mark.parametrize("name", ["", "-x", ".x", "a/b", "a b", "A", "x" * 65, "é", "a\n"])
def test_names_are_plain(name: str) -> None:
    """A name is something that can be typed, listed and put in a log."""
    with pytest.raises(OperatorError, match="use up to 64"):
        check_name("kraken", name)


def test_a_new_password_shuts_the_old_one_out(path: Path) -> None:
    """After a change of password the old one opens nothing, salt and nonce are others, and the keys are the same."""
    vault = made(path, credential())
    wanted, before = shown(vault), path.read_bytes()
    with changing(vault, password()) as now:
        now.change_password(Secret("another password"), CHEAP)
    assert shown(open_vault(path, Secret("another password"))) == wanted
    with pytest.raises(Unopened):
        open_vault(path, password())
    after = path.read_bytes()
    assert before[20:36] != after[20:36]
    # One that was opened under the old password cannot write any more.
    with pytest.raises(Unopened), changing(vault, password()) as now:
        now.remove("kraken", "default")
    assert path.read_bytes() == after


def test_permissions_of_what_is_made(path: Path) -> None:
    """The folder is 0700 and all in it 0600, whatever the umask allows."""
    old = os.umask(0)
    try:
        made(path, credential())
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o666])
def test_a_vault_open_to_others_is_not_read(path: Path, mode: int) -> None:
    """Looser permissions of the file or its folder are refused with the command that mends them."""
    vault = made(path, credential())
    path.chmod(mode)
    for attempt in (lambda: open_vault(path, password()), lambda: changing(vault, password()).__enter__()):
        with pytest.raises(OperatorError, match=rf"mode {mode:04o}.*chmod 600 {path}"):
            attempt()
    path.chmod(0o600)
    path.parent.chmod(0o700 | mode & 0o77)
    with pytest.raises(OperatorError, match=f"chmod 700 {path.parent}"):
        open_vault(path, password())
    path.parent.chmod(0o700)
    open_vault(path, password())


def test_an_open_folder_is_not_written_to(tmp_path: Path) -> None:
    """No vault is begun in a folder that others can read."""
    tmp_path.chmod(0o755)
    with pytest.raises(OperatorError, match="wants a folder of its own"):
        create_vault(tmp_path / "keys.vault", password(), CHEAP)
    assert not list(tmp_path.iterdir())


def test_links_folders_and_absent_files(path: Path) -> None:
    """A link, a folder, no file, and a file as large as no vault are named for what they are."""
    made(path, credential())
    link = path.with_name("link.vault")
    link.symlink_to(path)
    large = path.with_name("large.vault")
    large.write_bytes(bytes(limits.VAULT_BYTES_MAX + 1))
    large.chmod(0o600)
    (path.parent / "folder.vault").mkdir()
    for name, word in (
        ("link.vault", "not a plain file"),
        ("folder.vault", "not a plain file"),
        ("none.vault", "there is no vault; `pinnacle keys add`"),
        ("large.vault", "more than"),
    ):
        with pytest.raises(OperatorError, match=word):
            open_vault(path.with_name(name), password())
    with pytest.raises(OperatorError, match="there is a vault already"):
        create_vault(path, password(), CHEAP)


@pytest.mark.parametrize("where", ["open", "write", "fsync", "replace"])
@pytest.mark.parametrize("how", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_changes_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: str, how: BaseException
) -> None:
    """A full disk or Ctrl-C at any step of a writing leaves the old vault, and nothing beside it."""
    vault = made(path, credential())
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise how

    names = {"write": "fchmod"}
    with (
        monkeypatch.context() as patch,
        pytest.raises((DiskError, KeyboardInterrupt)),
        changing(vault, password()) as now,
    ):
        now.add(credential(name="second"))
        patch.setattr(place.os, names.get(where, where), fail)
    assert path.read_bytes() == before
    assert {one.name for one in path.parent.iterdir()} == {"keys.vault", "keys.vault.lock"}
    assert [key.name for key in open_vault(path, password()).keys] == ["default"]


@pytest.mark.parametrize("at", ["fsync", "replace"])
def test_a_killed_writer_changes_nothing(path: Path, at: str) -> None:
    """A process that dies between writing and renaming leaves the old vault; the next writer clears up after it."""
    vault = made(path, credential())
    before = path.read_bytes()
    assert another_process(f"die_while_writing({str(path)!r}, {at!r})").wait(30) == 9
    assert path.read_bytes() == before and path.with_name("keys.vault.new").exists()
    with changing(vault, password()) as now:
        now.add(credential(name="third"))
    assert not path.with_name("keys.vault.new").exists()
    assert [key.name for key in open_vault(path, password()).keys] == ["default", "third"]


def test_writers_at_once_lose_nothing(path: Path) -> None:
    """Four processes that add keys at once: every key is there."""
    made(path)
    children = [another_process(f"add_some({str(path)!r}, {who}, 5)") for who in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    assert {key.name for key in open_vault(path, password()).keys} == {f"k{w}-{k}" for w in range(4) for k in range(5)}


def test_a_writer_that_does_not_end_is_told_of(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process keeps the lock another waits, and then says what to do; reading goes on."""
    vault = made(path, credential())
    monkeypatch.setattr(limits, "VAULT_LOCK_WAIT_S", 0.1)
    with place.only_writer(path):
        with pytest.raises(OperatorError, match="another process has been writing it"):
            changing(vault, password()).__enter__()
        assert open_vault(path, password()).keys
    with changing(vault, password()) as now:
        now.remove("kraken", "default")


def test_nothing_of_a_secret_is_said(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Errors, their tracebacks with all locals, reprs of keys and vaults: no secret and no password in any."""
    key = credential("coinbase", secret=SECRETS[1])
    vault = made(path, key)
    said = [repr(key), repr(vault), repr(vault.keys), str(vars(vault)), f"{key}"]

    def wrong_password() -> None:
        open_vault(path, Secret("the wrong password"))

    def taken() -> None:
        with changing(vault, password()) as now:
            now.add(key)

    def damaged() -> None:
        path.write_bytes(path.read_bytes()[:-1])
        open_vault(path, password())

    for attempt in (wrong_password, taken, damaged):
        with pytest.raises((OperatorError, DiskError)) as caught:
            attempt()
        kept = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        kept.stack = traceback.StackSummary.from_list([f for f in kept.stack if "pinnacle/vault" in f.filename])
        said += [str(caught.value), "".join(kept.format())]
    said += capfd.readouterr()
    for hidden in (*SECRETS, PASSWORD, "the wrong password", key.api_key):
        assert not any(hidden in text for text in said), hidden


def test_wiping_forgets_everything(path: Path) -> None:
    """wipe leaves neither keys nor the stretched password in the vault."""
    vault = made(path, credential())
    held = [key.secret.lend() for key in vault.keys] + [vault._lock.key.lend()]
    vault.wipe()
    assert not vault.keys and all(bytes(one) == bytes(len(one)) for one in held)


def test_a_change_keeps_the_lock(path: Path) -> None:
    """A change after an opening does not stretch the password again: the vault's own lock serves."""
    vault = made(path, credential())
    lock = vault._lock
    with changing(vault, Secret("not even needed")) as now:
        assert now._lock is lock

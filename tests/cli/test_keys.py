"""`pinnacle keys` does what it says, asks where it may, and never shows a secret.

Vaults that exist already are made with a cheap cost, which the commands find in the file; what a command makes itself
has the standard one.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from pinnacle.vault.secret import Secret
from pinnacle.vault.vault import open_vault
from tests.cli.command import ROOT, Said, command, pinnacle, process, ran, refused
from tests.cli.terminal import typed
from tests.vault.opened import PASSWORD, SECRETS, credential, made, password

KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()
OTHER = "another-long-password"
BASE64 = base64.b64encode(b"a-secret-of-coinbase-exchange").decode()
HIDDEN = [*SECRETS, PASSWORD, OTHER, BASE64, PEM.splitlines()[1]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A vault with a key of kraken and one of gemini."""
    path = tmp_path / "own" / "keys.vault"
    gemini = credential("gemini", secret=SECRETS[1])
    object.__setattr__(gemini, "api_key", "account-0123456789abcdef")
    made(path, credential(), gemini)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with the vault's password."""
    return private(tmp_path / "password", PASSWORD + "\n")


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def keys(path: Path, *args: str | Path) -> Said:
    """A command on a vault with its password in the environment of this process, which it takes out."""
    os.environ["PINNACLE_VAULT_PASSWORD"] = PASSWORD
    try:
        said = pinnacle("keys", *args, "--vault", path)
    finally:
        os.environ.pop("PINNACLE_VAULT_PASSWORD", None)
    hidden(said)
    return said


def hidden(said: Said) -> None:
    """No secret and no password is in what was said."""
    for secret in HIDDEN:
        assert secret not in said.out + said.err


def fields(path: Path, **what: str) -> Path:
    return private(path.parent / "fields.json", json.dumps(what))


def labels(path: Path, with_password: str = PASSWORD) -> list[str]:
    return [key.label for key in open_vault(path, Secret(with_password)).keys]


def test_the_first_key_makes_the_vault_in_the_data_folder(tmp_path: Path) -> None:
    """Without --vault it is in the XDG data folder, made with the standard cost, and opened by the environment."""
    made_for = {"XDG_DATA_HOME": str(tmp_path), "PINNACLE_VAULT_PASSWORD": PASSWORD}
    given = json.dumps({"api_key": "0123456789abcdef0123456789abcdef", "secret": BASE64, "passphrase": SECRETS[2]})
    added = subprocess.run(
        command("keys", "add", "coinbase", "desk-1", "--permissions", "trade", "--fields", "-"),
        input=given, env={**os.environ, **made_for}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert added.returncode == 0, added.stderr
    assert "added coinbase/desk-1: hmac 0123...cdef, trade" in added.stdout
    vault = open_vault(tmp_path / "pinnacle" / "keys.vault", password())
    assert vault.cost.memory_bytes == 128 << 20
    key = vault.key("coinbase", "desk-1")
    assert key.secret == Secret(BASE64) and key.passphrase == Secret(SECRETS[2]) and key.permissions == "trade"
    listed = process("keys", "list", **made_for)
    for said in (Said(0, added.stdout, added.stderr), listed):
        hidden(said)
    assert listed.out.splitlines()[1].split()[:5] == ["coinbase", "desk-1", "hmac", "0123...cdef", "trade"]


def test_list(path: Path) -> None:
    """A line a key, shortened ids, and the same as JSON; no secret in either."""
    said = keys(path, "list")
    assert [line.split()[:2] for line in said.out.splitlines()] == [
        ["venue", "name"], ["gemini", "default"], ["kraken", "default"],
    ]  # fmt: skip
    assert "acco...cdef" in said.out and "account-0123456789abcdef" not in said.out
    rows = keys(path, "list", "--json").json
    assert rows[0] == {
        "venue": "gemini", "name": "default", "kind": "hmac", "key": "acco...cdef", "permissions": "trade",
        "added": "2026-01-02", "changed": "",
    }  # fmt: skip


def test_four_ways_to_open(path: Path, key_file: Path) -> None:
    """File, descriptor, environment, and a person at a prompt, who is not shown what is typed."""
    wanted = keys(path, "list").out
    assert ran("keys", "list", "--vault", path, "--password-file", key_file).out == wanted
    reading = os.open(key_file, os.O_RDONLY)
    assert ran("keys", "list", "--vault", path, "--password-fd", str(reading)).out == wanted
    asked = typed("keys", "list", "--vault", path, answers=[("Password of the vault: ", PASSWORD + "\n")])
    assert asked.code == 0 and wanted.splitlines()[1] in asked.out
    hidden(asked)


def test_passwords_that_cannot_be_had(path: Path, key_file: Path, tmp_path: Path) -> None:
    """No source, two of them, an open or empty file, a closed descriptor, a wrong password: each is one line."""
    for args, word in (
        ((), "nobody is there; give --password-file or --password-fd or PINNACLE_VAULT_PASSWORD"),
        (("--password-file", key_file, "--password-fd", "0"), "give one of the two"),
        (("--password-file", tmp_path / "none"), "cannot be read"),
        (("--password-file", private(tmp_path / "empty", "\n")), "no password on its first line"),
        (("--password-file", private(tmp_path / "wrong", OTHER)), "wrong, or the file was changed"),
        (("--password-fd", "987"), "file descriptor 987: cannot be read"),
    ):
        said = pinnacle("keys", "list", "--vault", path, *args)
        hidden(said)
        assert word in refused(said)
    key_file.chmod(0o644)
    assert "chmod 600" in refused(pinnacle("keys", "list", "--vault", path, "--password-file", key_file))


def test_the_environment_is_emptied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is gone from the process's environment once it was read, so that no child gets it."""
    monkeypatch.setenv("PINNACLE_VAULT_PASSWORD", PASSWORD)
    ran("keys", "list", "--vault", path)
    assert "PINNACLE_VAULT_PASSWORD" not in os.environ


def test_what_is_wrong_with_the_file_is_said_first(path: Path, tmp_path: Path) -> None:
    """A missing, foreign, open or cut vault is named before a password is asked for or stretched."""
    assert "there is no vault; `pinnacle keys add`" in refused(pinnacle("keys", "list", "--vault", tmp_path / "none"))
    assert "no vault of pinnacle" in refused(keys(private(path.with_name("foreign"), "{}"), "list"))
    assert "is empty" in refused(keys(private(path.with_name("empty"), ""), "list"))
    path.chmod(0o644)
    assert f"chmod 600 {path}" in refused(pinnacle("keys", "list", "--vault", path))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:60])
    assert keys(path, "list").code == 5


def test_add_refuses_what_is_no_key(path: Path) -> None:
    """A key that the venue cannot have handed out is refused with one line, and the vault stays as it was."""
    before = path.read_bytes()
    add = ("--permissions", "read", "--fields")
    for venue, what, word in (
        ("kraken", {"api_key": "k", "secret": BASE64}, "there is a key kraken/default already"),
        ("bitfinex", {"api_key": "k", "secret": BASE64}, "there is none of this name"),
        ("coinbase", {"api_key": "k", "secret": "no base64 " + SECRETS[1], "passphrase": "p"}, "base64"),
        ("coinbase", {"api_key": "k", "secret": BASE64}, "passphrase"),
        ("coinbase", {"secret": BASE64}, "has no api_key"),
        ("coinbase", {"api_key": "k"}, "has no secret"),
        ("coinbase-advanced", {"api_key": "k", "secret": PEM.replace("MC4C", "MC4D")}, "no private key"),
    ):
        assert word in refused(keys(path, "add", venue, *add, fields(path, **what)))  # type: ignore[arg-type]
    broken = private(path.parent / "broken", '{"secret": "' + SECRETS[1])
    assert "is not JSON" in refused(keys(path, "add", "bitstamp", *add, broken))
    assert "nobody is there" in refused(keys(path, "add", "bitstamp", "--permissions", "read"))
    assert path.read_bytes() == before


def test_add_reads_the_file_that_coinbase_offers(path: Path) -> None:
    """Its names, name and privateKey, and line ends as backslash n."""
    given = fields(path, name="organizations/o/apiKeys/0123456789", privateKey=PEM.replace("\n", "\\n"))
    added = keys(path, "add", "coinbase-advanced", "main", "--permissions", "read", "--fields", given)
    assert added.code == 0 and "ed25519" in added.out and f"delete it: shred -u {given}" in added.err
    tested = keys(path, "test", "coinbase-advanced", "main")
    assert tested.code == 0 and "its public half verifies" in tested.out


def test_add_by_a_person(path: Path, tmp_path: Path) -> None:
    """Id and passphrase at prompts, a PEM from a file; the secret that is typed is not seen on the screen."""
    opened = ("Password of the vault: ", PASSWORD + "\n")
    said = typed(
        "keys", "add", "coinbase", "--permissions", "trade", "--vault", path,
        answers=[opened, ("): ", "someid\n"), ("Secret: ", BASE64 + "\n"), ("Passphrase: ", SECRETS[2] + "\n")],
    )  # fmt: skip
    hidden(said)
    assert said.code == 0 and open_vault(path, password()).key("coinbase", "default").secret == Secret(BASE64)
    pem = private(tmp_path / "key.pem", PEM)
    said = typed(
        "keys", "add", "binance", "ed", "--permissions", "trade", "--vault", path, "--secret-file", pem,
        answers=[opened, ("): ", "someid\n")],
    )  # fmt: skip
    hidden(said)
    assert said.code == 0 and open_vault(path, password()).key("binance", "ed").kind == "ed25519"


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_an_interrupted_prompt_loses_nothing(path: Path, at: int) -> None:
    """Ctrl-C at any prompt leaves the vault byte for byte as it was, and no file beside it."""
    before = path.read_bytes()
    answers = [
        ("Password of the vault: ", PASSWORD + "\n"), ("): ", "someid\n"), ("Secret: ", BASE64 + "\n"),
        ("Passphrase: ", "p\n"),
    ]  # fmt: skip
    answers = [*answers[:at], (answers[at][0], "\x03")]
    said = typed("keys", "add", "coinbase", "--permissions", "trade", "--vault", path, answers=answers)
    assert said.code not in (0, None) and "Traceback" not in said.out
    hidden(said)
    assert path.read_bytes() == before
    assert not path.with_name("keys.vault.new").exists()


def test_an_interrupted_first_prompt_makes_no_vault(tmp_path: Path) -> None:
    """Ctrl-C before the first key is whole leaves no empty vault behind; a short password is refused."""
    path = tmp_path / "own" / "keys.vault"
    new = [("New password of the vault: ", PASSWORD + "\n"), ("Repeat for confirmation: ", PASSWORD + "\n")]
    said = typed("keys", "add", "kraken", "--permissions", "read", "--vault", path, answers=[*new, ("): ", "\x03")])
    assert said.code != 0 and not path.exists()
    short = [("New password of the vault: ", "short\n"), ("Repeat for confirmation: ", "short\n")]
    said = typed("keys", "add", "kraken", "--permissions", "read", "--vault", path, answers=short)
    assert said.code != 0 and "12 or more" in said.out and not path.exists()


def test_test(path: Path) -> None:
    """All keys, those of a venue, one; it says that the venue was not asked; a key that cannot sign fails it."""
    said = keys(path, "test")
    assert said.code == 0 and said.out.count("signs") == 2 and "was not asked" in said.out
    assert keys(path, "test", "kraken").out.count("signs") == 1
    assert "there is no key of bitstamp" in refused(keys(path, "test", "bitstamp"))
    assert "there is no key kraken/second; it has default" in refused(keys(path, "test", "kraken", "second"))
    assert "add --online" in refused(keys(path, "test", "kraken", "--rest", "http://127.0.0.1:1"))
    bad = path.with_name("bad.vault")
    made(bad, credential(), credential(name="bad", secret="not base64"))
    said = keys(bad, "test")
    assert said.code == 2 and "1 of 2 keys cannot be used: kraken/bad" in said.err and "is not base64" in said.out


def test_remove(path: Path) -> None:
    """It asks, or wants --yes where nobody is there; it says that the venue still has the key."""
    assert "add --yes" in refused(keys(path, "remove", "kraken", "default"))
    assert "there is no key kraken/other" in refused(keys(path, "remove", "kraken", "other", "--yes"))
    answers = [("Password of the vault: ", PASSWORD + "\n"), ("[y/N]: ", "n\n")]
    assert typed("keys", "remove", "kraken", "default", "--vault", path, answers=answers).code == 1
    assert labels(path) == ["gemini/default", "kraken/default"]
    said = keys(path, "remove", "kraken", "default", "--yes")
    assert said.code == 0 and "delete it at the venue too" in said.out and labels(path) == ["gemini/default"]


def test_rotate_a_key(path: Path) -> None:
    """A new secret under the old name: when it was added stays, and what it may do unless that is said."""
    before = open_vault(path, password()).key("kraken", "default")
    said = keys(path, "rotate", "kraken", "default", "--fields", fields(path, api_key="new-id", secret=BASE64))
    assert said.code == 0 and "replaced kraken/default" in said.out
    after = open_vault(path, password()).key("kraken", "default")
    assert after.secret == Secret(BASE64) and after.api_key == "new-id" and after.permissions == before.permissions
    assert after.added == before.added and after.changed.endswith("Z")
    assert "name VENUE and NAME" in refused(keys(path, "rotate", "kraken"))
    assert "are for a key" in refused(keys(path, "rotate", "--permissions", "read"))


def test_rotate_the_password(path: Path, tmp_path: Path) -> None:
    """A new password with the standard cost; a short one is refused; the old one opens nothing any more."""
    short, new = private(tmp_path / "short", "short"), private(tmp_path / "new", OTHER)
    assert "12 or more" in refused(keys(path, "rotate", "--new-password-file", short))
    assert "give --new-password-file" in refused(keys(path, "rotate"))
    said = keys(path, "rotate", "--new-password-file", new)
    assert said.code == 0 and "scrypt 2^17 x 1024 bytes x 1 (128 MiB)" in said.out
    assert "wrong, or the file was changed" in refused(keys(path, "list"))
    assert labels(path, OTHER) == ["gemini/default", "kraken/default"]


def test_no_secret_is_an_options_value() -> None:
    """No option of any command under `keys` takes a secret or a password as its value."""
    from pinnacle.commands.keys import keys as group

    allowed = {
        "--permissions",
        "--fields",
        "--secret-file",
        "--vault",
        "--json",
        "--online",
        "--yes",
        "--websocket",
        "--rest",
    }
    allowed |= {f"--{new}password-{how}" for new in ("", "new-") for how in ("file", "fd")}
    given = {name for one in group.commands.values() for param in one.params for name in param.opts if name[0] == "-"}
    assert given == allowed


def test_nothing_is_left_lying_about(path: Path, key_file: Path) -> None:
    """After all commands no file beside the vault holds a secret, and a bug's traceback shows none."""
    keys(path, "add", "binance", "--permissions", "trade", "--fields", fields(path, api_key="k", secret=SECRETS[1]))
    (path.parent / "fields.json").unlink()
    for file in path.parent.iterdir():
        raw = file.read_bytes()
        assert not any(secret.encode() in raw for secret in HIDDEN)
    script = (
        "import sys\nimport pinnacle.vault.sealed as sealed, pinnacle.cli as cli\n"
        "def seal(lock, plain): raise RuntimeError('a bug', lock, sealed.Secret(plain))\n"
        "sealed.seal = seal\nsys.argv[0] = 'pinnacle'\ncli.main()"
    )
    words = [sys.executable, "-c", script, "keys", "remove", "kraken", "default", "--yes", "--vault", path]
    with tempfile.TemporaryFile() as given:
        given.write(PASSWORD.encode())
        given.seek(0)
        done = subprocess.run(
            [*map(str, words), "--password-fd", str(given.fileno())],
            cwd=ROOT, capture_output=True, text=True, timeout=60, pass_fds=[given.fileno()],
        )  # fmt: skip
    assert "RuntimeError: ('a bug'" in done.stderr and done.returncode == 1
    hidden(Said(1, done.stdout, done.stderr))
    assert "kraken/default" in labels(path)

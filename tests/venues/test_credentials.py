"""A key of each venue is known for what it is, or refused in words that show nothing of it."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pinnacle.errors import OperatorError
from pinnacle.venues import credentials, signing
from pinnacle.venues.credentials import VENUES, check, signer, trial

BASE64 = base64.b64encode(bytes(range(64))).decode()
TEXT = "fakesecret0123456789"


def pem(key: signing.PrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


KEYS = {
    "ed25519": pem(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))),
    "es256": pem(ec.derive_private_key(12345, ec.SECP256R1())),
    "rsa": pem(rsa.generate_private_key(65537, 2048)),
}
GOOD = [
    ("binance", "k", TEXT, "", "hmac"),
    ("binance", "k", KEYS["ed25519"], "", "ed25519"),
    ("binance", "k", KEYS["rsa"], "", "rsa"),
    ("binance-usdm", "k", TEXT, "", "hmac"),
    ("binance-usdm", "k", KEYS["ed25519"], "", "ed25519"),
    ("binance-usdm", "k", KEYS["rsa"], "", "rsa"),
    ("bitstamp", "k", TEXT, "", "hmac"),
    ("coinbase", "k", BASE64, "phrase", "hmac"),
    ("coinbase-advanced", "organizations/o/apiKeys/k", KEYS["es256"], "", "es256"),
    ("coinbase-advanced", "organizations/o/apiKeys/k", KEYS["ed25519"], "", "ed25519"),
    ("coinbase-advanced", "organizations/o/apiKeys/k", BASE64[:42] + "8=", "", "ed25519"),
    ("gemini", "account-k", TEXT, "", "hmac"),
    ("kraken", "k", BASE64, "", "hmac"),
]


def test_every_venue_and_kind_is_tried() -> None:
    """The list of good keys has every kind of every venue."""
    assert {(venue, kind) for venue, *_, kind in GOOD} == {(v, kind) for v, row in VENUES.items() for kind in row.kinds}


@pytest.mark.parametrize(("venue", "api_key", "secret", "passphrase", "kind"), GOOD)
def test_a_good_key_is_known_and_signs(venue: str, api_key: str, secret: str, passphrase: str, kind: str) -> None:
    """Its kind is told from the secret, it signs, and what is said of it shows neither secret nor passphrase."""
    assert check(venue, api_key, secret.encode(), passphrase.encode()) == kind
    found, key = signer(venue, secret.encode())
    assert found == kind and isinstance(key, bytes) == (kind == "hmac")
    said = trial(venue, api_key, secret.encode(), passphrase.encode())
    assert said.startswith(f"{kind}: ") and ("only" in said) == (kind == "hmac")
    for line in [*secret.splitlines()[1:-1], passphrase]:
        assert not line or line not in said


def test_the_fingerprint_is_that_of_openssl(tmp_path: Path) -> None:
    """What is said of a private key is the SHA-256 that its owner gets of the public half by the usual command."""
    file = tmp_path / "key.pem"
    file.write_text(KEYS["ed25519"])
    try:
        public = subprocess.run(
            ["openssl", "pkey", "-in", file, "-pubout", "-outform", "DER"], capture_output=True, check=True, timeout=240
        ).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        pytest.skip("no openssl that knows Ed25519")
    assert hashlib.sha256(public).hexdigest() in trial("binance", "k", KEYS["ed25519"].encode(), b"")


@pytest.mark.parametrize(
    ("venue", "api_key", "secret", "passphrase", "word"),
    [
        ("nowhere", "k", TEXT, "", "there are binance, binance-usdm, bitstamp"),
        ("kraken", "k", "not base64!", "", "base64"),
        ("kraken", "", BASE64, "", "id of the kraken key is empty"),
        ("kraken", "k\r\nX-Evil: 1", BASE64, "", "characters that none has"),
        ("kraken", "k", BASE64, "phrase-of-mine", "no passphrase"),
        ("kraken", "k", KEYS["rsa"], "", "kraken takes no rsa key, only hmac"),
        ("coinbase", "k", BASE64, "", "passphrase of the coinbase key is empty"),
        ("coinbase", "k", BASE64, "phr\nase-x", "passphrase of the coinbase key"),
        ("gemini", "k", TEXT, "", "account- or master-"),
        ("gemini", "account-k", "two words", "", "spaces"),
        ("binance", "k", KEYS["es256"], "", "binance takes no es256 key, only hmac, ed25519, rsa"),
        ("coinbase-advanced", "o", KEYS["rsa"], "", "takes no rsa key"),
        ("coinbase-advanced", "o", BASE64, "", "halves"),
        ("coinbase-advanced", "o", TEXT, "", "base64|32 or 64"),
    ],
)
def test_a_bad_key_is_named_and_not_shown(venue: str, api_key: str, secret: str, passphrase: str, word: str) -> None:
    """What is wrong is said, with nothing of the key in it; a line end in an id never reaches a header."""
    for attempt in (check, trial):
        with pytest.raises(OperatorError, match=word) as caught:
            attempt(venue, api_key, secret.encode(), passphrase.encode())
        for hidden in [*secret.splitlines(), passphrase]:
            assert len(hidden) < 5 or hidden not in str(caught.value)


def test_a_key_that_does_not_verify_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A private key whose public half does not verify what it signs cannot be used, and that is said."""
    monkeypatch.setattr(signing, "verified", lambda *_: False)
    for venue, api_key, secret, passphrase, kind in GOOD:
        if kind != credentials.HMAC:
            with pytest.raises(OperatorError, match="does not verify"):
                trial(venue, api_key, secret.encode(), passphrase.encode())

"""What a key of each venue is made of, and whether one can be used: told from the key itself, without asking the venue.

Why here and not in the vault: the vault keeps texts and does not know what they are for.  Here is the one table of what
venues hand out, and `signer` turns a text from the vault into what signing.py takes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pinnacle.errors import OperatorError
from pinnacle.venues import signing

HMAC = "hmac"
ED25519 = "ed25519"
ES256 = "es256"
RSA = "rsa"

# Any nonce and time will do for a signature that nobody is sent.
_NONCE, _NOW_S = "6d1b345e-2821-40e2-ad83-4ecb18a06876", 1_700_000_000


@dataclass(frozen=True)
class Handed:
    """What a venue hands out.  kinds: of secret; base64: whether an HMAC's is; example: what a key's id looks like."""

    kinds: tuple[str, ...]
    base64: bool
    passphrase: bool
    example: str
    about: str


VENUES = {
    "binance": Handed((HMAC, ED25519, RSA), False, False, "64 letters and digits", "spot"),
    "binance-usdm": Handed((HMAC, ED25519, RSA), False, False, "64 letters and digits", "USD-M futures"),
    "bitstamp": Handed((HMAC,), False, False, "32 letters and digits", "spot"),
    "coinbase": Handed((HMAC,), True, True, "32 hexadecimal digits", "Coinbase Exchange"),
    "coinbase-advanced": Handed((ES256, ED25519), True, False, "organizations/.../apiKeys/...", "Advanced Trade"),
    "gemini": Handed((HMAC,), False, False, "account-...", "exchange"),
    "kraken": Handed((HMAC,), True, False, "56 letters, digits and signs", "spot"),
}


def handed_out(venue: str) -> Handed:
    """The row of a venue; OperatorError that lists them all if there is none."""
    found = VENUES.get(venue)
    if found is None:
        raise OperatorError(f"venue {venue!r}: there is none of this name; there are {', '.join(sorted(VENUES))}")
    return found


def signer(venue: str, secret: bytes) -> tuple[str, bytes | signing.PrivateKey]:
    """(kind, what signing.py takes) of a secret; OperatorError, not showing it, if it is none of the venue's.

    A text with the frame of a PEM is a private key.  For venues that hand out base64 of an Ed25519 key and no HMAC
    (Coinbase Advanced) any text is one.
    """
    row = handed_out(venue)
    if HMAC in row.kinds and b"-----BEGIN" not in secret:
        return HMAC, signing.base64_key(secret) if row.base64 else signing.text_key(secret)
    key = signing.private_key(secret)
    kinds = {ed25519.Ed25519PrivateKey: ED25519, rsa.RSAPrivateKey: RSA}
    kind = next((name for shape, name in kinds.items() if isinstance(key, shape)), ES256)
    if kind not in row.kinds:
        raise OperatorError(f"{venue} takes no {kind} key, only {', '.join(row.kinds)}; make one of those at the venue")
    return kind, key


def check(venue: str, api_key: str, secret: bytes, passphrase: bytes) -> str:
    """The kind of a whole credential; OperatorError that names what is wrong with it and shows nothing of it."""
    row = handed_out(venue)
    if not api_key or not api_key.isascii() or not api_key.isprintable() or " " in api_key:
        raise OperatorError(f"the id of the {venue} key is empty or has characters that none has; copy it again")
    if venue == "gemini" and not api_key.startswith(("account-", "master-")):
        raise OperatorError("the id of a gemini key begins with account- or master-; copy it again, whole")
    if row.passphrase and (not passphrase or not passphrase.isascii() or not passphrase.decode().isprintable()):
        raise OperatorError(f"the passphrase of the {venue} key is empty or not plain text; it was shown with the key")
    if not row.passphrase and passphrase:
        raise OperatorError(f"a {venue} key has no passphrase; leave it out")
    return signer(venue, secret)[0]


def trial(venue: str, api_key: str, secret: bytes, passphrase: bytes) -> str:
    """Sign a request that nobody is sent, and say what that shows; OperatorError if the key does not do it.

    An asymmetric signature is verified with the public half, and the SHA-256 of that is said, so that it can be
    compared with what was given to the venue.  Of an HMAC nobody but the venue can say whether it is the right one.
    """
    check(venue, api_key, secret, passphrase)
    kind, key = signer(venue, secret)
    if isinstance(key, bytes):
        _sign_hmac(venue, api_key, key, passphrase.decode())
        return f"{kind}: the secret reads as {8 * len(key)} bits and signs; only {venue} knows whether it is right"
    if venue == "coinbase-advanced":
        token = signing.coinbase_jwt(key, api_key, _NOW_S, _NONCE)
        good = signing.read_jwt(key.public_key(), token) is not None
    else:
        assert not isinstance(key, ec.EllipticCurvePrivateKey)
        message = b"timestamp=1700000000000"
        signed = signing.binance_signature(key, message)
        good = signing.verified(key.public_key(), signing.base64_key(signed), message)
    if not good:
        raise OperatorError(f"the {kind} key signs what its public half does not verify; make a new one at {venue}")
    return f"{kind}: the private key reads, signs, and its public half verifies; SHA-256 of that {_fingerprint(key)}"


def _sign_hmac(venue: str, api_key: str, key: bytes, passphrase: str) -> None:
    """One request of the venue, signed and dropped."""
    if venue == "coinbase":
        signing.coinbase_exchange_headers(api_key, key, passphrase, str(_NOW_S), "GET", "/accounts")
    elif venue == "kraken":
        signing.kraken_websocket_token(api_key, key, _NOW_S)
    elif venue == "gemini":
        signing.gemini_headers(api_key, key, b'{"request":"/v1/balances","nonce":1700000000}')
    elif venue in ("binance", "binance-usdm"):
        signing.binance_signed_query(key, {"timestamp": 1000 * _NOW_S})
    else:
        signing.bitstamp_headers(api_key, key, _NONCE, 1000 * _NOW_S, "POST", "/api/v2/account_balances/")


def _fingerprint(key: signing.PrivateKey) -> str:
    """SHA-256 of the public half as it stands in a PEM (`openssl pkey -pubout -outform DER | sha256sum`)."""
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()

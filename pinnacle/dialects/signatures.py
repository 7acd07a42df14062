"""Whether a client's signature is right: pure checks that take the same time whatever is wrong.

The venues' own rules of what is signed are in their dialects.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def hmac_hex(secret: str | bytes, payload: str | bytes, digest: str = "sha256") -> str:
    """Lower-case hex of the HMAC of a payload."""
    return hmac.new(_bytes(secret), _bytes(payload), getattr(hashlib, digest)).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two texts are equal, without telling by the time taken where they differ."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def ed25519_ok(public_key: str, payload: str | bytes, signature: str) -> bool:
    """Whether a base64 signature of a payload was made with the key whose public half (base64, raw) this is."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature, validate=True), _bytes(payload))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text

"""Signatures of the five venues: what is to be sent, in; headers, tokens and parameters that prove who sends it, out.

Every function is pure: time, nonce and chance are arguments, so a request is signed the same way in a test, a replay
and a session, and whoever owns the clock and the counter of a key decides what they are.  The exact bytes that are
signed are the bytes that must be sent; nothing here writes a body anew.

A symmetric secret is passed as the HMAC key itself: `base64_key` for the venues that hand it out in base64 (Coinbase
Exchange, Kraken), `text_key` for those whose text is the key (Gemini, Binance, Bitstamp).  Asymmetric ones are the
objects of `private_key`.  Prepare them once: they are the same for every request.

The other side of the wire (the local exchange) computes the same signature and compares with `same`, which takes as
long for a wrong one as for a right one; for asymmetric keys there are `verified` and `read_jwt`.

Where a rule comes from is said at each function, as the part of the venue's sheet of public facts that gives it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import quote

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from pinnacle.errors import OperatorError

PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey
# What Binance takes: the text of an HMAC secret, or one of two kinds of private key.
BinanceKey = bytes | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

SOH = "\x01"
# An order's JWT is looked at once, on arrival; the venue refuses one that is valid for longer (Coinbase B2).
JWT_VALID_S = 120
_ED25519_SEED_BYTES = 32
_P256_BYTES = 32
# RFC 6979: the same message gives the same signature, and none hangs on the quality of a machine's chance.
_ES256 = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)


# --- keys ---------------------------------------------------------------------------------------------------------


def base64_key(secret: str | bytes) -> bytes:
    """The HMAC key of a secret that is handed out in base64.  OperatorError, not showing it, if it is none."""
    try:
        key = base64.b64decode(secret, validate=True)
    except (binascii.Error, ValueError):
        raise OperatorError("the secret is not base64; copy it again, whole and without spaces") from None
    if not key:
        raise OperatorError("the secret is empty; copy it again")
    return key


def text_key(secret: str | bytes) -> bytes:
    """The HMAC key of a secret whose text is the key.  OperatorError, not showing it, if it is not plain ASCII."""
    try:
        key = secret.encode("ascii") if isinstance(secret, str) else bytes(secret)
        key.decode("ascii")
    except UnicodeError:
        raise OperatorError("the secret has characters that no venue hands out; copy it again") from None
    if not key or key.split() != [key]:
        raise OperatorError("the secret is empty or has spaces or line ends in it; copy it again")
    return key


def private_key(secret: str | bytes) -> PrivateKey:
    r"""The private key of a PEM (PKCS#8, SEC1, PKCS#1), or of base64 of an Ed25519 seed (32 bytes, or 64 with the
    public half behind it: Coinbase B2).  `\n` for line ends, as in environment variables, is understood.

    OperatorError, without any of it, if it is neither, is encrypted, or is of a kind that no venue takes.
    """
    text = secret.encode() if isinstance(secret, str) else bytes(secret)
    text = text.replace(b"\\n", b"\n").strip()
    if b"-----BEGIN" not in text:
        raw = base64_key(text)
        if len(raw) not in (_ED25519_SEED_BYTES, 2 * _ED25519_SEED_BYTES):
            raise OperatorError("the private key is neither a PEM nor base64 of 32 or 64 bytes; copy it again")
        key = ed25519.Ed25519PrivateKey.from_private_bytes(raw[:_ED25519_SEED_BYTES])
        if raw[_ED25519_SEED_BYTES:] not in (b"", key.public_key().public_bytes_raw()):
            raise OperatorError("the two halves of the Ed25519 key do not belong together; copy it again")
        return key
    try:
        loaded = serialization.load_pem_private_key(text + b"\n", password=None)
    except TypeError:
        raise OperatorError("the PEM is encrypted; decrypt it first (openssl pkey), the vault encrypts it") from None
    except (ValueError, UnsupportedAlgorithm):
        raise OperatorError("the PEM holds no private key that can be read; copy it again") from None
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and isinstance(loaded.curve, ec.SECP256R1):
        return loaded
    if isinstance(loaded, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        return loaded
    raise OperatorError("the PEM holds a key that no venue takes; wanted is Ed25519, EC P-256 or RSA")


# --- the server's side --------------------------------------------------------------------------------------------


def same(one: str | bytes, other: str | bytes) -> bool:
    """Whether two signatures are equal, in a time that does not say where they differ."""
    return hmac.compare_digest(_bytes(one), _bytes(other))


def verified(key: PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether an asymmetric signature (Ed25519, RSA PKCS#1 v1.5 SHA-256, ES256 as r||s) is of this message."""
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        else:
            if len(signature) != 2 * _P256_BYTES:
                return False
            r, s = (int.from_bytes(signature[i : i + _P256_BYTES]) for i in (0, _P256_BYTES))
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def read_jwt(key: PublicKey, token: str) -> tuple[dict[str, object], dict[str, object]] | None:
    """(header, claims) of a JWT that this key signed, None for any other text.

    Whether the claims are the right ones (uri, nbf, exp, a nonce not seen before) is for the caller to say: it has the
    clock and the request.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        header, claims = (msgspec.json.decode(_from_base64url(part), type=dict[str, object]) for part in parts[:2])
        signature = _from_base64url(parts[2])
    except (ValueError, msgspec.DecodeError):
        return None
    wanted = "EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"
    if header.get("alg") != wanted or not verified(key, signature, f"{parts[0]}.{parts[1]}".encode()):
        return None
    return header, claims


# --- Coinbase Exchange (A2, A3, A4) -------------------------------------------------------------------------------


def coinbase_exchange_signature(key: bytes, timestamp_s: str, method: str, path: str, body: bytes = b"") -> str:
    """CB-ACCESS-SIGN.  path with its query string; timestamp_s the text of epoch seconds that is sent (A3)."""
    return _base64(hmac.digest(key, f"{timestamp_s}{method}{path}".encode() + body, "sha256"))


def coinbase_exchange_headers(
    api_key: str, key: bytes, passphrase: str, timestamp_s: str, method: str, path: str, body: bytes = b""
) -> dict[str, str]:
    """Headers of a REST request (A3).  User-Agent and Content-Type are the caller's: they are not signed."""
    return {
        "CB-ACCESS-KEY": api_key,
        "CB-ACCESS-SIGN": coinbase_exchange_signature(key, timestamp_s, method, path, body),
        "CB-ACCESS-TIMESTAMP": timestamp_s,
        "CB-ACCESS-PASSPHRASE": passphrase,
    }


def coinbase_exchange_subscribe(api_key: str, key: bytes, passphrase: str, timestamp_s: str) -> dict[str, str]:
    """The four fields that make a websocket's `subscribe` an authenticated one (A2)."""
    return {
        "signature": coinbase_exchange_signature(key, timestamp_s, "GET", "/users/self/verify"),
        "key": api_key,
        "passphrase": passphrase,
        "timestamp": timestamp_s,
    }


def coinbase_exchange_logon(
    key: bytes, passphrase: str, sender: str, sending_time: str, seq: int = 1, target: str = "Coinbase"
) -> str:
    """RawData (96) of a FIX Logon; sending_time is the text of tag 52, with exactly three digits of a second (A4)."""
    signed = SOH.join((sending_time, "A", str(seq), sender, target, passphrase))
    return _base64(hmac.digest(key, signed.encode(), "sha256"))


# --- Coinbase Advanced Trade (B2, C) ------------------------------------------------------------------------------


def coinbase_jwt_uri(method: str, path: str, host: str = "api.coinbase.com") -> str:
    """The claim that binds a JWT to one request: the path without its query string (B2)."""
    return f"{method} {host}{path.partition('?')[0]}"


def coinbase_jwt(key: PrivateKey, key_name: str, now_s: int, nonce: str, uri: str | None = None) -> str:
    """A JWT for one REST request, or without uri for one authenticated `subscribe` (B2).

    key: Ed25519 (EdDSA) or EC P-256 (ES256).  nonce: hexadecimal text never used before.  Valid from now_s on for
    JWT_VALID_S.
    """
    assert not isinstance(key, rsa.RSAPrivateKey), "Coinbase takes no RSA key"
    algorithm = "EdDSA" if isinstance(key, ed25519.Ed25519PrivateKey) else "ES256"
    header = {"alg": algorithm, "kid": key_name, "nonce": nonce, "typ": "JWT"}
    claims: dict[str, str | int] = {"sub": key_name, "iss": "cdp", "nbf": now_s, "exp": now_s + JWT_VALID_S}
    if uri is not None:
        claims["uri"] = uri
    signed = _base64url(msgspec.json.encode(header)) + b"." + _base64url(msgspec.json.encode(claims))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        signature = key.sign(signed)
    else:
        r, s = decode_dss_signature(key.sign(signed, _ES256))
        signature = r.to_bytes(_P256_BYTES) + s.to_bytes(_P256_BYTES)
    return (signed + b"." + _base64url(signature)).decode()


def coinbase_jwt_headers(
    key: PrivateKey, key_name: str, now_s: int, nonce: str, method: str, path: str, host: str = "api.coinbase.com"
) -> dict[str, str]:
    """The header of a REST request (B2).  The body is not signed."""
    return {
        "Authorization": "Bearer " + coinbase_jwt(key, key_name, now_s, nonce, coinbase_jwt_uri(method, path, host))
    }


# --- Kraken (5, 10, 11) -------------------------------------------------------------------------------------------

KRAKEN_TOKEN_PATH = "/0/private/GetWebSocketsToken"


def kraken_signature(key: bytes, path: str, nonce: int, body: bytes) -> str:
    """API-Sign of a body, form or JSON, in which the same nonce stands (5)."""
    inner = hashlib.sha256(str(nonce).encode() + body).digest()
    return _base64(hmac.digest(key, path.encode() + inner, "sha512"))


def kraken_headers(api_key: str, key: bytes, path: str, nonce: int, body: bytes) -> dict[str, str]:
    """Headers of a private REST request (5).  Content-Type is the caller's: form and JSON are signed alike."""
    return {"API-Key": api_key, "API-Sign": kraken_signature(key, path, nonce, body)}


def kraken_websocket_token(api_key: str, key: bytes, nonce: int) -> tuple[str, bytes, dict[str, str]]:
    """(path, form body, headers) of the POST that asks for a websocket's token: websockets themselves sign nothing."""
    body = f"nonce={nonce}".encode()
    return KRAKEN_TOKEN_PATH, body, kraken_headers(api_key, key, KRAKEN_TOKEN_PATH, nonce, body)


def kraken_logon_password(key: bytes, api_key: str, nonce: int, seq: int, sender: str, target: str) -> str:
    """Password (554) of a FIX Logon whose 5025 is nonce, in epoch milliseconds (10)."""
    fields = ("35=A", f"34={seq}", f"49={sender}", f"56={target}", f"553={api_key}")
    signed = "".join(field + SOH for field in fields) + str(nonce)
    return _base64(hmac.digest(key, hashlib.sha256(signed.encode()).digest(), "sha512"))


# --- Gemini (4, 10) -----------------------------------------------------------------------------------------------


def gemini_signature(key: bytes, payload: str) -> str:
    """X-GEMINI-SIGNATURE of the base64 text of a payload: the text itself is signed (4)."""
    return hmac.digest(key, payload.encode(), "sha384").hex()


def gemini_headers(api_key: str, key: bytes, payload_json: bytes) -> dict[str, str]:
    """Headers of a REST request, which has no body; payload_json holds `request` (its path), `nonce`, the rest (4)."""
    payload = _base64(payload_json)
    return {
        "Content-Type": "text/plain",
        "Content-Length": "0",
        "Cache-Control": "no-cache",
        "X-GEMINI-APIKEY": api_key,
        "X-GEMINI-PAYLOAD": payload,
        "X-GEMINI-SIGNATURE": gemini_signature(key, payload),
    }


def gemini_websocket_headers(api_key: str, key: bytes, nonce: str) -> dict[str, str]:
    """Headers of a websocket's opening request; nonce is the text of the time, by the venue's page in seconds (4)."""
    payload = _base64(nonce.encode())
    return {
        "X-GEMINI-APIKEY": api_key,
        "X-GEMINI-NONCE": nonce,
        "X-GEMINI-PAYLOAD": payload,
        "X-GEMINI-SIGNATURE": gemini_signature(key, payload),
    }


# --- Binance (4, 5, 10, 11) ---------------------------------------------------------------------------------------


def binance_signature(key: BinanceKey, payload: bytes) -> str:
    """hex HMAC-SHA256, or base64 of an Ed25519 or RSA signature, by the kind of key (4).  Not percent-encoded."""
    if isinstance(key, bytes):
        return hmac.digest(key, payload, "sha256").hex()
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return _base64(key.sign(payload))
    return _base64(key.sign(payload, padding.PKCS1v15(), hashes.SHA256()))


def binance_query(params: Mapping[str, str | int]) -> str:
    """Parameters in their order as `name=value&...`, values percent-encoded, which is done before signing (4)."""
    return "&".join([f"{name}={quote(str(value), safe='')}" for name, value in params.items()])


def binance_signed_query(key: BinanceKey, params: Mapping[str, str | int]) -> str:
    """A query string (or form body) with its signature; `timestamp` is among the parameters (4)."""
    query = binance_query(params)
    return f"{query}&signature={quote(binance_signature(key, query.encode()), safe='')}"


def binance_headers(api_key: str) -> dict[str, str]:
    """The header that names the key; all else is in the query (4)."""
    return {"X-MBX-APIKEY": api_key}


def binance_websocket_params(key: BinanceKey, params: Mapping[str, str | int]) -> dict[str, str | int]:
    """`params` of a signed ws-api request, with the signature: sorted by name, not percent-encoded (4, 5).

    `apiKey` and `timestamp` are among the parameters.  The venue's own client encodes here; the published vector with
    other than ASCII characters holds only without (11).
    """
    assert "signature" not in params
    ordered = dict(sorted(params.items()))
    signed = "&".join([f"{name}={value}" for name, value in ordered.items()])
    ordered["signature"] = binance_signature(key, signed.encode())
    return ordered


def binance_logon(
    key: ed25519.Ed25519PrivateKey, sender: str, sending_time: str, seq: int = 1, target: str = "SPOT"
) -> str:
    """RawData (96) of a FIX Logon, for which only Ed25519 will do; sending_time is the text of tag 52 (10)."""
    return _base64(key.sign(SOH.join(("A", sender, target, str(seq), sending_time)).encode()))


# --- Bitstamp (4, 10) ---------------------------------------------------------------------------------------------

BITSTAMP_HOST = "www.bitstamp.net"
FORM = "application/x-www-form-urlencoded"


def bitstamp_signature(
    api_key: str, key: bytes, nonce: str, timestamp_ms: int, method: str, path: str, body: bytes, host: str
) -> str:
    """X-Auth-Signature; a body is a form, and without one there is no Content-Type, neither sent nor signed (4).

    path ends with a slash and has no query: what is signed of a query is not known (4), so none is sent.
    """
    assert "?" not in path and path.endswith("/"), "what Bitstamp signs of a query is not known"
    kind = FORM if body else ""
    signed = f"BITSTAMP {api_key}{method}{host}{path}{kind}{nonce}{timestamp_ms}v2".encode() + body
    return hmac.digest(key, signed, "sha256").hex()


def bitstamp_headers(
    api_key: str,
    key: bytes,
    nonce: str,
    timestamp_ms: int,
    method: str,
    path: str,
    body: bytes = b"",
    host: str = BITSTAMP_HOST,
) -> dict[str, str]:
    """Headers of a private REST request (4).  nonce: a lower-case UUID of version 4, never used before."""
    headers = {
        "X-Auth": f"BITSTAMP {api_key}",
        "X-Auth-Signature": bitstamp_signature(api_key, key, nonce, timestamp_ms, method, path, body, host),
        "X-Auth-Nonce": nonce,
        "X-Auth-Timestamp": str(timestamp_ms),
        "X-Auth-Version": "v2",
    }
    if body:
        headers["Content-Type"] = FORM
    return headers


def bitstamp_response_signature(key: bytes, nonce: str, timestamp_ms: int, content_type: str, body: bytes) -> str:
    """X-Server-Auth-Signature of an answer: compare with `same`.  nonce and timestamp_ms are the request's (4)."""
    return hmac.digest(key, f"{nonce}{timestamp_ms}{content_type}".encode() + body, "sha256").hex()


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _base64url(data: bytes) -> bytes:
    """base64url without padding, as in a JWT."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _from_base64url(text: str) -> bytes:
    return base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)

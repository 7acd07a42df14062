"""Signatures equal those of other people's clients for random keys and requests; a client not installed is skipped.

Each peer makes its request in its own way with time and nonce put in its place; what it sends is then signed by us and
must come out the same, header by header.
"""

from __future__ import annotations

import base64
import random
import string
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pinnacle.venues import signing

pytestmark = pytest.mark.peer
SEEDS = range(20)
PLAIN = string.ascii_letters + string.digits
# Characters that must be percent-encoded, beside those that must not.
ODD = PLAIN + "-_.~ /+=&%:,;@é"


class Draw(random.Random):
    """Random texts, secrets and parameters of one seed, which the test's name shows."""

    def text(self, alphabet: str = PLAIN, most: int = 40) -> str:
        return "".join(self.choices(alphabet, k=self.randint(1, most)))

    def base64_secret(self) -> str:
        return base64.b64encode(self.randbytes(self.randint(8, 64))).decode()

    def params(self, alphabet: str = PLAIN) -> dict[str, str | int]:
        fields = {f"f{i}": self.text(alphabet) for i in range(self.randint(1, 8))}
        return fields | {"price": f"{self.uniform(1, 1e5):.2f}", "size": self.randint(1, 10**9)}


def client(name: str, **credentials: str) -> Any:
    """ccxt's client of a venue."""
    return getattr(pytest.importorskip("ccxt"), name)(credentials)


def kept(headers: dict[str, str], *left_out: str) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in left_out}


@pytest.mark.parametrize("seed", SEEDS)
def test_coinbase_exchange_as_ccxt(seed: int) -> None:
    """All four headers, on a GET with a query and on a POST with a body."""
    draw = Draw(seed)
    secret, key, passphrase = draw.base64_secret(), draw.text(), draw.text()
    peer = client("coinbaseexchange", apiKey=key, secret=secret, password=passphrase)
    peer.nonce = lambda: 1_700_000_000 + seed
    for method in ("GET", "POST"):
        sent = peer.sign("orders", ["private"], method, draw.params(ODD))
        at = urlsplit(sent["url"])
        path = at.path + (f"?{at.query}" if at.query else "")
        ours = signing.coinbase_exchange_headers(
            key, signing.base64_key(secret), passphrase, str(1_700_000_000 + seed), method, path,
            (sent["body"] or "").encode(),
        )  # fmt: skip
        assert ours == kept(sent["headers"], "Content-Type")


@pytest.mark.parametrize("seed", SEEDS)
def test_kraken_as_ccxt(seed: int) -> None:
    """API-Key and API-Sign of forms and of JSON, and the whole call for a websocket's token."""
    draw = Draw(seed)
    secret, key, nonce = draw.base64_secret(), draw.text(), draw.randrange(1 << 52)
    ours = signing.base64_key(secret)
    peer = client("kraken", apiKey=key, secret=secret)
    peer.incrementing_nonce = lambda: nonce
    for name in ("AddOrder", "CancelOrderBatch", "GetWebSocketsToken"):
        params = draw.params(ODD) if name != "GetWebSocketsToken" else {}
        sent = peer.sign(name, ["private"], "POST", params)
        path = urlsplit(sent["url"]).path
        assert signing.kraken_headers(key, ours, path, nonce, sent["body"].encode()) == kept(
            sent["headers"], "Content-Type"
        )
    assert signing.kraken_websocket_token(key, ours, nonce) == (
        path, sent["body"].encode(), kept(sent["headers"], "Content-Type")
    )  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_kraken_as_krakenex(seed: int) -> None:
    """API-Sign of a form."""
    from urllib.parse import urlencode

    draw = Draw(seed)
    secret, nonce = draw.base64_secret(), draw.randrange(1 << 52)
    peer = pytest.importorskip("krakenex").API(draw.text(), secret)
    data = {"nonce": nonce} | draw.params(ODD)
    wanted = peer._sign(data, "/0/private/AddOrder")
    body = urlencode(data).encode()
    assert signing.kraken_signature(signing.base64_key(secret), "/0/private/AddOrder", nonce, body) == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_kraken_as_python_kraken_sdk(seed: int) -> None:
    """API-Sign of any body."""
    draw = Draw(seed)
    secret, nonce, body = draw.base64_secret(), draw.randrange(1 << 52), draw.text(ODD)
    peer = pytest.importorskip("kraken.base_api").SpotClient(draw.text(), secret)
    wanted = peer._get_kraken_signature("/0/private/AddOrder", body, nonce)
    ours = signing.kraken_signature(signing.base64_key(secret), "/0/private/AddOrder", nonce, body.encode())
    assert ours == wanted


@pytest.mark.parametrize("seed", SEEDS)
def test_gemini_as_ccxt(seed: int) -> None:
    """Key, payload and signature of a request."""
    draw = Draw(seed)
    secret, key = draw.text(), "account-" + draw.text()
    peer = client("gemini", apiKey=key, secret=secret)
    peer.incrementing_nonce = lambda: 1_700_000_000_000 + seed
    sent = peer.sign("v1/order/new", ["private"], "POST", draw.params(ODD))
    payload = base64.b64decode(sent["headers"]["X-GEMINI-PAYLOAD"])
    ours = signing.gemini_headers(key, signing.text_key(secret), payload)
    assert sent["headers"].items() <= ours.items()


@pytest.mark.parametrize("seed", SEEDS)
def test_gemini_as_gemini_python(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The headers that a client of Gemini alone would send."""
    private_client = pytest.importorskip("gemini.private_client")
    draw = Draw(seed)
    secret, key = draw.text(), draw.text()
    sent: dict[str, Any] = {}

    class Answer:
        def json(self) -> None: ...

    def post(url: str, headers: dict[str, Any]) -> Answer:
        sent.update(headers)
        return Answer()

    monkeypatch.setattr(private_client.requests, "post", post)
    private_client.PrivateClient(key, secret).api_query("/v1/order/new", draw.params(ODD))
    ours = signing.gemini_headers(key, signing.text_key(secret), base64.b64decode(sent["X-GEMINI-PAYLOAD"]))
    assert ours == sent | {"X-GEMINI-PAYLOAD": sent["X-GEMINI-PAYLOAD"].decode()}


def pem(key: signing.PrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def binance_secret(kind: str, draw: Draw) -> tuple[str, signing.BinanceKey]:
    """(the text that other clients are given, our key) of a kind of key."""
    if kind == "hmac":
        secret = draw.text(most=64)
        return secret, signing.text_key(secret)
    key: signing.BinanceKey
    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
    else:
        key = rsa.generate_private_key(65537, 2048)
    return pem(key), key


BINANCE_KINDS = [("hmac", seed) for seed in SEEDS] + [("ed25519", seed) for seed in SEEDS] + [("rsa", 0)]


@pytest.mark.parametrize(("kind", "seed"), BINANCE_KINDS)
def test_binance_rest_as_ccxt(kind: str, seed: int) -> None:
    """The whole signed query, percent-encoding included, for all three kinds of key."""
    draw = Draw(seed)
    secret, key = binance_secret(kind, draw)
    peer = client("binance", apiKey=draw.text(), secret=secret)
    peer.nonce = lambda: 1_700_000_000_000 + seed
    # It writes a blank as a plus; the venue asks for percent-encoding, in which a plus is a plus.
    sent = peer.sign("order", ["private"], "POST", draw.params(ODD.replace(" ", "")))
    params = dict(parse_qsl(sent["body"]))
    theirs = params.pop("signature")
    query = signing.binance_signed_query(key, params)
    assert query == sent["body"] and theirs == signing.binance_signature(key, query.rpartition("&")[0].encode())
    assert signing.binance_headers(peer.apiKey) == kept(sent["headers"], "Content-Type")


@pytest.mark.parametrize(("kind", "seed"), BINANCE_KINDS)
def test_binance_futures_as_ccxt(kind: str, seed: int) -> None:
    """The query of a futures order, signed as a spot one is."""
    draw = Draw(seed)
    secret, key = binance_secret(kind, draw)
    peer = client("binanceusdm", apiKey=draw.text(), secret=secret)
    peer.nonce = lambda: 1_700_000_000_000 + seed
    sent = peer.sign("order", ["fapiPrivate"], "POST", draw.params(ODD.replace(" ", "")))
    text = sent["body"] or sent["url"].partition("?")[2]
    params = dict(parse_qsl(text))
    theirs = params.pop("signature")
    assert signing.binance_signed_query(key, params) == text
    assert theirs == signing.binance_signature(key, text.rpartition("&signature=")[0].encode())
    assert sent["headers"]["X-MBX-APIKEY"] == signing.binance_headers(peer.apiKey)["X-MBX-APIKEY"]


@pytest.mark.parametrize(("kind", "seed"), BINANCE_KINDS)
def test_binance_websocket_as_python_binance(kind: str, seed: int) -> None:
    """Parameters of a ws-api request, in the characters for which the clients do not differ from the documents."""
    draw = Draw(seed)
    secret, key = binance_secret(kind, draw)
    api_key = draw.text()
    given = draw.params() | {"apiKey": api_key, "timestamp": 1_700_000_000_000 + seed}
    ours = signing.binance_websocket_params(key, given)
    base_client = pytest.importorskip("binance.base_client")

    class Peer(base_client.BaseClient):  # type: ignore[misc, name-defined]
        def _init_session(self) -> None: ...

    named = {"api_secret": secret} if kind == "hmac" else {"private_key": secret}
    peer = Peer(api_key=api_key, **named)
    assert ours == peer._sign_ws_params(dict(given), peer._generate_ws_api_signature)


@pytest.mark.parametrize(("kind", "seed"), BINANCE_KINDS)
def test_binance_websocket_as_ccxt(kind: str, seed: int) -> None:
    """The same with any characters: sorted and not percent-encoded."""
    draw = Draw(seed)
    secret, key = binance_secret(kind, draw)
    peer = pytest.importorskip("ccxt.pro").binance({"apiKey": draw.text(), "secret": secret})
    peer.nonce = lambda: 1_700_000_000_000 + seed
    theirs = peer.sign_params(draw.params(ODD))
    given = {name: value for name, value in reversed(theirs.items()) if name != "signature"}
    assert signing.binance_websocket_params(key, given) == theirs


@pytest.mark.parametrize(("kind", "seed"), BINANCE_KINDS)
def test_binance_as_binance_connector(kind: str, seed: int) -> None:
    """The signature of the query that the venue's own client makes."""
    draw = Draw(seed)
    secret, key = binance_secret(kind, draw)
    api = pytest.importorskip("binance.api")
    peer = api.API(draw.text(), secret) if kind == "hmac" else api.API(draw.text(), private_key=secret.encode())
    params = draw.params(ODD.replace(" ", "").replace("~", ""))
    query = peer._prepare_params(dict(params))
    wanted = peer._get_sign(query)
    assert signing.binance_signature(key, query.encode()) == (wanted if kind == "hmac" else wanted.decode())


@pytest.mark.parametrize("seed", SEEDS)
def test_bitstamp_as_ccxt(seed: int) -> None:
    """All headers of a POST with a body, and of a GET, which it sends without one."""
    draw = Draw(seed)
    secret, key, nonce = draw.text(), draw.text(), f"{draw.getrandbits(128):032x}"
    peer = client("bitstamp", apiKey=key, secret=secret)
    peer.uuid, peer.milliseconds = (lambda: nonce), (lambda: 1_700_000_000_000 + seed)
    sent = peer.sign("buy/btcusd/", ["private"], "POST", draw.params(ODD))
    ours = signing.bitstamp_headers(
        key, signing.text_key(secret), nonce, 1_700_000_000_000 + seed, "POST", urlsplit(sent["url"]).path,
        sent["body"].encode(),
    )  # fmt: skip
    assert ours == sent["headers"]
    sent = peer.sign("trade_history/", ["private"], "GET", {})
    ours = signing.bitstamp_headers(
        key, signing.text_key(secret), nonce, 1_700_000_000_000 + seed, "GET", "/api/v2/trade_history/"
    )
    assert ours == sent["headers"]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_coinbase_jwt_as_the_official_client(kind: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token read by us and ours by its library: the same header and claims, and for Ed25519 the same bytes."""
    generator = pytest.importorskip("coinbase.jwt_generator")
    jwt = pytest.importorskip("jwt")
    draw = Draw(seed)
    nonce, name, now_s = draw.randbytes(32).hex(), draw.text(PLAIN + "/-"), 1_700_000_000 + seed
    key: signing.PrivateKey
    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        secret = base64.b64encode(key.private_bytes_raw()).decode()
    else:
        key = ec.derive_private_key(draw.getrandbits(250) + 1, ec.SECP256R1())
        secret = pem(key)
    monkeypatch.setattr(generator.secrets, "token_hex", lambda: nonce)
    monkeypatch.setattr(generator.time, "time", lambda: now_s + 0.5)
    uri = signing.coinbase_jwt_uri("GET", "/api/v3/brokerage/accounts")
    assert uri == generator.format_jwt_uri("GET", "/api/v3/brokerage/accounts")
    for theirs, ours in (
        (generator.build_rest_jwt(uri, name, secret), signing.coinbase_jwt(key, name, now_s, nonce, uri)),
        (generator.build_ws_jwt(name, secret), signing.coinbase_jwt(key, name, now_s, nonce)),
    ):
        read = signing.read_jwt(key.public_key(), theirs)
        assert read is not None and read == signing.read_jwt(key.public_key(), ours)
        # Both algorithms as the caller names them: the library must not choose by what the token says.
        algorithm = "EdDSA" if kind == "ed25519" else "ES256"
        options = {"verify_exp": False, "verify_nbf": False}
        assert jwt.decode(ours, key.public_key(), algorithms=[algorithm], options=options) == read[1]
        assert jwt.get_unverified_header(ours) == read[0]
        if kind == "ed25519":
            parts = [signing.read_jwt(key.public_key(), token) for token in (theirs, ours)]
            assert parts[0] == parts[1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_coinbase_jwt_of_ccxt_is_read(kind: str, seed: int) -> None:
    """Its token, which carries older claims, is verified by us and bound to the same request."""
    draw = Draw(seed)
    key: signing.PrivateKey
    if kind == "ed25519":
        key = ed25519.Ed25519PrivateKey.from_private_bytes(draw.randbytes(32))
        secret = base64.b64encode(key.private_bytes_raw() + key.public_key().public_bytes_raw()).decode()
    else:
        key = ec.derive_private_key(draw.getrandbits(250) + 1, ec.SECP256R1())
        secret = pem(key)
    peer = client("coinbase", apiKey="organizations/a/apiKeys/b", secret=secret)
    sent = peer.sign("brokerage/accounts", ["v3", "private"], "GET", draw.params())
    token = sent["headers"]["Authorization"].removeprefix("Bearer ")
    header, claims = signing.read_jwt(signing.private_key(secret).public_key(), token) or ({}, {})
    uri = claims.get("uri") or claims["uris"][0]  # type: ignore[index]
    assert uri == signing.coinbase_jwt_uri("GET", "/api/v3/brokerage/accounts?a=b")
    assert header["kid"] == claims["sub"] == "organizations/a/apiKeys/b"

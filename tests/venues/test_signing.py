"""Signatures equal the published vectors, byte for byte, and nothing else passes for one."""

from __future__ import annotations

import base64
import random
import traceback

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from pinnacle.errors import OperatorError
from pinnacle.venues import signing

FAKE_SECRET = "ZmFrZS1zZWNyZXQtbm90LWEtcmVhbC1rZXktMDEyMzQ1Njc4OQ=="
FAKE_KEY = signing.base64_key(FAKE_SECRET)
SHORT_KEY = signing.base64_key("c2VjcmV0")

# --- Coinbase -----------------------------------------------------------------------------------------------------

ORDER = (
    '{"client_oid":"6d1b345e-2821-40e2-ad83-4ecb18a06876","product_id":"BTC-USD","side":"buy","type":"limit",'
    '"price":"30000.01","size":"0.001","post_only":true}'
)


@pytest.mark.parametrize(
    ("method", "path", "body", "signature"),
    [
        ("GET", "/accounts", "", "SoXMuVvgkYuAK5poAV0iLeThq0kRBGWj8z68NSh+4n4="),
        (
            "GET",
            "/orders?limit=100&product_id=BTC-USD&status=open",
            "",
            "oY3YFvAf7666f5T6NnOPeayfDOgRSuBDO46fPTIaxyY=",
        ),
        ("POST", "/orders", ORDER, "d2APlZkZvIcuyjfZDmeb1WC8Bb6lPhkwbbBr2lPuD6w="),
        ("GET", "/users/self/verify", "", "IISoXUEMYkxktTkl0gwxAtvdzYhja1F+JDeBcUhqwNo="),
    ],
)
def test_coinbase_exchange_rest(method: str, path: str, body: str, signature: str) -> None:
    """The vectors of the Exchange's REST interface."""
    headers = signing.coinbase_exchange_headers("k", FAKE_KEY, "p", "1700000000", method, path, body.encode())
    assert headers == {
        "CB-ACCESS-KEY": "k",
        "CB-ACCESS-SIGN": signature,
        "CB-ACCESS-TIMESTAMP": "1700000000",
        "CB-ACCESS-PASSPHRASE": "p",
    }


def test_coinbase_exchange_websocket_and_fix() -> None:
    """The vectors of its websocket and of its FIX Logon."""
    fields = signing.coinbase_exchange_subscribe("k", SHORT_KEY, "p", "1700000000")
    assert fields == {
        "signature": "lhmJXK08fk9SI1ZwFXKFRrPtzfbNOwC+D1xMJJ/1KZg=",
        "key": "k",
        "passphrase": "p",
        "timestamp": "1700000000",
    }
    logon = signing.coinbase_exchange_logon(SHORT_KEY, "PASS", "APIKEY", "20261122-07:00:00.000")
    assert logon == "UzKI5M+2iiibTbMt+4sa4ftARTwpyjSCHdbZOi9e6TM="


KEY_NAME = "organizations/org/apiKeys/key"
NONCE = "00112233445566778899aabbccddeeff"
SEED = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("uri", [True, False])
def test_coinbase_jwt_of_an_ed25519_key(uri: bool) -> None:
    """The vectors of the Advanced interface, for REST and the websocket; the whole key is its seed."""
    signature = (
        "UlcnFaSsB7cR2zEGs8SygeD_-WTE9O8QUlpZPC5t2fCcxbEanFHv_qgLBRIYuPEjq0FLd8jwnFIm2NAlQ1kaBw"
        if uri
        else "gaRNo_EVEoFpPYd-gZu3hmE1iaoWLjGDPFhlFoAi_Qc931Ee8CiXPwyuTd-YlJRUMX888LT3Ha3cE9KGgscxAg"
    )
    key = signing.private_key(SEED)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    both = base64.b64encode(bytes(range(32)) + key.public_key().public_bytes_raw()).decode()
    where = signing.coinbase_jwt_uri("GET", "/api/v3/brokerage/accounts?limit=5") if uri else None
    for one in (key, signing.private_key(both)):
        token = signing.coinbase_jwt(one, KEY_NAME, 1700000000, NONCE, where)
        assert token.split(".")[2] == signature
    header, claims = signing.read_jwt(key.public_key(), token) or ({}, {})
    assert header == {"alg": "EdDSA", "kid": KEY_NAME, "nonce": NONCE, "typ": "JWT"}
    wanted = {"sub": KEY_NAME, "iss": "cdp", "nbf": 1700000000, "exp": 1700000120}
    assert claims == wanted | ({"uri": "GET api.coinbase.com/api/v3/brokerage/accounts"} if uri else {})


def test_coinbase_jwt_of_a_p256_key() -> None:
    """An ES256 token has 64 bytes of signature, is verified by its public key, and is the same each time."""
    key = ec.generate_private_key(ec.SECP256R1())
    headers = signing.coinbase_jwt_headers(key, KEY_NAME, 1700000000, NONCE, "GET", "/api/v3/brokerage/accounts?a=b")
    token = headers["Authorization"].removeprefix("Bearer ")
    again = signing.coinbase_jwt_headers(key, KEY_NAME, 1700000000, NONCE, "GET", "/api/v3/brokerage/accounts?a=b")
    assert headers == again
    header, claims = signing.read_jwt(key.public_key(), token) or ({}, {})
    assert header["alg"] == "ES256" and claims["uri"] == "GET api.coinbase.com/api/v3/brokerage/accounts"
    assert len(base64.urlsafe_b64decode(token.split(".")[2] + "==")) == 64


# --- Kraken -------------------------------------------------------------------------------------------------------

KRAKEN_DOCS_SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="


@pytest.mark.parametrize(
    ("path", "body", "signature"),
    [
        (
            "/0/private/Balance",
            "nonce=1700000000000",
            "7XJ5wVcFAD2Aff0MsoQ+bdDsuquSAl2eG9RzbpUCtJn1ndy3l428ZtDeEtnh9CNHmh56Z7gKEQi8tHUbq/1sGA==",
        ),
        (
            "/0/private/AddOrder",
            "nonce=1700000000000&pair=XBTUSD&type=buy&ordertype=limit&price=30000.1&volume=0.01&oflags=post"
            "&timeinforce=GTC&cl_ord_id=6d1b345e-2821-40e2-ad83-4ecb18a06876",
            "uWJIptMmie7a1+DRnnwrFv+twcxHNlo0MoXnrD387NH6zZj0gfdobQK6y8KQzBXoW4Sr8nRbAgmSYeN1foM4MQ==",
        ),
        (
            "/0/private/AddOrder",
            "nonce=1700000000000&pair=XBTUSD&type=buy",
            "RtHIg6K8MgZgdcRLjsuIohsT9AEUTzX3mAFV8Bt41oqk0n/cd6BoLTkRbntSuAZoC/cFkMtNWfpKJvQHjbqTEg==",
        ),
        (
            "/0/private/CancelOrderBatch",
            '{"nonce":"1700000000000","orders":["OABCDE-12345-FGHIJ","OABCDE-12345-FGHIK"]}',
            "3MSTLVXKGGjuUJ8fXcFLw127FAOqimsl7J1scLo3N62sxnNXQlZgYmWlYubTIA5hvOyrHFQTuGAQxlZX+V6Nwg==",
        ),
    ],
)
def test_kraken_rest(path: str, body: str, signature: str) -> None:
    """The vectors of Kraken's REST interface, form and JSON."""
    headers = signing.kraken_headers("k", FAKE_KEY, path, 1700000000000, body.encode())
    assert headers == {"API-Key": "k", "API-Sign": signature}


def test_kraken_documented_order_token_and_fix() -> None:
    """The documented AddOrder, the call for a websocket's token, and the password of a FIX Logon."""
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    key = signing.base64_key(KRAKEN_DOCS_SECRET)
    assert (
        signing.kraken_signature(key, "/0/private/AddOrder", 1616492376594, body)
        == "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )
    path, body, headers = signing.kraken_websocket_token("k", FAKE_KEY, 1700000000000)
    assert (path, body) == ("/0/private/GetWebSocketsToken", b"nonce=1700000000000")
    assert headers["API-Sign"] == (
        "kFvlpcelKxWmE9xeA+h3icIG7eLb+zYW1umkCkhJYdnsIESblQxg2bKKe/7WGJ4ETbUWIBd+203pNUnew+2+yQ=="
    )
    assert signing.kraken_logon_password(SHORT_KEY, "APIKEY", 1724512345678, 7, "CLIENT", "KRAKEN-TRD") == (
        "MwX+M7nvuHXxD5aGI/TFpghXxg2iblxXYyz7lRzLCPMA4UJYI3osNrUKWCiI3fDnOLkEQ5WKSK58Mp3nvu1Klw=="
    )


# --- Gemini -------------------------------------------------------------------------------------------------------


def test_gemini() -> None:
    """The documented payload, two of REST, and two handshakes of the websocket."""
    documented = (
        "ewogICAgInJlcXVlc3QiOiAiL3YxL29yZGVyL3N0YXR1cyIsCiAgICAibm9uY2UiOiAxMjM0NTYsCgog"
        "ICAgIm9yZGVyX2lkIjogMTg4MzQKfQo="
    )
    assert signing.gemini_signature(signing.text_key("1234abcd"), documented) == (
        "337cc8b4ea692cfe65b4a85fcc9f042b2e3f702ac956fd098d600ab15705775017beae402be773ceee10719ff70d710f"
    )
    key = signing.text_key("fakesecret")
    headers = signing.gemini_headers("account-fakekey", key, b'{"request":"/v1/balances","nonce":"1700000000000"}')
    assert headers["X-GEMINI-PAYLOAD"] == "eyJyZXF1ZXN0IjoiL3YxL2JhbGFuY2VzIiwibm9uY2UiOiIxNzAwMDAwMDAwMDAwIn0="
    assert headers["X-GEMINI-SIGNATURE"] == (
        "83f95b5bf7dea9767800f3cf49d55fe9104b62cbe7e02ecfb138e5c1f395e3cc1621478ec08c0641cdfb132404e82cce"
    )
    order = (
        b'{"request":"/v1/order/new","nonce":"1700000000000","symbol":"btcusd","amount":"0.01","price":"30000.01",'
        b'"side":"buy","type":"exchange limit","client_order_id":"mm-1","options":["maker-or-cancel"]}'
    )
    headers = signing.gemini_headers("account-fakekey", key, order)
    assert base64.b64decode(headers["X-GEMINI-PAYLOAD"]) == order
    assert headers["X-GEMINI-SIGNATURE"] == (
        "af4b085098f9de7ba0169eedbd0d5c2bc0e3faad3bb594bf4f127de0292ea1331b1360899bd8eca460ea722fbb311a2f"
    )
    for nonce, payload, signature in (
        (
            "1700000000",
            "MTcwMDAwMDAwMA==",
            "ead89095922ee5b2d1303633588f408cb81edcde3527abccb4ee2fadb000c807d82078944968a4e01a2acbfca069bc47",
        ),
        (
            "1700000000000",
            "MTcwMDAwMDAwMDAwMA==",
            "5def0f80c17045b8a534ac274f4b466256a20dc68f94a26bb56d08084ef2c59cd157e1fd6b7eeb7d3d7c6497539ff697",
        ),
    ):
        assert signing.gemini_websocket_headers("account-fakekey", key, nonce) == {
            "X-GEMINI-APIKEY": "account-fakekey",
            "X-GEMINI-NONCE": nonce,
            "X-GEMINI-PAYLOAD": payload,
            "X-GEMINI-SIGNATURE": signature,
        }


# --- Binance ------------------------------------------------------------------------------------------------------

BINANCE_HMAC = signing.text_key("NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j")
BINANCE_API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
BINANCE_PEM = (
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u\n"
    "-----END PRIVATE KEY-----\n"
)
BINANCE_ED25519 = signing.private_key(BINANCE_PEM)
assert isinstance(BINANCE_ED25519, ed25519.Ed25519PrivateKey)
MAKER = (
    "symbol=BTCUSDT&side=BUY&type=LIMIT_MAKER&quantity=0.001&price=30000.01&newClientOrderId=mm-1"
    "&timestamp=1700000000000"
)


def params(text: str) -> dict[str, str | int]:
    """`a=b&c=d` as parameters in their order."""
    return dict(one.split("=", 1) for one in text.split("&"))


@pytest.mark.parametrize(
    ("key", "payload", "signature"),
    [
        (
            BINANCE_HMAC,
            "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559",
            "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
        ),
        (BINANCE_HMAC, MAKER, "8994d500b331fd455b0877bd9956892a645df3547f6001eab524341521170afa"),
        (
            BINANCE_ED25519,
            MAKER,
            "nZGEeDDCvU5%2BZe9tE8uKqitUpp2AGq7MYQaKNzUxZ8awuGhQT8ckJfruL7st2FAPzNGV5VPOf8gV43RLlj2kAA%3D%3D",
        ),
        (
            BINANCE_ED25519,
            "timestamp=1700000000000&symbol=BTCUSDT&recvWindow=10000",
            "O6WuMjnIC9s%2Bs3cqbHUp7regN8%2FldPa5gYwDN%2BSKJG%2Fh55nyDGbpw%2B49bgTWiAfGgET0Imn9RLt5MnKmEJmOBQ%3D%3D",
        ),
        (
            BINANCE_HMAC,
            "symbol=１２３４５６&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
            "&timestamp=1499827319559",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_binance_rest(key: signing.BinanceKey, payload: str, signature: str) -> None:
    """The vectors of Binance's REST interface: values are encoded before they are signed, the signature after."""
    query = signing.binance_signed_query(key, params(payload))
    encoded = payload.replace("１２３４５６", "%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96")
    assert query == f"{encoded}&signature={signature}"


@pytest.mark.parametrize(
    ("key", "payload", "signature"),
    [
        (
            BINANCE_HMAC,
            f"apiKey={BINANCE_API_KEY}&price=52000.00&quantity=0.01000000&recvWindow=100&side=SELL&symbol=BTCUSDT"
            "&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
        ),
        (
            BINANCE_HMAC,
            f"apiKey={BINANCE_API_KEY}&price=0.10000000&quantity=1.00000000&recvWindow=5000&side=BUY"
            "&symbol=１２３４５６&timeInForce=GTC&timestamp=1645423376532&type=LIMIT",
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd",
        ),
        (
            BINANCE_HMAC,
            "apiKey=fakekey&newClientOrderId=mm-1&price=30000.01&quantity=0.001&side=BUY&symbol=BTCUSDT"
            "&timestamp=1700000000000&type=LIMIT_MAKER",
            "97f8f8c586bd4b9f75d75c651cd05bc0abb22d9ccff85e4b8737947dfc94669c",
        ),
        (
            BINANCE_ED25519,
            "apiKey=fakekey&recvWindow=5000&timestamp=1700000000000",
            "STpQO18739BT+S7StfYVZk5TsGU0Islmr8WDaXkPJew4HCkTuk0xBFddRuSIDmxg6jOa8iMyaQdPCi+H/EA9Ag==",
        ),
        (
            BINANCE_HMAC,
            "apiKey=fakekey&recvWindow=5000&timestamp=1700000000000",
            "4dd495e707921dcf3b9045b64a31b6eb4ff2457d520e7366e1ed1f3545efb729",
        ),
    ],
)
def test_binance_websocket(key: signing.BinanceKey, payload: str, signature: str) -> None:
    """The vectors of its websocket interface, whatever order the parameters come in."""
    given = list(params(payload).items())
    random.Random(1).shuffle(given)
    assert signing.binance_websocket_params(key, dict(given)) == params(payload) | {"signature": signature}


def test_binance_fix_and_rsa() -> None:
    """The documented FIX Logon, and an RSA signature that its public key verifies."""
    assert isinstance(BINANCE_ED25519, ed25519.Ed25519PrivateKey)
    assert signing.binance_logon(BINANCE_ED25519, "EXAMPLE", "20240627-11:17:25.223") == (
        "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlGPrQHrgtS3CvsRURC1oj73j8gCA=="
    )
    key = rsa.generate_private_key(65537, 2048)
    signature = base64.b64decode(signing.binance_signature(key, MAKER.encode()))
    key.public_key().verify(signature, MAKER.encode(), padding.PKCS1v15(), hashes.SHA256())
    assert signing.verified(key.public_key(), signature, MAKER.encode())
    assert not signing.verified(key.public_key(), signature, MAKER.encode() + b"0")


# --- Bitstamp -----------------------------------------------------------------------------------------------------

UUID = "f93c979d-b00d-43a9-9b9c-fd4cd9547fa6"


@pytest.mark.parametrize(
    ("who", "ts_ms", "method", "path", "body", "signature"),
    [
        (
            "api_key", 1567755304968, "POST", "/api/v2/user_transactions/", "offset=1",
            "526d7cd4184c381c21c2f8e6eeca15292edcc7ab8c4a188d68ee5c5ceb11b302",
        ),
        (
            "api_key", 1567755304968, "POST", "/api/v2/websockets_token/", "",
            "f58263659450b1bb47cbcf6cb8e835cd26d14df648b08eda6dfaa442edc1f0b3",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/websockets_token/", "",
            "38d203b59f0f7d95deae4163a0609224187703ab017184f7a68a56f540fe62b1",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/account_balances/", "",
            "87930c4e56e9ce8aad0fee1915fa1401c2fa813780b0066ae978ed0ae503b98c",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/account_balances/", "foo=bar",
            "2c7108051977e33a9a08dfaa342da5fd61ae1dae7b5476bbf100fda4ca8e50c5",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/cancel_all_orders/btcusd/", "",
            "7582a7a5d672f1fb26ba258cd50bd4633fda3654885df8cb964c4e652ef37b36",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/buy/btcusd/",
            "amount=0.01&price=30000&client_order_id=mm-1&moc_order=True",
            "16c5c832a5bf871916b9d73b13dc7b6052a6f7ee991af40e6e5f3162d627a056",
        ),
        (
            "fakekey", 1700000000000, "POST", "/api/v2/order_status/", "id=1234",
            "8c53fab964ff92e3ed97bdcfa360cc38fa421d838dde7dc06cf4c137fa5e363c",
        ),
        (
            "fakekey", 1700000000000, "GET", "/api/v2/trade_history/", "",
            "bbe12030aa651f278a6808b73d426f43ff157a20f369d4b61bda37a9d6cf3520",
        ),
    ],
)  # fmt: skip
def test_bitstamp(who: str, ts_ms: int, method: str, path: str, body: str, signature: str) -> None:
    """The vectors of Bitstamp: a Content-Type is sent and signed where there is a body, and only there."""
    key = signing.text_key({"api_key": "api_key_secret", "fakekey": "fakesecret"}[who])
    headers = signing.bitstamp_headers(who, key, UUID, ts_ms, method, path, body.encode())
    form = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    assert headers == form | {
        "X-Auth": f"BITSTAMP {who}",
        "X-Auth-Signature": signature,
        "X-Auth-Nonce": UUID,
        "X-Auth-Timestamp": str(ts_ms),
        "X-Auth-Version": "v2",
    }


def test_bitstamp_signs_no_query() -> None:
    """A query is refused, because what is signed of it is not known; so is a path that the venue would redirect."""
    for path in ("/api/v2/trade_history/?limit=1", "/api/v2/trade_history"):
        with pytest.raises(AssertionError):
            signing.bitstamp_headers("k", b"s", UUID, 1, "GET", path)


def test_bitstamp_answers_are_verified() -> None:
    """The server's signature covers nonce, time, content type and body: any change of one is noticed."""
    given = [UUID, 1700000000000, "application/json", b'{"id": "1"}']
    right = signing.bitstamp_response_signature(b"fakesecret", *given)  # type: ignore[arg-type]
    changed = ["f93c979d-b00d-43a9-9b9c-fd4cd9547fa7", 1700000000001, "text/html", b'{"id": "2"}']
    for i, value in enumerate(changed):
        other = given[:i] + [value] + given[i + 1 :]
        wrong = signing.bitstamp_response_signature(b"fakesecret", *other)  # type: ignore[arg-type]
        assert signing.same(right, right) and not signing.same(right, wrong)


# --- keys and the server's side -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ed25519", "p256", "rsa"])
def test_private_keys_in_every_spelling(kind: str) -> None:
    r"""PKCS#8, the traditional PEM, and a PEM with \\n for its line ends give the same key; so does a stray blank."""
    key = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
    }[kind]()
    plain = serialization.NoEncryption()
    pkcs8 = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()
    spellings = [pkcs8, "  " + pkcs8.rstrip(), pkcs8.replace("\n", "\\n")]
    if kind != "ed25519":
        old = serialization.PrivateFormat.TraditionalOpenSSL
        spellings.append(key.private_bytes(serialization.Encoding.PEM, old, plain).decode())
    for text in spellings:
        assert signing.private_key(text).public_key() == key.public_key()
        assert signing.private_key(text.encode()).public_key() == key.public_key()


def bad_secrets() -> list[tuple[str, object, str]]:
    """(what reads it, the text, a word of the error)."""
    key = ec.generate_private_key(ec.SECP384R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    locked = BINANCE_ED25519.private_bytes(pem, pkcs8, serialization.BestAvailableEncryption(b"x"))
    other = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    halves = base64.b64encode(bytes(range(64))).decode()
    return [
        ("base64_key", "not base64 at all", "base64"),
        ("base64_key", "c2Vjc\u00e9mV0", "base64"),
        ("base64_key", "", "empty"),
        ("text_key", "with space", "spaces"),
        ("text_key", "trailing\n", "spaces"),
        ("text_key", "", "empty"),
        ("text_key", "gr\u00fcn", "characters"),
        ("private_key", "c2VjcmV0", "32 or 64"),
        ("private_key", halves, "halves"),
        ("private_key", BINANCE_PEM.replace("MC4C", "MC4D"), "no private key"),
        ("private_key", "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----", "no private key"),
        ("private_key", locked, "encrypted"),
        ("private_key", other, "no venue takes"),
    ]


@pytest.mark.parametrize(("reader", "text", "word"), bad_secrets())
def test_a_bad_secret_is_named_and_not_shown(reader: str, text: str | bytes, word: str) -> None:
    """What is wrong with a secret is said without any part of it, also in what the error was caused by."""
    with pytest.raises(OperatorError, match=word) as caught:
        getattr(signing, reader)(text)
    shown = text if isinstance(text, str) else text.decode()
    said = "".join(traceback.format_exception(caught.value, chain=True)[-1:])
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    for line in shown.splitlines():
        assert len(line) < 4 or line not in said


@pytest.mark.parametrize("kind", ["ed25519", "p256"])
def test_no_other_text_passes_for_a_token(kind: str) -> None:
    """A token with any character changed, its parts exchanged, or read with another key is none."""
    keys = [
        ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else ec.generate_private_key(ec.SECP256R1())
        for _ in range(2)
    ]
    token = signing.coinbase_jwt(keys[0], KEY_NAME, 1700000000, NONCE)
    public = keys[0].public_key()
    assert signing.read_jwt(public, token) is not None
    assert signing.read_jwt(keys[1].public_key(), token) is None
    header, claims, signature = token.split(".")
    wrong = [f"{claims}.{header}.{signature}", f"{header}.{claims}", f"{header}.{claims}.", "..", "a.b.c", ""]
    # The last character of a part holds bits that are not part of its bytes; a change there need not be one.
    ends = {len(header) - 1, len(header) + len(claims), len(token) - 1}
    for i in sorted(set(range(len(token))) - ends):
        wrong.append(token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :])
    for text in wrong:
        assert signing.read_jwt(public, text) is None, text

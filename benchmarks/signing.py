"""From an order to the bytes of a signed request, for each venue and kind of key, beside ccxt's `sign` for the same.

    python benchmarks/signing.py [--requests 2000] [--rounds 7]

The order is a post-only limit order whose price and size are already decimal text.  Included on our side: building the
body or query, signing, and writing the whole HTTP request (Binance's websocket request: its JSON) as bytes ready for a
socket.  Included on ccxt's side: its `sign` alone, which gives url, headers and body but no bytes, with time and nonce
put in place so that it reads no clock; where its signature has no randomness the two are compared before they are
timed.  Left out: keys are prepared once, as in a session.

Rounds of the two alternate in one process; a request's time is the median over all requests of all rounds, and the
ratio is that of the two medians.  Asked for: below 30 us for each HMAC entry.
"""

from __future__ import annotations

import argparse
import base64
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.conditions import print_conditions
from pinnacle.venues import signing

NOW_MS = 1_700_000_000_000
SECRET64 = base64.b64encode(bytes(range(64))).decode()
TEXT = "fakesecretfakesecretfakesecret01"
UUID = "6d1b345e-2821-40e2-ad83-4ecb18a06876"
PRICE, SIZE = "30000.01", "0.001"
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(1 << 200, ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
KEY_NAME = "organizations/org/apiKeys/key"
encode = msgspec.json.Encoder().encode


def request(method: str, host: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """An HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1\r\nHost: {host}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def form(params: dict[str, str | int]) -> bytes:
    return "&".join([f"{name}={quote(str(value), safe='')}" for name, value in params.items()]).encode()


EXCHANGE = {
    "client_oid": UUID, "product_id": "BTC-USD", "side": "buy", "type": "limit", "price": PRICE, "size": SIZE,
    "post_only": True,
}  # fmt: skip
ADVANCED = {
    "client_order_id": UUID, "product_id": "BTC-USD", "side": "BUY",
    "order_configuration": {"limit_limit_gtc": {"base_size": SIZE, "limit_price": PRICE, "post_only": True}},
}  # fmt: skip
KRAKEN = {
    "pair": "XBTUSD", "type": "buy", "ordertype": "limit", "price": PRICE, "volume": SIZE, "oflags": "post",
    "cl_ord_id": UUID,
}  # fmt: skip
GEMINI = {
    "symbol": "btcusd", "amount": SIZE, "price": PRICE, "side": "buy", "type": "exchange limit",
    "client_order_id": UUID, "options": ["maker-or-cancel"],
}  # fmt: skip
BINANCE: dict[str, str | int] = {
    "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT_MAKER", "quantity": SIZE, "price": PRICE,
    "newClientOrderId": UUID, "recvWindow": 10000,
}  # fmt: skip
BITSTAMP: dict[str, str | int] = {
    "amount": SIZE, "price": PRICE, "client_order_id": UUID, "moc_order": "True",
}  # fmt: skip


def exchange_of(key: bytes) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        body = encode(EXCHANGE)
        stamp = f"{(NOW_MS + k) // 1000}"
        headers = signing.coinbase_exchange_headers("k", key, "p", stamp, "POST", "/orders", body)
        return request("POST", "api.exchange.coinbase.com", "/orders", headers, body)

    return make


def advanced_of(key: signing.PrivateKey) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        path = "/api/v3/brokerage/orders"
        headers = signing.coinbase_jwt_headers(key, KEY_NAME, (NOW_MS + k) // 1000, f"{k:032x}", "POST", path)
        return request("POST", "api.coinbase.com", path, headers, encode(ADVANCED))

    return make


def kraken_of(key: bytes) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        body = form({"nonce": NOW_MS + k} | KRAKEN)
        headers = signing.kraken_headers("k", key, "/0/private/AddOrder", NOW_MS + k, body)
        return request("POST", "api.kraken.com", "/0/private/AddOrder", headers, body)

    return make


def gemini_of(key: bytes) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        payload = encode({"request": "/v1/order/new", "nonce": str(NOW_MS + k)} | GEMINI)
        return request("POST", "api.gemini.com", "/v1/order/new", signing.gemini_headers("account-k", key, payload))

    return make


def binance_of(key: signing.BinanceKey) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        body = signing.binance_signed_query(key, {"timestamp": NOW_MS + k} | BINANCE)
        return request("POST", "api.binance.com", "/api/v3/order", signing.binance_headers("k"), body.encode())

    return make


def binance_socket_of(key: signing.BinanceKey) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        params = signing.binance_websocket_params(key, {"apiKey": "k", "timestamp": NOW_MS + k} | BINANCE)
        return encode({"id": k, "method": "order.place", "params": params})

    return make


def bitstamp_of(key: bytes) -> Callable[[int], bytes]:
    def make(k: int) -> bytes:
        body, path = form(BITSTAMP), "/api/v2/buy/btcusd/"
        headers = signing.bitstamp_headers("k", key, f"{k:032x}", NOW_MS + k, "POST", path, body)
        return request("POST", "www.bitstamp.net", path, headers, body)

    return make


def pem(key: signing.PrivateKey) -> str:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode()


def peers() -> dict[str, Callable[[int], Any]]:
    """ccxt's `sign` by the same names; empty where it is not installed."""
    try:
        import ccxt
        import ccxt.pro
    except ImportError:
        return {}

    def of(client: Any, clock: str, scale: int, path: str, api: list[str], params: dict[str, Any]) -> Any:
        now = [0]
        setattr(client, clock, lambda: (NOW_MS + now[0]) // scale)
        client.uuid = lambda: f"{now[0]:032x}"

        def sign(k: int) -> Any:
            now[0] = k
            return client.sign(path, api, "POST", params)

        return sign

    def socket_of(secret: str) -> Any:
        client, now = ccxt.pro.binance({"apiKey": "k", "secret": secret}), [0]
        client.nonce = lambda: NOW_MS + now[0]

        def sign(k: int) -> Any:
            now[0] = k
            return client.sign_params(dict(BINANCE))

        return sign

    def binance(secret: str) -> Any:
        return of(ccxt.binance({"apiKey": "k", "secret": secret}), "nonce", 1, "order", ["private"], BINANCE)

    def advanced(secret: str) -> Any:
        client = ccxt.coinbase({"apiKey": KEY_NAME, "secret": secret})
        return of(client, "seconds", 1000, "brokerage/orders", ["v3", "private"], ADVANCED)

    private = ["private"]
    both = base64.b64encode(ED25519.private_bytes_raw() + ED25519.public_key().public_bytes_raw()).decode()
    exchange = ccxt.coinbaseexchange({"apiKey": "k", "secret": SECRET64, "password": "p"})
    gemini = ccxt.gemini({"apiKey": "account-k", "secret": TEXT})
    kraken = ccxt.kraken({"apiKey": "k", "secret": SECRET64})
    bitstamp = ccxt.bitstamp({"apiKey": "k", "secret": TEXT})
    return {
        "coinbase exchange hmac": of(exchange, "nonce", 1000, "orders", private, EXCHANGE),
        "kraken hmac": of(kraken, "incrementing_nonce", 1, "AddOrder", private, KRAKEN),
        "gemini hmac": of(gemini, "incrementing_nonce", 1, "v1/order/new", private, GEMINI),
        "binance hmac": binance(TEXT),
        "binance websocket hmac": socket_of(TEXT),
        "bitstamp hmac": of(bitstamp, "milliseconds", 1, "buy/btcusd/", private, BITSTAMP),
        "binance ed25519": binance(pem(ED25519)),
        "binance websocket ed25519": socket_of(pem(ED25519)),
        "binance rsa 2048": binance(pem(RSA)),
        "coinbase advanced jwt eddsa": advanced(both),
        "coinbase advanced jwt es256": advanced(pem(P256)),
    }


def ours() -> dict[str, Callable[[int], bytes]]:
    text, decoded = signing.text_key(TEXT), signing.base64_key(SECRET64)
    return {
        "coinbase exchange hmac": exchange_of(decoded),
        "kraken hmac": kraken_of(decoded),
        "gemini hmac": gemini_of(text),
        "binance hmac": binance_of(text),
        "binance websocket hmac": binance_socket_of(text),
        "bitstamp hmac": bitstamp_of(text),
        "binance ed25519": binance_of(ED25519),
        "binance websocket ed25519": binance_socket_of(ED25519),
        "binance rsa 2048": binance_of(RSA),
        "coinbase advanced jwt eddsa": advanced_of(ED25519),
        "coinbase advanced jwt es256": advanced_of(P256),
    }


def same_signature(made: bytes, theirs: Any) -> bool:
    """Whether the signature that a peer made stands in our bytes."""
    headers = theirs.get("headers") or {}
    found = [v for name, v in headers.items() if name.upper().endswith(("SIGN", "SIGNATURE"))]
    found += [theirs["signature"]] if "signature" in theirs else []
    found += [theirs["body"].rpartition("signature=")[2]] if "signature=" in str(theirs.get("body")) else []
    return len(found) == 1 and found[0].encode() in made


def times_ns(make: Callable[[int], Any], first: int, count: int) -> list[int]:
    clock = time.perf_counter_ns
    spent = []
    for k in range(first, first + count):
        start = clock()
        make(k)
        spent.append(clock() - start)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    chosen = parser.parse_args()
    print_conditions(
        f"signing: one post-only limit order, {chosen.requests:,} requests a round, {chosen.rounds} rounds"
    )
    theirs = peers()
    if not theirs:
        print("ccxt is not installed: no ratio")
    for name, make in ours().items():
        peer = theirs.get(name)
        equal = ""
        if peer is not None and "jwt" not in name:
            assert same_signature(make(7), peer(7)), f"{name}: the signatures differ"
            equal = ", equal signatures"
        spent, peers_spent = [], []
        # The slow ones get fewer requests: they are further from their noise.
        count = chosen.requests if "hmac" in name else chosen.requests // 10
        for one in range(chosen.rounds):
            spent += times_ns(make, one * count, count)
            if peer is not None:
                peers_spent += times_ns(peer, one * count, count)
        here = statistics.median(spent)
        p99 = statistics.quantiles(spent, n=100)[98]
        there = (
            f"; ccxt's sign takes {statistics.median(peers_spent) / here:5.1f} times that{equal}" if peers_spent else ""
        )
        print(f"{name:28} {here / 1000:7.1f} us median, p99 {p99 / 1000:7.1f} us, {len(make(0))} bytes{there}")


if __name__ == "__main__":
    main()

"""From a command in the log to a signed request, and comparing 1,000 open orders with the venue's, at every venue.

    python -m benchmarks.order_entry [VENUE ...]

Measured is our own time: the desk's books, the budget, the parameters, the signature, the text; no socket, no log, and
no time of the venue, whose answers are made by the local exchange's dialect.  The floors are measured in the same run
on the same bytes: a bare HMAC (with the venue's hash; for a key pair a bare signature) of what is sent, and a bare
decoding of the JSON that was answered.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from benchmarks.conditions import print_conditions
from pinnacle import event as e
from pinnacle.dialects.names import dialect_class
from pinnacle.event import EVENT
from pinnacle.execution.cap import Cap
from pinnacle.execution.live_order import WORKING, LiveOrder
from pinnacle.venues.coinbase_advanced_gateway import CoinbaseAdvancedGateway
from pinnacle.venues.credentials import signer
from pinnacle.venues.gateway import ASK_OPEN, Answer
from pinnacle.venues.signing import binance_signature, coinbase_jwt
from pinnacle.venues.venues import gateway_of
from tests.dialects.rig import Rig
from tests.venues.account_wire import AccountWire

# A secret of 64 characters that is base64 too, as venues hand them out, and a published example of an Ed25519 seed.
SECRET = "aGVyZSBpcyBhIHNlY3JldCB0aGF0IGlzIGZvcnR5LWVpZ2h0IGJ5dGVzIGxvbmch"
COUNT, OPEN_ORDERS = 2_000, 1_000
Floor = Callable[[bytes], object]


@dataclass(frozen=True)
class Entry:
    """A way to a venue.  key: None for the secret above.  hash: of the bare HMAC.  flags: of the orders.  how: for
    people."""

    venue: str
    symbols: tuple[str, str]
    how: str
    hash: Callable[..., Any] = hashlib.sha256
    flags: int = e.POST_ONLY
    key: Any = None


ENTRIES = (
    Entry("binance", ("BTCUSDT", "ETHUSDT"), "websocket API, HMAC-SHA256"),
    Entry("coinbase", ("BTC-USD", "ETH-USD"), "REST, HMAC-SHA256"),
    Entry("bitstamp", ("btcusd", "ethusd"), "REST, HMAC-SHA256"),
    Entry("kraken", ("BTC/USD", "ETH/USD"), "REST (fill or kill), HMAC-SHA512", hashlib.sha512, e.FOK),
    Entry("kraken", ("BTC/USD", "ETH/USD"), "websocket, a token and no signature", hashlib.sha512),
    Entry("gemini", ("btcusd", "ethusd"), "websocket, signed when it was opened", hashlib.sha384),
    Entry("binance", ("BTCUSDT", "ETHUSDT"), "websocket API, Ed25519", key=ed25519.Ed25519PrivateKey.generate()),
    Entry(
        "coinbase-advanced", ("BTC-USD", "ETH-USD"), "REST, JWT by Ed25519", key=ed25519.Ed25519PrivateKey.generate()
    ),
    Entry(
        "coinbase-advanced", ("BTC-USD", "ETH-USD"), "REST, JWT by ES256", key=ec.generate_private_key(ec.SECP256R1())
    ),
)  # fmt: skip


def wire_of(entry: Entry) -> AccountWire:
    """A desk that is connected and compared, with a budget that never ends, at an exchange that takes many orders."""
    public = ""
    if isinstance(entry.key, ed25519.Ed25519PrivateKey):
        public = base64_text(entry.key.public_key().public_bytes_raw())
    rig = Rig(dialect_class(entry.venue), entry.symbols, public_key=public)
    rig.accounts[0].secret = SECRET
    key = entry.key or signer(entry.venue, SECRET.encode())[1]
    if isinstance(entry.key, ec.EllipticCurvePrivateKey):
        # The dialect knows Ed25519 alone; the connection is opened with one, and what is measured signs with this.
        seed = ed25519.Ed25519PrivateKey.generate()
        rig.accounts[0].public_key = base64_text(seed.public_key().public_bytes_raw())
        key = seed
    rig.listings = rig.listings[:1]
    phrase = rig.accounts[0].passphrase.encode() if entry.venue == "coinbase" else b""
    made = AccountWire(rig, lambda followed, ids: gateway_of(entry.venue)(followed, ids, "key1", key, phrase))
    made.ready()
    if isinstance(entry.key, ec.EllipticCurvePrivateKey):
        assert isinstance(made.gateway, CoinbaseAdvancedGateway)
        made.gateway._key = entry.key
    made.desk.budget._ignored = True
    made.desk.cap = Cap(Decimal(10**9), made.desk.followed)
    return made


def base64_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def places(count: int, flags: int) -> np.ndarray:
    """EVENT[count] of places."""
    records = np.zeros(count, EVENT)
    records["kind"], records["side"], records["flags"] = e.PLACE, 1, flags
    records["order_id"] = np.arange(100_000, 100_000 + count)
    records["price_ticks"], records["qty_lots"] = 5_600_000 + np.arange(count), 100
    return records


def floor_of(entry: Entry) -> tuple[str, Floor]:
    """What the signature alone takes, and what it is called."""
    if entry.key is None:
        key = SECRET.encode()
        return "bare HMAC", lambda text: hmac.new(key, text, entry.hash).digest()
    if entry.venue == "binance":
        return "bare signature", lambda text: binance_signature(entry.key, text)
    return "bare JWT", lambda text: coinbase_jwt(entry.key, "key1", 1_700_000_000, "0" * 32, "POST host/path")


def command_to_bytes(entry: Entry) -> None:
    """Median and 99th percentile over single places, and the floor of the same bytes beside it, alternating."""
    made = wire_of(entry)
    desk, gateway, now_ns = made.desk, made.gateway, made.rig.now_ns
    name, floor = floor_of(entry)
    took, bare = [], []
    for record in places(COUNT, entry.flags):
        began = time.perf_counter_ns()
        desk.command(record, now_ns)
        took.append(time.perf_counter_ns() - began)
        text = gateway.sends.pop() if gateway.sends else _bytes_of(gateway.calls.pop())
        assert text
        began = time.perf_counter_ns()
        floor(text)
        bare.append(time.perf_counter_ns() - began)
        desk.orders.clear()
        if hasattr(gateway, "_own"):
            gateway._own._kept.clear()
        # Where one request is out at a time, its answer is taken as come.
        if hasattr(gateway, "_out"):
            gateway._out = "" if isinstance(gateway._out, str) else None
    one, other = np.percentile(took, (50, 99)) / 1e3, np.percentile(bare, 50) / 1e3
    print(
        f"{entry.venue:18} {entry.how:38} {one[0]:7.1f} us median {one[1]:7.1f} us 99%; "
        f"{name} {other:6.1f} us: {one[0] / other:.1f} times"
    )


def _bytes_of(call: Any) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in call.headers.items())
    return f"{call.method} {call.path}\r\n{head}\r\n".encode() + bytes(call.body)


def comparison(entry: Entry, count: int) -> None:
    """Our own time for a whole comparison of the account: questions put and signed, answers read, each of the open
    orders held against the desk's books."""
    made = wire_of(entry)
    desk, gateway, rig = made.desk, made.gateway, made.rig
    order_id = made.place(1, 5_600_000, 100, e.POST_ONLY)
    made.step(2_000_000_000)
    (template,) = rig.house.open_orders(1)
    live = desk.orders[order_id]
    rig.house.markets[0].venue.participants["orders_max"][:] = count + 10
    for k in range(order_id + 1, order_id + count):
        price = 5_600_000 + k
        rig.house.place(1, 0, 1, 100, price, template.flags, made.ids.text(k), **template.extra)
        desk.orders[k] = LiveOrder(
            replace(live.order, order_id=k, client_id=made.ids.text(k), price_ticks=price, venue_id=0), WORKING, True,
            live.sent_ns, acknowledged=True,
        )  # fmt: skip
    _taken(made)  # what the stream said of them is not what is measured
    done, ours, bare, shown = desk._comparison.done, 0, 0, 0
    began = time.perf_counter_ns()
    desk._comparison.start(rig.now_ns)
    desk.tick(rig.now_ns)
    ours += time.perf_counter_ns() - began
    for _ in range(400):
        answers = _taken(made)
        if not answers:
            rig.now_ns += 1_000_000
        for feed, body in answers:
            began = time.perf_counter_ns()
            msgspec.json.decode(body)
            bare += time.perf_counter_ns() - began
            began = time.perf_counter_ns()
            feed()
            said, gateway.said = gateway.said, []
            for one in said:
                desk.hear(one, rig.now_ns)
            ours += time.perf_counter_ns() - began
            shown += sum(len(a.standings) for a in said if isinstance(a, Answer) and a.what == ASK_OPEN)
        began = time.perf_counter_ns()
        desk.tick(rig.now_ns)
        ours += time.perf_counter_ns() - began
        if desk._comparison.done > done:
            break
    assert desk._comparison.done > done and shown == count, (shown, desk.counts)
    assert not any(each.doubt for each in desk.orders.values())
    print(
        f"{entry.venue:18} comparing {count:,} open orders {ours / 1e6:6.1f} ms; "
        f"decoding the answers alone {bare / 1e6:5.2f} ms: {ours / bare:.0f} times"
    )


def _taken(made: AccountWire) -> list[tuple[Callable[[], None], bytes]]:
    """What the exchange says to all that waits to be sent: how it is heard, and the bytes."""
    gateway, rig, session = made.gateway, made.rig, made.session
    assert session is not None
    frames, gateway.sends = list(gateway.sends), []
    calls, gateway.calls = list(gateway.calls), []
    for frame in frames:
        rig.say(session, frame)
    rig.dialect.take_waiting()
    outbox, session.outbox = session.outbox, []
    heard: list[tuple[Callable[[], None], bytes]] = []
    if frames:
        texts = [one for one in outbox if isinstance(one, bytes)]
        heard += [((lambda text=text: gateway.received(text, rig.now_ns)), text) for text in texts]
    for call in calls:
        headers = {name.lower(): value for name, value in call.headers.items()}
        answer = rig.request(call.method, call.path, call.body, headers)
        tell = lambda call=call, answer=answer: gateway.answered(call.tag, answer.status, answer.body, rig.now_ns)  # noqa: E731
        heard.append((tell, answer.body))
    return heard


def main() -> None:
    """Print all of it."""
    print_conditions("order entry: from a command to a signed request, and comparing an account")
    wanted = sys.argv[1:] or [entry.venue for entry in ENTRIES]
    for entry in ENTRIES:
        if entry.venue in wanted:
            command_to_bytes(entry)
    seen: set[str] = set()
    for entry in ENTRIES:
        if entry.venue in wanted and entry.venue not in seen:
            seen.add(entry.venue)
            comparison(entry, OPEN_ORDERS)


if __name__ == "__main__":
    main()

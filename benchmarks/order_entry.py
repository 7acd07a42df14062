"""From a command in the log to the bytes of a signed request, and comparing 1,000 open orders with the venue's.

    python -m benchmarks.order_entry

Measured is our own time: the desk's books, the budget, the parameters, the signature, the text; no socket, no log.  The
unit of comparison is a bare HMAC-SHA256 of the same request in the same run (for Ed25519 a bare signature).
"""

from __future__ import annotations

import time
from decimal import Decimal

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ed25519

from benchmarks.conditions import print_conditions
from pinnacle import event as e
from pinnacle.event import EVENT
from pinnacle.execution.desk import Desk
from pinnacle.execution.safety import Safety
from pinnacle.instrument import Instrument
from pinnacle.limits import SNAPSHOT_TRIES_MAX
from pinnacle.venues.binance_gateway import BinanceGateway
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.signing import BinanceKey, binance_signature

RUN = "6d1b345e282140e2ad834ecb18a06876"
IDS = ClientIds(RUN)
FOLLOWED = Followed(
    Instrument("binance", "BTCUSDT", Decimal("0.01"), Decimal("0.00001"), base="BTC", quote="USDT"), 0, 0
)
START_NS = 1_700_000_000_000_000_000
COUNT = 3_000


def ready_desk(key: BinanceKey) -> Desk:
    """A desk that is connected and compared, with a budget that never ends."""
    gateway = BinanceGateway([FOLLOWED], IDS, "k" * 64, key)
    desk = Desk(gateway, [FOLLOWED], IDS, Safety())
    desk.stale.clear()
    gateway.opened(START_NS)
    gateway.received(b'{"id":"w1","status":200,"result":{"serverTime":1700000000000}}', START_NS)
    gateway.received(b'{"id":"w2","status":200,"result":{"subscriptionId":0}}', START_NS)
    desk.tick(START_NS)
    for _ in range(SNAPSHOT_TRIES_MAX):
        frames, gateway.sends = gateway.sends, []
        for frame in frames:
            asked = msgspec.json.decode(frame)
            empty = {"canTrade": True, "balances": []} if asked["method"] == "account.status" else []
            gateway.received(msgspec.json.encode({"id": asked["id"], "status": 200, "result": empty}), START_NS)
        while gateway.said:
            desk.hear(gateway.said.pop(0), START_NS)
        desk.tick(START_NS)
    assert desk.settled
    desk.budget._ignored = True
    gateway.sends.clear()
    return desk


def places(count: int) -> np.ndarray:
    """EVENT[count] of places."""
    records = np.zeros(count, EVENT)
    records["kind"], records["side"], records["flags"] = e.PLACE, 1, e.POST_ONLY
    records["order_id"] = np.arange(1, count + 1)
    records["price_ticks"], records["qty_lots"] = 6_000_000 + np.arange(count), 1_000
    return records


def command_to_bytes(key: BinanceKey, name: str) -> None:
    """Median and 99th percentile over single places, and the bare signature beside it, alternating."""
    desk = ready_desk(key)
    gateway, took, bare = desk.gateway, [], []
    for record in places(COUNT):
        began = time.perf_counter_ns()
        desk.command(record, START_NS)
        took.append(time.perf_counter_ns() - began)
        text = gateway.sends.pop()
        began = time.perf_counter_ns()
        binance_signature(key, text)
        bare.append(time.perf_counter_ns() - began)
        desk.orders.clear()
    one, other = np.percentile(took, (50, 99)) / 1e3, np.percentile(bare, 50) / 1e3
    print(
        f"{name:8} command to signed frame {one[0]:7.1f} us median, {one[1]:7.1f} us 99%; "
        f"bare signature {other:6.1f} us: {one[0] / other:.1f} times"
    )


def comparison(open_orders: int) -> None:
    """The answer with all open orders: read, and each held against the desk's books."""
    desk = ready_desk(b"secret")
    gateway = desk.gateway
    for record in places(open_orders):
        desk.command(record, START_NS)
    gateway.sends.clear()
    for live in desk.orders.values():
        live.status, live.due_ns, live.acknowledged = 2, 0, True
    shown = [
        {
            "symbol": "BTCUSDT", "orderId": 10_000 + k, "clientOrderId": IDS.text(k), "price": "60000.00000000",
            "origQty": "0.01000000", "executedQty": "0.00000000", "status": "NEW", "side": "BUY",
            "type": "LIMIT_MAKER", "timeInForce": "GTC", "time": 1, "updateTime": 1,
        }
        for k in range(1, open_orders + 1)
    ]  # fmt: skip
    desk._comparison.start(START_NS + 1)
    desk.tick(START_NS + 1)
    asked = [msgspec.json.decode(frame) for frame in gateway.sends]
    number = next(one["id"] for one in asked if one["method"] == "openOrders.status")
    answer = msgspec.json.encode({"id": number, "status": 200, "result": shown})
    began = time.perf_counter_ns()
    gateway.received(answer, START_NS + 2)
    while gateway.said:
        desk.hear(gateway.said.pop(0), START_NS + 2)
    took = time.perf_counter_ns() - began
    began = time.perf_counter_ns()
    msgspec.json.decode(answer)
    bare = time.perf_counter_ns() - began
    print(
        f"comparing {open_orders:,} open orders {took / 1e6:.1f} ms; decoding the answer alone {bare / 1e6:.2f} ms: "
        f"{took / bare:.0f} times"
    )


def main() -> None:
    """Print all of it."""
    print_conditions("order entry: Binance spot, websocket API")
    command_to_bytes(b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j", "HMAC")
    command_to_bytes(ed25519.Ed25519PrivateKey.generate(), "Ed25519")
    comparison(1_000)


if __name__ == "__main__":
    main()

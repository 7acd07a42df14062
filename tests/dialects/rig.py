"""A local exchange in the hand: a dialect over a house with two instruments and accounts, and time in a variable.

No socket: a request is a function call, a websocket an object whose outbox is a list.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from pinnacle.dialects.dialect import Dialect, Request, Response, Session
from pinnacle.dialects.house import House, new_venue
from pinnacle.dialects.orders import Account, Listing
from pinnacle.instrument import Instrument
from pinnacle.run.background import BackgroundMarket, BackgroundRates

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
PEM = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u"  # a published example key


def listings(venue: str, first: str, second: str) -> list[Listing]:
    """Two instruments under the names given: BTC at 60,000 and ETH at 3,000, against one quote currency."""
    tick, least = Decimal("0.01"), Decimal(5)
    return [
        Listing(
            Instrument(venue, first, tick, Decimal("0.00001"), base="BTC", quote="USD", notional_min=least),
            5_500_000, 6_500_000, 10_000_000, ((1_000_000, 2_000_000),),
        ),
        Listing(
            Instrument(venue, second, tick, Decimal("0.0001"), base="ETH", quote="USD", notional_min=least),
            100_000, 600_000, 10_000_000, ((1_000_000, 2_000_000),),
        ),
    ]  # fmt: skip


class Rig:
    """A dialect to play with.  per_s: background commands a second of each instrument, 0 for a quiet market."""

    def __init__(
        self,
        dialect: type[Dialect],
        symbols: tuple[str, str],
        per_s: float = 0.0,
        seed: int = 1,
        resting: int = 200,
        public_key: str = "",
    ) -> None:
        self.now_ns = START_NS
        self.listings = listings(dialect.name, *symbols)
        self.accounts = [
            Account("first", "key1", "c2VjcmV0MQ==", "phrase1", public_key),
            Account("second", "key2", "c2VjcmV0Mg==", "phrase2"),
        ]
        markets: list[Any] | None = None
        if per_s:
            markets = []
            for k, listing in enumerate(self.listings):
                venue = new_venue(listing, 2, BackgroundMarket.people, dialect.publish)
                middle = (listing.price_min_ticks + listing.price_max_ticks) // 2
                rates = BackgroundRates(per_s=per_s, resting=resting)
                markets.append(BackgroundMarket(venue, listing, START_NS, middle, rates, seed + k))
        self.house = House(self.listings, self.accounts, markets, dialect.fees_in, dialect.publish)
        for account in (1, 2):
            self.house.deposit(account, "USD", Decimal(1_000_000))
            self.house.deposit(account, "BTC", Decimal(10))
            self.house.deposit(account, "ETH", Decimal(100))
        self.dialect: Any = dialect(self.house)
        self.house.advance(START_NS)

    def step(self, ns: int = 0) -> None:
        """Time passes, in ticks of the dialect's; every message stays in its session's outbox."""
        end_ns = self.now_ns + ns
        while True:
            self.now_ns = min(end_ns, self.now_ns + self.dialect.tick_ns)
            self.house.advance(self.now_ns)
            self.dialect.tick(self.now_ns + self.dialect.skew_ns)
            if self.now_ns == end_ns:
                return

    def request(
        self, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None, peer: str = "1.1.1.1"
    ) -> Response:
        """An HTTP request at the present time."""
        path, _, query = target.partition("?")
        self.house.advance(self.now_ns)
        request = Request(method, path, query, headers or {}, body, peer)
        return self.dialect.request(request, self.now_ns + self.dialect.skew_ns)

    def connect(self, target: str, headers: dict[str, str] | None = None, peer: str = "1.1.1.1") -> Session:
        """A websocket, which must not be refused."""
        path, _, query = target.partition("?")
        now_ns = self.now_ns + self.dialect.skew_ns
        session = self.dialect.connect(Request("GET", path, query, headers or {}, b"", peer), now_ns)
        assert isinstance(session, Session), session
        self.dialect.opened(session, now_ns)
        return session

    def say(self, session: Session, message: object) -> None:
        """The client sends a message: bytes as they are, all else as JSON."""
        raw = message if isinstance(message, bytes) else msgspec.json.encode(message)
        session.receive(raw, self.now_ns + self.dialect.skew_ns)

    def hear(self, session: Session) -> list[Any]:
        """What the session was sent since last asked, decoded; pings and ends are left as they are."""
        self.dialect.take_waiting()
        outbox, session.outbox = session.outbox, []
        return [msgspec.json.decode(one) if isinstance(one, bytes) else one for one in outbox]


def body_of(response: Response) -> Any:
    """An answer's JSON."""
    return msgspec.json.decode(response.body)

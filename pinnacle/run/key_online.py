"""Trying a key at its venue: connect as a session would, ask one signed question, and say what came of it.

The question is what the account holds.  Nothing is placed, cancelled or changed, and no log or state is needed.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pinnacle.instrument import Instrument
from pinnacle.limits import ANSWER_NS_MAX, KEY_TEST_S_MAX
from pinnacle.run.gateway_connection import GatewayConnection
from pinnacle.run.real_orders import Account, gateway_for
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.transport.websocket import Route
from pinnacle.venues.client_id import NO_RUN, ClientIds
from pinnacle.venues.feed import Address, Followed
from pinnacle.venues.gateway import Answer
from pinnacle.venues.key_refused import meaning
from pinnacle.venues.private.said import Note

# A market that each venue has: private channels are asked for by market, and the clock of one venue is.
SYMBOLS = {
    "binance": ("BTCUSDT", "USDT"), "binance-usdm": ("BTCUSDT", "USDT"), "bitstamp": ("btcusd", "USD"),
    "coinbase": ("BTC-USD", "USD"), "coinbase-advanced": ("BTC-USD", "USD"), "gemini": ("btcusd", "USD"),
    "kraken": ("BTC/USD", "USD"),
}  # fmt: skip
# Further than this from the venue's time is worth a word; nearer, rounding and the way there could be it.
_AWAY_NS = 3_000_000_000


@dataclass(frozen=True)
class Verdict:
    """good: the venue answered the question.  reached: it said something at all.  text: a line for people."""

    good: bool
    reached: bool
    text: str


def try_key(name: str, account: Account, address: Address, route: Route) -> Verdict:
    """What the venue says of a key, within limits.KEY_TEST_S_MAX.  Raises OperatorError where it takes no orders."""
    return asyncio.run(_Trial(name, account, address, route).run())


class _Trial:
    def __init__(self, name: str, account: Account, address: Address, route: Route) -> None:
        self._name, self._route, self._address = name, route, address
        symbol, quote = SYMBOLS[name]
        market = Instrument(name, symbol, Decimal("0.01"), Decimal("0.00000001"), base="BTC", quote=quote)
        self._gateway = gateway_for(name, [Followed(market, 0, 0)], ClientIds(NO_RUN), account)
        self._clock = Clock()
        self._number = self._asked_ns = self._away_ns = self._venue_ns = 0
        self._verdict: Verdict | None = None
        self._failure: BaseException | None = None
        self._words = ""  # the last that was said of trouble
        self._held = 0
        self._answered = False

    async def run(self) -> Verdict:
        async with Http(self._route) as http:
            line = GatewayConnection(
                f"{self._name}/account", self._gateway, self._address, self._route, http, self._clock,
                random.Random(), self._heard, self._fail, self._say,
            )  # fmt: skip
            task = asyncio.create_task(line.connection.run())
            try:
                await asyncio.wait_for(self._until_told(line), KEY_TEST_S_MAX)
            except TimeoutError:
                pass
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        return self._verdict or self._nothing()

    async def _until_told(self, line: GatewayConnection) -> None:
        while self._verdict is None:
            now_ns = self._clock.now_ns()
            if not self._answered and now_ns - self._asked_ns > ANSWER_NS_MAX:
                self._asked_ns = now_ns
                self._number = self._gateway.ask_balances(now_ns)
                if not self._number:
                    self._asked_ns = 0
                line.do_wishes()
            await asyncio.sleep(0.02)
            line.tick()
            if self._failure is not None:
                raise self._failure
            if self._answered and self._gateway.ready:
                self._verdict = Verdict(True, True, f"works: {self._name} answered a signed question{self._more()}")

    def _heard(self, now_ns: int) -> None:
        gateway = self._gateway
        if gateway.venue_ns > self._venue_ns:
            self._venue_ns = gateway.venue_ns
            self._away_ns = self._venue_ns - now_ns
        for one in gateway.said:
            if isinstance(one, Note):
                self._words = one.text if one.what in ("permission", "refused", "subscription") else self._words
                if one.what == "permission":
                    self._refused(one.text)
            elif isinstance(one, Answer) and one.number == self._number:
                self._answered, self._held = not one.cause, len(one.balances)
                if one.cause == "permission":
                    # The words come beside it, in a note before or after.
                    notes = [each.text for each in gateway.said if isinstance(each, Note)]
                    self._refused(notes[-1] if notes else self._words)
        gateway.said.clear()

    def _refused(self, words: str) -> None:
        text = f"refused: {self._name} says {words!r}: {meaning(words)}{self._clock_words()}"
        self._verdict = self._verdict or Verdict(False, True, text)

    def _more(self) -> str:
        private = " and heard its private stream opened"
        return f"{private}; {self._held} balances{self._clock_words()}"

    def _clock_words(self) -> str:
        if not self._venue_ns or abs(self._away_ns) < _AWAY_NS:
            return ""
        way = "behind" if self._away_ns > 0 else "ahead of"
        seconds = abs(self._away_ns) / 1e9
        return f"; this machine's clock is {seconds:.0f} s {way} the venue's, set it (NTP)"

    def _nothing(self) -> Verdict:
        """It came to no end: the last words of trouble are all there is to say."""
        if not self._words:
            text = f"no answer within {KEY_TEST_S_MAX:.0f} s; look at the network and the venue's status, and try again"
            return Verdict(False, False, f"{self._name}: {text}")
        what = meaning(self._words)
        return Verdict(False, True, f"not proven: {self._name} says {self._words!r}: {what}{self._clock_words()}")

    def _say(self, what: str, **fields: Any) -> None:
        if what == "unreachable":
            self._words = str(fields["why"])

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error

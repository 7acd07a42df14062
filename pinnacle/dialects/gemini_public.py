"""What Gemini's REST tells everyone: symbols, books (without an id), trades, tickers, bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnacle.dialects.gemini_words import MS, Fail, Words, side
from pinnacle.dialects.minutes import MINUTE_NS
from pinnacle.event import ASK, BID

_BARS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1hr": 60, "6hr": 360, "1day": 1440}
_LEVELS = 50
_DAY_NS = 86_400_000_000_000


class Public:
    """The methods that need no key."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house

    def answer(self, parts: list[str], params: Mapping[str, str]) -> Any:
        """What GET of a path answers.  Raises Fail."""
        match parts:
            case ["v1", "symbols"]:
                return self.words.symbols
            case ["v1", "symbols", "details", "all"]:
                return [self.words.details(k) for k in range(len(self.words.symbols))]
            case ["v1", "symbols", "details", name]:
                return self.words.details(self.words.instrument(name))
            case ["v1", "book", name]:
                return self._book(self.words.instrument(name), params)
            case ["v1", "trades", name]:
                return self._trades(self.words.instrument(name), params)
            case ["v1", "pubticker", name]:
                return self._ticker(self.words.instrument(name))
            case ["v2", "ticker", name]:
                return self._ticker2(self.words.instrument(name))
            case ["v2", "candles", name, frame] if frame in _BARS:
                return self._candles(self.words.instrument(name), _BARS[frame])
            case ["v1", "pricefeed"]:
                return [
                    {"pair": name.upper(), "price": self._ticker(k)["last"], "percentChange24h": "0.0"}
                    for k, name in enumerate(self.words.symbols)
                ]
        raise Fail(404, "EndpointNotFound", f"API entry point `/{'/'.join(parts)[:80]}` not found")

    def _book(self, k: int, params: Mapping[str, str]) -> dict[str, Any]:
        when = str(self.house.now_ns // 1_000_000_000)
        found = {}
        for name, which in (("bids", BID), ("asks", ASK)):
            depth = whole(params.get(f"limit_{name}", str(_LEVELS)))
            found[name] = [
                {"price": self.words.price[k](price), "amount": self.words.qty[k](lots), "timestamp": when}
                for price, lots in self.house.levels(k, which, depth)
            ]
        return found

    def _trades(self, k: int, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """Newest first; type is the aggressor's."""
        limit = min(whole(params.get("limit_trades", "50")), 500)
        trades = list(self.house.trades[k])[-limit:] if limit else []
        return [
            {
                "timestamp": (trade.ts_ns + self.words.skew_ns) // 1_000_000_000,
                "timestampms": (trade.ts_ns + self.words.skew_ns) // MS, "tid": trade.aux,
                "price": self.words.price[k](trade.price_ticks), "amount": self.words.qty[k](trade.qty_lots),
                "exchange": "gemini", "type": side(trade.side),
            }
            for trade in reversed(trades)
        ]  # fmt: skip

    def _best(self, k: int, which: int) -> str:
        level = self.house.levels(k, which, 1)
        return self.words.price[k](level[0][0] if level else 0)

    def _ticker(self, k: int) -> dict[str, Any]:
        one, day = self.words.instruments[k], self.house.minutes[k].since(self.house.now_ns - _DAY_NS)
        value = one.money(day.value_ticklots * one.units_per_ticklot) if day else 0
        return {
            "bid": self._best(k, BID), "ask": self._best(k, ASK),
            "last": self.words.price[k](day.close_ticks if day else 0),
            "volume": {
                one.base: self.words.qty[k](day.lots if day else 0), one.quote: str(value),
                "timestamp": (self.house.now_ns + self.words.skew_ns) // MS,
            },
        }  # fmt: skip

    def _ticker2(self, k: int) -> dict[str, Any]:
        day, price = self.house.minutes[k].since(self.house.now_ns - _DAY_NS), self.words.price[k]
        return {
            "symbol": self.words.instruments[k].symbol.upper(), "open": price(day.open_ticks if day else 0),
            "high": price(day.high_ticks if day else 0), "low": price(day.low_ticks if day else 0),
            "close": price(day.close_ticks if day else 0), "changes": [], "bid": self._best(k, BID),
            "ask": self._best(k, ASK),
        }  # fmt: skip

    def _candles(self, k: int, minutes: int) -> list[list[float]]:
        """[ms, open, high, low, close, volume], newest first."""
        tick, lot = float(self.words.instruments[k].tick), float(self.words.instruments[k].lot)
        return [
            [bar.start_ns // MS, bar.open_ticks * tick, bar.high_ticks * tick, bar.low_ticks * tick,
             bar.close_ticks * tick, bar.lots * lot]
            for bar in reversed(list(self.house.minutes[k].bars(minutes * MINUTE_NS)))
        ]  # fmt: skip


def whole(text: str) -> int:
    """A whole number of a query.  Raises Fail."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Fail(400, "InvalidParameter", f"'{text[:30]}' is no whole number")
    return int(text)

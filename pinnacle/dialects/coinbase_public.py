"""What Coinbase Exchange's REST tells everyone: products, books, trades, tickers, bars, time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnacle.dialects.coinbase_feed import ExchangeFeed
from pinnacle.dialects.coinbase_words import ORDERS, Fail, Words, side, uuid_of
from pinnacle.dialects.minutes import MINUTE_NS
from pinnacle.event import ASK, BID
from pinnacle.venues.iso import iso_of_ns, ns_of_iso

_DAY_NS = 86_400_000_000_000
_BARS_MAX = 300
_BAR_SECONDS = (60, 300, 900, 3600, 21600, 86400)


class Public:
    """The methods that need no key."""

    def __init__(self, words: Words, feed: ExchangeFeed) -> None:
        self.words, self.house, self.feed = words, words.house, feed

    def answer(self, parts: list[str], params: Mapping[str, str], now_ns: int) -> Any:
        """What GET of a path answers; parts: of the path.  Raises Fail."""
        match parts:
            case ["time"]:
                return {"iso": iso_of_ns(now_ns, 3), "epoch": now_ns // 1_000_000 / 1000}
            case ["currencies"]:
                return [self._currency(name) for name in self.house.digits]
            case ["products"]:
                return [self.words.product(k) for k in range(len(self.words.symbols))]
            case ["products", name]:
                return self.words.product(self.product(name))
            case ["products", name, "book"]:
                return self._book(self.product(name), params.get("level", "1"), now_ns)
            case ["products", name, "ticker"]:
                return self._ticker(self.product(name))
            case ["products", name, "trades"]:
                return self._trades(self.product(name), params)
            case ["products", name, "stats"]:
                return self._stats(self.product(name))
            case ["products", name, "candles"]:
                return self._candles(self.product(name), params)
        raise Fail(404, "NotFound")

    def product(self, name: str) -> int:
        """The instrument of a name."""
        found = self.house.instrument_of(name)
        if found is None:
            raise Fail(404, "NotFound")
        return found

    def _currency(self, name: str) -> dict[str, Any]:
        digits = min(self.house.digits[name], 8)
        least = f"{10**-digits:.{digits}f}"
        return {
            "id": name, "name": name, "min_size": least, "status": "online", "message": "", "max_precision": least,
            "convertible_to": [], "details": {"type": "crypto"}, "default_network": "", "supported_networks": [],
            "display_name": name,
        }  # fmt: skip

    def _book(self, k: int, level: str, now_ns: int) -> dict[str, Any]:
        if level not in ("1", "2", "3"):
            raise Fail(400, "Invalid level")
        price, qty = self.words.price[k], self.words.qty[k]
        sides: dict[str, list[list[Any]]] = {}
        for name, which in (("bids", BID), ("asks", ASK)):
            orders = self.house.resting(k, which, 1 if level == "1" else 0)
            if level == "3":
                sides[name] = [[price(p), qty(q), uuid_of(ORDERS, number)] for number, p, q in orders]
                continue
            levels: dict[int, list[int]] = {}
            for _, p, q in orders:
                at = levels.setdefault(p, [0, 0])
                at[0] += q
                at[1] += 1
            sides[name] = [[price(p), qty(q), count] for p, (q, count) in levels.items()]
        return sides | {
            "sequence": self.feed.sequence[k], "auction_mode": False, "auction": None, "time": iso_of_ns(now_ns),
        }  # fmt: skip

    def _trades(self, k: int, params: Mapping[str, str]) -> list[dict[str, Any]]:
        """Newest first; side is the maker's."""
        limit = _whole(params.get("limit", "100"), 1000)
        found = list(self.house.trades[k])
        if params.get("after"):
            after = _whole(params["after"], 1 << 62)
            found = [trade for trade in found if trade.aux < after]
        return [
            {
                "trade_id": trade.aux, "side": side(-trade.side), "size": self.words.qty[k](trade.qty_lots),
                "price": self.words.price[k](trade.price_ticks), "time": self.words.time(trade.ts_ns),
            }
            for trade in reversed(found[-limit:])
        ]  # fmt: skip

    def _day(self, k: int) -> dict[str, str]:
        """The last day's prices as text."""
        day = self.house.minutes[k].since(self.house.now_ns - _DAY_NS)
        price, qty = self.words.price[k], self.words.qty[k]
        if day is None:
            return dict.fromkeys(("open", "high", "low", "last"), price(0)) | {"volume": qty(0)}
        return {
            "open": price(day.open_ticks), "high": price(day.high_ticks), "low": price(day.low_ticks),
            "last": price(day.close_ticks), "volume": qty(day.lots),
        }  # fmt: skip

    def _ticker(self, k: int) -> dict[str, Any]:
        trades, day = self.house.trades[k], self._day(k)
        best = self.feed.best(k)
        last = trades[-1] if trades else None
        return {
            "trade_id": last.aux if last else 0, "price": day["last"],
            "size": self.words.qty[k](last.qty_lots if last else 0),
            "time": self.words.time(last.ts_ns if last else self.house.now_ns),
            "bid": best["best_bid"], "ask": best["best_ask"], "volume": day["volume"],
        }  # fmt: skip

    def _stats(self, k: int) -> dict[str, Any]:
        return self._day(k) | {"volume_30day": self._day(k)["volume"]}

    def _candles(self, k: int, params: Mapping[str, str]) -> list[list[float]]:
        """[time, low, high, open, close, volume], newest first; at most 300."""
        seconds = _whole(params.get("granularity", "60"), 86400)
        if seconds not in _BAR_SECONDS:
            raise Fail(400, "Unsupported granularity")
        first_ns = _time(params.get("start", ""), 0)
        last_ns = _time(params.get("end", ""), 1 << 62)
        step_ns = seconds // 60 * MINUTE_NS
        tick, lot = float(self.words.instruments[k].tick), float(self.words.instruments[k].lot)
        bars = list(self.house.minutes[k].bars(step_ns, first_ns, last_ns))[-_BARS_MAX:]
        return [
            [bar.start_ns // 1_000_000_000, bar.low_ticks * tick, bar.high_ticks * tick, bar.open_ticks * tick,
             bar.close_ticks * tick, bar.lots * lot]
            for bar in reversed(bars)
        ]  # fmt: skip


def _whole(text: str, most: int) -> int:
    """A whole number of at most so much."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Fail(400, f"Invalid number: {text[:30]}")
    return min(int(text), most)


def _time(text: str, absent: int) -> int:
    """ISO text or epoch seconds as ns."""
    if not text:
        return absent
    if text.isascii() and text.isdigit() and len(text) < 11:
        return int(text) * 1_000_000_000
    try:
        return ns_of_iso(text)
    except ValueError:
        raise Fail(400, "Invalid time") from None

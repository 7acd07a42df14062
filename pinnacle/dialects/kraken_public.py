"""Kraken's public REST answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnacle.dialects.kraken_words import ASSETS, SECOND_NS, SYSTEM, Fail, Words, seconds
from pinnacle.event import ASK, BID, BUY, STATE_OPEN
from pinnacle.venues.iso import iso_of_ns

DEPTH_MAX = 500
TRADES_MAX = 1000
Params = Mapping[str, Any]


class Public:
    """Each takes the parameters and the venue's time, and returns the result, or raises Fail."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house

    def _pair(self, params: Params) -> int:
        k = self.words.place(str(params.get("pair", "")))
        if k is None:
            raise Fail("EQuery:Unknown asset pair")
        return k

    def _count(self, params: Params, default: int, most: int) -> int:
        text = str(params.get("count", default))
        if not (text.isascii() and text.isdigit() and len(text) < 9 and int(text) > 0):
            raise Fail("EGeneral:Invalid arguments:count")
        return min(int(text), most)

    def time(self, params: Params, now_ns: int) -> dict[str, Any]:
        """Time."""
        return {"unixtime": now_ns // SECOND_NS, "rfc1123": iso_of_ns(now_ns, 0)}

    def system_status(self, params: Params, now_ns: int) -> dict[str, Any]:
        """SystemStatus: online unless every market is not."""
        states = set(self.house.states)
        state = states.pop() if len(states) == 1 else STATE_OPEN
        return {"status": SYSTEM[state], "timestamp": iso_of_ns(now_ns, 0)}

    def assets(self, params: Params, now_ns: int) -> dict[str, Any]:
        """Assets."""
        out = {}
        for currency, digits in self.house.digits.items():
            name = {"BTC": "XBT", "DOGE": "XDG"}.get(currency, currency)
            out[ASSETS.get(currency, currency)] = {
                "aclass": "currency", "altname": name, "decimals": digits, "display_decimals": 5, "status": "enabled",
            }  # fmt: skip
        return out

    def asset_pairs(self, params: Params, now_ns: int) -> dict[str, Any]:
        """AssetPairs, of those named or all."""
        names = [name for name in str(params.get("pair", "")).split(",") if name]
        which = [self._pair({"pair": name}) for name in names] or range(len(self.words.symbols))
        return {self.words.keys[k]: self._asset_pair(k) for k in which}

    def _asset_pair(self, k: int) -> dict[str, Any]:
        one, (prices, quantities) = self.words.instrument(k), self.words.decimals(k)
        fees = self.house.listings[k].fees
        volumes = [0, 10_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000]
        rates = [[[volume, rate[n] / 1e7] for volume, rate in zip(volumes, fees)] for n in (1, 0)]
        return {
            "altname": self.words.altnames[k], "wsname": self.words.wsnames[k], "aclass_base": "currency",
            "base": ASSETS.get(one.base, one.base), "aclass_quote": "currency",
            "quote": ASSETS.get(one.quote, one.quote), "lot": "unit", "cost_decimals": 5, "pair_decimals": prices,
            "lot_decimals": quantities, "lot_multiplier": 1, "leverage_buy": [], "leverage_sell": [],
            "fees": rates[0], "fees_maker": rates[1], "fee_volume_currency": "ZUSD", "margin_call": 80,
            "margin_stop": 40, "ordermin": f"{max(one.qty_min, one.lot):f}", "costmin": f"{one.notional_min:f}",
            "tick_size": f"{one.tick:f}", "status": SYSTEM[self.house.states[k]],
        }  # fmt: skip

    def depth(self, params: Params, now_ns: int) -> dict[str, Any]:
        """Depth."""
        k, count = self._pair(params), self._count(params, 100, DEPTH_MAX)
        now_s = now_ns // SECOND_NS
        sides = {
            name: [
                [self.words.price(k, ticks), self.words.qty(k, lots), now_s]
                for ticks, lots in self.house.levels(k, side, count)
            ]
            for name, side in (("asks", ASK), ("bids", BID))
        }
        return {self.words.keys[k]: sides}

    def trades(self, params: Params, now_ns: int) -> dict[str, Any]:
        """Trades, since a time in ns if one is given."""
        k, count = self._pair(params), self._count(params, TRADES_MAX, TRADES_MAX)
        since = str(params.get("since", "0"))
        since_ns = int(since) if since.isascii() and since.isdigit() and len(since) < 20 else 0
        since_ns = since_ns * SECOND_NS if since_ns < 10**12 else since_ns
        rows = [one for one in self.house.trades[k] if one.ts_ns > since_ns]
        rows = rows[:count] if since_ns else rows[-count:]
        last = str(rows[-1].ts_ns if rows else now_ns)
        return {
            self.words.keys[k]: [
                [self.words.price(k, one.price_ticks), self.words.qty(k, one.qty_lots), seconds(one.ts_ns),
                 "b" if one.side == BUY else "s", "l", "", one.aux]
                for one in rows
            ],
            "last": last,
        }  # fmt: skip

    def ticker(self, params: Params, now_ns: int) -> dict[str, Any]:
        """Ticker, of those named or all."""
        names = [name for name in str(params.get("pair", "")).split(",") if name]
        which = [self._pair({"pair": name}) for name in names] or range(len(self.words.symbols))
        return {self.words.keys[k]: self._ticker(k) for k in which}

    def _ticker(self, k: int) -> dict[str, Any]:
        words = self.words
        best = {side: next(iter(self.house.levels(k, side, 1)), (0, 0)) for side in (BID, ASK)}
        day = self.house.minutes[k].since(self.house.now_ns - 86_400 * SECOND_NS)
        last = [words.price(k, day.close_ticks if day else 0), words.qty(k, 0)]
        numbers = {
            "v": words.qty(k, day.lots if day else 0),
            "p": words.price(k, day.value_ticklots // day.lots if day and day.lots else 0),
            "l": words.price(k, day.low_ticks if day else 0), "h": words.price(k, day.high_ticks if day else 0),
        }  # fmt: skip
        row: dict[str, Any] = {
            name: [words.price(k, best[side][0]), "1", words.qty(k, best[side][1])]
            for name, side in (("a", ASK), ("b", BID))
        }
        row["c"] = last
        row |= {name: [number, number] for name, number in numbers.items()}
        row["t"] = [day.count if day else 0] * 2
        row["o"] = words.price(k, day.open_ticks if day else 0)
        return row

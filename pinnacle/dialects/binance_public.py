"""Binance's public methods: symbols, books, trades, bars and tickers, the same for REST and websocket API."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Any, NamedTuple

from pinnacle import event as e
from pinnacle.dialects.binance_orders import ORDERS_10S, ORDERS_DAY, Params, needed, whole
from pinnacle.dialects.binance_words import MS, ZERO, Fail, Words, amount
from pinnacle.dialects.house import House
from pinnacle.dialects.market import Batch, MarketEvent
from pinnacle.dialects.minutes import MINUTE_NS, Minute
from pinnacle.event import BID, BUY
from pinnacle.limits import AGGREGATED_TRADES_MAX

WEIGHT_MINUTE = 6000
INTERVALS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480,
    "12h": 720, "1d": 1440,
}  # fmt: skip
DAY_NS = 86_400_000_000_000


class Aggregated(NamedTuple):
    """Executions that follow one another, of one incoming order at one price.  id: counts those of an instrument."""

    id: int
    trades: list[MarketEvent]


class Public:
    """The methods by the house's means."""

    def __init__(self, house: House, words: Words) -> None:
        self.house, self.words = house, words
        self.now_ns = 0
        self._aggregated: list[deque[Aggregated]] = [deque(maxlen=AGGREGATED_TRADES_MAX) for _ in house.listings]
        self._last_aggregated = [0] * len(house.listings)

    def hear(self, batch: Batch) -> list[Aggregated]:
        """Number the batch's trades as aggregated ones, and remember them."""
        k, found = batch.instrument, []
        for group in aggregate(list(batch.events(e.TRADE))):
            self._last_aggregated[k] += 1
            found.append(Aggregated(self._last_aggregated[k], group))
        self._aggregated[k].extend(found)
        return found

    @property
    def skew_ns(self) -> int:
        return self.now_ns - self.house.now_ns

    def instrument(self, params: Params) -> int:
        found = self.house.instrument_of(needed(params, "symbol"))
        if found is None:
            raise Fail(-1121, "Invalid symbol.")
        return found

    def _chosen(self, params: Params) -> list[int]:
        """The instruments that `symbol` or `symbols` name; all without either."""
        if params.get("symbol"):
            return [self.instrument(params)]
        if not params.get("symbols"):
            return list(range(len(self.house.listings)))
        names = [name.strip(' "[]') for name in params["symbols"].split(",")]
        return [self.instrument({"symbol": name}) for name in names]

    def ping(self, params: Params) -> dict[str, Any]:
        return {}

    def time(self, params: Params) -> dict[str, Any]:
        return {"serverTime": self.now_ns // MS}

    def exchange_info(self, params: Params) -> dict[str, Any]:
        """GET /api/v3/exchangeInfo."""
        return {
            "timezone": "UTC",
            "serverTime": self.now_ns // MS,
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_MINUTE},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": ORDERS_10S},
                {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": ORDERS_DAY},
            ],
            "exchangeFilters": [],
            "symbols": [self.words.exchange_symbol(k) for k in self._chosen(params)],
        }

    def depth(self, params: Params) -> dict[str, Any]:
        """GET /api/v3/depth."""
        k = self.instrument(params)
        limit = whole(params, "limit", 100, 5000)
        return {"lastUpdateId": self.house.sequence(k)} | self.sides(k, max(1, limit))

    def sides(self, k: int, depth: int) -> dict[str, Any]:
        """bids and asks of at most `depth` levels."""
        price, qty = self.words.price[k], self.words.qty[k]
        return {
            name: [[price(ticks), qty(lots)] for ticks, lots in self.house.levels(k, side, depth)]
            for name, side in (("bids", BID), ("asks", -BID))
        }

    def _trade(self, k: int, trade: MarketEvent) -> dict[str, Any]:
        price, qty, one = self.words.price[k], self.words.qty[k], self.words.instrument(k)
        units = trade.price_ticks * trade.qty_lots * one.units_per_ticklot
        return {
            "id": trade.aux,
            "price": price(trade.price_ticks),
            "qty": qty(trade.qty_lots),
            "quoteQty": self.words.quote(k, units),
            "time": (trade.ts_ns + self.skew_ns) // MS,
            "isBuyerMaker": trade.side != BUY,
            "isBestMatch": True,
        }

    def trades(self, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/trades: the last ones, oldest first."""
        k = self.instrument(params)
        last = list(self.house.trades[k])[-whole(params, "limit", 500, 1000) :]
        return [self._trade(k, trade) for trade in last]

    def old_trades(self, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/historicalTrades: from an id on."""
        if not params.get("fromId"):
            return self.trades(params)
        k, first = self.instrument(params), whole(params, "fromId")
        found = [trade for trade in self.house.trades[k] if trade.aux >= first]
        return [self._trade(k, trade) for trade in found[: whole(params, "limit", 500, 1000)]]

    def agg_trades(self, params: Params) -> list[dict[str, Any]]:
        """GET /api/v3/aggTrades: executions of one incoming order at one price as one."""
        k = self.instrument(params)
        first, limit = whole(params, "fromId", 0), whole(params, "limit", 500, 1000)
        since_ns = whole(params, "startTime", 0) * MS - self.skew_ns
        last_ns = whole(params, "endTime", 1 << 42) * MS - self.skew_ns
        found = [
            one for one in self._aggregated[k]
            if one.id >= first and since_ns <= one.trades[0].ts_ns <= last_ns
        ]  # fmt: skip
        chosen = found[:limit] if first or params.get("startTime") else found[-limit:]
        return [self.agg_trade(k, one) for one in chosen]

    def agg_trade(self, k: int, one: Aggregated) -> dict[str, Any]:
        """An aggregated trade as it is written."""
        first = one.trades[0]
        return {
            "a": one.id,
            "p": self.words.price[k](first.price_ticks),
            "q": self.words.qty[k](sum(trade.qty_lots for trade in one.trades)),
            "f": first.aux,
            "l": one.trades[-1].aux,
            "T": (first.ts_ns + self.skew_ns) // MS,
            "m": first.side != BUY,
            "M": True,
        }

    def klines(self, params: Params) -> list[list[Any]]:
        """GET /api/v3/klines: bars, oldest first; those without trades are left out."""
        k = self.instrument(params)
        minutes = INTERVALS.get(needed(params, "interval"))
        if minutes is None:
            raise Fail(-1120, "Invalid interval.")
        first_ns = whole(params, "startTime", 0) * MS - self.skew_ns
        last_ns = whole(params, "endTime", 1 << 42) * MS - self.skew_ns
        limit = max(1, whole(params, "limit", 500, 1000))
        bars = list(self.house.minutes[k].bars(minutes * MINUTE_NS, first_ns, last_ns))
        chosen = bars[:limit] if params.get("startTime") else bars[-limit:]
        return [self._bar(k, bar, minutes * MINUTE_NS) for bar in chosen]

    def _bar(self, k: int, bar: Minute, step_ns: int) -> list[Any]:
        price, qty = self.words.price[k], self.words.qty[k]
        start = (bar.start_ns + self.skew_ns) // MS
        return [
            start, price(bar.open_ticks), price(bar.high_ticks), price(bar.low_ticks), price(bar.close_ticks),
            qty(bar.lots), start + step_ns // MS - 1, self._value(k, bar.value_ticklots), bar.count,
            qty(bar.taken_lots), self._value(k, bar.taken_ticklots), "0",
        ]  # fmt: skip

    def _value(self, k: int, ticklots: int) -> str:
        return self.words.quote(k, ticklots * self.words.instrument(k).units_per_ticklot)

    def book_ticker(self, params: Params) -> Any:
        """GET /api/v3/ticker/bookTicker: of one symbol, some or all."""
        return _one_or_all(params, [self.best(k) for k in self._chosen(params)])

    def best(self, k: int) -> dict[str, Any]:
        """Best bid and ask; zeros for an empty side."""
        found: dict[str, Any] = {"symbol": self.words.symbols[k]}
        for name, side in (("bid", BID), ("ask", -BID)):
            best = self.house.levels(k, side, 1)
            found[f"{name}Price"] = self.words.price[k](best[0][0]) if best else ZERO
            found[f"{name}Qty"] = self.words.qty[k](best[0][1]) if best else ZERO
        return found

    def price(self, params: Params) -> Any:
        """GET /api/v3/ticker/price."""
        found = []
        for k in self._chosen(params):
            last = self.house.trades[k][-1].price_ticks if self.house.trades[k] else 0
            found.append({"symbol": self.words.symbols[k], "price": self.words.price[k](last)})
        return _one_or_all(params, found)

    def avg_price(self, params: Params) -> dict[str, Any]:
        """GET /api/v3/avgPrice: of the last five minutes."""
        k = self.instrument(params)
        bar = self.house.minutes[k].since(self.house.now_ns - 5 * MINUTE_NS)
        value = self._average(k, bar) if bar is not None else ZERO
        return {"mins": 5, "price": value, "closeTime": self.now_ns // MS}

    def _average(self, k: int, bar: Minute) -> str:
        return amount(Decimal(bar.value_ticklots) / Decimal(bar.lots) * self.words.instrument(k).tick)

    def day(self, params: Params) -> Any:
        """GET /api/v3/ticker/24hr."""
        return _one_or_all(params, [self.statistics(k) for k in self._chosen(params)])

    def statistics(self, k: int) -> dict[str, Any]:
        """The last day of one instrument."""
        bar = self.house.minutes[k].since(self.house.now_ns - DAY_NS)
        price, qty, best = self.words.price[k], self.words.qty[k], self.best(k)
        now = self.now_ns // MS
        if bar is None:
            bar = Minute(self.house.now_ns, 0, 0, 0, 0)
        change = bar.close_ticks - bar.open_ticks
        percent = amount(Decimal(100 * change) / Decimal(bar.open_ticks or 1))
        return {
            "symbol": self.words.symbols[k],
            "priceChange": ("-" if change < 0 else "") + price(abs(change)),
            "priceChangePercent": percent[:-5],
            "weightedAvgPrice": self._average(k, bar) if bar.lots else ZERO,
            "prevClosePrice": price(bar.open_ticks),
            "lastPrice": price(bar.close_ticks),
            "lastQty": qty(self.house.trades[k][-1].qty_lots) if self.house.trades[k] else ZERO,
            "bidPrice": best["bidPrice"],
            "bidQty": best["bidQty"],
            "askPrice": best["askPrice"],
            "askQty": best["askQty"],
            "openPrice": price(bar.open_ticks),
            "highPrice": price(bar.high_ticks),
            "lowPrice": price(bar.low_ticks),
            "volume": qty(bar.lots),
            "quoteVolume": self._value(k, bar.value_ticklots),
            "openTime": now - DAY_NS // MS,
            "closeTime": now,
            "firstId": bar.first_id if bar.count else -1,
            "lastId": bar.last_id if bar.count else -1,
            "count": bar.count,
        }


def aggregate(trades: list[MarketEvent]) -> list[list[MarketEvent]]:
    """Executions that follow one another, of one incoming order at one price, together."""
    groups: list[list[MarketEvent]] = []
    for trade in trades:
        last = groups[-1][0] if groups else None
        if last is not None and (last.taker_id, last.price_ticks) == (trade.taker_id, trade.price_ticks):
            groups[-1].append(trade)
        else:
            groups.append([trade])
    return groups


def _one_or_all(params: Params, found: list[dict[str, Any]]) -> Any:
    return found[0] if params.get("symbol") else found


def weight_of(method: str, weight: int, params: Params) -> int:
    """A method's weight by its parameters."""
    if method == "depth":
        limit = params.get("limit", "100")
        levels = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 9 else 5000
        return 5 if levels <= 100 else 25 if levels <= 500 else 50 if levels <= 1000 else 250
    if method in ("ticker.24hr", "openOrders.status") and not params.get("symbol"):
        return 80
    if method == "myTrades" and params.get("orderId"):
        return 5
    return weight

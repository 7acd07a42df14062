"""Binance USD-M futures as a protocol over the house, market data only: REST and the routed streams.

What differs from spot is here: paths, `pu` in depth diffs (with a snapshot rule of its own), times in bookTicker, and
streams that are on one route only: `/public` has depth and bookTicker, `/market` the others.  A stream that is asked
for on another route, or on the unrouted paths of before 2026-04, stays silent, as at the venue.  Orders are not
spoken: positions and margin are not what the house keeps.
"""

from __future__ import annotations

from typing import Any

from pinnacle.dialects.binance import Binance
from pinnacle.dialects.binance_orders import Params, whole
from pinnacle.dialects.binance_public import Public
from pinnacle.dialects.binance_streams import Streams, StreamSession
from pinnacle.dialects.binance_words import MS
from pinnacle.dialects.house import House
from pinnacle.dialects.market import MarketEvent
from pinnacle.event import BUY

_PUBLIC = ("depth", "bookTicker")


class UsdmStreams(Streams):
    """The same streams in the futures' words."""

    depth_ms = (250, 500, 100, 0)

    def _trade(self, trade: MarketEvent, k: int, skew_ns: int) -> bytes:
        when = (trade.ts_ns + skew_ns) // MS
        return (
            f'{{"e":"trade","E":{when},"T":{when},"s":"{self.words.symbols[k]}","t":{trade.aux},'
            f'"p":"{self.words.price[k](trade.price_ticks)}","q":"{self.words.qty[k](trade.qty_lots)}",'
            f'"X":"MARKET","m":{"true" if trade.side != BUY else "false"}}}'
        ).encode()

    def _best_text(self, k: int, number: int, bid: str, bid_qty: str, ask: str, ask_qty: str, ts_ns: int) -> bytes:
        symbol, when = self.words.symbols[k], ts_ns // MS
        return (
            f'{{"e":"bookTicker","u":{number},"s":"{symbol}","b":"{bid}","B":"{bid_qty}","a":"{ask}","A":"{ask_qty}",'
            f'"T":{when},"E":{when}}}'
        ).encode()

    def _diff_head(self, now_ms: int, symbol: str, first: int, last: int) -> str:
        said = f'{{"e":"depthUpdate","E":{now_ms},"T":{now_ms},"s":"{symbol}"'
        return f'{said},"U":{first},"u":{last},"pu":{first - 1}'


class UsdmPublic(Public):
    """The public methods in the futures' words."""

    def exchange_info(self, params: Params) -> dict[str, Any]:
        """GET /fapi/v1/exchangeInfo: every symbol as a perpetual."""
        info = super().exchange_info(params)
        info["futuresType"] = "U_MARGINED"
        info["symbols"] = [self._perpetual(k) for k in range(len(self.house.listings))]
        return info

    def _perpetual(self, k: int) -> dict[str, Any]:
        one = self.words.exchange_symbol(k)
        instrument = self.words.instrument(k)
        filters = [f for f in one["filters"] if f["filterType"] in ("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE")]
        filters.append({"filterType": "MIN_NOTIONAL", "notional": str(instrument.notional_min)})
        return {
            "symbol": one["symbol"], "pair": one["symbol"], "contractType": "PERPETUAL", "status": one["status"],
            "deliveryDate": 4133404800000, "onboardDate": 0, "baseAsset": instrument.base,
            "quoteAsset": instrument.quote, "marginAsset": instrument.quote,
            "pricePrecision": _digits(one["filters"][0]["tickSize"]),
            "quantityPrecision": _digits(one["filters"][1]["stepSize"]), "baseAssetPrecision": 8, "quotePrecision": 8,
            "underlyingType": "COIN", "orderTypes": ["LIMIT", "MARKET"], "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
            "filters": filters,
        }  # fmt: skip

    def depth(self, params: Params) -> dict[str, Any]:
        """GET /fapi/v1/depth: at most 1,000 levels, with the venue's time."""
        limited = dict(params) | {"limit": str(whole(params, "limit", 500, 1000))}
        now = self.now_ns // MS
        return super().depth(limited) | {"E": now, "T": now}


class BinanceUsdm(Binance):
    """See the file's first words."""

    name = "binance-usdm"
    streams_class = UsdmStreams
    api_path = ""

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        public = self.public = UsdmPublic(house, self.words)
        self.streams = UsdmStreams(public, lambda kind: self.spoil(kind))
        self.open_methods = {
            ("GET", "/fapi/v1/ping"): ("ping", 1, public.ping),
            ("GET", "/fapi/v1/time"): ("time", 1, public.time),
            ("GET", "/fapi/v1/exchangeInfo"): ("exchangeInfo", 1, public.exchange_info),
            ("GET", "/fapi/v1/depth"): ("depth", 5, public.depth),
            ("GET", "/fapi/v1/trades"): ("trades.recent", 5, public.trades),
            ("GET", "/fapi/v1/historicalTrades"): ("trades.historical", 20, public.old_trades),
            ("GET", "/fapi/v1/aggTrades"): ("trades.aggregate", 20, public.agg_trades),
            ("GET", "/fapi/v1/klines"): ("klines", 5, public.klines),
            ("GET", "/fapi/v1/ticker/24hr"): ("ticker.24hr", 1, public.day),
            ("GET", "/fapi/v1/ticker/price"): ("ticker.price", 1, public.price),
            ("GET", "/fapi/v1/ticker/bookTicker"): ("ticker.book", 2, public.book_ticker),
        }
        self.signed_methods = {}

    def split(self, path: str) -> tuple[str, str]:
        """`/public`, `/market` or nothing, then `/ws` or `/stream` as at spot."""
        for route in ("public", "market"):
            if path.startswith(f"/{route}/"):
                return route, path[len(route) + 1 :]
        return "", path

    def subscribe(self, session: StreamSession, name: str) -> None:
        """Only what is on the session's route is heard."""
        if name not in session.names:
            session.names[name] = None
            what = name.partition("@")[2]
            if session.route == ("public" if what.startswith(_PUBLIC) else "market"):
                self.streams.subscribe(session, name)

    def urls(self, http: str, websocket: str) -> dict[str, str]:
        return {
            "REST": f"{http}/fapi/v1",
            "books": f"{websocket}/public/ws or {websocket}/public/stream?streams=",
            "other streams": f"{websocket}/market/ws or {websocket}/market/stream?streams=",
        }


def _digits(text: str) -> int:
    """Decimals of a step that is written with zeros at its end."""
    return len(text.rstrip("0").partition(".")[2])

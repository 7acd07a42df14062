"""Binance USD-M futures as a protocol over the house: REST, the routed streams, and accounts that hold positions.

What differs from spot is here: paths, `pu` in depth diffs (with a snapshot rule of its own), times in bookTicker, and
streams that are on one route only: `/public` has depth and bookTicker, `/market` the others, `/private` an account's.
A stream that is asked for on another route, or on the unrouted paths of before 2026-04, stays silent, as at the venue.
Not spoken: the websocket API, batches, stop orders, hedge mode beyond its name, isolated margin, several assets as
margin.  Not simulated: funding payments and liquidation (till.py).
"""

from __future__ import annotations

from typing import Any

from pinnacle.dialects.binance import SECOND_NS, Binance
from pinnacle.dialects.binance_orders import Params, whole
from pinnacle.dialects.binance_public import Public
from pinnacle.dialects.binance_streams import Streams, StreamSession, encode
from pinnacle.dialects.binance_usdm_orders import UsdmOrders
from pinnacle.dialects.binance_usdm_stream import PrivateStreams
from pinnacle.dialects.binance_usdm_words import UsdmWords
from pinnacle.dialects.binance_words import MS
from pinnacle.dialects.dialect import Request, Response, Session
from pinnacle.dialects.house import House
from pinnacle.dialects.market import MarketEvent
from pinnacle.dialects.orders import Update
from pinnacle.event import BUY

_PUBLIC = ("depth", "bookTicker")
_LISTEN = "/fapi/v1/listenKey"
# Of all positions: what the venue gives a new account.
LEVERAGE = 20


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
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
        info["rateLimits"] = [weight | {"limit": BinanceUsdm.weight_minute}] + [
            {"rateLimitType": "ORDERS", "interval": one.interval, "intervalNum": one.number, "limit": one.most}
            for one in UsdmOrders.limits
        ]
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
    weight_minute = 2400
    ping_ns = 180 * SECOND_NS
    pong_ns = 600 * SECOND_NS

    def __init__(self, house: House, host: str = "127.0.0.1") -> None:
        super().__init__(house, host)
        house.trade_on_margin(LEVERAGE)
        words = UsdmWords(house)
        self.words = words
        public = self.public = UsdmPublic(house, words)
        orders = self.usdm_orders = self.orders = UsdmOrders(house, words)
        self.streams = UsdmStreams(public, lambda kind: self.spoil(kind))
        self.private_streams = PrivateStreams(words)
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
        self.signed_methods = {
            ("POST", "/fapi/v1/order"): ("order.place", 1, orders.place),
            ("POST", "/fapi/v1/order/test"): ("test", 1, orders.test),
            ("DELETE", "/fapi/v1/order"): ("cancel", 1, orders.cancel),
            ("PUT", "/fapi/v1/order"): ("order.modify", 1, orders.modify),
            ("DELETE", "/fapi/v1/allOpenOrders"): ("cancelAll", 1, orders.cancel_all),
            ("POST", "/fapi/v1/countdownCancelAll"): ("countdown", 10, orders.count_down),
            ("GET", "/fapi/v1/order"): ("query", 1, orders.query),
            ("GET", "/fapi/v1/openOrder"): ("openOrder", 1, orders.open_order),
            ("GET", "/fapi/v1/openOrders"): ("openOrders", 1, orders.open_orders),
            ("GET", "/fapi/v1/allOrders"): ("allOrders", 5, orders.all_orders),
            ("GET", "/fapi/v1/userTrades"): ("userTrades", 5, orders.my_trades),
            ("GET", "/fapi/v1/commissionRate"): ("commission", 20, orders.commission),
            ("GET", "/fapi/v1/leverageBracket"): ("brackets", 1, orders.brackets),
            ("GET", "/fapi/v1/rateLimit/order"): ("rateLimits", 1, orders.order_limits),
            ("GET", "/fapi/v1/positionSide/dual"): ("mode", 30, orders.mode),
            ("POST", "/fapi/v1/positionSide/dual"): ("setMode", 1, orders.set_mode),
        }
        for version in ("v2", "v3"):
            self.signed_methods |= {
                ("GET", f"/fapi/{version}/balance"): ("balance", 5, orders.balance),
                ("GET", f"/fapi/{version}/positionRisk"): ("positions", 5, orders.positions),
                ("GET", f"/fapi/{version}/account"): ("account", 5, orders.account),
            }
        self.by_name = {}

    # --- HTTP -----------------------------------------------------------------------------------------------------
    def _answer(self, request: Request, now_ns: int) -> Response:
        """As on spot, and the stream's key, for which the key of the account is enough."""
        if request.path != _LISTEN:
            return super()._answer(request, now_ns)
        streams = self.private_streams
        method = {"POST": streams.give, "PUT": streams.keep, "DELETE": streams.end}.get(request.method)
        if method is None:
            return Response(405, b"", {"Allow": "POST, PUT, DELETE"})
        self.weigh(request.peer, 1, now_ns)
        return Response(200, encode(method(self.account(request.headers.get("x-mbx-apikey", "")), now_ns)))

    # --- websockets -----------------------------------------------------------------------------------------------
    def _stream_session(self, request: Request, route: str, names: str, combined: bool) -> StreamSession:
        if route == "private" and not names:
            names = request.params().get("listenKey", "")
        session = super()._stream_session(request, route, names, combined)
        if route == "private":
            self.private_streams.join(session)
        return session

    def closed(self, session: Session, now_ns: int) -> None:
        assert isinstance(session, StreamSession)
        self.private_streams.leave(session)
        super().closed(session, now_ns)

    # --- news -----------------------------------------------------------------------------------------------------
    def private(self, update: Update) -> None:
        self.private_streams.say(update, self.skew_ns)

    def tick(self, now_ns: int) -> None:
        super().tick(now_ns)
        self.usdm_orders.tick()
        self.private_streams.tick(now_ns)

    def split(self, path: str) -> tuple[str, str]:
        """`/public`, `/market`, `/private` or nothing, then `/ws` or `/stream` as at spot."""
        for route in ("public", "market", "private"):
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
            "account's stream": f"{websocket}/private/ws/<listenKey>",
        }


def _digits(text: str) -> int:
    """Decimals of a step that is written with zeros at its end."""
    return len(text.rstrip("0").partition(".")[2])

"""Advanced Trade's REST: products, books, trades, accounts, orders, fills."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.coinbase_advanced_orders import Entry, Fail, big, invalid, object_of
from pinnacle.dialects.coinbase_words import (
    ACCOUNTS,
    ORDERS,
    PROFILES,
    USERS,
    Words,
    money,
    plain,
    uuid_of,
)
from pinnacle.dialects.minutes import MINUTE_NS
from pinnacle.dialects.orders import Account, Fill, Order, Status
from pinnacle.event import ASK, BID, BUY
from pinnacle.venues.iso import iso_of_ns

BROKERAGE = ["api", "v3", "brokerage"]
Params = Mapping[str, list[str]]
_DAY_NS = 86_400_000_000_000
_CANCELS_MAX = 100
_PAGE = 1000
_BARS = {
    "ONE_MINUTE": 1, "FIVE_MINUTE": 5, "FIFTEEN_MINUTE": 15, "THIRTY_MINUTE": 30, "ONE_HOUR": 60, "TWO_HOUR": 120,
    "SIX_HOUR": 360, "ONE_DAY": 1440,
}  # fmt: skip


class Rest:
    """All methods.  public and private answer a path, or raise Fail."""

    def __init__(self, words: Words) -> None:
        self.words, self.house = words, words.house
        self._entry = Entry(words)

    def public(self, parts: list[str], params: Params, now_ns: int) -> Any:
        """What needs no key; parts: of the path, without `market`."""
        match parts:
            case ["v2", "currencies"]:
                return {"data": [{"id": name, "name": name, "min_size": "0.01"} for name in self.house.digits]}
            case ["v2", "currencies", "crypto"]:
                return {"data": [{"code": name, "name": name, "asset_id": name} for name in self.house.digits]}
            case ["v2", "exchange-rates"]:
                return {"data": {"currency": "USD", "rates": dict.fromkeys(self.house.digits, "1")}}
            case ["api", "v3", "brokerage", *rest]:
                return self._market(rest, params, now_ns)
        raise _not_found()

    def _market(self, rest: list[str], params: Params, now_ns: int) -> Any:
        """Market data, which is the same with and without a key."""
        match rest:
            case ["time"]:
                ms = now_ns // 1_000_000
                return {"iso": iso_of_ns(now_ns, 0), "epochSeconds": str(ms // 1000), "epochMillis": str(ms)}
            case ["products"]:
                products = [self.product(k) for k in range(len(self.words.symbols))]
                return {"products": products, "num_products": len(products)}
            case ["products", name]:
                return self.product(self.instrument(name))
            case ["products", name, "ticker"]:
                return self._trades(self.instrument(name), params)
            case ["products", name, "candles"]:
                return {"candles": self._candles(self.instrument(name), params)}
            case ["product_book"]:
                k = self.instrument(first(params, "product_id"))
                return {"pricebook": self._book(k, whole(params, "limit", 0), now_ns)}
            case ["best_bid_ask"]:
                names = params.get("product_ids") or self.words.symbols
                return {"pricebooks": [self._book(self.instrument(name), 1, now_ns) for name in names]}
        raise _not_found()

    def private(self, account: Account, method: str, parts: list[str], params: Params, body: bytes, now_ns: int) -> Any:
        """What needs a key."""
        rest = parts[3:]
        match method, rest:
            case "GET", ["accounts"]:
                accounts = [self._account(account, currency) for currency in self.house.digits]
                return {"accounts": accounts, "has_next": False, "cursor": "", "size": len(accounts)}
            case "GET", ["orders", "historical", "batch"]:
                orders, cursor = self._list(account, params)
                return {"orders": orders, "has_next": bool(cursor), "cursor": cursor, "sequence": "0"}
            case "GET", ["orders", "historical", "fills"]:
                return {"fills": self._fills(account, params), "cursor": ""}
            case "GET", ["orders", "historical", name]:
                order = self._entry.find(account, name)
                if order is None:
                    raise _not_found()
                return {"order": self.order(order)}
            case "GET", ["transaction_summary"]:
                return self._summary(account)
            case "GET", ["key_permissions"]:
                portfolio = uuid_of(PROFILES, account.index)
                return {"can_view": True, "can_trade": True, "can_transfer": False, "portfolio_uuid": portfolio}
            case "POST", ["orders"]:
                return self._entry.place(account, object_of(body))
            case "POST", ["orders", "batch_cancel"]:
                return self._entry.cancel(account, object_of(body))
            case "POST", ["orders", "edit"]:
                return self._entry.edit(account, object_of(body))
            case "GET", _:
                return self._market(rest, params, now_ns)
        raise _not_found()

    def instrument(self, name: str) -> int:
        """The instrument of a product.  Raises Fail."""
        found = self.house.instrument_of(name)
        if found is None:
            raise Fail(404, {"error": "NOT_FOUND", "message": f"ProductID {name[:40]} was not found"})
        return found

    # --- everyone's ---------------------------------------------------------------------------------------------------
    def product(self, k: int) -> dict[str, Any]:
        """One product: price_increment is the tick."""
        one, state, day = self.words.instruments[k], self.house.states[k], self._day(k)
        return {
            "product_id": one.symbol, "price": day["last"], "price_percentage_change_24h": "0",
            "volume_24h": day["volume"], "base_increment": plain(one.lot)(1), "quote_increment": self.words.price[k](1),
            "price_increment": self.words.price[k](1), "quote_min_size": str(one.notional_min or 1),
            "quote_max_size": "150000000", "base_min_size": self.words.qty[k](max(1, one.lots(str(one.qty_min)))),
            "base_max_size": self.words.qty[k](self.house.listings[k].qty_max_lots), "base_name": one.base,
            "quote_name": one.quote, "status": "online", "is_disabled": False, "new": False, "watched": False,
            "cancel_only": state == e.STATE_CANCEL_ONLY, "post_only": state == e.STATE_POST_ONLY, "limit_only": False,
            "trading_disabled": state == e.STATE_HALTED, "auction_mode": False, "product_type": "SPOT",
            "quote_currency_id": one.quote, "base_currency_id": one.base, "alias": "", "alias_to": [],
            "base_display_symbol": one.base, "quote_display_symbol": one.quote, "view_only": False,
            "display_name": one.symbol, "product_venue": "CBE",
        }  # fmt: skip

    def _day(self, k: int) -> dict[str, str]:
        day, price = self.house.minutes[k].since(self.house.now_ns - _DAY_NS), self.words.price[k]
        return {
            "last": price(day.close_ticks if day else 0), "high": price(day.high_ticks if day else 0),
            "low": price(day.low_ticks if day else 0), "volume": self.words.qty[k](day.lots if day else 0),
        }  # fmt: skip

    def ticker(self, k: int) -> dict[str, str]:
        """A product in a message of the ticker channel."""
        day = self._day(k)
        shown = {
            "type": "ticker", "product_id": self.words.symbols[k], "price": day["last"], "volume_24_h": day["volume"],
            "low_24_h": day["low"], "high_24_h": day["high"], "low_52_w": day["low"], "high_52_w": day["high"],
            "price_percent_chg_24_h": "0",
        }  # fmt: skip
        for name, which in (("best_bid", BID), ("best_ask", ASK)):
            level = self.house.levels(k, which, 1)
            ticks, lots = level[0] if level else (0, 0)
            shown[name], shown[f"{name}_quantity"] = self.words.price[k](ticks), self.words.qty[k](lots)
        return shown

    def _book(self, k: int, limit: int, now_ns: int) -> dict[str, Any]:
        price, qty = self.words.price[k], self.words.qty[k]
        bids, asks = (
            [{"price": price(p), "size": qty(q)} for p, q in self.house.levels(k, one, limit)] for one in (BID, ASK)
        )
        return {"product_id": self.words.symbols[k], "bids": bids, "asks": asks, "time": iso_of_ns(now_ns)}

    def trade(self, k: int, trade: Any) -> dict[str, str]:
        """A public trade; side is the maker's."""
        return {
            "trade_id": str(trade.aux), "product_id": self.words.symbols[k],
            "price": self.words.price[k](trade.price_ticks), "size": self.words.qty[k](trade.qty_lots),
            "time": self.words.time(trade.ts_ns), "side": big(-trade.side),
        }  # fmt: skip

    def _trades(self, k: int, params: Params) -> dict[str, Any]:
        limit = min(whole(params, "limit", 100), _PAGE)
        trades = list(self.house.trades[k])[-limit:] if limit else []
        best = self.ticker(k)
        listed = [self.trade(k, trade) | {"bid": "", "ask": "", "exchange": "coinbase"} for trade in reversed(trades)]
        return {"trades": listed, "best_bid": best["best_bid"], "best_ask": best["best_ask"]}

    def _candles(self, k: int, params: Params) -> list[dict[str, str]]:
        minutes = _BARS.get(first(params, "granularity", "ONE_MINUTE"))
        if minutes is None:
            raise invalid("granularity")
        begin, end = whole(params, "start", 0) * 10**9, whole(params, "end", 1 << 32) * 10**9
        price = self.words.price[k]
        bars = list(self.house.minutes[k].bars(minutes * MINUTE_NS, begin, end))[-350:]
        return [
            {"start": str(bar.start_ns // 10**9), "low": price(bar.low_ticks), "high": price(bar.high_ticks),
             "open": price(bar.open_ticks), "close": price(bar.close_ticks), "volume": self.words.qty[k](bar.lots)}
            for bar in reversed(bars)
        ]  # fmt: skip

    # --- an account's -------------------------------------------------------------------------------------------------
    def _account(self, account: Account, currency: str) -> dict[str, Any]:
        balance = account.balances[currency]
        free, held = (money(self.house.amount(currency, n)) for n in (balance.free_units, balance.held_units))
        number = account.index << 16 | list(self.house.digits).index(currency)
        return {
            "uuid": uuid_of(ACCOUNTS, number), "name": f"{currency} Wallet", "currency": currency,
            "available_balance": {"value": free, "currency": currency}, "default": True, "active": True,
            "created_at": "2021-05-31T09:59:59Z", "updated_at": "2021-05-31T09:59:59Z", "deleted_at": None,
            "type": "ACCOUNT_TYPE_CRYPTO", "ready": True, "hold": {"value": held, "currency": currency},
            "retail_portfolio_id": uuid_of(PROFILES, account.index),
        }  # fmt: skip

    def status(self, order: Order) -> str:
        """An order's state in the venue's words."""
        if order.live:
            return "OPEN"
        return {Status.FILLED: "FILLED", Status.CANCELLED: "CANCELLED", Status.REJECTED: "FAILED"}.get(
            order.status, "CANCELLED"
        )

    def order(self, order: Order) -> dict[str, Any]:
        """An order as REST shows it."""
        k, one = order.instrument, self.words.instruments[order.instrument]
        average = one.money(order.value_units) / (order.filled_lots * one.lot) if order.filled_lots else 0
        fills = [self.words.time(fill.ts_ns) for fill in order.fills]
        value, pays = one.money(order.value_units), one.quote if order.side == BUY else one.base
        fees = self.house.amount(one.quote, order.fees.get(one.quote, 0))
        return {
            "order_id": uuid_of(ORDERS, order.id), "product_id": self.words.symbols[k],
            "user_id": uuid_of(USERS, order.account), "order_configuration": order.extra.get("configuration", {}),
            "side": big(order.side), "client_order_id": order.client_id, "status": self.status(order),
            "time_in_force": order.extra.get("tif", "GOOD_UNTIL_CANCELLED"),
            "created_time": self.words.time(order.created_ns),
            "completion_percentage": f"{100 * order.filled_lots / order.qty_lots:.2f}",
            "filled_size": self.words.qty[k](order.filled_lots), "average_filled_price": f"{average:.8f}", "fee": "",
            "number_of_fills": str(len(fills)), "filled_value": money(value), "pending_cancel": False,
            "size_in_quote": False, "total_fees": money(fees), "size_inclusive_of_fees": False,
            "total_value_after_fees": money(value + order.side * fees), "trigger_status": "INVALID_ORDER_TYPE",
            "order_type": "MARKET" if order.flags & e.MARKET else "LIMIT", "reject_reason": "",
            "settled": not order.live,
            "product_type": "SPOT", "reject_message": "", "cancel_message": "",
            "order_placement_source": "RETAIL_ADVANCED",
            "outstanding_hold_amount": money(self.house.amount(pays, order.held_units)),
            "is_liquidation": False, "last_fill_time": fills[-1] if fills else None,
            "retail_portfolio_id": uuid_of(PROFILES, order.account),
        }  # fmt: skip

    def _list(self, account: Account, params: Params) -> tuple[list[dict[str, Any]], str]:
        """A page of orders, newest first, and the cursor of the next: "" after the last."""
        names = params.get("product_ids", params.get("product_id", []))
        wanted = {self.instrument(name) for name in names}
        orders = [*self.house.ended_orders(account.index), *self.house.open_orders(account.index)]
        states, ids = params.get("order_status", []), params.get("order_ids", [])
        kept = [order for order in orders if not wanted or order.instrument in wanted]
        kept = [order for order in kept if not states or self.status(order) in states]
        kept = [order for order in kept if not ids or uuid_of(ORDERS, order.id) in ids]
        limit = min(whole(params, "limit", _PAGE), _PAGE) or _PAGE
        before = whole(params, "cursor", 0)
        kept = sorted((order for order in kept if not before or order.id < before), key=lambda order: -order.id)
        page = kept[:limit]
        return [self.order(order) for order in page], str(page[-1].id) if len(kept) > limit else ""

    def _fills(self, account: Account, params: Params) -> list[dict[str, Any]]:
        names = params.get("product_ids", params.get("product_id", []))
        wanted = {self.instrument(name) for name in names}
        ids = params.get("order_ids", params.get("order_id", []))
        found = [fill for fill in self.house.fills(account.index) if not wanted or fill.order.instrument in wanted]
        found = [fill for fill in found if not ids or uuid_of(ORDERS, fill.order.id) in ids]
        return [self._fill(fill) for fill in reversed(found[-_PAGE:])]

    def _fill(self, fill: Fill) -> dict[str, Any]:
        k, when = fill.order.instrument, self.words.time(fill.ts_ns)
        return {
            "entry_id": f"{fill.order.id}-{fill.id}", "trade_id": str(fill.id),
            "order_id": uuid_of(ORDERS, fill.order.id),
            "trade_time": when, "trade_type": "FILL", "price": self.words.price[k](fill.price_ticks),
            "size": self.words.qty[k](fill.qty_lots),
            "commission": money(self.house.amount(fill.fee_currency, fill.fee_units)),
            "product_id": self.words.symbols[k], "sequence_timestamp": when,
            "liquidity_indicator": "MAKER" if fill.maker else "TAKER", "size_in_quote": False,
            "user_id": uuid_of(USERS, fill.order.account), "side": big(fill.side),
            "retail_portfolio_id": uuid_of(PROFILES, fill.order.account),
        }  # fmt: skip

    def _summary(self, account: Account) -> dict[str, Any]:
        maker, taker = self.house.rates(account.index, 0)
        rates = {"maker_fee_rate": f"{maker / 1e9:.4f}", "taker_fee_rate": f"{taker / 1e9:.4f}"}
        return {"total_volume": 0, "total_fees": 0, "fee_tier": {"pricing_tier": "", **rates}, "total_balance": ""}


def first(params: Params, name: str, absent: str = "") -> str:
    """The first of a query's values of a name."""
    return params.get(name, [absent])[0]


def whole(params: Params, name: str, absent: int) -> int:
    """A whole number of a query.  Raises Fail."""
    text = first(params, name)
    if text and not (text.isascii() and text.isdigit() and len(text) < 12):
        raise invalid(name)
    return int(text) if text else absent


def _not_found() -> Fail:
    return Fail(404, {"error": "NOT_FOUND", "error_details": "not found", "message": "not found"})

"""Binance USD-M's words for orders, executions, balances and positions, where they are not those of spot.

Facts: the venue's public documents of 2026, and samples of its answers and events.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pinnacle import event as e
from pinnacle.dialects.binance_words import MS, ZERO, Words, amount, side
from pinnacle.dialects.orders import Account, Fill, Happened, Order, Update
from pinnacle.event import BUY

EXECUTIONS = {
    Happened.ACCEPTED: "NEW", Happened.FILLED: "TRADE", Happened.REPLACED: "AMENDMENT",
    Happened.CANCELLED: "CANCELED", Happened.EXPIRED: "EXPIRED", Happened.REJECTED: "REJECTED",
}  # fmt: skip


class UsdmWords(Words):
    """See the file's first words.  All amounts are exact, and positions are of one-way mode."""

    def average(self, order: Order) -> str:
        """What an order's executions cost a unit."""
        one = self.instrument(order.instrument)
        if not order.filled_lots:
            return "0.00"
        worth = one.money(order.value_units) / (order.filled_lots * one.lot * one.contract)
        return amount(worth)

    def status(self, order: Order) -> str:
        """As on spot, but that an order which the venue cancels for the position's sake has expired."""
        return "EXPIRED" if order.extra.get("expires") and not order.live else super().status(order)

    def order(self, order: Order) -> dict[str, Any]:
        """What every answer about an order has."""
        k = order.instrument
        kind = order.extra.get("type", "LIMIT")
        return {
            "orderId": order.id, "symbol": self.symbols[k], "status": self.status(order),
            "clientOrderId": order.client_id, "price": self.price[k](order.price_ticks),
            "avgPrice": self.average(order), "origQty": self.qty[k](order.qty_lots),
            "executedQty": self.qty[k](order.filled_lots), "cumQty": self.qty[k](order.filled_lots),
            "cumQuote": self.quote(k, order.value_units), "timeInForce": order.extra.get("tif", "GTC"), "type": kind,
            "reduceOnly": bool(order.flags & e.REDUCE), "closePosition": False, "side": side(order.side),
            "positionSide": "BOTH", "stopPrice": ZERO, "workingType": "CONTRACT_PRICE", "priceProtect": False,
            "origType": kind, "priceMatch": "NONE", "selfTradePreventionMode": order.extra.get("stp_text", "NONE"),
            "goodTillDate": 0,
        }  # fmt: skip

    def queried(self, order: Order, skew_ns: int) -> dict[str, Any]:
        """An order with its times: as a query shows it."""
        return self.order(order) | {
            "time": (order.created_ns + skew_ns) // MS,
            "updateTime": (order.updated_ns + skew_ns) // MS,
        }

    def my_trade(self, fill: Fill, skew_ns: int) -> dict[str, Any]:
        """An execution as a query shows it."""
        k = fill.order.instrument
        quote = self.instrument(k).quote
        return {
            "symbol": self.symbols[k], "id": fill.id, "orderId": fill.order.id, "side": side(fill.side),
            "price": self.price[k](fill.price_ticks), "qty": self.qty[k](fill.qty_lots),
            "realizedPnl": amount(self.house.amount(quote, fill.won_units)),
            "quoteQty": self.quote(k, fill.value_units), "commission": self.fee(fill),
            "commissionAsset": fill.fee_currency, "time": (fill.ts_ns + skew_ns) // MS, "positionSide": "BOTH",
            "buyer": fill.side == BUY, "maker": fill.maker,
        }  # fmt: skip

    # --- the account ----------------------------------------------------------------------------------------------
    def quotes(self) -> list[str]:
        """The currencies that accounts keep money in."""
        return list(dict.fromkeys(listing.instrument.quote for listing in self.house.listings))

    def balance(self, account: Account, currency: str) -> dict[str, Any]:
        """One wallet, as GET /fapi/v3/balance shows it."""
        house = self.house
        wallet = account.balances[currency].total_units
        won, _ = house.margin(account.index, currency)
        free = max(0, house.free_units(account.index, currency))
        units = {"balance": wallet, "crossWalletBalance": wallet, "crossUnPnl": won, "availableBalance": free,
                 "maxWithdrawAmount": min(free, max(0, wallet))}  # fmt: skip
        return {
            "accountAlias": f"local{account.index}", "asset": currency,
            **{name: amount(house.amount(currency, count)) for name, count in units.items()},
            "marginAvailable": True, "updateTime": self.house.now_ns // MS,
        }  # fmt: skip

    def asset(self, account: Account, currency: str) -> dict[str, Any]:
        """One wallet, as GET /fapi/v3/account shows it."""
        house, one = self.house, self.balance(account, currency)
        won, held = house.margin(account.index, currency)
        orders = account.balances[currency].held_units
        units = {
            "unrealizedProfit": won, "marginBalance": account.balances[currency].total_units + won,
            "maintMargin": 0, "initialMargin": held + orders, "positionInitialMargin": held,
            "openOrderInitialMargin": orders,
        }  # fmt: skip
        return {
            "asset": currency, "walletBalance": one["balance"], "crossWalletBalance": one["balance"],
            "crossUnPnl": one["crossUnPnl"], "availableBalance": one["availableBalance"],
            "maxWithdrawAmount": one["maxWithdrawAmount"], "marginAvailable": True, "updateTime": one["updateTime"],
            **{name: amount(house.amount(currency, count)) for name, count in units.items()},
        }  # fmt: skip

    def position(self, account: Account, k: int) -> dict[str, Any]:
        """A position, as GET /fapi/v3/positionRisk shows it."""
        house, one = self.house, self.instrument(k)
        held = house.position(account.index, k)
        won = house.unrealised(account.index, k)
        cost = held.cost_units if held.lots > 0 else -held.cost_units
        margin = amount(house.amount(one.quote, -(-held.cost_units // house.leverage)))
        entry = self.entry(account, k)
        worth = house.amount(one.quote, cost + won)
        size = held.lots * one.lot * one.contract
        return {
            "symbol": one.symbol, "positionSide": "BOTH", "positionAmt": f"{size:f}", "entryPrice": entry,
            "breakEvenPrice": entry, "markPrice": amount(abs(worth / size)) if size else ZERO,
            "unRealizedProfit": amount(house.amount(one.quote, won)), "liquidationPrice": "0",
            "isolatedMargin": "0", "notional": amount(worth), "marginAsset": one.quote, "isolatedWallet": "0",
            "initialMargin": margin, "maintMargin": "0", "positionInitialMargin": margin,
            "openOrderInitialMargin": "0", "adl": 0, "bidNotional": "0", "askNotional": "0",
            "leverage": str(house.leverage), "maxNotionalValue": "0", "marginType": "cross",
            "isAutoAddMargin": "false", "updateTime": self.house.now_ns // MS,
        }  # fmt: skip

    def entry(self, account: Account, k: int) -> str:
        """What a position's lots were bought or sold for, on average."""
        one, held = self.instrument(k), self.house.position(account.index, k)
        if not held.lots:
            return "0.0"
        paid = self.house.amount(one.quote, held.cost_units)
        return amount(paid / (abs(held.lots) * one.lot * one.contract))

    # --- the private stream ---------------------------------------------------------------------------------------
    def report(self, update: Update, skew_ns: int) -> dict[str, Any]:
        """ORDER_TRADE_UPDATE."""
        order, fill, k = update.order, update.fill, update.order.instrument
        when = (update.ts_ns + skew_ns) // MS
        quote = self.instrument(k).quote
        kind = order.extra.get("type", "LIMIT")
        execution = EXECUTIONS[update.what]
        if order.extra.get("expires") and update.what is Happened.CANCELLED:
            execution = "EXPIRED"
        said = {
            "s": self.symbols[k], "c": order.client_id, "S": side(order.side), "o": kind,
            "f": order.extra.get("tif", "GTC"), "q": self.qty[k](order.qty_lots), "p": self.price[k](order.price_ticks),
            "ap": self.average(order), "sp": "0", "x": execution,
            "X": "NEW" if update.what is Happened.ACCEPTED else self.status(order), "i": order.id,
            "l": self.qty[k](fill.qty_lots) if fill else "0", "z": self.qty[k](order.filled_lots),
            "L": self.price[k](fill.price_ticks) if fill else "0", "N": quote,
            "n": self.fee(fill) if fill else "0", "T": when, "t": fill.id if fill else 0, "b": "0", "a": "0",
            "m": fill.maker if fill else False, "R": bool(order.flags & e.REDUCE), "wt": "CONTRACT_PRICE", "ot": kind,
            "ps": "BOTH", "cp": False, "pP": False, "si": 0, "ss": 0,
            "rp": amount(self.house.amount(quote, fill.won_units if fill else 0)),
            "V": order.extra.get("stp_text", "NONE"), "pm": "NONE", "gtd": 0,
        }  # fmt: skip
        return {"e": "ORDER_TRADE_UPDATE", "T": when, "E": when, "o": said}

    def lite(self, order: Order, fill: Fill, skew_ns: int) -> dict[str, Any]:
        """TRADE_LITE: an execution in short, before it is told whole."""
        k, when = order.instrument, (fill.ts_ns + skew_ns) // MS
        return {
            "e": "TRADE_LITE", "E": when, "T": when, "s": self.symbols[k], "c": order.client_id,
            "S": side(order.side), "q": self.qty[k](order.qty_lots), "p": self.price[k](order.price_ticks),
            "i": order.id, "l": self.qty[k](fill.qty_lots), "L": self.price[k](fill.price_ticks), "t": fill.id,
            "m": fill.maker,
        }  # fmt: skip

    def account_update(self, account: Account, k: int, ts_ns: int) -> dict[str, Any]:
        """ACCOUNT_UPDATE after an execution: the wallet and the position it changed."""
        one, held, when = self.instrument(k), self.house.position(account.index, k), ts_ns // MS
        wallet = amount(self.house.amount(one.quote, account.balances[one.quote].total_units))
        won = amount(self.house.amount(one.quote, self.house.unrealised(account.index, k)))
        size: Decimal = held.lots * one.lot * one.contract
        return {
            "e": "ACCOUNT_UPDATE", "T": when, "E": when,
            "a": {
                "m": "ORDER", "B": [{"a": one.quote, "wb": wallet, "cw": wallet, "bc": "0"}],
                "P": [{"s": one.symbol, "pa": f"{size:f}", "ep": self.entry(account, k),
                       "bep": self.entry(account, k), "cr": "0", "up": won, "mt": "cross", "iw": "0", "ps": "BOTH"}],
            },
        }  # fmt: skip

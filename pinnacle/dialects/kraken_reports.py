"""Kraken's private channels: executions and balances, each counted by a sequence of its own."""

from __future__ import annotations

from typing import Any

import msgspec

from pinnacle import event as e
from pinnacle.dialects.kraken_session import KrakenSession
from pinnacle.dialects.kraken_words import Words, flag, order_text, time
from pinnacle.dialects.orders import Happened, Order, Status, Update
from pinnacle.event import BUY

encode = msgspec.json.encode
_STATUS = {
    Status.OPEN: "new", Status.PARTIAL: "partially_filled", Status.FILLED: "filled", Status.CANCELLED: "canceled",
    Status.EXPIRED: "canceled", Status.REJECTED: "canceled",
}  # fmt: skip
_TIMES = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK", "gtd": "GTD"}


class Reports:
    """Who hears of which account; skew_ns: the venue's clock less the house's."""

    def __init__(self, words: Words) -> None:
        self.words = words
        self.skew_ns = 0
        self._sessions: dict[KrakenSession, None] = {}

    def join(self, session: KrakenSession, channel: str) -> None:
        """A session hears a channel of its account from now on."""
        self._sessions[session] = None

    def leave(self, session: KrakenSession) -> None:
        """A session has gone."""
        self._sessions.pop(session, None)

    def snapshot(self, session: KrakenSession, channel: str, params: dict[str, Any]) -> None:
        """What a subscription begins with: open orders, the last trades if asked for, or balances."""
        assert session.account is not None
        index = session.account.index
        if channel == "balances":
            balances = session.account.balances
            rows = [self._balance_row(index, asset) for asset in balances if balances[asset].total_units]
            self._send(session, channel, "snapshot", rows)
            return
        house = self.words.house
        if params.get("snap_orders", True):
            rows = [self._whole(order) | {"exec_type": "new"} for order in house.open_orders(index)]
            self._send(session, channel, "snapshot", rows)
        if flag(params, "snap_trades"):
            fills = house.fills(index)[-50:]
            self._send(session, channel, "snapshot", [self._fill(fill.order, fill) for fill in fills])

    def private(self, update: Update) -> None:
        """An update of the house, as events of both channels."""
        order, what = update.order, update.what
        listeners = [one for one in self._sessions if one.account and one.account.index == order.account]
        if not listeners or what is Happened.REJECTED:
            return
        rows: list[dict[str, Any]] = []
        when = {"timestamp": time(update.ts_ns + self.skew_ns)}
        if what is Happened.ACCEPTED:
            rows = [
                self._whole(order) | when | {"exec_type": kind, "order_status": kind} for kind in ("pending_new", "new")
            ]
        elif what is Happened.FILLED:
            assert update.fill is not None
            rows = [self._fill(order, update.fill)]
            if order.status is Status.FILLED:
                rows.append(self._totals(order) | when | {"exec_type": "filled", "order_status": "filled"})
        elif what is Happened.REPLACED:
            kind = "restated" if update.reason else "amended"
            rows = [self._whole(order) | when | {"exec_type": kind, "amended": True}]
        else:
            reason = self.words.reason(order)
            ended = "expired" if order.extra.get("expired") else "canceled"
            rows = [self._totals(order) | when | {
                "exec_type": ended, "order_status": ended, "cancel_reason": reason, "reason": reason,
            }]  # fmt: skip
            if update.reason == e.END_WOULD_CROSS:
                rows.insert(0, self._whole(order) | when | {"exec_type": "pending_new", "order_status": "pending_new"})
        for session in listeners:
            if ("executions", -1) in session.channels:
                for row in rows:
                    self._send(session, "executions", "update", [row])
            if update.fill is not None and ("balances", -1) in session.channels:
                for asset, amount in self._moves(update):
                    row = self._balance_row(order.account, asset) | when
                    row |= {
                        "amount": amount, "fee": self._fee(update, asset), "type": "trade", "subtype": "",
                        "category": "trade", "wallet_type": "spot", "wallet_id": "main",
                        "ledger_id": order_text(update.number * 4 + (asset == update.fill.fee_currency), "L"),
                        "ref_id": self.words.trade_text(update.fill),
                    }  # fmt: skip
                    del row["wallets"]
                    self._send(session, "balances", "update", [row])

    def _send(self, session: KrakenSession, channel: str, kind: str, rows: list[dict[str, Any]]) -> None:
        if channel == "executions":
            session.executions += 1
            sequence = session.executions
        else:
            session.balances += 1
            sequence = session.balances
        session.send(encode({"channel": channel, "type": kind, "data": rows, "sequence": sequence}))

    # --- rows: numbers stand bare, so they are kept as the text that they are -----------------------------------------

    def _bare(self, text: str) -> msgspec.Raw:
        return msgspec.Raw(text.encode())

    def _whole(self, order: Order) -> dict[str, Any]:
        """Everything of an order."""
        k, words = order.instrument, self.words
        row: dict[str, Any] = {
            "order_id": order_text(order.id), "symbol": words.symbols[k],
            "side": "buy" if order.side == BUY else "sell",
            "order_type": "market" if order.flags & e.MARKET else "limit",
            "order_qty": self._bare(words.qty(k, order.qty_lots)), "order_status": _STATUS[order.status],
            "time_in_force": _TIMES[order.extra.get("tif", "gtc")],
            "timestamp": time(order.updated_ns + self.skew_ns), "fee_ccy_pref": "fciq",
            "order_userref": order.extra.get("userref", 0),
        } | self._totals(order)  # fmt: skip
        row["order_status"] = _STATUS[order.status]
        if not order.flags & e.MARKET:
            row |= {"limit_price": self._bare(words.price(k, order.price_ticks)), "limit_price_type": "static"}
        if order.flags & e.POST_ONLY:
            row["post_only"] = True
        return row

    def _totals(self, order: Order) -> dict[str, Any]:
        """What was executed of an order."""
        k, words = order.instrument, self.words
        row: dict[str, Any] = {
            "order_id": order_text(order.id), "cum_qty": self._bare(words.qty(k, order.filled_lots)),
            "cum_cost": self._bare(words.cost(k, order.value_units)), "avg_price": self._bare(words.average(order)),
            "fee_usd_equiv": self._bare(words.fee(order)),
        }  # fmt: skip
        if order.client_id:
            row["cl_ord_id"] = order.client_id
        return row

    def _fill(self, order: Order, fill: Any) -> dict[str, Any]:
        """A trade event: partially filled even when it completes the order."""
        k, words = order.instrument, self.words
        return self._totals(order) | {
            "exec_type": "trade", "order_status": "partially_filled", "exec_id": words.trade_text(fill),
            "trade_id": fill.id, "symbol": words.symbols[k], "side": "buy" if fill.side == BUY else "sell",
            "last_qty": self._bare(words.qty(k, fill.qty_lots)),
            "last_price": self._bare(words.price(k, fill.price_ticks)),
            "cost": self._bare(words.cost(k, fill.value_units)), "liquidity_ind": "m" if fill.maker else "t",
            "fees": [{"asset": fill.fee_currency, "qty": self._bare(words.amount(fill.fee_currency, fill.fee_units))}],
            "order_type": "market" if order.flags & e.MARKET else "limit",
            "timestamp": time(fill.ts_ns + self.skew_ns),
        }  # fmt: skip

    def _balance_row(self, account: int, asset: str) -> dict[str, Any]:
        balance = self.words.house.accounts[account - 1].balances[asset]
        total = self._bare(self.words.amount(asset, balance.total_units))
        return {
            "asset": asset, "asset_class": "currency", "balance": total,
            "wallets": [{"type": "spot", "id": "main", "balance": total}],
        }  # fmt: skip

    def _moves(self, update: Update) -> list[tuple[str, msgspec.Raw]]:
        """(asset, signed amount without fee) of a fill."""
        fill, house = update.fill, self.words.house
        assert fill is not None
        k = fill.order.instrument
        one = self.words.instrument(k)
        base = house.base_units(k, fill.qty_lots) * fill.side
        quote = -house.money(k, fill.price_ticks, fill.qty_lots) * fill.side
        return [
            (one.base, self._bare(self.words.amount(one.base, base))),
            (one.quote, self._bare(self.words.amount(one.quote, quote))),
        ]

    def _fee(self, update: Update, asset: str) -> msgspec.Raw:
        fill = update.fill
        assert fill is not None
        units = fill.fee_units if asset == fill.fee_currency else 0
        return self._bare(self.words.amount(asset, units))

"""What a local exchange has of its accounts, in one form for all venues: what a client's own books are held against.

A venue shows an account in its own words, over calls that are signed, limited and cut into pages; here is what the
house itself has, exact and without a venue's rounding.  It names accounts and never shows a key.
"""

from __future__ import annotations

from typing import Any

from pinnacle.dialects.house import House


def books_of(house: House) -> dict[str, Any]:
    """Of each account by name: balances (decimal text, all of it and what is held), open orders, fills that are
    remembered (limits.HOUSE_FILLS_MAX, oldest first)."""
    return {account.name: _account(house, account.index) for account in house.accounts}


def _account(house: House, index: int) -> dict[str, Any]:
    balances = house.accounts[index - 1].balances
    return {
        "balances": {
            currency: {
                "total": f"{house.amount(currency, one.total_units):f}",
                "held": f"{house.amount(currency, one.held_units):f}",
            }
            for currency, one in balances.items()
        },
        "open_orders": [
            {
                "symbol": (instrument := house.listings[order.instrument].instrument).symbol, "order": order.id,
                "client_id": order.client_id, "side": order.side,
                "price": instrument.price_text(order.price_ticks), "open": instrument.qty_text(order.open_lots),
            }
            for order in house.open_orders(index)
        ],
        "fills": [
            {
                "symbol": (instrument := house.listings[fill.order.instrument].instrument).symbol, "trade": fill.id,
                "order": fill.order.id, "client_id": fill.order.client_id, "side": fill.side,
                "price": instrument.price_text(fill.price_ticks), "qty": instrument.qty_text(fill.qty_lots),
                "fee": f"{house.amount(fill.fee_currency, fill.fee_units):f}", "fee_currency": fill.fee_currency,
                "maker": fill.maker,
            }
            for fill in house.fills(index)
        ],
    }  # fmt: skip

"""Coinbase's products as instruments, and what they take at present."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.event import STATE_CANCEL_ONLY, STATE_HALTED, STATE_OPEN, STATE_POST_ONLY
from pinnacle.instrument import Instrument
from pinnacle.venues.coinbase_messages import Product
from pinnacle.venues.connection import one_line
from pinnacle.venues.feed import Malformed

_product_lists = msgspec.json.Decoder(list[Product])
_product = msgspec.json.Decoder(Product)


def state_of(product: Product) -> int:
    """What a product takes, as MARKET_STATE says it.  limit_only is open to what we send."""
    if product.status != "online" or product.trading_disabled:
        return STATE_HALTED
    if product.cancel_only:
        return STATE_CANCEL_ONLY
    return STATE_POST_ONLY if product.post_only else STATE_OPEN


def instruments_path(symbols: Sequence[str]) -> str:
    """Where instruments are said: one product, or all of them."""
    return f"/products/{symbols[0]}" if len(symbols) == 1 else "/products"


def instruments(body: bytes) -> list[Instrument]:
    """Instruments of an answer to instruments_path; products that cannot be counted in whole steps are left out.

    min_market_funds is the least notional of limit orders too.  Raises Malformed.
    """
    try:
        products = _product_lists.decode(body) if body.lstrip()[:1] == b"[" else [_product.decode(body)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"coinbase: products: {one_line(str(error))}: {body[:80]!r}") from None
    found = []
    for product in products:
        try:
            found.append(
                Instrument(
                    "coinbase",
                    product.id,
                    Decimal(product.quote_increment),
                    Decimal(product.base_increment),
                    qty_min=Decimal(product.base_min_size or 0),
                    notional_min=Decimal(product.min_market_funds or 0),
                    base=product.base_currency,
                    quote=product.quote_currency,
                )
            )
        except (InvalidOperation, OperatorError):
            continue
    return found

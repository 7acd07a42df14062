"""What differs between Binance's markets, and its listing of instruments, which is the same in all of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import msgspec

from pinnacle.errors import OperatorError
from pinnacle.instrument import Instrument
from pinnacle.venues.binance_messages import ExchangeInfo, Filter, Refusal
from pinnacle.venues.feed import Malformed

UNREADABLE = (msgspec.MsgspecError, RecursionError, UnicodeDecodeError)
_listing = msgspec.json.Decoder(ExchangeInfo)
_refusal = msgspec.json.Decoder(Refusal)


@dataclass(frozen=True, slots=True)
class Market:
    """What differs between the venue's markets.

    route: what stands before /stream in the address of each group of streams, and the streams of the group.
    book: path of a snapshot, its symbol and limit to be filled in.  weights: (limit, weight of the call).
    weight_minute: of snapshots in a minute, half of what one address may use.
    """

    venue: str
    futures: bool
    routes: tuple[tuple[str, tuple[str, ...]], ...]
    book: str
    weights: tuple[tuple[int, int], ...]
    weight_minute: int
    listing: str


SPOT = Market(
    "binance",
    False,
    (("", ("depth@100ms", "trade", "bookTicker")),),
    "/api/v3/depth?symbol={symbol}&limit={limit}",
    ((100, 5), (500, 25), (1000, 50), (5000, 250)),
    3000,
    "/api/v3/exchangeInfo",
)


def reason(body: bytes) -> str:
    """What a refusal says, in a few words."""
    try:
        return _refusal.decode(body).msg[:120]
    except UNREADABLE:
        return repr(body[:60])


def instruments_of(market: Market, body: bytes) -> list[Instrument]:
    """The instruments of a market's listing, those without a fixed tick or lot left out."""
    try:
        listed = _listing.decode(body).symbols
    except UNREADABLE as error:
        raise Malformed(f"{market.venue}: a listing of instruments that is none ({error}): {reason(body)}") from None
    out = []
    for one in listed:
        filters = {each.filterType: each for each in one.filters}
        price, lot = filters.get("PRICE_FILTER"), filters.get("LOT_SIZE")
        notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or Filter("")
        try:
            if price is None or lot is None or not Decimal(price.tickSize) > 0 or not Decimal(lot.stepSize) > 0:
                continue
            least = notional.minNotional if Decimal(notional.minNotional) else notional.notional
            out.append(
                Instrument(
                    market.venue, one.symbol, _plain(price.tickSize), _plain(lot.stepSize), qty_min=_plain(lot.minQty),
                    notional_min=_plain(least), base=one.baseAsset, quote=one.quoteAsset,
                )
            )  # fmt: skip
        except (InvalidOperation, ValueError, OperatorError):
            raise Malformed(f"{market.venue}: filters of {one.symbol[:20]!r} that are none") from None
    return out


def _plain(text: str) -> Decimal:
    """A decimal without the zeros at its end.  Raises InvalidOperation or ValueError."""
    value = Decimal(text)
    if not value.is_finite() or abs(value.adjusted()) > 40:
        raise ValueError
    return Decimal(f"{value.normalize():f}")

"""What Binance USD-M answers where spot answers otherwise: errors by cause, what an account holds, its stream's key.

Rules: the venue's public documents of 2026 (error codes, account endpoints), and samples of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from pinnacle.venues.feed import Followed
from pinnacle.venues.private.binance_answers import CODES as SPOT_CODES
from pinnacle.venues.private.binance_answers import cause_of as spot_cause_of
from pinnacle.venues.private.said import Balance, Note

# Beside those of spot.  What only a person can mend is "permission", which stops trading and is shown.
CODES = SPOT_CODES | {
    -1000: "outcome_unknown",
    -1001: "outcome_unknown",
    -1002: "permission",
    -1006: "outcome_unknown",
    -1016: "halted",
    -1112: "no_liquidity",
    -1122: "halted",
    -2014: "permission",
    -2017: "permission",
    -2018: "funds",
    -2019: "funds",
    -2020: "no_liquidity",
    # Nothing to reduce, or other orders reduce it already: our picture of the position is wrong.
    -2022: "funds",
    -2023: "permission",  # the account is being liquidated
    -2024: "funds",
    -2025: "orders_max",
    -2026: "malformed",  # on spot this is an order in the archive
    -2027: "funds",
    -2028: "funds",
    -4001: "price_filter",
    -4002: "price_filter",
    -4003: "qty_filter",
    -4004: "qty_filter",
    -4005: "qty_filter",
    -4013: "price_filter",
    -4014: "price_filter",
    -4016: "price_filter",
    -4023: "qty_filter",
    -4024: "price_filter",
    -4061: "permission",  # hedge mode
    -4087: "permission",
    -4088: "permission",
    -4109: "permission",
    -4116: "duplicate",
    -4118: "funds",
    -4131: "price_filter",
    -4140: "halted",
    -4141: "halted",
    -4164: "notional_filter",
    -4192: "permission",
    -4400: "halted",  # for a while only orders that reduce
    -4401: "halted",
    -4402: "permission",
    -5021: "unfilled",
    -5022: "would_cross",
    -5024: "amend",
    -5025: "amend",
    -5026: "amend",
    -5027: "amend",
    -5028: "clock",  # the age of the request, looked at once more before the engine
    -5029: "notional_filter",
    -5041: "no_liquidity",
    -5043: "amend",
}
# The one that says the stream's key is none.
NO_LISTEN_KEY = -1125
_BANNED = re.compile(r"banned until ([0-9]{13})\b")


def cause_of(code: int, text: str) -> str:
    """Our name for a code and its words, see binance_answers.cause_of."""
    return CODES[code] if code in CODES else spot_cause_of(code, text)


def banned_until_ms(words: str) -> int:
    """The venue's time until which it takes nothing of our address, 0 where it does not say."""
    found = _BANNED.search(words)
    return int(found[1]) if found else 0


class ListenKey(msgspec.Struct):
    """The name of the account's stream; whoever knows it can listen."""

    listenKey: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_\-]{1,200}$")]


class Mode(msgspec.Struct):
    """dualSidePosition: hedge mode, in which a symbol has a long and a short position apart."""

    dualSidePosition: bool


class Time(msgspec.Struct):
    serverTime: Annotated[int, msgspec.Meta(ge=0, lt=(1 << 63) // 1_000_000)]


class Held(msgspec.Struct):
    """The wallet of one asset, without what open positions won or lost."""

    asset: str
    balance: Annotated[str, msgspec.Meta(max_length=64)]
    availableBalance: Annotated[str, msgspec.Meta(max_length=64)] = ""


class PositionAt(msgspec.Struct):
    symbol: str
    positionAmt: Annotated[str, msgspec.Meta(max_length=64)]
    positionSide: str = "BOTH"


def balances_of(body: bytes) -> list[Balance]:
    """The wallets of an account."""
    return [Balance(one.asset, one.balance) for one in msgspec.json.decode(body, type=list[Held])]


def positions_of(body: bytes, followed: Mapping[str, Followed]) -> tuple[list[Balance], list[Note]]:
    """The positions as what is held of the base currency, which is how they are compared with our fills; a symbol that
    is not listed has none.  Nothing is said of a base that two followed symbols have: their sum is nobody's position.
    """
    listed = msgspec.json.decode(body, type=list[PositionAt])
    notes = [
        Note("hedge_position", f"{one.symbol} {one.positionSide} {one.positionAmt}: only one-way mode is traded")
        for one in listed if one.positionSide != "BOTH"
    ]  # fmt: skip
    amounts = {one.symbol: one.positionAmt for one in listed if one.positionSide == "BOTH"}
    bases = [one.instrument.base for one in followed.values()]
    return [
        Balance(one.instrument.base, amounts.get(symbol, "0"))
        for symbol, one in followed.items() if bases.count(one.instrument.base) == 1
    ], notes  # fmt: skip

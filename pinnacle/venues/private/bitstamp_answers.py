"""What Bitstamp answers when it does not do what was asked: codes, and the words of older answers, as causes.

HTTP may say 200 all the same, so the body decides; a server's error, no answer, or one that cannot be read leaves the
outcome unknown.  Codes: clients of the venue of July 2026; words: samples from 2013 on.
"""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct

from pinnacle.event import CANCEL_REJECTED, ORDER_REJECTED, ORDER_UNKNOWN
from pinnacle.venues.gateway import CANCEL_COST, PLACE_COST

REFUSALS = {PLACE_COST: ORDER_REJECTED, CANCEL_COST: CANCEL_REJECTED}
CODES = {
    "400.002": "rate_limit",
    "400.067": "rate_limit",
    "400.068": "rate_limit",
    "404.001": "unknown_order",
    "404.002": "unknown_order",
    "404.003": "malformed",
    "400.003": "malformed",
    "400.001": "malformed",
    "400.004": "malformed",
    "400.005": "malformed",
    "400.006": "malformed",
    "400.007": "malformed",
    "400.014": "malformed",
    "400.015": "malformed",
    "400.016": "malformed",
    "400.017": "malformed",
    "validation-error": "malformed",
    "403.004": "permission",
    "400.009": "funds",
    "400.075": "funds",
    "400.019": "duplicate",
    "400.020": "qty_filter",
    "400.037": "qty_filter",
    "400.038": "qty_filter",
    "400.039": "qty_filter",
    "400.046": "notional_filter",
    "400.021": "price_filter",
    "500.001": "outcome_unknown",
    "500.002": "outcome_unknown",
    "500.003": "outcome_unknown",
    "API0001": "permission",
    "API0002": "permission",
    "API0003": "permission",
    # A nonce that was used: another process has the key, or a clock was set back.
    "API0004": "clock",
    "API0005": "permission",
    "API0006": "permission",
    "API0011": "permission",
    "API0017": "clock",
} | {f"API00{number}": "malformed" for number in (13, 14, 15, 16, 18, 19, 20, 21)}
# Words that say more than the code, or stand alone in old answers; in lower case.
WORDS = {
    "maker-or-cancel": "would_cross",
    "maker or cancel": "would_cross",
    "not enough liquidity": "no_liquidity",
    "too many open orders": "orders_max",
    "is disabled": "halted",
    "order not found": "unknown_order",
    "to open that order": "funds",
    "minimum order size": "notional_filter",
    "client order id exists": "duplicate",
    "username and/or password": "permission",
    "api access disabled": "permission",
    "api key not found": "permission",
    "invalid signature": "permission",
    "rate limit": "rate_limit",
}
_TOO_MANY, _DONE, _SERVER = 429, 200, 500


class _Body(Struct):
    """An error of any year; status is also a field of good answers."""

    status: str = ""
    error: Raw = Raw(b"")
    reason: Raw = Raw(b"")
    code: Raw = Raw(b"")
    response_code: Raw = Raw(b"")


def refusal(status: int, body: bytes) -> tuple[str, str]:
    """(cause, the venue's words) of an answer; the cause is empty if what was asked for was done.  status: of HTTP, 0
    if nothing came."""
    if status == 0 or status >= _SERVER:
        return "outcome_unknown", f"status {status}"
    found = _Body()
    if body.lstrip().startswith(b"{"):
        try:
            found = msgspec.json.decode(body, type=_Body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return _unreadable(status)
    elif not _is_json(body):
        return _unreadable(status)
    if found.status != "error" and not found.error and status == _DONE:
        return "", ""
    words = bytes(found.reason or found.error).decode("utf-8", "replace")[:200]
    code = next((_plain(one) for one in (found.code, found.response_code) if one), "")
    if not words and not code:
        return _unreadable(status)
    cause = cause_of(code, words)
    return ("rate_limit" if status == _TOO_MANY else cause), f"{code} {words}".strip()


def cause_of(code: str, words: str) -> str:
    """Our name for a code and its words; "other" for what is in no table, which stops what asked for it."""
    lower = words.lower()
    if code.startswith("API") and code in CODES:
        return CODES[code]
    for part, cause in WORDS.items():
        # What is too small is told apart by the code, where there is one.
        if part in lower and not (cause == "notional_filter" and code in CODES):
            return cause
    return CODES.get(code, "other")


def kind_of(request: str, cause: str) -> int:
    """The record that says a request was refused for a cause."""
    return ORDER_UNKNOWN if cause == "outcome_unknown" else REFUSALS[request]


def _unreadable(status: int) -> tuple[str, str]:
    cause = "rate_limit" if status == _TOO_MANY else "outcome_unknown"
    return cause, f"status {status}, and nothing that can be read"


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _plain(raw: Raw) -> str:
    return bytes(raw).decode("ascii", "replace").strip('"')[:40]

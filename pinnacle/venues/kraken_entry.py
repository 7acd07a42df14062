"""What Kraken spot is asked, as parameters: orders, cancels and questions, pure and without token, nonce or signature.

Websocket v2 takes orders, REST takes questions, cancels while the socket is away, and what the socket does not know
(fill or kill).  Numbers of the websocket stand bare, with the digits of the instrument, never through a binary float.
Rules: the venue's public documents of July 2026 (orders, rate limits), and samples of its clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from pinnacle.errors import OperatorError
from pinnacle.event import BUY, FOK, IOC, MARKET, POST_ONLY
from pinnacle.instrument import Instrument
from pinnacle.venues.form import form_text
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_COST,
    PLACE_COST,
    POST_ONLY_ENDED,
    REPLACE_COST,
    Capabilities,
    Order,
    Window,
)
from pinnacle.venues.iso import iso_of_ns

Params = dict[str, Any]
SECOND_NS = 1_000_000_000
# How long an order may travel: the venue takes half a second to a minute, and refuses what it would match later.
DEADLINE_NS = 3 * SECOND_NS
# The longest timeout of the dead-man's switch, in whole seconds.
DEAD_MAN_S_MAX = 86_399
# Own trades of a page, trades and orders named in one question.
TRADES_PAGE, TRADES_NAMED_MAX = 50, 20
# Threshold and decay a second of the counter of each pair, and of the counter of REST, by the account's tier.
TIERS = {"starter": (60, 1.0, 15, 0.33), "intermediate": (125, 2.34, 20, 0.5), "pro": (180, 3.75, 20, 1.0)}
# What an order younger than so many seconds costs more, when it is amended or cancelled.
_AMEND_AGE = ((5, 3), (10, 2), (15, 1))
_CANCEL_AGE = ((5, 8), (10, 6), (15, 5), (45, 4), (90, 2), (300, 1))
# Names of assets before 2022, which REST and websocket v1 still say.
_V1 = {"BTC": "XBT", "DOGE": "XDG"}
_FROM_V1 = {old: new for new, old in _V1.items()}
_LETTERED = {"XXBT", "XETH", "XLTC", "XXRP", "XXDG", "XXLM", "XXMR", "XZEC", "XETC", "XREP", "XMLN"} | {
    "ZUSD", "ZEUR", "ZGBP", "ZJPY", "ZCAD", "ZAUD", "ZCHF",
}  # fmt: skip


def capabilities(tier: str) -> Capabilities:
    """Of an account of a tier.  A cancel is counted, by the age of its order, and never held back for it."""
    if tier not in TIERS:
        raise OperatorError(f"kraken: there is no tier {tier!r}; there are {', '.join(TIERS)}")
    most, decay, rest_most, rest_decay = TIERS[tier]
    return Capabilities(
        "kraken",
        amend="full",
        post_only=POST_ONLY_ENDED,
        cancel_all="account",
        dead_man_ns=DEAD_MAN_S_MAX * SECOND_NS,
        order_life_ns=DEADLINE_NS,
        windows=(
            Window("engine", most, 0, most // 3, True, decay),
            Window("rest", rest_most, 0, 0, False, rest_decay),
        ),
        costs={
            PLACE_COST: (("engine", 1),),
            REPLACE_COST: (("engine", 1),),
            ASK_ORDER: (("rest", 1),),
            ASK_OPEN: (("rest", 1),),
            ASK_FILLS: (("rest", 2),),
            ASK_BALANCES: (("rest", 1),),
        },
        age_costs={
            REPLACE_COST: ("engine", tuple((s * SECOND_NS, weight) for s, weight in _AMEND_AGE)),
            CANCEL_COST: ("engine", tuple((s * SECOND_NS, weight) for s, weight in _CANCEL_AGE)),
        },
        counted_only=(CANCEL_COST,),
    )


# --- names --------------------------------------------------------------------------------------------------------


def asset_of(name: str) -> str:
    """An asset of REST as websocket v2 names it: XXBT is BTC, ZUSD is USD, ETH is ETH."""
    short = name[1:] if name in _LETTERED else name
    return _FROM_V1.get(short, short)


def pair_names(instrument: Instrument) -> set[str]:
    """All names that the venue has for a pair: XBTUSD, XXBTZUSD, XBT/USD, BTC/USD."""
    ways = []
    for asset in (instrument.base, instrument.quote):
        old = _V1.get(asset, asset)
        ways.append({asset, old, *(letter + old for letter in "XZ" if letter + old in _LETTERED)})
    return {f"{base}{mark}{quote}" for base in ways[0] for quote in ways[1] for mark in ("", "/")} | {instrument.symbol}


def altname(instrument: Instrument) -> str:
    """A pair as REST is asked for it."""
    return _V1.get(instrument.base, instrument.base) + _V1.get(instrument.quote, instrument.quote)


# --- websocket v2 -------------------------------------------------------------------------------------------------


def add_params(order: Order, deadline_ns: int) -> Params:
    """A new order.  Own resting orders give way to one that takes: a hedge must not wait for them."""
    assert not order.flags & FOK, "the websocket knows no fill or kill"
    instrument = order.followed.instrument
    params: Params = {
        "order_type": "market" if order.flags & MARKET else "limit",
        "side": "buy" if order.side == BUY else "sell",
        "order_qty": _bare(instrument.qty_text(order.qty_lots)),
        "symbol": instrument.symbol,
    }
    if not order.flags & MARKET:
        params["limit_price"] = _bare(instrument.price_text(order.price_ticks))
        params["time_in_force"] = "ioc" if order.flags & IOC else "gtc"
        if order.flags & POST_ONLY:
            params["post_only"] = True
    params["cl_ord_id"] = order.client_id
    params["stp_type"] = "cancel_oldest"
    params["deadline"] = iso_of_ns(deadline_ns, 3)
    return params


def amend_params(order: Order, deadline_ns: int) -> Params:
    """Price and whole quantity; post-only is off unless it is said again."""
    instrument = order.followed.instrument
    return {
        "cl_ord_id": order.client_id,
        "order_qty": _bare(instrument.qty_text(order.qty_lots + order.done_lots)),
        "limit_price": _bare(instrument.price_text(order.price_ticks)),
        "post_only": bool(order.flags & POST_ONLY),
        "deadline": iso_of_ns(deadline_ns, 3),
    }


def cancel_params(order: Order, order_text: str = "") -> Params:
    """A cancel, by client id: that is known before the venue has answered.  order_text: the venue's own, for an order
    of somebody else's without one."""
    return {"cl_ord_id": [order.client_id]} if order.client_id else {"order_id": [order_text]}


def dead_man_s(timeout_ns: int) -> int:
    """Whole seconds of the switch; upwards, so that it never fires before its time."""
    seconds = -(-timeout_ns // SECOND_NS)
    assert 0 <= seconds <= DEAD_MAN_S_MAX
    return seconds


def subscribe_params(channel: str) -> Params:
    """A private channel; with what its counters stand at."""
    if channel == "executions":
        return {
            "channel": channel, "snap_orders": True, "snap_trades": False, "order_status": True, "ratecounter": True,
        }  # fmt: skip
    return {"channel": channel, "snapshot": True}


# --- REST ---------------------------------------------------------------------------------------------------------


def rest_add_params(order: Order, deadline_ns: int) -> Params:
    """A new order by REST."""
    instrument = order.followed.instrument
    return {
        "pair": altname(instrument),
        "type": "buy" if order.side == BUY else "sell",
        "ordertype": "limit",
        "price": instrument.price_text(order.price_ticks),
        "volume": instrument.qty_text(order.qty_lots),
        "timeinforce": "FOK" if order.flags & FOK else "IOC" if order.flags & IOC else "GTC",
        "cl_ord_id": order.client_id,
        "stptype": "cancel-oldest",
        "deadline": iso_of_ns(deadline_ns, 3),
    }


def order_params(order: Order, order_text: str = "") -> Params:
    """An order by REST, named as in a cancel."""
    return {"cl_ord_id": order.client_id} if order.client_id else {"txid": order_text}


def form(nonce: int, params: Mapping[str, Any]) -> bytes:
    """A body as it is signed and sent; booleans are in lower case."""
    return form_text({"nonce": nonce, **params}).encode()


def _bare(text: str) -> Raw:
    return Raw(text.encode())

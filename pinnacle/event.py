"""The 64-byte record: the only thing pinnacle hears, says, keeps and sends between its parts.

One cache line of little-endian integers, the same dtype for inputs and outputs, so that a log is an array and a
replay is a comparison of bytes.  The field table with its meanings is in docs/ARCHITECTURE.md.
"""

from __future__ import annotations

import numpy as np

EVENT = np.dtype(
    [
        ("seq", "<i8"),  # number of the input; an output carries the seq of the input that caused it
        ("ts_ns", "<i8"),  # when we knew it, ns since 1970 UTC; never goes back within a log
        ("ts_venue_ns", "<i8"),  # when the venue says it happened; 0 if it does not say
        ("order_id", "<i8"),  # our order id, or the venue's in order-by-order data
        ("price_ticks", "<i8"),
        ("qty_lots", "<i8"),
        ("aux", "<i8"),  # by kind, see below
        ("kind", "u1"),
        ("side", "i1"),  # +1 bid or buy, -1 ask or sell, 0 none
        ("flags", "<u2"),
        ("venue", "<u2"),  # index into the run's venue table
        ("instrument", "<u2"),  # index into the run's instrument table
    ]
)
assert EVENT.itemsize == 64

BID = BUY = 1
ASK = SELL = -1

# --- inputs (below 128) -------------------------------------------------------------------------------------------
BOOK_CLEAR = 1  # side (0: both) loses every level at price_ticks or better (0: all of it)
BOOK_LEVEL = 2  # the quantity at price_ticks is now qty_lots (absolute; 0 removes the level)
ORDER_ADD = 3  # an order of the market joins the end of its price's queue: order_id is the venue's, above 0
ORDER_MODIFY = 4  # its price and open quantity are now these; it keeps its place unless the price moves or it grows
ORDER_DELETE = 5  # it leaves; qty_lots: what was still open, 0 if it was filled
TRADE = 6  # side is the aggressor's; aux: the venue's trade id; order_id: the resting order's where it is known
TICKER = 7  # best price and quantity of one side as the venue's ticker says; aux: the venue's update id
FUNDING = 8  # qty_lots: rate in parts per 1e9 of the position's value at price_ticks (0: last mid); longs pay if > 0
LINK_UP = 9
LINK_DOWN = 10
LINK_GAP = 11
LINK_STALE = 12
MARKET_STATE = 13  # aux: STATE_*, what the venue takes from now on; said to a matching engine, and by it
MARKET_KIND_MAX = 15  # kinds up to here are what the market says; history holds only these

TIMER = 16
ORDER_ACKNOWLEDGED = 20  # order_id rests at the venue with qty_lots open; aux: the venue's number of it, if it has one
ORDER_REJECTED = 21  # the place was refused; reason in flags
ORDER_FILLED = 22  # qty_lots executed at price_ticks; aux: fee in money units, negative for a rebate
ORDER_CANCELLED = 23  # the rest of the order was cancelled at our request
ORDER_EXPIRED = 24  # the venue ended the rest by itself (post-only would cross, IOC remainder, self-trade)
CANCEL_REJECTED = 25  # the cancel was refused: the order was gone already
ORDER_UNKNOWN = 26  # the outcome of a request is not known
ORDER_REPLACED = 27  # order_id rests at price_ticks with qty_lots open; a reason in flags: the venue did it by itself
REPLACE_REJECTED = 28  # the replace was refused and the order stays as it was; reason in flags
FILL_ID = 29  # aux: the venue's trade id of the ORDER_FILLED that comes next, by which a fill is counted once
BALANCE = 30
RECONCILED = 31  # an account was compared with ours; aux: DIFFERENCE_*, and the records that set it right come next
OPERATOR_PAUSE = 40
OPERATOR_RESUME = 41
OPERATOR_FLATTEN = 42
OPERATOR_KILL = 43
PARAMETER_SET = 50  # aux: index of the parameter; price_ticks: its new value in millionths
PARAMETER_SCALE = 1_000_000
MODEL_LOADED = 51
BLOB = 60  # text that follows its owner: 8 bytes each in order_id, price_ticks, qty_lots, aux

# --- outputs (128 and above) --------------------------------------------------------------------------------------
OUTPUT_KIND_MIN = 128
PLACE = 128
CANCEL = 129
REPLACE = 130
CANCEL_ALL = 131
ALERT = 140  # aux: what the engine refused or noticed, see ALERT_NAMES
BREAKER = 141
CHECKPOINT = 150  # aux: fingerprint of the engine's whole state after this input

KIND_NAMES: dict[int, str] = {
    value: name.lower()
    for name, value in list(globals().items())
    if name.isupper()
    and isinstance(value, int)
    and not name.endswith(("_MIN", "_MAX"))
    and name not in ("PARAMETER_SCALE", "BID", "BUY", "ASK", "SELL")
}

# --- flags --------------------------------------------------------------------------------------------------------
LAST = 1  # end of one atomic venue message: the strategy wakes once, on a whole book
SNAPSHOT = 2
MAKER = 4
REDUCE = 8
POST_ONLY = 16
IOC = 32  # immediate or cancel
FOK = 64  # fill or kill;  none of the three: good till cancelled
MARKET = 128  # takes at any price up to price_ticks (0: any at all), and rests nowhere
REASON_SHIFT = 8  # bits 8..11 say why, by kind
STP_SHIFT = 12  # bits 12..14 of an order: 1 + what prevents a trade with oneself; 0: as the participant has it

# why an own order was filled (ORDER_FILLED)
FILL_TRADE_THROUGH = 1  # a trade happened at a worse price than ours
FILL_QUEUE_FRONT = 2  # a trade at our price, with nothing left ahead of us
FILL_CROSSING_BOOK = 3  # the other side's best came to our price or through it
FILL_TAKER = 4  # we took what rested
FILL_REASON_NAMES = {1: "trade_through", 2: "queue_front", 3: "crossing_book", 4: "taker"}

# why the venue refused or ended an order (ORDER_REJECTED, ORDER_EXPIRED, CANCEL_REJECTED)
END_WOULD_CROSS = 1  # post-only at or beyond the other side's best
END_UNFILLED = 2  # what an IOC could not take, or a FOK that could not be filled whole
END_SELF_TRADE = 3
END_PRICE_FILTER = 4
END_QTY_FILTER = 5
END_NOTIONAL_FILTER = 6
END_NO_LIQUIDITY = 7
END_UNKNOWN_ORDER = 8
END_ORDERS_MAX = 9
END_STATE = 10  # the venue does not take this in its present state
END_DUPLICATE = 11  # an order of the participant has this id and is open
END_MALFORMED = 12  # flags that contradict each other, no side, an id out of range
END_VENUE_GONE = 13  # a simulated venue ended with its process, and what rested there with it
END_FUNDS = 14  # the account does not hold what the order would need
END_BUSY = 15  # the venue, or our budget of its limits, did not take the request now
END_REASON_NAMES = {
    1: "would_cross", 2: "unfilled", 3: "self_trade", 4: "price_filter", 5: "qty_filter", 6: "notional_filter",
    7: "no_liquidity", 8: "unknown_order", 9: "orders_max", 10: "state", 11: "duplicate", 12: "malformed",
    13: "venue_gone", 14: "funds", 15: "busy",
}  # fmt: skip

# what a comparison with the venue's account found (RECONCILED, in aux)
DIFFERENCE_NONE = 0  # it is over; order_id: trade id up to which every fill of the instrument is known
DIFFERENCE_FILL = 1  # a fill that we had not heard of
DIFFERENCE_ENDED = 2  # an order that we believed open is not
DIFFERENCE_OPEN = 3  # an order of this run that we believed gone is open: it is cancelled
DIFFERENCE_FOREIGN = 4  # an order that this run did not place; order_id: the venue's number of it; it is left alone
DIFFERENCE_BALANCE = 5  # the position by fills moved by another amount than the venue's balance, qty_lots more there
DIFFERENCE_BUST = 6  # a fill that we had counted is no more at the venue: for a person to decide
DIFFERENCE_STARTED = 7  # no difference yet: a process goes on with the log, and its orders get numbers above order_id
DIFFERENCE_NAMES = {
    0: "none", 1: "fill", 2: "ended", 3: "open", 4: "foreign", 5: "balance", 6: "bust", 7: "started",
}  # fmt: skip

# why trading stopped for good (OPERATOR_KILL) or for now (OPERATOR_PAUSE), in the reason bits; 0: the operator
KILL_LOSS = 1
KILL_ERRORS = 2  # too many refusals in a short time
KILL_STALE = 3  # no whole book for too long
KILL_LOG = 4  # the log could not be written
KILL_REFUSED = 5  # the key, its rights or our address
KILL_MISTAKE = 6  # the venue says that we asked for nonsense, or something that is in no table of ours
KILL_CAP = 7  # an order would have gone beyond what the operator allows at the venue (live.notional_max)
HOLD_LINK = 8  # the private connection is not there, or the account was not compared yet
HOLD_RATE = 9
HOLD_CLOCK = 10
HOLD_HALTED = 11
HOLD_FUNDS = 12
HOLD_SWITCH = 13  # the venue's dead-man's switch is not set
HOLD_OVER = 15  # of OPERATOR_RESUME and OPERATOR_FLATTEN: the end of a hold gives back what the operator wanted
STOP_NAMES = {
    0: "operator", 1: "loss", 2: "errors", 3: "stale", 4: "log", 5: "refused", 6: "mistake", 7: "cap",
    8: "link", 9: "rate", 10: "clock", 11: "halted", 12: "funds", 13: "switch",
    15: "over",
}  # fmt: skip

# what a venue takes (MARKET_STATE, in aux)
STATE_OPEN = 0
STATE_HALTED = 1  # nothing
STATE_CANCEL_ONLY = 2
STATE_POST_ONLY = 3  # orders that would take expire
STATE_NAMES = {0: "open", 1: "halted", 2: "cancel_only", 3: "post_only"}

# what the engine did not do, and why (ALERT, in aux)
ALERT_POSITION = 1
ALERT_ORDER_SIZE = 2
ALERT_OPEN_ORDERS = 3
ALERT_PRICE_BAND = 4
ALERT_NOTIONAL = 5
ALERT_ORDER_RATE = 6
ALERT_STALE = 7
ALERT_ODD_TRANSITION = 8
ALERT_NAMES = {
    1: "position", 2: "order_size", 3: "open_orders", 4: "price_band", 5: "notional", 6: "order_rate", 7: "stale",
    8: "odd_transition",
}  # fmt: skip


def reason_of(flags: int) -> int:
    """The four reason bits of a record's flags; their meaning depends on the kind."""
    return (int(flags) >> REASON_SHIFT) & 15


def empty(count: int) -> np.ndarray:
    """EVENT[count], all zero."""
    return np.zeros(count, EVENT)

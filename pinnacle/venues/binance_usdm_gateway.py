"""Binance USD-M's private side: orders and questions by REST, and the account's stream on a websocket of its own.

The stream's address is a key that is asked for before each connection and kept alive while it is open; it is never
given back, because another process on the account hears by the same one.  Before the first connection the clock of the
venue is measured and the position mode asked: in hedge mode the account would hold a long and a short position of one
symbol apart, which no book here knows, so nothing is placed there.

A stream may rightly be silent for hours, so silence shows nothing.  What shows a dead one is an order that the venue
took and the stream says nothing of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from pinnacle.event import (
    CANCEL_REJECTED,
    ORDER_ACKNOWLEDGED,
    ORDER_FILLED,
    ORDER_REJECTED,
    POST_ONLY,
    REPLACE_REJECTED,
)
from pinnacle.limits import FILLS_PAGE, PRIVATE_ORDERS_MAX
from pinnacle.venues import binance_usdm_entry as entry
from pinnacle.venues.account_connection import UNREADABLE, AccountConnection, Pending
from pinnacle.venues.binance_entry import RECV_WINDOW_MS, Params, cancel_params, fills_params, order_params
from pinnacle.venues.binance_usdm import ADDRESS
from pinnacle.venues.binance_usdm_entry import (
    ASK_MODE,
    ASK_POSITIONS,
    ASK_TIME,
    DEAD_MAN,
    KEEP_LISTENING,
    LISTEN,
    PATHS,
)
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import (
    ASK_BALANCES,
    ASK_FILLS,
    ASK_OPEN,
    ASK_ORDER,
    CANCEL_ALL_COST,
    CANCEL_COST,
    PLACE_COST,
    REPLACE_COST,
    Answer,
    Call,
    Order,
)
from pinnacle.venues.private import binance_answers as answers
from pinnacle.venues.private import binance_usdm as private
from pinnacle.venues.private.binance import VENUES_OWN, PrivateStream
from pinnacle.venues.private.said import SWITCH_REFUSED, SWITCH_SET, Balance, Note, Step
from pinnacle.venues.signing import BinanceKey, binance_headers, binance_signed_query

__all__ = ["ADDRESS", "UsdmGateway", "gateway"]
MS, SECOND_NS = 1_000_000, 1_000_000_000
LIFE_NS = (24 * 3600 - 900) * SECOND_NS
# A stream's key is good for an hour from when it was given out or kept.
KEEP_EVERY_NS, KEEP_AGAIN_NS = 1800 * SECOND_NS, 60 * SECOND_NS
# A key that no connection was opened with is asked for anew after this.
KEY_NS_MAX = 600 * SECOND_NS
# What the opening wants is asked for again after the first, or where it was refused after the second, which doubles up
# to the third: who goes on asking with a key that is none is banned.
AGAIN_NS, REFUSED_AGAIN_NS, REFUSED_AGAIN_NS_MAX = 3 * SECOND_NS, 1 * SECOND_NS, 60 * SECOND_NS
# The stream says that an order was taken within moments.
STREAM_NS_MAX = 5 * SECOND_NS
# After "too many requests"; the window is a minute, and who goes on is banned.
RATE_WAIT_NS, BAN_NS_MAX = 10 * SECOND_NS, 3600 * SECOND_NS
# The limit of new orders: cancels and questions are still taken.
_TOO_MANY_ORDERS = "-1015 "
_REQUESTS = {PLACE_COST: answers.PLACE, CANCEL_COST: answers.CANCEL, REPLACE_COST: answers.REPLACE}
HEDGE = (
    "binance-usdm: the account is in hedge mode, and only one-way mode is traded; close its positions, choose one-way "
    "position mode at the venue, and start again"
)


class UsdmGateway(AccountConnection):
    """See venues/gateway.py.  followed: the instruments traded; api_key, key: as credentials.signer gives them.

    hedged: whether the account is in hedge mode, None before the venue has said.
    """

    def __init__(self, followed: Sequence[Followed], ids: ClientIds, api_key: str, key: BinanceKey) -> None:
        super().__init__("binance-usdm", entry.CAPABILITIES, followed, ids, "/private/ws", LIFE_NS)
        self.hedged: bool | None = None
        self._headers, self._key = binance_headers(api_key), key
        self._stream = PrivateStream(self.followed, ids.order_id)
        self._answers = answers.Answers(self.followed, ids.order_id, shows_fills=False)
        self._fresh = False  # the stream's key is newer than the last connection
        self._over = False  # another connection is wanted instead of this one
        self._key_ns = self._kept_ns = self._opened_ns = 0
        self._due_ns: dict[str, int] = {}  # of what the opening wants: not before
        self._refusals: dict[str, int] = {}  # of that, one after the other
        # Orders that left and that the stream has said nothing of; when it must have, 0 while the answer is awaited.
        self._unheard: dict[str, int] = {}
        self._switch: tuple[int, set[str]] = (0, set())  # (timeout, symbols whose answer is awaited)

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        if self._fresh and ts_ns - self._key_ns > KEY_NS_MAX:
            self._fresh = False
        if self.away_ns is None:
            self._want(ASK_TIME, ts_ns)
        elif self.hedged is None:
            self._want(ASK_MODE, ts_ns)
        if not self._fresh:
            self._want(LISTEN, ts_ns)
        return {} if self._fresh and self.away_ns is not None and self.hedged is not None else None

    def _want(self, what: str, ts_ns: int) -> None:
        """Ask for what a connection needs first, if it is time; a clock that went back delays nothing."""
        wait_ns = self._due_ns.get(what, 0) - ts_ns
        if 0 < wait_ns <= REFUSED_AGAIN_NS_MAX or ts_ns < self.retry_ns:
            return
        self._due_ns[what] = ts_ns + AGAIN_NS
        if what == ASK_MODE:
            self._request(Pending(what, ts_ns), {}, ts_ns)
        else:
            self._open_request(what, ts_ns)

    def opened(self, ts_ns: int) -> None:
        self.begin(ts_ns)
        self._fresh = self._over = False
        self._due_ns.pop(LISTEN, None)
        self._unheard = {}
        self._opened_ns = self._kept_ns = ts_ns
        self._is_ready()

    def _is_ready(self) -> None:
        """Connected with the stream's key, and the clock and the mode are known."""
        known = self.away_ns is not None and self.hedged is not None
        self.ready = self.up and known and not self._over

    def give_up(self, why: str) -> None:
        self._over = True
        super().give_up(why)

    def tick(self, ts_ns: int) -> None:
        self.watch(ts_ns)
        if ts_ns >= self.retry_ns and self.time_due(ts_ns):
            self._open_request(ASK_TIME, ts_ns)
        if not self.up:
            return
        if ts_ns - self._opened_ns > LIFE_NS:
            self.give_up("binance-usdm: the connection is a day old")
        elif any(due_ns and ts_ns >= due_ns for due_ns in self._unheard.values()):
            self.give_up("binance-usdm: the stream says nothing of an order that was taken")
        elif ts_ns - self._kept_ns >= KEEP_EVERY_NS:
            self._kept_ns = ts_ns - KEEP_EVERY_NS + KEEP_AGAIN_NS  # until the answer comes
            self._open_request(KEEP_LISTENING, ts_ns)

    # --- sending --------------------------------------------------------------------------------------------------
    def _open_request(self, what: str, ts_ns: int) -> None:
        """A request that is not signed."""
        http, path = PATHS[what]
        self.calls.append(Call(self.keep(Pending(what, ts_ns), "h"), http, path, self._headers))

    def _request(self, pending: Pending, params: Params, ts_ns: int, what: str = "") -> None:
        """A signed request.  what: of PATHS, where that is not what it is kept as."""
        params = params | {"recvWindow": RECV_WINDOW_MS, "timestamp": self.clock_ns(ts_ns) // MS}
        http, path = PATHS[what or pending.what]
        query = binance_signed_query(self._key, params)
        self.calls.append(Call(self.keep(pending, "h"), http, f"{path}?{query}", self._headers))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        if not self.ready or self.hedged:
            self.refuse(ORDER_REJECTED, order, "permission" if self.hedged else "busy")
            return 0
        self._unheard[order.client_id] = 0
        if len(self._unheard) > PRIVATE_ORDERS_MAX:
            del self._unheard[next(iter(self._unheard))]
        self._request(Pending(PLACE_COST, ts_ns, order), entry.place_params(order), ts_ns)
        return (self.clock_ns(ts_ns) // MS + RECV_WINDOW_MS) * MS

    def cancel(self, order: Order, ts_ns: int) -> None:
        if self.away_ns is None:
            self.refuse(CANCEL_REJECTED, order, "busy")
        else:
            self._request(Pending(CANCEL_COST, ts_ns, order), cancel_params(order), ts_ns)

    def replace(self, order: Order, ts_ns: int) -> None:
        """Of post-only orders alone: an amended order loses its self-trade prevention, which those do not need."""
        if not self.ready or not order.flags & POST_ONLY:
            self.refuse(REPLACE_REJECTED, order, "amend" if self.ready else "busy")
        else:
            self._request(Pending(REPLACE_COST, ts_ns, order), entry.replace_params(order), ts_ns)

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        for one in self.followed.values() if followed is None else (followed,):
            self._request(Pending(CANCEL_ALL_COST, ts_ns, None, one), {"symbol": one.instrument.symbol}, ts_ns)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        """The venue counts down for each symbol apart: the switch is set when all of them are."""
        self._switch = (timeout_ns, set(self.followed))
        for symbol, one in self.followed.items():
            self._request(
                Pending(DEAD_MAN, ts_ns, None, one, first_id=timeout_ns), entry.dead_man_params(symbol, timeout_ns),
                ts_ns,
            )  # fmt: skip

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        return self._ask(Pending(ASK_ORDER, ts_ns, order), order_params(order), ts_ns)

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        return self._ask(Pending(ASK_OPEN, ts_ns, None, followed), {"symbol": followed.instrument.symbol}, ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        """Without a trade id, and after a pause of more than a week with one, the venue shows the last seven days."""
        if order is not None and not order.venue_id:
            return 0
        params = fills_params(followed.instrument.symbol, first_trade_id, order.venue_id if order else 0)
        return self._ask(Pending(ASK_FILLS, ts_ns, order, followed), params, ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        """The wallets, and then the positions."""
        return self._ask(Pending(ASK_BALANCES, ts_ns), {}, ts_ns)

    def _ask(self, pending: Pending, params: Params, ts_ns: int) -> int:
        if self.away_ns is None:
            return 0
        self._request(self.question(pending), params, ts_ns)
        return pending.number

    # --- what comes on the stream ---------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self.heard(ts_ns)
        try:
            said = self._stream.read(data)
        except UNREADABLE as error:
            raise self.spent(error, data) from None
        for one in said:
            if isinstance(one, (Step, Balance)):
                self.told(one.ts_venue_ns)
            if isinstance(one, Step):
                self._unheard.pop(one.client_id, None)
                if one.kind == ORDER_FILLED and one.client_id.startswith(VENUES_OWN):
                    words = (
                        f"{one.followed.instrument.symbol}: the venue itself traded {one.qty_lots} lots of our position"
                    )
                    self.said.append(Note("liquidation", f"{words}, order {one.client_id[:40]}"))
            elif isinstance(one, Note) and one.what == "listenKeyExpired":
                self.give_up("binance-usdm: the key of the stream has expired")
        self.said += said
        self.tally("event")

    # --- what comes by REST ---------------------------------------------------------------------------------------
    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        pending = self.take(tag)
        if pending is None:
            return
        try:
            found = answers.refusal(
                _REQUESTS.get(pending.what, answers.PLACE), status, body, private.cause_of
            )  # fmt: skip
            if found is not None:
                self._refused(pending, found[1], found[2], ts_ns)
            elif pending.number:
                self._shown(pending, body, ts_ns)
            elif pending.order is not None:
                self._done(pending, pending.order, body, ts_ns)
            else:
                self._told(pending, body, ts_ns)
        except UNREADABLE as error:
            self.unknown(pending)
            raise self.unreadable(error, body) from None

    def _refused(self, pending: Pending, cause: str, words: str, ts_ns: int) -> None:
        before_ns, what = self.retry_ns, pending.what
        self.refused(pending, cause, words, ts_ns)
        if cause == "rate_limit":
            wait_ns = ts_ns + RATE_WAIT_NS
            until_ms = private.banned_until_ms(words)
            if until_ms:
                wait_ns = max(wait_ns, min(until_ms * MS - (self.away_ns or 0), ts_ns + BAN_NS_MAX))
            self.retry_ns = before_ns if words.startswith(_TOO_MANY_ORDERS) else max(before_ns, wait_ns)
        if what == PLACE_COST and cause != "outcome_unknown" and pending.order is not None:
            self._unheard.pop(pending.order.client_id, None)
        elif what == DEAD_MAN:
            self.said.append(Note(SWITCH_REFUSED, words[:160]))
        elif what == KEEP_LISTENING and words.startswith(f"{private.NO_LISTEN_KEY} "):
            self.give_up("binance-usdm: the key of the stream is no more")
        elif what in (LISTEN, ASK_MODE):
            before = self._refusals.get(what, 0)
            self._due_ns[what] = ts_ns + min(REFUSED_AGAIN_NS << min(before, 10), REFUSED_AGAIN_NS_MAX)
            self._refusals[what] = before + 1

    def _done(self, pending: Pending, order: Order, body: bytes, ts_ns: int) -> None:
        """A command was done; an order's answer shows what was filled of it and not the fills."""
        said = self._answers.read(body)
        if pending.what == REPLACE_COST:
            # One that rests on is told by the stream; the venue cancels what would take, or was filled by more.
            said = [one for one in said if not isinstance(one, Step) or one.kind != ORDER_ACKNOWLEDGED]
        elif pending.what == PLACE_COST and order.client_id in self._unheard:
            self._unheard[order.client_id] = ts_ns + STREAM_NS_MAX
        self.said += said

    def _told(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        """What the gateway asked for itself, and commands about no single order."""
        what, decode = pending.what, msgspec.json.decode
        self._refusals.pop(what, None)
        if what == ASK_TIME:
            self.hear_time(decode(body, type=private.Time).serverTime * MS, pending.sent_ns, ts_ns)
            self._is_ready()
        elif what == LISTEN:
            self.url = f"/private/ws/{decode(body, type=private.ListenKey).listenKey}"
            self._fresh, self._key_ns = True, ts_ns
        elif what == KEEP_LISTENING:
            self._kept_ns = ts_ns
        elif what == ASK_MODE:
            self.hedged = decode(body, type=private.Mode).dualSidePosition
            if self.hedged:
                self.said.append(Note("permission", HEDGE))
        elif what == DEAD_MAN:
            self._switched(pending)
        else:
            self.said.append(Note("accepted", f"{what}: the stream says what becomes of it"))

    def _switched(self, pending: Pending) -> None:
        timeout_ns, missing = self._switch
        assert pending.followed is not None
        if pending.first_id == timeout_ns and missing:
            missing.discard(pending.followed.instrument.symbol)
            if not missing:
                self.said.append(Note(SWITCH_SET, f"in {timeout_ns // SECOND_NS} s, of {len(self.followed)} symbols"))

    # --- what questions show --------------------------------------------------------------------------------------
    def _shown(self, pending: Pending, body: bytes, ts_ns: int) -> None:
        number, what, decode = pending.number, pending.what, msgspec.json.decode
        if what in (ASK_ORDER, ASK_OPEN):
            shape = answers.OrderAnswer
            shown = [decode(body, type=shape)] if what == ASK_ORDER else decode(body, type=list[shape])  # type: ignore[valid-type]
            standings, notes = self._answers.standings(shown)
            self.said += notes
            self.said.append(Answer(number, what, standings=standings))
        elif what == ASK_FILLS:
            assert pending.followed is not None
            trades = decode(body, type=list[answers.FuturesTrade])
            fills = [answers.fill_of(one, pending.followed, pending.order) for one in trades]
            self.said += [note for _, note in fills if note is not None]
            self.said.append(
                Answer(number, what, fills=tuple(step for step, _ in fills), more=len(trades) >= FILLS_PAGE)
            )
        elif not pending.pages:
            pending.balances, pending.pages = private.balances_of(body), 1
            self._request(pending, {}, ts_ns, ASK_POSITIONS)
        else:
            positions, notes = private.positions_of(body, self.followed)
            self.said += notes
            self.said.append(Answer(number, what, balances=(*pending.balances, *positions)))


def gateway(
    followed: Sequence[Followed], ids: ClientIds, api_key: str, key: BinanceKey, passphrase: bytes = b""
) -> UsdmGateway:
    """The gateway of one account; the venue has no passphrases."""
    return UsdmGateway(followed, ids, api_key, key)

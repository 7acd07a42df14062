"""Kraken spot's private side: orders over websocket v2, questions over REST, and the account's two private channels.

A connection is worth something once a token, asked for by REST for it alone, has opened the private channels; a token
that the venue takes no more costs the connection, and the next one gets its own.  A ping a second tells the venue's
time, by which orders are given a deadline: after it a "no such order" is the last word.  Each channel counts its
messages, so a missing one is noticed, and the connection with its snapshots begins anew.

REST calls carry a nonce that must rise as they arrive, so one is out at a time, cancels first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Raw

from pinnacle.event import FOK, ORDER_REJECTED, ORDER_UNKNOWN
from pinnacle.limits import ANSWER_NS_MAX, KRAKEN_CALLS_MAX, KRAKEN_FILL_PAGES_MAX, PRIVATE_ORDERS_MAX
from pinnacle.venues import kraken_entry as entry
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.feed import Address, Followed, Malformed
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
    Standing,
)
from pinnacle.venues.iso import ns_of_iso
from pinnacle.venues.kraken_entry import Params
from pinnacle.venues.nonce import LastNonce, Nonces
from pinnacle.venues.private import kraken_answers as answers
from pinnacle.venues.private.kraken import CHANNELS, NOT_SHOWN, UNREADABLE, Message, PrivateStream, venue_id
from pinnacle.venues.private.said import SWITCH_REFUSED, SWITCH_SET, Balance, Note, Said, Step
from pinnacle.venues.signing import FORM, kraken_headers

ADDRESS = Address("wss://ws-auth.kraken.com", "https://api.kraken.com")
PING_EVERY_NS = 1_000_000_000
# An answer that took longer says too little of the venue's clock.
TIME_ROUND_NS_MAX = 1_500_000_000
READY_NS_MAX = 10_000_000_000
# A token is asked for again after so long, since the venue counts such calls; one that came while there was no
# connection is used for so long, of the quarter of an hour that it is good for.
TOKEN_AGAIN_NS = 2_000_000_000
TOKEN_FRESH_NS = 600_000_000_000
# REST answers within seconds; after this the next call may leave, and a late one is refused by its nonce.
CALL_NS_MAX = 5_000_000_000
# After too many REST calls, or a nonce that was too low, none leaves for so long.
REST_WAIT_NS = 5_000_000_000
PENDING_NS_MAX = 60_000_000_000
PING, TOKEN, SUBSCRIBE, DEAD_MAN, NAMED_TRADES = "ping", "token", "subscribe", "dead_man", "trades"
METHODS = {
    PLACE_COST: "add_order", REPLACE_COST: "amend_order", CANCEL_COST: "cancel_order", CANCEL_ALL_COST: "cancel_all",
    DEAD_MAN: "cancel_all_orders_after",
}  # fmt: skip
PATHS = {
    PLACE_COST: "AddOrder", CANCEL_COST: "CancelOrder", CANCEL_ALL_COST: "CancelAll", DEAD_MAN: "CancelAllOrdersAfter",
    ASK_ORDER: "QueryOrders", ASK_OPEN: "OpenOrders", ASK_FILLS: "TradesHistory", ASK_BALANCES: "BalanceEx",
    TOKEN: "GetWebSocketsToken", NAMED_TRADES: "QueryTrades",
}  # fmt: skip
ASKS = (ASK_ORDER, ASK_OPEN, ASK_FILLS, ASK_BALANCES)
# What leaves before questions do.
URGENT = (CANCEL_COST, CANCEL_ALL_COST, DEAD_MAN, PLACE_COST, TOKEN)
_encode = msgspec.json.encode


@dataclass(slots=True)
class _Pending:
    """A request whose answer is awaited, or that waits to be sent.  call: of PATHS, where a question takes several."""

    what: str
    sent_ns: int
    order: Order | None = None
    followed: Followed | None = None
    number: int = 0
    call: str = ""
    params: Params = field(default_factory=dict)
    first_trade_id: int = 0
    page: int = 0
    names: list[str] = field(default_factory=list)
    fills: list[Step] = field(default_factory=list)
    channel: str = ""


class KrakenGateway:
    """See venues/gateway.py.  followed: the instruments traded; api_key, key: as credentials.signer gives them.
    nonces: see nonce.py.  tier: of the account, for its rate limits."""

    silence_ns = 5_000_000_000
    url = "/v2"

    def __init__(
        self,
        followed: Sequence[Followed],
        ids: ClientIds,
        api_key: str,
        key: bytes,
        tier: str = "starter",
        nonces: LastNonce | None = None,
    ) -> None:
        self.capabilities = entry.capabilities(tier)
        self.followed = {one.instrument.symbol: one for one in followed}
        self.sends: list[bytes] = []
        self.calls: list[Call] = []
        self.restart = ""
        self.said: list[Said | Answer] = []
        self.counts: dict[str, int] = {}
        self.ready = False
        self.retry_ns = self.venue_ns = 0
        self._api_key, self._key = api_key, key
        self._nonces = Nonces(1_000, nonces)
        self._stream = PrivateStream(self.followed, ids.order_id)
        self._answers = answers.Answers(self.followed, ids.order_id)
        self._pending: dict[int, _Pending] = {}  # on the websocket
        self._queue: deque[_Pending] = deque()  # for REST
        self._out: tuple[str, _Pending] | None = None
        self._out_ns = self._rest_after_ns = 0
        self._count = 0
        self._up = False
        self._token, self._token_ns = "", 0
        self._away_ns: int | None = None  # the venue's clock less ours
        # The venue's texts of orders that a question showed, by the number that stands for them.
        self._texts: dict[int, str] = {}
        self._subscribed: set[str] = set()
        self._heard: dict[str, int] = {}  # the last message of each channel
        self._opened_ns = self._heard_ns = self._ping_ns = 0

    # --- the connection -------------------------------------------------------------------------------------------
    def opening(self, ts_ns: int) -> Mapping[str, str] | None:
        return {}

    def opened(self, ts_ns: int) -> None:
        self._up, self.ready, self.restart = True, False, ""
        self._opened_ns = self._heard_ns = ts_ns
        self._pending, self._heard, self._subscribed = {}, {}, set()
        self.sends.clear()
        self._away_ns = None
        if ts_ns - self._token_ns > TOKEN_FRESH_NS:
            self._token = ""
        self._ping(ts_ns)
        if not self._token:
            self._want_token(ts_ns)

    def closed(self, ts_ns: int) -> None:
        self._up = self.ready = False
        self._token = ""
        self._pending = {}
        self.sends.clear()

    def tick(self, ts_ns: int) -> None:
        if len(self._pending) > 64:
            self._pending = {n: p for n, p in self._pending.items() if ts_ns - p.sent_ns < PENDING_NS_MAX}
        self._call_next(ts_ns)
        if not self._up:
            return
        if ts_ns - self._heard_ns > self.silence_ns:
            self._give_up(f"kraken: silent for {(ts_ns - self._heard_ns) / 1e9:.1f} s")
        elif not self.ready and ts_ns - self._opened_ns > READY_NS_MAX:
            self._give_up("kraken: no private channels came of the connection")
        elif ts_ns - self._ping_ns >= PING_EVERY_NS:
            self._ping(ts_ns)
            if not self._token:
                self._want_token(ts_ns)

    def _give_up(self, why: str) -> None:
        self.ready = False
        self.restart = self.restart or why

    def _ping(self, ts_ns: int) -> None:
        self._ping_ns = ts_ns
        self._frame(PING, _Pending(PING, ts_ns), {})

    def _want_token(self, ts_ns: int) -> None:
        asked = any(one.what == TOKEN for one in self._queue) or (self._out is not None and self._out[1].what == TOKEN)
        if not asked and ts_ns - self._token_ns >= TOKEN_AGAIN_NS:
            self._token_ns = ts_ns
            self._ask_rest(_Pending(TOKEN, ts_ns), ts_ns)

    def _subscribe(self, ts_ns: int) -> None:
        """Both channels, once the venue's clock and a token are there; each only once."""
        if not self._up or not self._token or self._away_ns is None:
            return
        for channel in CHANNELS:
            if channel not in self._subscribed:
                self._subscribed.add(channel)
                pending = _Pending(SUBSCRIBE, ts_ns, channel=channel)
                self._frame(SUBSCRIBE, pending, entry.subscribe_params(channel))

    # --- sending --------------------------------------------------------------------------------------------------
    def _frame(self, method: str, pending: _Pending, params: Params) -> None:
        """One request on the websocket; all but a ping are shown the token."""
        self._count += 1
        self._pending[self._count] = pending
        request: dict[str, object] = {"method": method}
        if method != PING:
            request["params"] = params | {"token": self._token}
        request["req_id"] = self._count
        self.sends.append(_encode(request))

    def _ask_rest(self, pending: _Pending, ts_ns: int) -> bool:
        """By REST, as soon as the call before it is answered."""
        if len(self._queue) >= KRAKEN_CALLS_MAX:
            return False
        self._queue.append(pending)
        self._call_next(ts_ns)
        return True

    def _call_next(self, ts_ns: int) -> None:
        if self._out is not None and ts_ns - self._out_ns > CALL_NS_MAX:
            self._out = None  # its answer, should one come, is late
        if self._out is not None or ts_ns < self._rest_after_ns:
            return
        # What has waited longer than its owner waits is not sent; he asks again.
        self._queue = deque(one for one in self._queue if one.what == TOKEN or ts_ns - one.sent_ns <= ANSWER_NS_MAX)
        if not self._queue:
            return
        pending = next((one for one in self._queue if one.what in URGENT), self._queue[0])
        self._queue.remove(pending)
        self._count += 1
        tag, path = f"h{self._count}", f"/0/private/{PATHS[pending.call or pending.what]}"
        nonce = self._nonces.next(ts_ns)
        body = entry.form(nonce, pending.params)
        headers = kraken_headers(self._api_key, self._key, path, nonce, body) | {"Content-Type": FORM}
        self._out, self._out_ns = (tag, pending), ts_ns
        self.calls.append(Call(tag, "POST", path, headers, body))

    # --- commands -------------------------------------------------------------------------------------------------
    def place(self, order: Order, ts_ns: int) -> int:
        if not self.ready:
            self._refuse(ORDER_REJECTED, order, "busy")
            return 0
        assert self._away_ns is not None
        deadline_ns = ts_ns + self._away_ns + entry.DEADLINE_NS
        pending = _Pending(PLACE_COST, ts_ns, order)
        self._stream.placed(order)
        if not order.flags & FOK:
            self._frame(METHODS[PLACE_COST], pending, entry.add_params(order, deadline_ns))
            return deadline_ns
        pending.params = entry.rest_add_params(order, deadline_ns)
        if not self._ask_rest(pending, ts_ns):
            self._refuse(ORDER_REJECTED, order, "busy")
        return deadline_ns

    def cancel(self, order: Order, ts_ns: int) -> None:
        pending = _Pending(CANCEL_COST, ts_ns, order)
        text = self._texts.get(order.venue_id, "")
        if self.ready:
            self._frame(METHODS[CANCEL_COST], pending, entry.cancel_params(order, text))
            return
        pending.params = entry.order_params(order, text)
        if not self._ask_rest(pending, ts_ns):
            self._refuse(answers.REFUSALS[CANCEL_COST], order, "busy")

    def replace(self, order: Order, ts_ns: int) -> None:
        if not self.ready:
            self._refuse(answers.REFUSALS[REPLACE_COST], order, "busy")
            return
        assert self._away_ns is not None
        deadline_ns = ts_ns + self._away_ns + entry.DEADLINE_NS
        self._frame(METHODS[REPLACE_COST], _Pending(REPLACE_COST, ts_ns, order), entry.amend_params(order, deadline_ns))

    def cancel_all(self, followed: Followed | None, ts_ns: int) -> None:
        self._both(_Pending(CANCEL_ALL_COST, ts_ns), ts_ns)

    def dead_man(self, timeout_ns: int, ts_ns: int) -> None:
        self._both(_Pending(DEAD_MAN, ts_ns, params={"timeout": entry.dead_man_s(timeout_ns)}), ts_ns)

    def _both(self, pending: _Pending, ts_ns: int) -> None:
        """By the websocket if it is ready, else by REST; the parameters are the same."""
        if self.ready:
            self._frame(METHODS[pending.what], pending, pending.params)
        else:
            self._ask_rest(pending, ts_ns)

    def _refuse(self, kind: int, order: Order, cause: str) -> None:
        self.said.append(_step(kind, order, cause))

    # --- questions ------------------------------------------------------------------------------------------------
    def ask_order(self, order: Order, ts_ns: int) -> int:
        params = entry.order_params(order, self._texts.get(order.venue_id, ""))
        return self._ask(_Pending(ASK_ORDER, ts_ns, order, params=params), ts_ns)

    def ask_open(self, followed: Followed, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_OPEN, ts_ns, None, followed), ts_ns)

    def ask_fills(self, followed: Followed, first_trade_id: int, order: Order | None, ts_ns: int) -> int:
        pending = _Pending(ASK_FILLS, ts_ns, order, followed, first_trade_id=first_trade_id)
        if order is not None:
            pending.call = ASK_ORDER  # it names the trades, which are asked for then
            pending.params = entry.order_params(order, self._texts.get(order.venue_id, "")) | {"trades": True}
        return self._ask(pending, ts_ns)

    def ask_balances(self, ts_ns: int) -> int:
        return self._ask(_Pending(ASK_BALANCES, ts_ns), ts_ns)

    def _ask(self, pending: _Pending, ts_ns: int) -> int:
        if ts_ns < self._rest_after_ns:
            return 0
        self._count += 1
        pending.number = self._count
        return pending.number if self._ask_rest(pending, ts_ns) else 0

    # --- what comes on the websocket ------------------------------------------------------------------------------
    def received(self, data: bytes, ts_ns: int) -> None:
        self._heard_ns = ts_ns
        try:
            message = msgspec.json.decode(data, type=Message)
            if message.method:
                self._answer(message, ts_ns)
            else:
                self._channel(message)
        except Malformed as error:
            self._give_up(str(error))
            raise
        except UNREADABLE as error:
            self._give_up("kraken: a message that is none")
            raise Malformed(f"kraken: {str(error)[:120]} in {data[:80]!r}") from None

    def _channel(self, message: Message) -> None:
        if message.channel in ("heartbeat", "status"):
            self._tally(message.channel)
            if message.channel == "status" and b'"online"' not in bytes(message.data):
                self.said.append(Note("status", bytes(message.data)[:160].decode("utf-8", "replace")))
            return
        if message.channel in CHANNELS and message.sequence is not None:
            last = self._heard.get(message.channel)
            if last is not None and message.sequence <= last:
                self._tally("doubled")
                return
            if last is not None and message.sequence != last + 1:
                self._give_up(f"kraken: {message.channel} {last + 1} did not come")
                return
            self._heard[message.channel] = message.sequence
        said = self._stream.read(message)
        for one in said:
            if isinstance(one, (Step, Balance)):
                self.venue_ns = max(self.venue_ns, one.ts_venue_ns)
            elif one.what == NOT_SHOWN:
                self._give_up(f"kraken: {one.text} was never shown")
        self.said += said
        self._tally(message.channel[:20] or "event")

    def _answer(self, message: Message, ts_ns: int) -> None:
        sent, back = (ns_of_iso(text) if text else 0 for text in (message.time_in, message.time_out))
        self.venue_ns = max(self.venue_ns, back)
        pending = self._pending.pop(message.req_id or 0, None)
        if pending is None:
            self._tally("late")  # an answer twice, or to what was given up
            return
        self._tally("answer")
        if pending.what == PING:
            self._hear_time((sent + back) // 2, pending.sent_ns, ts_ns)
        elif not message.success or message.error:
            self._refused(pending, answers.cause_of(message.error or ""), message.error or "no reason", ts_ns)
        elif pending.what == SUBSCRIBE:
            self.ready = self.ready or pending.channel == "executions"
        elif pending.what == DEAD_MAN:
            self.said.append(Note(SWITCH_SET, f"in {pending.params['timeout']} s"))
        else:
            self.said.append(Note("accepted", f"{pending.what}: the channels say what becomes of it"))

    def _hear_time(self, server_ns: int, sent_ns: int, ts_ns: int) -> None:
        """The venue's clock lies between what it was when we asked and when we heard; the middle is taken."""
        if server_ns and ts_ns - sent_ns <= TIME_ROUND_NS_MAX:
            self._away_ns = server_ns - (sent_ns + ts_ns) // 2
            self._subscribe(ts_ns)

    def _refused(self, pending: _Pending, cause: str, words: str, ts_ns: int) -> None:
        """By either way."""
        what = pending.what
        if words.startswith(answers.SESSION):
            self._give_up(f"kraken: {words[:80]}")
        if what == SUBSCRIBE:
            self._give_up(f"kraken: no {pending.channel}: {words[:80]}")
        elif what in ASKS:
            self.said.append(Answer(pending.number, what, cause))
        elif pending.order is not None:
            self.said.append(_step(answers.refusal(what, cause), pending.order, cause))
        if pending.order is None and what not in ASKS and cause == "permission":
            self.said.append(Note("permission", f"{what}: {words[:160]}"))
        self.said.append(Note(SWITCH_REFUSED if what == DEAD_MAN else "refused", f"{what}: {words[:160]}"))

    # --- what comes by REST ---------------------------------------------------------------------------------------
    def answered(self, tag: str, status: int, body: bytes, ts_ns: int) -> None:
        if self._out is None or self._out[0] != tag:
            self._tally("late")
            return
        pending, self._out = self._out[1], None
        self._tally("answer")
        result, cause, words = answers.opened_envelope(status, body)
        if cause:
            if words.startswith(("EAPI:Rate limit", "EAPI:Invalid nonce", "EGeneral:Too many")) or status == 429:
                self._rest_after_ns = ts_ns + REST_WAIT_NS
            if words.startswith("EAPI:Invalid nonce"):
                self._nonces.refused(ts_ns)
            self._refused(pending, cause, words, ts_ns)
        else:
            self._nonces.taken()
            if words:
                self.said.append(Note("warning", words))
            try:
                self._rest_done(pending, result, ts_ns)
            except UNREADABLE as error:
                if pending.what in ASKS:
                    self.said.append(Answer(pending.number, pending.what, "outcome_unknown"))
                elif pending.order is not None:
                    self.said.append(_step(ORDER_UNKNOWN, pending.order, "outcome_unknown"))
                self._call_next(ts_ns)
                raise Malformed(f"kraken: {str(error)[:120]} in {body[:80]!r}") from None
        self._call_next(ts_ns)

    def _rest_done(self, pending: _Pending, result: Raw, ts_ns: int) -> None:
        what, number = pending.what, pending.number
        if what == TOKEN:
            self._token = msgspec.json.decode(result, type=answers.Token).token
            self._subscribe(ts_ns)
        elif what == ASK_ORDER:
            standings = self._standings(msgspec.json.decode(result, type=dict[str, answers.OrderRow]), pending.order)
            self.said.append(Answer(number, what, "" if standings else "unknown_order", standings))
        elif what == ASK_OPEN:
            shown = self._standings(msgspec.json.decode(result, type=answers.OpenOrders).open, None)
            self.said.append(Answer(number, what, "", tuple(one for one in shown if one.followed is pending.followed)))
        elif what == ASK_BALANCES:
            self.said.append(Answer(number, what, balances=self._answers.balances(result)))
        elif what == ASK_FILLS:
            self._fills(pending, result, ts_ns)
        elif what == CANCEL_COST:
            # How much of it was filled is not said, and the channels are away.
            assert pending.order is not None
            self.said.append(_step(ORDER_UNKNOWN, pending.order, "outcome_unknown"))
        elif what == DEAD_MAN:
            self.said.append(Note(SWITCH_SET, f"in {pending.params['timeout']} s"))
        else:
            self.said.append(Note("accepted", f"{what}: by REST"))

    def _standings(self, rows: Mapping[str, answers.OrderRow], asked: Order | None) -> tuple[Standing, ...]:
        for txid in rows:
            self._texts[venue_id(txid)] = txid
            if len(self._texts) > PRIVATE_ORDERS_MAX:
                del self._texts[next(iter(self._texts))]
        found = [self._answers.standing(txid, row, asked) for txid, row in rows.items()]
        self.said += [one for one in found if isinstance(one, Note)]
        return tuple(one for one in found if isinstance(one, Standing))

    def _fills(self, pending: _Pending, result: Raw, ts_ns: int) -> None:
        """A page of the history, newest first, or trades of one order by their names; and the next part, if there is
        one."""
        more = False
        if pending.call == ASK_ORDER:
            rows = msgspec.json.decode(result, type=dict[str, answers.OrderRow])
            pending.names = list(dict.fromkeys(name for row in rows.values() for name in row.trades))
            pending.call, more = NAMED_TRADES, bool(pending.names)
        elif pending.call == NAMED_TRADES:
            self._gather(pending, msgspec.json.decode(result, type=dict[str, answers.TradeRow]))
            more = bool(pending.names)
        else:
            page = msgspec.json.decode(result, type=answers.TradesPage)
            ids = self._gather(pending, page.trades)
            pending.page += 1
            far = not pending.first_trade_id or any(one <= pending.first_trade_id for one in ids)
            more = len(page.trades) >= entry.TRADES_PAGE and not far
            if more and pending.page >= KRAKEN_FILL_PAGES_MAX:
                self.said.append(Note("fills_beyond", f"more than {len(pending.fills)} fills since the last one known"))
                more = False
            pending.params = {"ofs": pending.page * entry.TRADES_PAGE}
        if pending.call == NAMED_TRADES:
            now, pending.names = pending.names[: entry.TRADES_NAMED_MAX], pending.names[entry.TRADES_NAMED_MAX :]
            pending.params = {"txid": ",".join(now)}
        if more:
            pending.sent_ns = ts_ns
            self._queue.appendleft(pending)
            return
        first = pending.first_trade_id
        fills = sorted({one.trade_id: one for one in pending.fills if one.trade_id >= first}.values(), key=_by_id)
        self.said.append(Answer(pending.number, ASK_FILLS, fills=tuple(fills)))

    def _gather(self, pending: _Pending, rows: Mapping[str, answers.TradeRow]) -> list[int]:
        """Keep the fills of the instrument asked for; returns their trade ids."""
        ids = []
        for txid, row in rows.items():
            order = pending.order
            if order is not None and order.venue_id and venue_id(row.ordertxid) != order.venue_id:
                self.said.append(Note("foreign_trade", f"trade {txid} of {row.ordertxid}"))
                continue
            step, notes = self._answers.fill(txid, row, order)
            if step is None or step.followed is pending.followed:
                self.said += notes
            if step is not None and step.followed is pending.followed:
                ids.append(step.trade_id)
                pending.fills.append(step)
        return ids

    def _tally(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


def gateway(
    followed: Sequence[Followed],
    ids: ClientIds,
    api_key: str,
    key: bytes,
    passphrase: bytes = b"",
    nonces: LastNonce | None = None,
    tier: str = "starter",
) -> KrakenGateway:
    """The gateway of one account; the venue has no passphrases.  Raises OperatorError for a tier that is none."""
    return KrakenGateway(followed, ids, api_key, key, tier=tier, nonces=nonces)


def _by_id(step: Step) -> int:
    return step.trade_id


def _step(kind: int, order: Order, cause: str) -> Step:
    """What became of a command about an order, where the answer itself does not show the order."""
    return Step(
        kind, order.followed, order.order_id, order.client_id, order.venue_id, order.side, order.price_ticks,
        order.qty_lots, 0, cause=cause,
    )  # fmt: skip

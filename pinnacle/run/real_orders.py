"""Who hears a session that sends real orders: the trader with the desks of its venues, as the live loop sees it.

The loop calls it as it calls the simulated venue's engine; what it adds is what only real orders have: accounts to be
connected, holds and kills, and orders that must still end when everything else has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.config import Config
from pinnacle.engine.strategy import Strategy, bind
from pinnacle.errors import OperatorError
from pinnacle.event import KILL_LOSS, KILL_STALE, STOP_NAMES
from pinnacle.execution.desk import Desk, Limits
from pinnacle.execution.memory import Memory
from pinnacle.execution.safety import Safety
from pinnacle.instrument import Instrument, decimal_of
from pinnacle.kernels.state import LINK_LIVE, NEVER
from pinnacle.run.backtest import fingerprint_text
from pinnacle.run.livelog import LiveLog
from pinnacle.run.settings import venue_table
from pinnacle.run.trader import Trader
from pinnacle.run.trouble import Trouble
from pinnacle.vault.nonces import NonceFile
from pinnacle.vault.vault import Credential
from pinnacle.venues.client_id import ClientIds
from pinnacle.venues.credentials import signer
from pinnacle.venues.feed import Followed
from pinnacle.venues.gateway import Gateway
from pinnacle.venues.nonce import LastNonce
from pinnacle.venues.venues import NONCES, TIERS, gateway_of

# Between two looks at what time alone brings: overdue answers, questions to be asked again.
_TICK_NS = 50_000_000


@dataclass(frozen=True)
class Account:
    """The key of one venue's account: its id, what signs, and the last nonce of all processes that have it, where the
    venue wants one.  Nothing of it is ever shown."""

    api_key: str
    key: Any
    passphrase: bytes = b""
    nonces: LastNonce | None = None

    def __repr__(self) -> str:
        return "Account(hidden)"


def account_of(key: Credential, vault: Path) -> Account:
    """A key of a vault, ready to sign; its secret may be wiped afterwards.  Raises OperatorError, DiskError."""
    nonces = NonceFile(vault, key.venue, key.api_key) if key.venue in NONCES else None
    return Account(key.api_key, signer(key.venue, key.secret.reveal())[1], key.passphrase.reveal(), nonces)


def gateway_for(name: str, followed: Sequence[Followed], ids: ClientIds, account: Account, tier: str = "") -> Gateway:
    """The gateway of an account.  Raises OperatorError for a venue that takes no orders."""
    more: dict[str, Any] = {} if account.nonces is None else {"nonces": account.nonces}
    if tier:
        more["tier"] = tier
    return gateway_of(name)(followed, ids, account.api_key, account.key, account.passphrase, **more)


def tier_of(config: Config, name: str, where: str) -> str:
    """The account's tier at a venue, "" for the lowest.  Raises OperatorError for one that the venue does not have."""
    own, tiers = config.live.venues.get(name), TIERS.get(name, ())
    tier = own.tier if own is not None else ""
    if tier and tier not in tiers:
        known = f"known are {', '.join(tiers)}" if tiers else f"{name}'s limits do not depend on one: leave it out"
        raise OperatorError(f"{where}: live.venues.{name}.tier is {tier!r}; {known}")
    return tier


def limits_of(config: Config, name: str, where: str) -> Limits:
    """What the operator allows at a venue.  Raises OperatorError where no cap was set."""
    text = config.live.notional_max.get(name)
    if text is None:
        raise OperatorError(
            f"{where}: real orders need a cap for each venue; set live.notional_max.{name} to the most quote currency "
            "that may be held or come to be held there, such as '100'"
        )
    return Limits(
        notional_max=decimal_of(str(text), f"{where}: live.notional_max.{name}"),
        dead_man_ns=round(config.live.dead_man_s * 1e9),
    )


def check_quotes(instruments: Sequence[Instrument], where: str) -> None:
    """That one cap can hold for a venue.  Raises OperatorError where its instruments are paid in different currencies,
    whose amounts have no sum."""
    for name in venue_table(list(instruments)):
        quotes = sorted({one.quote for one in instruments if one.venue == name and one.quote})
        if len(quotes) > 1:
            raise OperatorError(
                f"{where}: instruments of {name} are quoted in {' and '.join(quotes)}, and live.notional_max.{name} is "
                "one amount of one currency; run a session for each"
            )


class RealOrders:
    """accounts: by venue.  records: of the log so far, in order; none for a new session.  recovered: whether it goes on
    with a log, be it that a power cut left nothing of it.  flush: called after whatever could have made a gateway want
    something sent."""

    def __init__(
        self,
        config: Config,
        where: str,
        instruments: list[Instrument],
        strategy: Strategy,
        state: np.ndarray,
        log: LiveLog,
        run_id: str,
        accounts: Mapping[str, Account],
        records: Iterable[np.ndarray],
        recovered: bool,
    ) -> None:
        self.state, self._instruments = state, instruments
        self.safety, memory, self._recovered, self._log = Safety(), Memory(), recovered, log
        for part in records:
            memory.take(part, self.safety)
        ids = ClientIds(run_id)
        self.desks: dict[str, Desk] = {}
        for v, name in enumerate(venue_table(instruments)):
            followed = [Followed(one, v, k) for k, one in enumerate(instruments) if one.venue == name]
            account = accounts[name]
            gateway = gateway_for(name, followed, ids, account, tier_of(config, name, where))
            self.desks[name] = Desk(gateway, followed, ids, self.safety, memory, limits_of(config, name, where))
        quote = bind(strategy, len(state[0]["lane"]["own"]))
        every_ns = round(config.wake.every_ms * 1_000_000)
        self.trader = Trader(state, quote, strategy, instruments, log, list(self.desks.values()), self.safety, every_ns)
        self._market, self._lane = state[0]["market"], state[0]["lane"]
        self._tick_ns = 0
        self._loss_max = (
            decimal_of(str(config.live.loss_max), f"{where}: live.loss_max") if config.live.loss_max else None
        )
        self._stale_ns_max = round(config.live.stale_s_max * 1e9)
        self._whole_ns = [0] * len(instruments)
        self._trouble = Trouble(lambda *_, **__: None)
        self.flush: Callable[[], None] = lambda: None

    def gateways(self) -> dict[str, Gateway]:
        """By venue: what the session connects."""
        return {name: desk.gateway for name, desk in self.desks.items()}

    def begin(self, now_ns: int, say: Callable[..., None]) -> None:
        """Before the first event: what is believed to rest is found out about, and nothing is quoted before."""
        self._trouble = Trouble(say)
        self._whole_ns = [now_ns] * len(self._instruments)
        if self.trader.open_orders() or int(self._lane["own"]["live_count"].sum()):
            say("in doubt", orders=int(self._lane["own"]["live_count"].sum()), why="they are asked about at the venue")
        for name, desk in self.desks.items():
            if desk.dead_man.timeout_ns:
                say(
                    "dead-man's switch", venue=name, s=desk.dead_man.timeout_ns / 1e9,
                    why="without us the venue cancels every order of the account, other people's too "
                    "(live.dead_man_s = 0 leaves it off)",
                )  # fmt: skip
        self.trader.begin(now_ns, self._recovered)
        if self._recovered:
            # From where numbers go on must outlive the next power cut, whatever of what follows does not.
            self._log.force()

    # --- what the loop calls --------------------------------------------------------------------------------------
    def hear(self, events: np.ndarray, now_ns: int) -> None:
        """Market events, or none: then what time brings.  Raises what ends the session, with everything cancelled."""
        self.trader.hear(events, now_ns)
        if now_ns - self._tick_ns >= _TICK_NS:
            self._tick_ns = now_ns
            self.trader.tick(now_ns)
            self._watch(now_ns)
            self._report(now_ns)
        self.flush()

    def heard(self, now_ns: int) -> None:
        """A gateway was told something."""
        self.trader.settle(now_ns)
        for desk in self.desks.values():
            desk.tick(now_ns)
        self.trader.settle(now_ns)
        self._report(now_ns)

    def operator(self, kind: int, now_ns: int) -> None:
        """What the operator says."""
        self.safety.operator(kind, now_ns)
        self.trader.settle(now_ns)
        self.trader.tick(now_ns)
        self.flush()

    def stop(self, now_ns: int) -> None:
        """Something else failed: cancel everything without the engine."""
        self.trader.stop(now_ns)
        self.flush()

    def leave(self, now_ns: int) -> bool:
        """Let the venues' dead-man's switches go, where nothing rests; whether they are."""
        for desk in self.desks.values():
            desk.leave(now_ns)
        self.flush()
        return all(desk.dead_man.left or desk.orders or not desk.gateway.ready for desk in self.desks.values())

    def _watch(self, now_ns: int) -> None:
        """Losses, and books that stay lost."""
        for k in range(len(self._instruments)):
            own, top = self._lane["own"][k], self._market["top"][k]
            if top["link"] == LINK_LIVE:
                self._whole_ns[k] = now_ns
            elif self._stale_ns_max and now_ns - self._whole_ns[k] > self._stale_ns_max and own["traded"]:
                self.safety.kill(KILL_STALE, now_ns)
            if self._loss_max is not None and self.pnl(k) < -self._loss_max:
                self.safety.kill(KILL_LOSS, now_ns)
        self.trader.settle(now_ns)

    def pnl(self, k: int) -> Decimal:
        """Profit of one instrument in its quote currency, its position at the mid; without a mid, of cash alone."""
        own, mid2 = self._lane["own"][k], int(self._market["top"][k]["mid2_ticks"])
        cash = int(own["cash_units"]) - int(own["fees_units"]) + int(own["funding_units"])
        if not mid2:
            return self._instruments[k].money(cash) if not own["position_lots"] else Decimal(0)
        worth = int(own["position_lots"]) * mid2 * int(own["units_per_ticklot"])
        return self._instruments[k].money(2 * cash + worth) / 2

    def _report(self, now_ns: int) -> None:
        """What people must know."""
        for name, desk in self.desks.items():
            while desk.notes:
                self._trouble.note(name, desk.notes.popleft(), now_ns)
        if self.trader.stopped:
            return  # it is a failure that ends the session, and its own words are said
        self._trouble.standing(self.safety.killed, self.safety.why, self.safety.holds())

    def failed(self) -> None:
        """Raise why the log could not be written, if it could not."""
        if self.trader.failed is not None:
            raise self.trader.failed

    def due_ns(self) -> int:
        return self._tick_ns + _TICK_NS if self._tick_ns else int(NEVER)

    def open_orders(self) -> int:
        return self.trader.open_orders()

    def fingerprint(self) -> str:
        return fingerprint_text(self.state)

    def told(self) -> dict[str, Any]:
        words = []
        for k, instrument in enumerate(self._instruments):
            own, top = self._lane["own"][k], self._market["top"][k]
            words.append(
                {
                    "instrument": instrument.name, "traded": bool(own["traded"]),
                    "position": instrument.qty_text(int(own["position_lots"])), "pnl": f"{self.pnl(k):f}",
                    "fills": int(own["fills"]), "orders": int(own["live_count"].sum()),
                    "link": "live" if top["link"] == LINK_LIVE else "stale",
                }
            )  # fmt: skip
        return {
            "heard": int(self._market["seq"]) + 1, "wakes": int(self._lane["wakes"]),
            "paused": bool(self._lane["paused"]), "killed": bool(self._lane["killed"]),
            "holds": [STOP_NAMES[one] for one in self.safety.holds()], "instruments": words,
            "desks": {name: dict(desk.counts) for name, desk in self.desks.items()},
        }  # fmt: skip

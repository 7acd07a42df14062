"""Binance USD-M's private stream: keys that name it, who listens, and what is said of an account's orders.

A key is given out by REST, is the same while it is good, and good for an hour from when it was given out or kept.  A
connection with a key that is none is taken and hears nothing: the documents do not say, and it is the worse case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import msgspec

from pinnacle.dialects.binance_streams import SECOND_NS, StreamSession
from pinnacle.dialects.binance_usdm_words import UsdmWords
from pinnacle.dialects.binance_words import MS, Fail
from pinnacle.dialects.orders import Account, Happened, Update
from pinnacle.event import END_WOULD_CROSS

KEY_NS = 3600 * SECOND_NS
_NO_KEY = "This listenKey does not exist. Please use `POST /fapi/v1/listenKey` to recreate `listenKey`"
encode = msgspec.json.encode


@dataclass(slots=True)
class _Key:
    """until_ns: the venue's time at which it expires."""

    account: Account
    text: str
    until_ns: int


class PrivateStreams:
    """The keys of all accounts."""

    def __init__(self, words: UsdmWords) -> None:
        self.words = words
        self._keys: dict[int, _Key] = {}  # by account
        self._sessions: list[StreamSession] = []
        self._given = 0

    # --- keys -----------------------------------------------------------------------------------------------------
    def give(self, account: Account, now_ns: int) -> dict[str, str]:
        """POST /fapi/v1/listenKey: the account's key, good for another hour."""
        key = self._keys.get(account.index)
        if key is None:
            self._given += 1
            text = hashlib.sha256(f"{account.key} {self._given}".encode()).hexdigest()
            key = self._keys[account.index] = _Key(account, text, 0)
        key.until_ns = now_ns + KEY_NS
        return {"listenKey": key.text}

    def keep(self, account: Account, now_ns: int) -> dict[str, str]:
        """PUT: good for another hour."""
        if account.index not in self._keys:
            raise Fail(-1125, _NO_KEY)
        return self.give(account, now_ns)

    def end(self, account: Account, now_ns: int) -> dict[str, str]:
        """DELETE: it is no more."""
        if self._keys.pop(account.index, None) is None:
            raise Fail(-1125, _NO_KEY)
        return {}

    def tick(self, now_ns: int) -> None:
        """Keys that nobody kept expire, and who listens is told."""
        for key in [one for one in self._keys.values() if now_ns >= one.until_ns]:
            del self._keys[key.account.index]
            event = {"e": "listenKeyExpired", "E": now_ns // MS, "listenKey": key.text}
            for session in self._listening(key):
                self._send(session, key, encode(event))

    # --- who listens ----------------------------------------------------------------------------------------------
    def join(self, session: StreamSession) -> None:
        """A session was opened on the private route; it hears the keys among its names."""
        self._sessions.append(session)

    def leave(self, session: StreamSession) -> None:
        """It is gone."""
        if session in self._sessions:
            self._sessions.remove(session)

    def _listening(self, key: _Key) -> list[StreamSession]:
        return [one for one in self._sessions if key.text in one.names]

    def _send(self, session: StreamSession, key: _Key, payload: bytes) -> None:
        if session.combined:
            payload = b'{"stream":"' + key.text.encode() + b'","data":' + payload + b"}"
        session.send(payload)

    # --- what is said ---------------------------------------------------------------------------------------------
    def say(self, update: Update, skew_ns: int) -> None:
        """Something happened to an account's order.  One that was never taken is not told."""
        order = update.order
        key = self._keys.get(order.account)
        refused = update.what is Happened.EXPIRED and update.reason == END_WOULD_CROSS
        listening = self._listening(key) if key is not None else []
        if key is None or not listening or refused or update.what is Happened.REJECTED:
            return
        said: list[dict[str, Any]] = []
        if update.fill is not None:
            said.append(self.words.lite(order, update.fill, skew_ns))
            said.append(self.words.account_update(key.account, order.instrument, update.ts_ns + skew_ns))
        said.append(self.words.report(update, skew_ns))
        payloads = [encode(one) for one in said]
        for session in listening:
            for payload in payloads:
                self._send(session, key, payload)

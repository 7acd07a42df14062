"""A local exchange in a process of its own, the sessions that trade at it, and what each of the two says it has.

Every wait has a deadline: what does not come is a test that fails, with the output of the process that did not say it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinnacle.log.reader import LogReader
from tests.cli.command import command, ran

KEY, SECRET, PASSPHRASE = "pinnacle-demo-key", "cGlubmFjbGUtZGVtby1zZWNyZXQtMDE=", "pinnacle-demo"
# The seed of the Ed25519 key that the exchange's config has as PKCS#8.
PRIVATE_SEED = "gkRha0YGuEAKZv0O/L6prxYR/SVA6XWzgIsgAH2bz24="
PASSWORD = "a password of the test"
READY_S = 120.0


@dataclass(frozen=True)
class Spot:
    """A venue's spelling of the market that is traded there, and what of an account's keys it wants."""

    name: str
    symbol: str
    quote: str = "USD"

    @property
    def fields(self) -> dict[str, str]:
        """The key as `pinnacle keys add` takes it."""
        api_key = {"gemini": "account-pinnacle-demo-key"}.get(self.name, KEY)
        secret = PRIVATE_SEED if self.name == "coinbase-advanced" else SECRET
        return {"api_key": api_key, "secret": secret, "passphrase": PASSPHRASE if self.name == "coinbase" else ""}


SPOTS = {
    one.name: one
    for one in (
        Spot("binance", "BTCUSDT", "USDT"), Spot("bitstamp", "btcusd"), Spot("coinbase", "BTC-USD"),
        Spot("coinbase-advanced", "BTC-USD"), Spot("gemini", "btcusd"), Spot("kraken", "BTC/USD"),
    )
}  # fmt: skip


def until(what: Callable[[], Any], seconds: float, why: Callable[[], str], every_s: float = 0.05) -> Any:
    """What the call gives as soon as it is true; the test fails after so long, saying why."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, why()
        time.sleep(every_s)
    return found


class Exchange:
    """host: `address:port`."""

    def __init__(self, spot: Spot, host: str) -> None:
        self.spot, self.host = spot, host

    def control(self, name: str, body: dict[str, Any] | None = None) -> Any:
        """What its control endpoint answers."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"http://{self.host}/pinnacle/{name}", data, timeout=READY_S) as answer:
            return json.load(answer)

    def books(self) -> Any:
        """What it has of our account."""
        return self.control("books")["demo"]


@contextmanager
def exchange_process(spot: Spot, folder: Path, *settings: str) -> Iterator[Exchange]:
    """Serve until the block ends."""
    log = folder / "exchange.log"
    words = ["simulate", "--listen", "127.0.0.1:0", "--dialect", spot.name, "--symbol", spot.symbol]
    words += ["--set", f"accounts.0.key={spot.fields['api_key']}"]
    words += [word for one in settings for word in ("--set", one)]
    with log.open("w") as sink:
        process = subprocess.Popen(command(*words), stdout=sink, stderr=sink)
    try:

        def listens() -> Any:
            assert process.poll() is None, log.read_text()
            return re.search(r"listens on (\S+)", log.read_text())

        made = Exchange(spot, until(listens, READY_S, log.read_text).group(1))
        # Its first steps compile what they need, if nobody did before; no client is to wait for that.
        for _ in range(3):
            made.books()
            time.sleep(0.1)
        yield made
    finally:
        process.kill()
        process.wait()


class Trading:
    """The key in a vault, and a session's folder: what is needed to start it again and again."""

    def __init__(self, exchange: Exchange, folder: Path, *settings: str, strategy: str = "join_best") -> None:
        self.exchange, self.run, self.output = exchange, folder / "run", folder / "output.jsonl"
        spot, keys = exchange.spot, folder / "keys"
        self.vault = ("--vault", str(keys / "vault"), "--password-file", str(keys / "password"))
        self.nonces = keys / "vault.nonces"
        self._words = ["live", "--live", "--i-understand", "live", "--out", str(self.run), "--headless"]
        self._words += [*self.vault, "--strategy", strategy]
        for one in (
            f"instruments.0.venue={spot.name}", f"instruments.0.symbol={spot.symbol}",
            f"live.venues.{spot.name}.websocket=ws://{exchange.host}", f"live.venues.{spot.name}.rest=http://{exchange.host}",
            f"live.notional_max.{spot.name}=100000", *settings,
        ):  # fmt: skip
            self._words += ["--set", one]
        keys.mkdir(mode=0o700)
        for name, text in (("password", PASSWORD), ("fields", json.dumps(spot.fields))):
            (keys / name).touch(mode=0o600)
            (keys / name).write_text(text)
        ran("keys", "add", spot.name, "--permissions", "trade", "--fields", keys / "fields", *self.vault)

    def start(self, *more: str) -> subprocess.Popen[bytes]:
        """The session, from where it was; all it says is added to `output`."""
        with self.output.open("ab") as sink:
            return subprocess.Popen(command(*self._words, *more), stdout=sink, stderr=sink)

    def status(self) -> dict[str, Any]:
        """What a running session answers; {} where none does."""
        from pinnacle.errors import PinnacleError
        from pinnacle.transport.control import ask

        try:
            return ask(self.run, {"do": "status"})
        except (PinnacleError, OSError):
            return {}

    def wait_for_quotes(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Until a session has compared its account and has orders out."""

        def quotes() -> bool:
            assert process.poll() is None, f"{self.said()}\nit ended with {process.returncode}"
            status = self.status()
            own = status["instruments"][0] if status else {"orders": 0}
            return own["orders"] > 0 and not status["holds"] and not status["paused"]

        until(quotes, seconds, lambda: f"{self.said()}\n{self.status()}")

    def said(self) -> str:
        """The last of what it said, for who reads a failed test."""
        return self.output.read_text()[-3_000:]

    def records(self) -> list[Any]:
        """The log."""
        return [record for part in LogReader(self.run).records() for record in part]


def secrets_of(spot: Spot) -> dict[str, bytes]:
    """Everything that must stand in no file and no output: the secrets as they are written and as they are used, and
    the tokens that the exchange makes of them."""
    found = {"the vault's password": PASSWORD.encode()}
    for name, text in (("secret", SECRET), ("private key", PRIVATE_SEED)):
        raw = base64.b64decode(text)
        found |= {
            name: text.encode(), f"{name} in bytes": raw, f"{name} in hex": raw.hex().encode(),
            f"{name} in hex of its text": text.encode().hex().encode(),
            f"{name} encoded": base64.b64encode(text.encode()),
            f"{name} without padding": base64.urlsafe_b64encode(raw).rstrip(b"="),
        }  # fmt: skip
    if spot.name == "coinbase":
        found["passphrase"] = b'"' + PASSPHRASE.encode() + b'"'
    if spot.name == "kraken":
        for k in range(1, 1_001):
            found[f"token {k}"] = hashlib.sha256(f"{SECRET} {k}".encode()).hexdigest().encode()
    return found


# What signatures and tokens look like, whatever they are made of: a JWT, a parameter of a query, a header.
SIGNED = re.compile(
    rb"eyJ[\w-]{8,}\.[\w-]+|signature\W{1,4}[0-9A-Za-z+/=%-]{32,}|(?:cb-access-sign|api-sign|x-gemini-signature|"
    rb"x-auth-signature)\W{1,4}[0-9A-Za-z+/=]{16,}",
    re.IGNORECASE,
)

"""From what a person typed to a local exchange that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pinnacle.dialects.dialect import Dialect
from pinnacle.dialects.names import dialect_class
from pinnacle.dialects.replayed import Replayed
from pinnacle.dialects.tape import read_tape
from pinnacle.errors import HistoryError, OperatorError
from pinnacle.run.exchange_config import (
    ExchangeConfig,
    address_of,
    certificate_path,
    faults_of,
    house_of,
    read_exchange_config,
)
from pinnacle.run.exchange_log import ExchangeLog, new_folder
from pinnacle.run.serve import Desk, serve, wall_clock
from pinnacle.transport.certificate import self_made
from pinnacle.transport.faults import Faults
from pinnacle.transport.server import Server

Tell = Callable[[str], None]


@dataclass
class LocalExchange:
    """What is needed to serve.  tell: a line for a person.  status: a line that may overwrite the one before."""

    desk: Desk
    host: str
    port: int
    tls: ssl.SSLContext | None
    certificate: Path | None
    config: ExchangeConfig | None
    seed: int
    log: ExchangeLog | None
    tell: Tell
    status: Tell | None = None

    def run(self, duration_s: float | None = None) -> None:
        """Serve until SIGINT, SIGTERM or the end of the duration."""
        with suppress(ImportError):
            import uvloop

            uvloop.run(self._serve(duration_s))
            return
        asyncio.run(self._serve(duration_s))

    async def _serve(self, duration_s: float | None) -> None:
        server = Server(self.desk)
        await server.start(self.host, self.port, self.tls)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for one in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError, ValueError, RuntimeError):
                loop.add_signal_handler(one, stop.set)
        if duration_s is not None:
            loop.call_later(duration_s, stop.set)
        self._introduce(server.port)
        showing = asyncio.create_task(self._show(server)) if self.status else None
        try:
            await serve(self.desk, server, stop)
        finally:
            if showing is not None:
                showing.cancel()
            if self.log is not None:
                self.log.finish()
            self.tell(f"ended after {self.desk.requests:,} requests and {self.desk.messages_sent:,} messages")

    def _introduce(self, port: int) -> None:
        """Say where it listens, what to point a client at, and who may log on."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        secure = "s" if self.tls else ""
        self.desk.dialect.host = f"{host}:{port}"
        http, websocket = f"http{secure}://{host}:{port}", f"ws{secure}://{host}:{port}"
        self.tell(f"{self.desk.dialect.name} listens on {host}:{port}")
        for name, url in self.desk.dialect.urls(http, websocket).items():
            self.tell(f"  {name:14} {url}")
        house = self.desk.dialect.house
        if house.listings:
            self.tell(f"  {'symbols':14} {', '.join(one.instrument.symbol for one in house.listings)}")
        for account in house.accounts:
            more = f", passphrase {account.passphrase}" if account.passphrase else ""
            self.tell(f"  {'account ' + account.name:14} key {account.key}, secret {account.secret}{more}")
        if self.certificate is not None:
            self.tell(f"  {'certificate':14} {self.certificate}, to be trusted by clients")
        self.tell(f"  {'faults':14} POST {http}/pinnacle/fault " + '{"kind": "drop", "count": 1}')
        self.tell("Ctrl-C ends it")

    async def _show(self, server: Server) -> None:
        """A line of what goes on, every second."""
        assert self.status is not None
        before = 0
        while True:
            await asyncio.sleep(1.0)
            desk = self.desk
            sent, before = desk.messages_sent - before, desk.messages_sent
            faults = sum(desk.faults.counts.values())
            self.status(
                f"{server.websockets} websockets, {sent:,} messages/s, {desk.requests:,} requests, "
                f"{server.slow_readers} slow readers cut, {faults:,} faults"
            )


def prepare_exchange(
    config: str | None,
    settings: Sequence[str],
    listen: str | None,
    dialect: str | None,
    symbols: Sequence[str],
    tapes: Sequence[Path],
    speed: float | None,
    faults: Sequence[str],
    tls: bool,
    seed: int | None,
    out: Path | None,
    tell: Tell,
    status: Tell | None = None,
) -> LocalExchange:
    """A local exchange that is ready to serve.  Raises OperatorError for anything that does not fit together."""
    clock = wall_clock()
    read, where = read_exchange_config(config, settings)
    chosen_seed = read.exchange.seed if seed is None else seed
    host, port = address_of(listen or read.exchange.listen)
    rates, delay_ms = faults_of(read, faults)
    log: ExchangeLog | None = None
    made: Dialect
    if tapes:
        try:
            made = Replayed(read_tape(list(tapes)), 1.0 if speed is None else speed)
        except HistoryError as error:
            raise OperatorError(str(error)) from None
        if out is not None:
            new_folder(out)
    else:
        if speed is not None:
            raise OperatorError("--speed: is for --tape; a market that is served goes by the clock, set flow.per_s")
        found = dialect_class(dialect or read.exchange.dialect)
        if symbols:
            read.symbols = _only(read, found, symbols, where)
        first_ns = clock()
        house = house_of(read, found, chosen_seed, first_ns, where)
        if out is not None:
            log = ExchangeLog(out, house, _plain(read), chosen_seed, first_ns)
        made = found(house, f"{host}:{port}")

    def told(kind: str, place: str) -> None:
        line = f"{_time_text(clock())} fault {kind} at {place}"
        tell(line)
        if out is not None:
            with (out / "faults.log").open("a") as sink:
                sink.write(line + "\n")

    book = Faults(rates, chosen_seed, told, delay_ms)
    certificate = certificate_path(out) if tls else None
    context = self_made(certificate, host) if certificate is not None else None
    desk = Desk(made, book, clock)
    return LocalExchange(
        desk, host, port, context, certificate, None if tapes else read, chosen_seed, log, tell, status
    )


def _only(read: ExchangeConfig, dialect: type[Dialect], symbols: Sequence[str], where: str) -> list[Any]:
    """The symbols that were asked for."""
    there = {one.symbol or dialect.symbol(one.base, one.quote or dialect.quote): one for one in read.symbols}
    for symbol in symbols:
        if symbol not in there:
            raise OperatorError(f"--symbol {symbol}: {where} has no such symbol; it has {', '.join(there)}")
    return [there[symbol] for symbol in symbols]


def _plain(read: ExchangeConfig) -> dict[str, Any]:
    """The config for the manifest, without secrets."""
    plain = msgspec.to_builtins(read)
    for account in plain["accounts"]:
        account["secret"] = account["passphrase"] = account["private_key"] = ""
    return dict(plain)


def _time_text(ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")

"""How a session begins: its instruments, its manifest, its log, and the state at the log's last record.

A start is a recovery: a new folder is the case in which there is nothing to recover.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from pinnacle.config import Config
from pinnacle.engine.strategy import Strategy, bind
from pinnacle.errors import OperatorError
from pinnacle.event import empty
from pinnacle.instrument import Instrument
from pinnacle.kernels.jit import CODE_HASH
from pinnacle.log.manifest import (
    Informational,
    Manifest,
    SegmentEntry,
    StrategySource,
    file_sha256,
    instrument_rows,
    instruments_of,
    read_manifest,
    write_manifest,
)
from pinnacle.log.segment import read_segment
from pinnacle.run.backtest import now_text, versions
from pinnacle.run.connections import fetch_text
from pinnacle.run.keeper import Keeper, count
from pinnacle.run.livelog import LiveLog
from pinnacle.run.loop import Ear, Engine, Recorder
from pinnacle.run.real_orders import Account, RealOrders, check_quotes
from pinnacle.run.recovery import Files, all_records, check_same, fold_again, last_record, put_in_order, sealed_state
from pinnacle.run.refold import Refold
from pinnacle.run.settings import engine_state
from pinnacle.transport.clock import Clock
from pinnacle.transport.http import Http
from pinnacle.venues.feed import Address
from pinnacle.venues.venues import venue


@dataclass(frozen=True)
class Opened:
    """A session that can begin."""

    manifest: Manifest
    log: LiveLog
    ear: Ear
    clock: Clock
    instruments: list[Instrument]


def address_of(config: Config, name: str) -> Address:
    """Where a venue is: what the config says, else its public hosts."""
    own, public = config.live.venues.get(name), venue(name).ADDRESS
    if own is None:
        return public
    return Address(websocket=own.websocket or public.websocket, rest=own.rest or public.rest)


@dataclass
class Opening:
    """One start.  The fields are the session's.  stopped_too: also one that was stopped for good."""

    config: Config
    where: str
    mode: str
    strategy: Strategy | None
    out: Path
    say: Callable[..., None]
    instruments: list[Instrument] = field(default_factory=list)
    accounts: Mapping[str, Account] = field(default_factory=dict)
    stopped_too: bool = False

    async def open(self, http: Http) -> Opened:
        """A session's log ready for appending, and who hears its events; what is there already is recovered."""
        if (self.out / "manifest.json").exists():
            return self._recover()
        log = self.out / "log"
        # An empty one is a start that was killed before it wrote its manifest.
        if log.exists() and (not log.is_dir() or any(log.iterdir())):
            raise OperatorError(f"{self.out}: has a log and no manifest.json; restore it, or choose a new --out")
        self.instruments = await self._find_instruments(http)
        if self.mode == "live":
            traded = [one for one, how in zip(self.instruments, self.config.instruments) if how.trade]
            check_quotes(traded, self.where)
        manifest = self._new_manifest()
        log.mkdir(exist_ok=True)
        write_manifest(self.out, manifest)
        return self._start_log(manifest, Files(), empty(0))

    def _start_log(
        self, manifest: Manifest, files: Files, unsaid: np.ndarray, state: np.ndarray | None = None
    ) -> Opened:
        """Keeper, log and ear; `unsaid` is what the tear took of the last input's outputs."""
        keeper = Keeper(self.out, manifest, self._shadow(files))
        for path in files.waiting:
            keeper.give(path)
        last = last_record(files)
        log = LiveLog(
            self.out / "log", manifest.run_id, self.config.live, keeper, files.number, files.records, files.journal
        )
        if unsaid.size:
            log.append(unsaid)
        ear: Ear
        if self.strategy is None:
            ear = Recorder(log, int(last[0]["seq"]) + 1 if last.size else 0)
        else:
            begun = self._first_state() if state is None else state
            if self.mode == "live":
                told = [*all_records(files), *([unsaid] if unsaid.size else [])]
                ear = RealOrders(
                    self.config, self.where, self.instruments, self.strategy, begun, log, manifest.run_id,
                    self.accounts, told, state is not None,
                )  # fmt: skip
            else:
                ear = Engine(self.config, self.where, self.instruments, self.strategy, begun, log)
        return Opened(manifest, log, ear, Clock(int(last[0]["ts_ns"]) if last.size else 0), self.instruments)

    def _first_state(self) -> np.ndarray:
        assert self.strategy is not None
        return engine_state(self.config, self.instruments, self.strategy, self.where)

    def _refold(self, state: np.ndarray | None) -> Refold:
        assert self.strategy is not None
        state = self._first_state() if state is None else state
        quote = bind(self.strategy, len(state[0]["lane"]["own"]))
        return Refold(state, self.strategy, quote, self.instruments)

    def _shadow(self, files: Files) -> Refold | None:
        """The fold that keeps states beside sealed segments; a strategy in plain Python is not called by two threads,
        so a session of one is recovered from its beginning."""
        if self.strategy is None or self.strategy.external:
            return None
        return sealed_state(files, self.out, self._refold)

    def _recover(self) -> Opened:
        manifest = read_manifest(self.out)
        told: dict[str, object] = {"mode": self.mode, "config": self._config_kept()}
        if self.strategy is not None:
            told |= {"code": CODE_HASH, "strategy": self.strategy.sha256}
        check_same(manifest, self.out, self.stopped_too, **told)
        self.instruments = instruments_of(manifest.instruments)
        files = put_in_order(self.out / "log")
        for note in files.notes:
            self.say("recovered", note=note)
        self._enter_sealed(manifest, files)
        unsaid, state = empty(0), None
        if self.strategy is not None:
            try:
                refold, unsaid = fold_again(files, self.out, self._refold)
            except BaseException:
                # A start that fails leaves the log as whole as it was.
                if files.journal is not None:
                    files.journal.close()
                raise
            state = refold.state
            self.say("recovered", records=files.records, refolded=refold.inputs, unsaid=int(unsaid.size))
        else:
            self.say("recovered", records=files.records)
        manifest.status = "running"
        # Of a log that was sealed and goes on.
        manifest.fingerprint = manifest.informational.ended = ""
        write_manifest(self.out, manifest)
        return self._start_log(manifest, files, unsaid, state)

    def _enter_sealed(self, manifest: Manifest, files: Files) -> None:
        """Segments that were sealed just before the end enter the manifest now, with their counts."""
        known = {entry.name for entry in manifest.segments}
        for path in files.sealed:
            if path.name not in known:
                rows = 0
                for records in read_segment(path):
                    count(records, manifest.counts)
                    rows += records.size
                entry = SegmentEntry(name=path.name, rows=rows, sha256=file_sha256(path), kind="parquet")
                manifest.segments.append(entry)

    async def _find_instruments(self, http: Http) -> list[Instrument]:
        """Ticks and lots from the config, or else from the venues."""
        known = {one.name: one.instrument(self.where) for one in self.config.instruments}
        for name in dict.fromkeys(one.venue for one in self.config.instruments):
            protocol = venue(name)
            unknown = [one.symbol for one in self.config.instruments if one.venue == name and known[one.name] is None]
            if not unknown:
                continue
            url = address_of(self.config, name).rest + protocol.instruments_path(unknown)
            found = {one.symbol: one for one in protocol.instruments(await fetch_text(http, url))}
            for symbol in unknown:
                if symbol not in found:
                    raise OperatorError(
                        f"{self.where}: {name} lists no instrument {symbol}; see the venue's own list for its spelling"
                    )
                known[f"{name}:{symbol}"] = found[symbol]
        instruments = [known[one.name] for one in self.config.instruments]
        assert all(instruments)
        return [one for one in instruments if one is not None]

    def _config_kept(self) -> dict[str, Any]:
        """The config as the manifest keeps it; a session records everything it hears."""
        config = msgspec.to_builtins(self.config)
        config["run"]["record"] = "full"
        return {key: value for key, value in config.items() if key != "live"}

    def _new_manifest(self) -> Manifest:
        strategy = self.strategy
        return Manifest(
            run_id=os.urandom(16).hex(),
            mode=self.mode,
            status="running",
            code_hash=CODE_HASH,
            versions=versions(),
            config={**self._config_kept(), "live": msgspec.to_builtins(self.config.live)},
            strategy=None
            if strategy is None
            else StrategySource(path=strategy.path, name=strategy.name, sha256=strategy.sha256, source=strategy.source),
            params={} if strategy is None else strategy.values(self.config.strategy.params, self.where),
            instruments=instrument_rows(self.instruments),
            seed=self.config.run.seed,
            informational=Informational(started=now_text()),
        )

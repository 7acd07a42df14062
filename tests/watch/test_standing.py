"""What the screen says of a session is what the engine knows, though it shares no code with it."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from pinnacle.log.manifest import instrument_rows, write_manifest
from pinnacle.log.reader import LogReader
from pinnacle.run.recovery import Files
from pinnacle.watch.screen import watch_session
from pinnacle.watch.standing import Standing
from pinnacle.watch.tail import Tail
from tests.run.paper_scene import Scene

ROTATE_BYTES = 128 << 10


def test_books_positions_and_money_are_the_engines(tmp_path: Path, seed: int) -> None:
    """After every so many messages: best prices, own quotes, position, result, fills and open orders are equal."""
    scene = Scene(tmp_path, seed, ("fees.maker_bps=0.3", "run.seed=1"))
    engine = scene.open(Files(), rotate_bytes=ROTATE_BYTES)
    standing, tail = Standing(scene.instruments), Tail(tmp_path / "log")
    for _ in range(12):
        scene.play(engine, 150)
        for records in tail.more():
            standing.take(records)
        place, told = standing.places[0], engine.told()["instruments"][0]
        top = engine.state[0]["market"]["top"][0]
        assert (place.book.best(1), place.book.best(-1)) == (top["bid_ticks"], top["ask_ticks"])
        assert scene.instruments[0].qty_text(place.position_lots) == told["position"]
        assert str(scene.instruments[0].money(place.pnl_units)) == told["pnl"]
        assert (place.fills, len(place.orders), place.link) == (told["fills"], told["orders"], told["link"])
        own = engine.state[0]["lane"]["own"][0]
        for side, s in ((1, 0), (-1, 1)):
            prices = [own["orders"][slot]["price_ticks"] for slot in own["live"][s, : own["live_count"][s]]]
            assert place.quote(side) == (max(prices, key=lambda ticks: side * ticks) if prices else None)
    assert place.fills > 5 and standing.records == scene.log.records
    scene.log.abandon()
    tail.close()


def test_a_tail_misses_nothing_while_files_come_and_go(tmp_path: Path) -> None:
    """Read beside a session that rotates and seals: at the end every record was given once, in order."""
    scene = Scene(tmp_path, 3)
    engine = scene.open(Files(), rotate_bytes=ROTATE_BYTES)
    seen: list[np.ndarray] = []
    ended = threading.Event()
    tail = Tail(tmp_path / "log")

    def follow() -> None:
        while not ended.is_set():
            seen.extend(tail.more())
        seen.extend(tail.more())

    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    try:
        scene.play(engine, 3000)
        scene.log.finish()
    finally:
        ended.set()
    reader.join(60)
    assert not reader.is_alive()
    assert len(list((tmp_path / "log").glob("*.parquet"))) > 2
    assert np.array_equal(np.concatenate(seen), np.concatenate(list(LogReader(tmp_path).records())))


def test_the_screen_fits_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every line of the picture has at most 80 columns, and says instrument, book, position and rates."""
    scene = Scene(tmp_path, 4)
    engine = scene.open(Files())
    scene.play(engine, 300)
    scene.log.abandon()
    manifest = scene.manifest()
    manifest.instruments = instrument_rows(scene.instruments)
    write_manifest(tmp_path, manifest)
    watch_session(tmp_path, once=True)
    said = capsys.readouterr().out
    assert all(len(line) <= 80 for line in said.splitlines())
    for word in ("testing:AAAUSD", "live", "messages/s", "feed latency 0.20 ms"):
        assert word in said

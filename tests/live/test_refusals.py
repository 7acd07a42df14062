"""What a person does wrong, or a venue, between a session and the local exchange: one clear line, and nothing begun."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.cli.command import pinnacle, refused
from tests.live.market import Scene, scene


def refusal(one: Scene, *settings: str) -> str:
    """What a session says that cannot start; it leaves no log behind, so the same --out may be used again."""
    words = [word for setting in settings for word in ("--set", setting)]
    said = refused(pinnacle("live", "run", one.config, "--out", one.out, *words))
    assert not (one.out / "manifest.json").exists() and not (one.out / "log").exists()
    return said


def test_a_session_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    """A certificate nobody vouches for, a host that does not resolve, a port where nobody listens, an unknown symbol,
    a venue in maintenance, a file that holds no certificates: named, with what to do, and no log is begun."""
    with scene("binance", tmp_path) as one:
        assert "certificate is not trusted" in refusal(one, "live.ca_file=")
        assert "holds no certificates" in refusal(one, f"live.ca_file={one.config}")
        unknown = refusal(one, "live.venues.binance.rest=https://no-such-host.invalid")
        assert "no-such-host.invalid" in unknown and "does not resolve" in unknown
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            assert "cannot be reached" in refusal(one, f"live.venues.binance.rest=https://127.0.0.1:{port}")
        assert "NOSUCHUSDT" in refusal(one, "instruments.0.symbol=NOSUCHUSDT")
        one.fault("http_5xx")
        assert "503" in refusal(one)
        one.fault("http_429")
        assert "429" in refusal(one)
        busy = refused(pinnacle("simulate", "--listen", f"127.0.0.1:{one.one.port}"))
        assert f"127.0.0.1:{one.one.port}" in busy and "choose another" in busy

"""`pinnacle doctor`: a line for each thing a session needs, and a remedy wherever something is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import pinnacle


def test_a_line_each_and_a_remedy_for_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline: every part is named once; what is not ok says what to do, as for a vault others may read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    vault = tmp_path / "pinnacle" / "keys.vault"
    vault.parent.mkdir()
    vault.write_bytes(b"sealed")
    vault.chmod(0o644)
    said = pinnacle("doctor", "--offline", "--out", tmp_path)
    lines = said.out.splitlines()
    names = [line[9:24].strip() for line in lines]
    assert names == ["cpu", "uvloop", "kernels", "open files", "disk", "clock", "credentials"]
    assert all(line.startswith("ok") or ";" in line for line in lines)
    assert f"chmod 600 {vault}" in lines[-1] and lines[-1].startswith("warning")


def test_a_venue_out_of_reach_is_a_failure(tmp_path: Path) -> None:
    """A host that does not exist: exit 1, and the lines of its REST and feed name it."""
    where = "http://no-such-host.invalid"
    sets = ("--set", f"live.venues.binance.rest={where}", "--set", "live.venues.binance.websocket=ws://localhost:9")
    said = pinnacle("doctor", "--out", tmp_path, *sets)
    assert said.code == 1
    failed = [line for line in said.out.splitlines() if line.startswith("failed")]
    assert {line[9:24].strip() for line in failed} >= {"binance REST", "binance feed"}
    assert all("no-such-host.invalid" in line for line in failed if "binance" in line)

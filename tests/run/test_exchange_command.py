"""`pinnacle simulate --listen` as a person starts it: what it prints, TLS, its log, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from click.testing import CliRunner

from pinnacle.cli import main
from pinnacle.log.check import verify
from tests.cli.command import killed_after

ROOT = Path(__file__).resolve().parent.parent.parent


def test_it_says_where_it_listens_serves_tls_logs_and_ends_on_sigint(tmp_path: Path) -> None:
    """Started on any port with --tls and --out: URLs and keys are printed, the written certificate is trusted, SIGINT
    ends it with 0, and the log is whole and begins with the book."""
    out = tmp_path / "run"
    command = [
        sys.executable,
        "-u",
        "-m",
        "pinnacle.cli",
        "simulate",
        "--listen",
        "127.0.0.1:0",
        "--dialect",
        "binance",
    ]
    command += ["--tls", "--out", str(out), "--symbol", "BTCUSDT", "--fault", "http_5xx=0"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    try:
        assert process.stdout is not None
        said = ""
        with killed_after(process):
            while "Ctrl-C" not in said:
                line = process.stdout.readline()
                assert line, said
                said += line
        found = re.search(r"https://127\.0\.0\.1:\d+", said)
        assert found is not None and "wss://" in said and "pinnacle-demo-key" in said
        trusted = ssl.create_default_context(cafile=str(out / "exchange-certificate.pem"))
        with urllib.request.urlopen(f"{found[0]}/api/v3/exchangeInfo", context=trusted, timeout=20) as answer:
            assert [one["symbol"] for one in json.loads(answer.read())["symbols"]] == ["BTCUSDT"]
        asked = urllib.request.Request(f"{found[0]}/pinnacle/fault", b'{"kind": "http_5xx"}')
        urllib.request.urlopen(asked, context=trusted, timeout=20).close()
        try:
            urllib.request.urlopen(f"{found[0]}/api/v3/time", context=trusted, timeout=20)
            raise AssertionError("503 was asked for")
        except urllib.error.HTTPError as error:
            assert error.code == 503
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0 and "ended after" in rest and "fault http_5xx" in rest
    finally:
        process.kill()
        process.wait(20)
    assert "fault http_5xx at /api/v3/time" in (out / "faults.log").read_text()
    checked = verify(out)
    assert checked.ok and checked.counts["book_level"] > 100
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["status"] == "complete" and "cGlubmFj" not in json.dumps(manifest)


def test_options_of_a_local_exchange_need_one() -> None:
    """--dialect and others without --listen are refused with the remedy, and --listen refuses a strategy."""
    for given in (["--dialect", "binance"], ["--fault", "drop=1"], ["--tls"]):
        result = CliRunner().invoke(main, ["simulate", *given])
        assert result.exit_code == 2 and "add --listen" in result.output
    result = CliRunner().invoke(main, ["simulate", "--listen", "127.0.0.1:0", "--strategy", "glft"])
    assert result.exit_code == 2 and "does not go with --listen" in result.output
    result = CliRunner().invoke(main, ["simulate", "--listen", "127.0.0.1:0", "--dialect", "nyse"])
    assert result.exit_code == 2 and "no such dialect" in result.output


def test_a_port_in_use_is_said_in_one_line() -> None:
    """Exit 2, and the address."""
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        listen = ["--listen", f"127.0.0.1:{port}", "--set", "flow.model=none", "--quiet"]
        result = CliRunner().invoke(main, ["simulate", *listen])
    assert result.exit_code == 2 and f"--listen 127.0.0.1:{port}" in result.output

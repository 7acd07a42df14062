"""Vaults for tests: the same code with a cheap cost, which is an argument and nothing global."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pinnacle.vault import place
from pinnacle.vault.sealed import Cost
from pinnacle.vault.secret import Secret
from pinnacle.vault.vault import Credential, Vault, changing, create_vault, open_vault

ROOT = Path(__file__).resolve().parents[2]
CHEAP = Cost(log2_n=4, r=8, p=1)
PASSWORD = "correct horse battery staple"
SECRETS = ("c2VjcmV0LW9mLWtyYWtlbg==", "secret-of-gemini-0123456789", "phrase-of-coinbase")


def password() -> Secret:
    return Secret(PASSWORD)


def credential(venue: str = "kraken", name: str = "default", secret: str | bytes = SECRETS[0]) -> Credential:
    return Credential(venue, name, f"id-of-{venue}-{name}", Secret(secret), Secret(""), "hmac", "trade", "2026-01-02")


def made(path: Path, *keys: Credential) -> Vault:
    """A vault of these keys on the disk."""
    vault = create_vault(path, password(), CHEAP)
    with changing(vault, password()) as current:
        for key in keys:
            current.add(key)
    return current


def another_process(call: str) -> subprocess.Popen[bytes]:
    """A call of a function of this file, in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", f"from tests.vault import opened\nopened.{call}"], cwd=ROOT)


def add_some(path: str, who: int, count: int) -> None:
    """Add keys one by one, each with an opening and a change of its own."""
    for k in range(count):
        with changing(open_vault(Path(path), password()), password()) as now:
            now.add(credential(name=f"k{who}-{k}"))


def die_while_writing(path: str, at: str) -> None:
    """Write a vault and be killed at a step of it."""
    setattr(place.os, at, lambda *_: os._exit(9))
    with changing(open_vault(Path(path), password()), password()) as now:
        now.add(credential(name="second"))

"""Vaults for tests: the same code with a cheap cost, which is an argument and nothing global."""

from __future__ import annotations

from pathlib import Path

from pinnacle.vault.sealed import Cost
from pinnacle.vault.secret import Secret
from pinnacle.vault.vault import Credential, Vault, changing, create_vault

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

"""What a venue's words about a key mean, and what its owner can do: for people, when a key is tried.

Trading itself goes by the causes of private/said.py, which know no more of this than "permission"; here the words are
looked at once more, because the remedies differ: another secret, another address, a right, a clock.
"""

from __future__ import annotations

import re

# The first line whose words are found counts; so what names several reasons stands above each of them.
_MEANINGS = (
    (
        r"API-key, IP, or permissions",
        "it does not know the key, or not from this address, or the key may not do this: compare the id, the list of "
        "addresses and the rights of the key at the venue",
    ),
    (
        r"\bIPs?\b|whitelist|allowlist|address",
        "this machine's address is not on the key's list: add it there, or run where it is",
    ),
    (
        r"timestamp|recvwindow|nonce|time window|too (?:early|late)|request timestamp expired",
        "it finds our time or nonce wrong: set this machine's clock (NTP), and let no other machine use this key",
    ),
    (
        r"signature|unauthori[sz]ed|authentication fail",
        "the secret is not the one of this key id, or there is no such key: add the key again, whole",
    ),
    (r"passphrase|password", "the passphrase is not the key's: add the key again with the one it was made with"),
    (
        r"expired|inactive|disabled|deactivated|frozen|suspended|revoked|locked",
        "the key or the account is not in use any more: make a new key, or ask the venue",
    ),
    (r"permission|denied|scope|role|forbidden|may not", "the key lacks the right: give it that at the venue"),
    (r"key", "it does not know the key: compare its id, or make a new one, and add that"),
)  # fmt: skip


def meaning(words: str) -> str:
    """One clause on what it means and what to do; the venue's words alone where they are not known."""
    for pattern, remedy in _MEANINGS:
        if re.search(pattern, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", words), re.IGNORECASE):
            return remedy
    return "look these words up at the venue"

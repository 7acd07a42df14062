"""`pinnacle keys test --online` at each venue's local exchange: what a key is, in one line, and no order for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from pinnacle.run.key_online import Verdict, try_key
from pinnacle.run.real_orders import Account
from pinnacle.transport.websocket import Route
from pinnacle.venues.credentials import signer
from pinnacle.venues.feed import Address
from pinnacle.venues.key_refused import meaning
from tests.cli.command import pinnacle, ran, refused
from tests.run.exchange_process import PASSWORD, SPOTS, Spot
from tests.run.served import Served, served


def tried(spot: Spot, one: Served, **changed: str) -> Verdict:
    fields = spot.fields | changed
    key = signer(spot.name, fields["secret"].encode())[1]
    account = Account(fields["api_key"], key, fields["passphrase"].encode())
    return try_key(spot.name, account, Address(one.ws, one.http), Route())


@pytest.mark.parametrize("name", SPOTS)
def test_each_venue_says_what_a_key_is(name: str) -> None:
    """The right key works; a wrong secret, an unknown id and a clock that is off are told apart; nothing is placed."""
    spot = SPOTS[name]
    other = base64.b64encode(bytes(range(32))).decode()
    with served(name, ["flow.model=none", f"accounts.0.key={spot.fields['api_key']}"]) as one:
        good = tried(spot, one)
        assert good.good and good.text.startswith("works: ") and "clock" not in good.text
        bad = tried(spot, one, secret=other)
        assert not bad.good and bad.reached and "secret" in bad.text, bad.text
        unknown = tried(spot, one, api_key=spot.fields["api_key"][:-1] + "x")
        assert not unknown.good and unknown.reached and "key" in unknown.text, unknown.text
        for verdict in (bad, unknown):
            assert other not in verdict.text and spot.fields["secret"] not in verdict.text
        one.call(one.desk.faults.set, "clock_skew", 12_000.0)
        skewed = tried(spot, one)
        assert "clock is 1" in skewed.text and "behind the venue's" in skewed.text
        house = one.desk.dialect.house
        assert not one.call(lambda: house.open_orders(1) + house.ended_orders(1))


def test_the_command(tmp_path: Path) -> None:
    """It asks the venue beside the local test, exits by what came of it, and shows no secret."""
    spot, folder = SPOTS["kraken"], tmp_path / "own"
    folder.mkdir(mode=0o700)
    (folder / "password").write_text(PASSWORD)
    (folder / "fields").write_text(json.dumps(spot.fields))
    for file in folder.iterdir():
        file.chmod(0o600)
    unlock: tuple[Any, ...] = ("--vault", folder / "vault", "--password-file", folder / "password")
    ran("keys", "add", "kraken", "--permissions", "trade", "--fields", folder / "fields", *unlock)
    with served("kraken", ["flow.model=none"]) as one:
        at = ("--online", "--websocket", one.ws, "--rest", one.http)
        said = ran("keys", "test", "kraken", *at, *unlock).out
        assert "kraken/default  works: kraken answered" in said and spot.fields["secret"] not in said
        assert "was not asked" not in said and "was not asked" in ran("keys", "test", "kraken", *unlock).out
        (folder / "fields").write_text(json.dumps(spot.fields | {"secret": base64.b64encode(b"other").decode()}))
        ran("keys", "rotate", "kraken", "default", "--fields", folder / "fields", *unlock)
        wrong = pinnacle("keys", "test", "kraken", *at, *unlock)
    assert wrong.code == 2 and "EAPI:Invalid signature" in wrong.out and "secret is not the one" in wrong.out
    assert "add --online" in refused(pinnacle("keys", "test", "kraken", "--rest", one.http, *unlock))


@pytest.mark.parametrize(
    ("words", "clause"),
    [
        ("-2015 Invalid API-key, IP, or permissions for action.", "not from this address"),
        ("-1022 Signature for this request is not valid.", "secret is not"),
        ("-1021 Timestamp for this request is outside of the recvWindow.", "clock"),
        ("EAPI:Invalid key", "does not know the key"),
        ("EAPI:Invalid nonce", "clock"),
        ("EGeneral:Permission denied", "lacks the right"),
        ("EAuth:Account temporary disabled", "not in use any more"),
        ("status 400: InvalidSignature", "secret is not"),
        ("status 403: MissingRole", "lacks the right"),
        ("API0002 IP address not allowed", "address is not on the key's list"),
        ("API0008 API key has expired", "not in use any more"),
        ("API0011 API key inactive", "not in use any more"),
        ("invalid passphrase", "passphrase is not"),
        ("request timestamp expired", "clock"),
        ("IP does not match IP whitelist", "address is not on the key's list"),
        ("something new", "look these words up"),
    ],
)
def test_words_and_remedies(words: str, clause: str) -> None:
    """What the venues' pages say about keys is met with what its owner can do about it."""
    assert clause in meaning(words)

"""Every venue's feed against broken messages: records or the one error, bounded memory, and no wrong book that is live.

PINNACLE_FUZZ=N bends N messages a venue instead of the few of an ordinary run; PINNACLE_SEED=N starts elsewhere.
"""

from __future__ import annotations

import json
import os
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pinnacle.event import BOOK_CLEAR, BOOK_LEVEL, LAST, LINK_UP, MARKET_KIND_MAX, TRADE
from pinnacle.history.tape_items import RECEIVED
from pinnacle.limits import PRICE_TICKS_MAX, QTY_LOTS_MAX
from pinnacle.venues.feed import EMPTY, LIVE, Rows
from tests.venues.sample import TAPES, Books, Sample, guarded, heard, sample_of, there

FUZZ = int(os.environ.get("PINNACLE_FUZZ", "300"))
SEED = int(os.environ.get("PINNACLE_SEED", "1"))
ITEMS = 150
# What a feed may want at once, and the words it may count by.
WANTED_MAX, WORDS_MAX = 200, 200
ODD = [
    b"", b"null", b"0", b"-1", b"1e999999999", b"1e-999999999", b"9" * 400, b'"' + b"9" * 400 + b'"', b"NaN", b"[]",
    b"{}",
    b"[" * 50_000, b'{"a":' * 50_000, b'"\xff\xfe"', b'"\\ud800"', b"true", b'"1e99999999"', b'"-5"', b'"0"', b"[[]]",
    b'[["1"]]', b'[["1","1","1","1"]]', b"4611686018427387904", b"9223372036854775808", b'"2020-13-45T99:99:99Z"',
    b'"\\u0000"',
]  # fmt: skip
NAMES = [name for name in TAPES if there(name)]


@pytest.fixture(scope="module", params=NAMES)
def sample(request, recordings):
    """The beginning of a venue's tape."""
    return sample_of(request.param, recordings, ITEMS)


def bent(chance: random.Random, items: list) -> bytes:
    """A recorded message with something wrong."""
    body = chance.choice(items)[2]
    how = chance.randrange(7)
    at = chance.randrange(len(body) + 1)
    if how == 0:
        return body[:at]
    if how == 1:
        return body[:at] + bytes([chance.randrange(256)]) + body[at + 1 :]
    if how == 2:
        return body[:at] + body[at + chance.randrange(1, 20) :]
    if how == 3:
        other = chance.choice(items)[2]
        return body[:at] + other[chance.randrange(len(other)) :]
    if how == 4:
        return chance.choice(ODD)
    # One value, string or number, becomes something else.
    marks = [k for k in range(len(body)) if body[k : k + 1] in b':[,"']
    first, last = sorted((chance.choice(marks), chance.choice(marks)))
    if how == 5:
        return body[: first + 1] + chance.choice(ODD) + body[last:]
    text = chance.choice([b"-", b"e9", b"00", b".", b"9" * 30, b"\x00", b"\xc3\x28", b'"', b"}", b"]"])
    return body[:at] + text + body[at:]


def proper(rows: np.ndarray) -> None:
    """Records that a market may say, within the numbers that the engine takes."""
    assert (rows["kind"] <= MARKET_KIND_MAX).all() and (rows["kind"] > 0).all()
    told = rows[np.isin(rows["kind"], (BOOK_LEVEL, TRADE))]
    assert (told["price_ticks"] > 0).all() and (told["price_ticks"] < PRICE_TICKS_MAX).all()
    assert (told["qty_lots"] >= 0).all() and (told["qty_lots"] < QTY_LOTS_MAX).all()
    assert (np.abs(rows["side"]) <= 1).all()


def test_a_bent_message_gives_records_or_the_one_error(sample):
    """Cut, flipped, spliced, of wrong types, huge or deep: nothing but Malformed is raised, and the feed goes on.

    Whatever it wants and counts stays small, and its records are proper; the same for bent answers.
    """
    chance = random.Random(SEED)
    rows = Rows()
    feed = sample.feed()
    errors = 0
    for turn in range(FUZZ):
        ts_ns = 3_000_000_000 + turn
        body = bent(chance, sample.items)
        tags = [fetch.tag for fetch in feed.fetches]
        error = None
        if tags and chance.random() < 0.2:
            tag, status = chance.choice(tags), chance.choice((200, 200, 404, 0))
            error = guarded(feed.answered, tag, status, body, ts_ns, rows)
        else:
            error = guarded(feed.received, body, ts_ns, rows)
        if error is not None:
            errors += 1
            assert "\n" not in str(error) and len(str(error)) < 1000, f"seed {SEED}, turn {turn}"
            feed.closed(ts_ns, rows)
            assert set(feed.states()) == {EMPTY}
            feed.opened(ts_ns, rows)
        proper(rows.take())
        assert len(feed.sends) <= WANTED_MAX and len(feed.fetches) <= WANTED_MAX and len(feed.counts) <= WORDS_MAX
        feed.sends.clear()
    assert errors


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_of_the_venues_words(sample, data):
    """Objects made of the keys and words that the venue uses, in any shape: records or the one error."""
    keys, words = words_of(sample)
    leaf = st.sampled_from(words) | st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
    value = st.recursive(
        leaf, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(keys), x, max_size=6), max_leaves=15
    )
    rows, feed = Rows(), sample.feed()
    message = json.dumps(data.draw(value)).encode()
    guarded(feed.received, message, 2, rows)
    for fetch in feed.fetches[:1]:
        guarded(feed.answered, fetch.tag, 200, message, 3, rows)
    proper(rows.take())


def words_of(sample: Sample) -> tuple[list[str], list[str]]:
    """Keys and text values of the recorded messages."""
    keys: set[str] = {"id"}
    words: set[str] = {""}

    def walk(value, depth=0):
        if isinstance(value, dict):
            for key, each in value.items():
                keys.add(key)
                walk(each, depth + 1)
        elif isinstance(value, list):
            for each in value[:5]:
                walk(each, depth + 1)
        elif isinstance(value, str):
            words.add(value)

    for _, _, body in sample.items[:60]:
        walk(json.loads(body))
    return sorted(keys), sorted(words)[:500]


# Venues whose messages say that one is missing, and how deep what they say reaches (0: the whole book).
LOSS_SHOWS = {"binance": 0, "binance-2024": 0, "binance-usdm": 0, "kraken": 10, "kraken-v1": 10}


@pytest.mark.parametrize("name", [name for name in NAMES if name in LOSS_SHOWS])
def test_lost_doubled_and_swapped_messages_leave_no_wrong_book_live(recordings, name):
    """Recorded messages with faults: a book that is live is, as deep as the venue lets one know, one that it had.

    The states that it had are those of the tape without faults, by a naive book of the same records.
    """
    depth = LOSS_SHOWS[name]
    sample = sample_of(name, recordings, 1500 if name == "binance-2024" else 200)
    rows = Rows()

    def states(items):
        """After each message (instrument, its book) for those that are live and were touched."""
        feed = sample.feed()
        books = Books(len(sample.followed))
        for _, error in heard(feed, items, rows):
            for index in books.hear(rows.take()):
                if books.live[index]:
                    assert feed.states()[index] == LIVE
                    yield index, books.state(index, depth)
            if error is not None:
                feed.closed(1 << 60, rows)
                books.hear(rows.take())
                return

    true: list[set] = [set() for _ in sample.followed]
    for index, state in states(sample.items):
        true[index].add(state)
    assert sum(len(one) for one in true) > 10
    chance = random.Random(SEED)
    compared = 0
    for trial in range(4 if len(sample.followed) > 1 else 8):
        items = []
        for item in sample.items:
            fate = chance.random() if item[0] == RECEIVED else 1.0
            if fate < 0.01:
                continue
            items.append(item)
            if fate < 0.02:
                items.append(item)
            elif fate < 0.03 and len(items) > 1 and items[-2][0] == RECEIVED:
                items[-1], items[-2] = items[-2], items[-1]
        for index, state in states(items):
            compared += 1
            assert state in true[index], f"seed {SEED}, trial {trial}"
    assert compared > 20


def test_a_whole_book_is_said_as_one(sample):
    """BOOK_CLEAR, its levels and LINK_UP follow one another, and only the last says LAST: nobody sees half a book."""
    rows, feed = Rows(), sample.feed()
    whole = 0
    for _, error in heard(feed, sample.items, rows):
        assert error is None
        inside = False
        for kind, flags in rows.take()[["kind", "flags"]].tolist():
            assert not (inside and kind not in (BOOK_LEVEL, LINK_UP)), "something between a clear and its LINK_UP"
            inside = kind == BOOK_CLEAR or (inside and kind != LINK_UP)
            assert not (inside and flags & LAST)
            whole += kind == LINK_UP
        assert not inside
    assert whole

"""Levels of a message become records exactly, or are refused in one way."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pinnacle.event import ASK, BID, BOOK_LEVEL, LAST, SNAPSHOT
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import Followed, Malformed, Rows
from pinnacle.venues.levels import Levels

FOLLOWED = Followed(Instrument("v", "S", Decimal("0.25"), Decimal("0.001")), 3, 5)
LEVEL = st.tuples(st.integers(1, 10**9), st.integers(0, 10**9), st.sampled_from(["buy", "sell", "offer", "bid", "B"]))


def price(ticks):
    return str(Decimal("0.25") * ticks)


def qty(lots):
    return str(Decimal("0.001") * lots)


def written(levels, columns, text, side=0, **how):
    rows = Rows()
    count = Levels(FOLLOWED, columns).write(text, side, 7, 8, how.get("flags", 0), how.get("last", True), rows)
    assert count == rows.count
    return rows.take()


@settings(deadline=None)
@given(st.lists(LEVEL, max_size=30), st.booleans(), st.booleans(), st.sampled_from([None, 1, (", ", ": ")]))
def test_levels_are_what_the_text_says(levels, objects, bare, layout):
    """Arrays and objects, numbers quoted or bare, any white space: the records are the levels, in their order."""

    def number(text):
        return f"\x00{text}\x00" if bare else text

    if objects:
        listed = [
            {"x": ["]", {"a": '"'}], "price_level": number(price(p)), "side": s, "new_quantity": number(qty(q))}
            for p, q, s in levels
        ]
        columns = ("price_level", "new_quantity", "side")
    else:
        listed = [[s, number(price(p)), number(qty(q)), "more"] for p, q, s in levels]
        columns = (1, 2, 0)
    how = {"indent": layout} if layout == 1 else {"separators": layout or (",", ":")}
    text = json.dumps(listed, **how).replace('"\\u0000', "").replace('\\u0000"', "").encode()
    rows = written(levels, columns, text)
    assert rows["price_ticks"].tolist() == [p for p, _, _ in levels]
    assert rows["qty_lots"].tolist() == [q for _, q, _ in levels]
    assert rows["side"].tolist() == [BID if s[0] in "bB" else ASK for _, _, s in levels]
    assert (rows["kind"] == BOOK_LEVEL).all() and (rows["venue"] == 3).all() and (rows["instrument"] == 5).all()
    assert (rows["ts_ns"] == 7).all() and (rows["ts_venue_ns"] == 8).all()
    assert rows["flags"].tolist() == [0] * (len(levels) - 1) + [LAST] * bool(levels)


def test_an_exponent_is_read_exactly():
    """A bare number that JSON writes with an exponent is taken all the same."""
    rows = written(None, (0, 1, -1), b"[[2.5e1,1E-3],[1,2]]", BID, flags=SNAPSHOT)
    assert rows["price_ticks"].tolist() == [100, 4] and rows["qty_lots"].tolist() == [1, 2000]
    assert rows["flags"].tolist() == [SNAPSHOT, SNAPSHOT | LAST]


@pytest.mark.parametrize(
    "text",
    [
        b'[["1.1","1"]]', b'[["1","0.0001"]]', b'[["-1","1"]]', b'[["0","1"]]', b'[["1"]]', b"[1]", b'["1","2"]',
        b'[{"a":1}]', b'[["",""]]', b'[["1","x"]]', b"[null]", b'[["1",null]]', b'[["1e400","1"]]', b"[[true,1]]",
        b'[["99999999999999999999","1"]]',
    ],
)  # fmt: skip
def test_what_is_no_level_is_malformed(text):
    """Whatever is wrong with a level gives the parser's one error, and none of its message is kept."""
    rows = Rows()
    with pytest.raises(Malformed, match="v:S"):
        Levels(FOLLOWED).write(text, BID, 1, 1, 0, True, rows)
    assert rows.count == 0


@settings(deadline=None, max_examples=300)
@given(
    st.recursive(
        st.none() | st.integers() | st.text("0123456789.eE-+b", max_size=6),
        lambda x: st.lists(x, max_size=4),
        max_leaves=12,
    )
)
def test_any_json_gives_rows_or_the_one_error(value):
    """Valid JSON that is no list of levels never does anything else."""
    rows = Rows()
    try:
        Levels(FOLLOWED).write(json.dumps([value]).encode(), BID, 1, 1, 0, True, rows)
    except Malformed:
        assert rows.count == 0


@pytest.mark.parametrize("text", [b"0", b"[", b"]", b"{}", b'"["', b"null", b"1]"])
def test_what_is_no_array_is_malformed(text):
    """A value of another kind where levels should be is refused before its bytes are walked."""
    with pytest.raises(Malformed):
        written([], (0, 1, -1), text, BID)

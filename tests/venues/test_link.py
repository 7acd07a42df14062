"""A book's state follows its table, and what is lost is said once."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from pinnacle.event import BOOK_CLEAR, LAST, LINK_DOWN, LINK_UP
from pinnacle.instrument import Instrument
from pinnacle.venues.feed import CAUSE_CLOSED, CAUSE_START, EMPTY, LIVE, SYNCING, Followed, Rows
from pinnacle.venues.link import LOSSES, Link, lose_all

FOLLOWED = Followed(Instrument("v", "S", Decimal(1), Decimal(1)), 0, 0)


@given(st.lists(st.sampled_from(["asked", "whole", *LOSSES])))
def test_live_exactly_between_up_and_the_next_loss(happenings):
    """Whatever happens, the records tell the state, and each loss has its cause, once."""
    link, rows, live = Link(FOLLOWED), Rows(), False
    for what in happenings:
        before = link.state
        if what == "asked":
            live = live and before == SYNCING
            link.asked()
        elif what == "whole":
            link.asked()
            link.begin(1, 2, rows)
            link.whole(1, 2, rows)
            live = True
        else:
            said = link.lost(what, 1, rows)
            assert said == (before == LIVE or (what == CAUSE_CLOSED and before != EMPTY))
            live = False
        taken = rows.take()
        assert link.live == live
        if what == "whole":
            assert taken["kind"].tolist() == [BOOK_CLEAR, LINK_UP] and taken["flags"][1] == LAST
        else:
            assert [(row["kind"], row["aux"], row["flags"]) for row in taken] == (
                [] if what == "asked" or not said else [(LOSSES[what][0], what, LAST)]
            )
        assert (link.state == EMPTY) == (what == CAUSE_CLOSED or (before == EMPTY and what not in ("asked", "whole")))


def test_every_cause_of_the_contract_has_its_record():
    """No cause but that of the start is without a record, and a lost connection is said for each book asked for."""
    from pinnacle.venues import feed

    assert set(LOSSES) == set(feed.CAUSE_NAMES) - {CAUSE_START}
    links, rows = [Link(FOLLOWED), Link(FOLLOWED)], Rows()
    links[0].asked()
    assert lose_all(links, CAUSE_CLOSED, 1, rows) and not lose_all(links, CAUSE_CLOSED, 1, rows)
    assert rows.take()["kind"].tolist() == [LINK_DOWN]

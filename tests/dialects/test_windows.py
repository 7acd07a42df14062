"""Rate limits: a window never lets more through than it says, a bucket never more than its rate and size."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pinnacle.dialects import windows
from pinnacle.dialects.windows import Bucket, Window

NS = 1_000_000_000


@given(st.lists(st.tuples(st.integers(0, NS), st.integers(1, 5)), max_size=60), st.integers(1, 20))
def test_a_window_lets_through_no_more_than_its_most(uses: list[tuple[int, int]], most: int) -> None:
    """Amounts that were let through in one window sum to at most the most."""
    window, now, sums = Window(NS, most), 0, {}
    for wait, amount in uses:
        now += wait
        if window.use("a", amount, now):
            sums[now // NS] = sums.get(now // NS, 0) + amount
        assert 0 < window.left_ns(now) <= NS
    assert all(total <= most for total in sums.values())


@given(st.lists(st.tuples(st.integers(0, NS), st.integers(1, 5)), max_size=60), st.integers(1, 9), st.integers(1, 20))
def test_a_bucket_keeps_its_rate(takes: list[tuple[int, int]], rate: int, most: int) -> None:
    """What was taken until any time is at most its size and what its rate filled since the first."""
    bucket, now, taken = Bucket(rate, most), 0, 0
    for wait, tokens in takes:
        now += wait
        if bucket.take("a", tokens, now):
            taken += tokens
        assert taken * NS <= most * NS + rate * now


def test_keys_are_bounded(monkeypatch: object) -> None:
    """One key too many in a window is refused, and forgotten with the window."""
    window = Window(NS, 5)
    assert all(window.use(k, 1, 0) for k in range(windows.WINDOW_KEYS_MAX))
    assert not window.use("one more", 1, 0) and window.use("one more", 1, NS)

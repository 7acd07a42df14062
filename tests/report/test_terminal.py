"""The summary on a terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pinnacle.report.terminal import WIDTH, plain_lines, print_summary
from pinnacle.report.wording import amount, quantity, span
from pinnacle.report.write import write_report
from tests.report.hand import BTC, ETH, Hand, small_run


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def summary(tmp_path: Path) -> dict:
    return write_report(small_run().write(tmp_path / "r", status="interrupted"), html=False)


def test_plain_lines_fit_and_say_what_matters(summary: dict) -> None:
    """No line is wider than 80 columns; the net result, its parts and every warning are there."""
    lines = plain_lines(summary)
    assert max(map(len, lines)) <= WIDTH == 80
    text = " ".join(" ".join(lines).split())
    for words in ("net result +0.015000 USD", "spread captured +0.017500 USD", "mark-out 1s", "50.0% filled"):
        assert words in text, words
    for warning in summary["warnings"]:
        assert warning in text


def test_colour_only_on_a_terminal(summary: dict) -> None:
    """A pipe gets no escape code; a terminal gets the same labels within 80 columns."""
    pipe, screen = io.StringIO(), Screen()
    print_summary(summary, pipe)
    print_summary(summary, screen)
    assert "\x1b" not in pipe.getvalue()
    for words in ("net result", "largest drawdown", "order round trip"):
        assert words in screen.getvalue() and words in pipe.getvalue()


def test_a_stream_without_a_minus_sign_is_written_all_the_same(summary: dict) -> None:
    """An ASCII pipe gets hyphens instead of an encoding error."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_summary(summary, stream)
    stream.flush()
    assert b"-0.002500 USD" in raw.getvalue() and b"?" not in raw.getvalue()


def test_several_instruments_begin_with_their_total(tmp_path: Path) -> None:
    """A total of one currency comes before its instruments where more than one of them traded."""
    hand = Hand(BTC, ETH)
    hand.place(0, 1, 1, 100, 2)
    hand.place(0, 2, 1, 50, 2, me=1)
    lines = plain_lines(write_report(hand.write(tmp_path / "r"), html=False))
    titles = [line for line in lines if line in ("All in USD", "venue:BTC-USD", "venue:ETH-USD")]
    assert titles == ["All in USD", "venue:BTC-USD", "venue:ETH-USD"]


def test_what_was_not_traded_is_no_zero(tmp_path: Path) -> None:
    """Instruments without an order show a dash and a reason, and make no total."""
    lines = plain_lines(write_report(Hand(BTC, ETH).write_empty(tmp_path / "r"), html=False))
    told = [line.split(maxsplit=3) for line in lines if "net result" in line]
    assert told == [["net", "result", "–", "no order was placed, so there is no"]] * 2
    assert "All in USD" not in lines


def test_numbers_read_as_they_should() -> None:
    """Amounts keep about five digits, sizes lose trailing zeros, lengths of time show two units."""
    assert [amount(value, True) for value in (1234.5, -12.3456, 0.01234, 0.0, None)] == [
        "+1,234.50", "−12.346", "+0.012340", "0", "–",
    ]  # fmt: skip
    assert [quantity(value) for value in (0.05, -1500.0, 2.139)] == ["0.05", "−1,500", "2.139"]
    assert [span(value) for value in (0.0635, 59.0, 344.7, 90_061.0)] == ["0.0635 s", "59 s", "5 min 45 s", "1 d 1 h"]

"""Times as venues write them (ISO 8601, UTC) to ns since 1970 and back, without a calendar of anybody's machine.

`datetime` knows no nanoseconds and is a clock besides, which venue files may not have.  Minutes repeat, so the text up
to the minute is looked up and only the seconds are read.
"""

from __future__ import annotations

_MINUTE_NS = 60_000_000_000
_DAY_NS = 1440 * _MINUTE_NS
# Minutes remembered; a session meets one after the other, so a few suffice.
_MINUTES_MAX = 4096
_minutes: dict[str, int] = {}


def ns_of_iso(text: str) -> int:
    """`2021-04-17T16:43:29.571587Z` as ns; the fraction may have none to nine digits, a space may stand for the T.

    Raises ValueError for what is no such time in UTC between 1970 and 2255.
    """
    minute_ns = _minutes.get(text[:17])
    if minute_ns is None:
        minute_ns = _minute(text[:17])
    end = -1 if text[-1:] == "Z" else len(text)
    if end > 0 and text[-6:] == "+00:00":
        end -= 6
    rest = text[17:end]
    seconds, fraction = rest[:2], rest[3:]
    if not (seconds.isdigit() and seconds.isascii() and seconds <= "60" and len(seconds) == 2):
        raise ValueError(f"no time: {text[:40]!r}")
    if not rest[2:]:
        return minute_ns + int(seconds) * 1_000_000_000
    if rest[2] != "." or not (fraction.isdigit() and fraction.isascii()) or len(fraction) > 9:
        raise ValueError(f"no time: {text[:40]!r}")
    return minute_ns + int(seconds + fraction.ljust(9, "0"))


def _minute(text: str) -> int:
    """ns of `2021-04-17T16:43:`."""
    digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16]
    marks = text[4:5] + text[7:8] + text[10:11] + text[13:14] + text[16:17]
    if len(text) != 17 or marks not in ("--T::", "-- ::") or not (digits.isdigit() and digits.isascii()):
        raise ValueError(f"no time: {text[:40]!r}")
    year, month, day, hour, minute = (int(digits[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12)))
    if not (1970 <= year <= 2255 and 1 <= month <= 12 and 1 <= day <= _month_days(year, month)):
        raise ValueError(f"no time: {text[:40]!r}")
    if hour > 23 or minute > 59:
        raise ValueError(f"no time: {text[:40]!r}")
    ns = _days(year, month, day) * _DAY_NS + (hour * 60 + minute) * _MINUTE_NS
    if len(_minutes) >= _MINUTES_MAX:
        _minutes.clear()
    _minutes[text] = ns
    return ns


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _month_days(year: int, month: int) -> int:
    if month == 2:
        return 29 if _leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 of the Gregorian calendar (Richards, Explanatory Supplement 15.11)."""
    a = (14 - month) // 12
    y, m = year + 4800 - a, month + 12 * a - 3
    return day + (153 * m + 2) // 5 + 365 * y + y // 4 - y // 100 + y // 400 - 32045 - 2_440_588


def iso_of_ns(ts_ns: int, digits: int = 6) -> str:
    """ns since 1970 as `2021-04-17T16:43:29.571587Z`, cut (not rounded) to so many digits of a second."""
    days, within = divmod(int(ts_ns), _DAY_NS)
    seconds, fraction = divmod(within, 1_000_000_000)
    # The inverse of _days (same source).
    f = days + 2_440_588 + 1401 + (4 * (days + 2_440_588) + 274277) // 146097 * 3 // 4 - 38
    e = 4 * f + 3
    h = 5 * (e % 1461 // 4) + 2
    day, month = h % 153 // 5 + 1, (h // 153 + 2) % 12 + 1
    year = e // 1461 - 4716 + (14 - month) // 12
    point = f".{fraction:09d}"[: digits + 1] if digits else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{point}Z"

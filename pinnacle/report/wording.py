"""Numbers as a person reads them: the terminal and the page write them the same way."""

from __future__ import annotations

from datetime import UTC, datetime

NOT_MEASURED = "–"


def amount(value: float | None, signed: bool = False) -> str:
    """An amount with about five significant digits and thousands separators; a dash where it was not measured."""
    if value is None:
        return NOT_MEASURED
    size = abs(value)
    digits = 0 if size >= 100_000 else 2 if size >= 1000 else 3 if size >= 10 else 4 if size >= 0.1 or size == 0 else 6
    if size == 0:
        return "0"
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def quantity(value: float | None) -> str:
    """A size without trailing zeros."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,.6f}".rstrip("0").rstrip(".").replace("-", "\N{MINUS SIGN}")


def count(value: int | None) -> str:
    """A whole number with thousands separators."""
    return NOT_MEASURED if value is None else f"{value:,}"


def share(value: float | None) -> str:
    """A fraction as percent."""
    return NOT_MEASURED if value is None else f"{100 * value:.1f}%"


def plain(value: float | None, digits: int = 2, signed: bool = False) -> str:
    """A number with a fixed number of decimals."""
    if value is None:
        return NOT_MEASURED
    return (f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}").replace("-", "\N{MINUS SIGN}")


def mean_and_error(mean: float | None, error: float | None, digits: int = 3) -> str:
    """A mean with its standard error."""
    if mean is None:
        return NOT_MEASURED
    return plain(mean, digits, signed=True) + (f" ± {error:,.{digits}f}" if error is not None else "")


def moment(ts_ns: int) -> str:
    """A time in UTC to the second; a dash for 0."""
    if ts_ns == 0:
        return NOT_MEASURED
    return datetime.fromtimestamp(ts_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def span(seconds: float | None) -> str:
    """A length of time in its two largest units."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 60:
        return f"{seconds:.3g} s"
    parts: list[str] = []
    rest = round(seconds)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if rest >= size or parts:
            parts.append(f"{rest // size} {unit}")
            rest %= size
    return " ".join(parts[:2])

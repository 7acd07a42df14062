"""Decimal text to whole steps, byte by byte: the one way a price enters pinnacle from bulk data.

A binary float in between would round; Decimal objects would cost more than the rest of an import.
"""

import numpy as np

from pinnacle.kernels.jit import jit, jit_inline

ZERO, NINE, DOT, MINUS, PLUS = 48, 57, 46, 45, 43
DIGITS_MAX = 18  # decimal digits that always fit an int64
# A value of 18 digits below this can take a nineteenth: a time in ns has nineteen.  What wraps cannot be asked about
# afterwards, because the compiler takes it that a signed sum does not.
_NINETEENTH_BELOW = 900_000_000_000_000_000

# What became of a text.
EXACT = 0
OFF_STEP = 1  # rounded down to a whole step
NOT_DECIMAL = -1
TOO_LARGE = -2


@jit_inline
def decimal_steps(data, at, digits, step):
    """Plain decimal text at data[at] as a whole number of steps: (next byte, steps, status).

    A step is `step` * 10^-digits.  Stops at the first byte that is neither digit nor point; the caller's block ends
    with such a byte.  No sign and no exponent: what follows the text is the caller's to judge.
    """
    value = 0
    begin = at
    c = data[at]
    while ZERO <= c <= NINE:
        value = value * 10 + (np.int64(c) - ZERO)
        at += 1
        c = data[at]
    whole = at - begin
    if whole == 0 or whole + digits > DIGITS_MAX:
        return at, np.int64(0), np.int64(NOT_DECIMAL if whole == 0 else TOO_LARGE)
    left = digits
    off = EXACT
    if c == DOT:
        at += 1
        c = data[at]
        while ZERO <= c <= NINE:
            if left > 0:
                value = value * 10 + (np.int64(c) - ZERO)
                left -= 1
            elif c != ZERO:
                off = OFF_STEP
            at += 1
            c = data[at]
    while left > 0:
        value *= 10
        left -= 1
    if step != 1:
        steps = value // step
        if steps * step != value:
            off = OFF_STEP
        value = steps
    return at, np.int64(value), np.int64(off)


@jit_inline
def integer(data, at):
    """(next byte, value) of the digits at data[at]; value -1 if there are none or more than an int64 holds."""
    value = 0
    begin = at
    c = data[at]
    while ZERO <= c <= NINE:
        value = value * 10 + (np.int64(c) - ZERO)
        at += 1
        c = data[at]
    # Nineteen digits are a time in ns, and fit while the first is not a 9 (until the year 2255).
    if at == begin or at - begin > 19 or (at - begin == 19 and data[begin] == NINE):
        value = -1
    return at, np.int64(value)


@jit_inline
def scaled_ns(time):
    """A time of ms, us or ns since 1970 as ns; the three cannot be confused between the years 1973 and 5138."""
    if time < 100_000_000_000_000:
        return time * 1_000_000
    if time < 100_000_000_000_000_000:
        return time * 1_000
    return time


@jit
def decimal_column(data, offsets, digits, step, out, status):
    """A column of decimal texts as steps: row k is data[offsets[k]:offsets[k + 1]].

    data: u1[], one byte longer than the last text.  out: i8[n], status: i8[n], both filled.  Accepts a sign and an
    exponent ("1e-7", as JavaScript writes small numbers); an empty text is NOT_DECIMAL.  A negative value off the
    step is rounded towards zero.  Bounded by the texts' bytes; an exponent beyond 40 is TOO_LARGE or OFF_STEP.
    """
    for k in range(out.size):
        at = offsets[k]
        stop = offsets[k + 1]
        sign = 1
        if at < stop and (data[at] == MINUS or data[at] == PLUS):
            sign = -1 if data[at] == MINUS else 1
            at += 1
        out[k] = 0
        end = at
        exponent = 0
        digits_seen = 0
        point = -1
        ok = True
        while end < stop:
            c = data[end]
            if ZERO <= c <= NINE:
                digits_seen += 1
            elif c == DOT and point < 0:
                point = end
            else:
                break
            end += 1
        if end < stop:
            ok = data[end] == 101 or data[end] == 69
            turn = 1
            p = end + 1
            if p < stop and (data[p] == MINUS or data[p] == PLUS):
                turn = -1 if data[p] == MINUS else 1
                p += 1
            ok = ok and p < stop
            while p < stop:
                if not ZERO <= data[p] <= NINE:
                    ok = False
                exponent = min(exponent * 10 + (np.int64(data[p]) - ZERO), 1000)
                p += 1
            exponent *= turn
        if not ok or digits_seen == 0:
            status[k] = NOT_DECIMAL
            continue
        out[k], status[k] = _shifted(data, at, end, point, exponent + digits, step)
        out[k] *= sign


@jit
def _shifted(data, at, end, point, shift, step):
    """The digits data[at:end] (without their point) times 10^shift, in units of step: (steps, status).

    Nineteen digits are taken (a time in ns) up to 9e18; beyond it is TOO_LARGE.
    """
    places = (point if point >= 0 else end) - at + shift  # digits before the moved point
    value = 0
    used = 0
    seen = 0
    off = EXACT
    for p in range(at, end):
        if p == point:
            continue
        d = np.int64(data[p]) - ZERO
        if seen < places:
            if value > 0 or d > 0:
                used += 1
                if used > DIGITS_MAX + 1 or value >= _NINETEENTH_BELOW:
                    return 0, TOO_LARGE
            value = value * 10 + d
        elif d != 0:
            off = OFF_STEP
        seen += 1
    while seen < places and value > 0:
        used += 1
        if used > DIGITS_MAX + 1 or value >= _NINETEENTH_BELOW:
            return 0, TOO_LARGE
        value *= 10
        seen += 1
    steps = value // step
    if steps * step != value:
        off = OFF_STEP
    return steps, off

"""Draws are a pure function of (seed, stream, counter), the published one, with the published distributions."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnacle.kernels import random

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)

# Prints what must not depend on how it is run; see test_compiled_equals_interpreted.
SCRIPT = """
from pinnacle.kernels import random
for counter in (0, 1, 2, 12345, 2**40, 2**63 - 1, -1):
    for seed in (0, 7, -(2**63)):
        draw = (seed, seed ^ counter, counter)
        print(random.words(*draw), random.uniform(*draw).hex(), random.normal(*draw).hex(),
              random.exponential(*draw).hex(), random.lognormal(*draw, 16.0, 1.5).hex())
for p in (1e-300, 1e-20, 1e-7, 0.05, 0.3, 0.5, 0.93, 1 - 1e-12):
    print(random.normal_quantile(p).hex(), random.ln(p).hex(), random.exp(-1 / p).hex(), random.exp(p).hex())
"""


@pytest.mark.parametrize(
    "counter, key, block",
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_known_answers(counter, key, block):
    """A block equals the known-answer vectors that Random123 publishes for philox4x32, 10 rounds."""
    numbers = [int(word, 16) for word in (counter + " " + key).split()]
    assert list(random.philox(*numbers)) == [int(word, 16) for word in block.split()]


def test_compiled_equals_interpreted():
    """Every draw has the same bits whether the kernels run compiled or interpreted."""
    printed = [_run(switch) for switch in ("0", "1")]
    assert printed[0] == printed[1]
    assert printed[0].count("\n") == 7 * 3 + 8


def _run(disable_jit):
    environment = {**os.environ, "NUMBA_DISABLE_JIT": disable_jit}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@given(INT64, INT64, INT64)
def test_numpy_scalars_draw_what_integers_draw(seed, stream, counter):
    """A draw does not depend on whether its arguments are Python integers or int64 scalars of a record."""
    scalars = np.array([seed, stream, counter])
    assert random.words(*scalars) == random.words(seed, stream, counter)


@given(INT64, INT64, INT64)
def test_uniform_stays_inside(seed, stream, counter):
    """A uniform lies strictly inside (0, 1), so that its logarithm and its complement's are finite."""
    u = random.uniform(seed, stream, counter)
    assert 2.0**-53 <= u <= 1.0 - 2.0**-53
    assert math.isfinite(random.normal(seed, stream, counter))
    assert random.exponential(seed, stream, counter) > 0.0


def test_every_argument_counts():
    """Changing the seed, the stream or the counter by any single bit changes the block, and never to a twin."""
    blocks = {random.words(*(1 << bit if i == at else 0 for i in range(3))) for at in range(3) for bit in range(63)}
    blocks.add(random.words(0, 0, 0))
    assert len(blocks) == 3 * 63 + 1


def test_distributions():
    """4,000 draws of each distribution pass the Kolmogorov-Smirnov test at one in a thousand."""
    count = 4000
    worst = 1.95 / math.sqrt(count)
    samples = {
        "uniform": ([random.uniform(11, 0, i) for i in range(count)], lambda x: x),
        "normal": ([random.normal(11, 1, i) for i in range(count)], NormalDist().cdf),
        "exponential": ([random.exponential(11, 2, i) for i in range(count)], lambda x: -math.expm1(-x)),
        "lognormal": (
            [random.lognormal(11, 3, i, 2.0, 0.5) for i in range(count)],
            lambda x: NormalDist(2.0, 0.5).cdf(math.log(x)),
        ),
    }
    for name, (drawn, distribution) in samples.items():
        levels = np.array([distribution(x) for x in sorted(drawn)])
        steps = np.arange(count)
        distance = max((levels - steps / count).max(), ((steps + 1) / count - levels).max())
        assert distance < worst, name


def test_streams_and_neighbours_are_uncorrelated():
    """Draws of one stream do not follow each other, nor those of another stream or seed at the same counter."""
    count = 4000
    base = np.array([random.normal(3, 5, i) for i in range(count)])
    others = {
        "next": np.array([random.normal(3, 5, i + 1) for i in range(count)]),
        "stream": np.array([random.normal(3, 6, i) for i in range(count)]),
        "seed": np.array([random.normal(4, 5, i) for i in range(count)]),
    }
    for name, other in others.items():
        assert abs(np.corrcoef(base, other)[0, 1]) < 4.0 / math.sqrt(count), name


@given(st.floats(1e-300, 1.0, exclude_max=True))
def test_quantile_is_the_published_one(p):
    """The normal quantile equals another implementation of algorithm AS 241 within rounding."""
    assert random.normal_quantile(p) == pytest.approx(NormalDist().inv_cdf(p), rel=4e-15, abs=1e-15)


@given(st.floats(5e-324, 1.7e308))
def test_ln_is_the_logarithm(x):
    """ln is within one unit in the last place of the C library's."""
    assert abs(random.ln(x) - math.log(x)) <= math.ulp(math.log(x))


@given(st.floats(-745.0, 709.7))
def test_exp_is_the_exponential(x):
    """exp is within one unit in the last place of the C library's, subnormal results included."""
    assert abs(random.exp(x) - math.exp(x)) <= math.ulp(math.exp(x))


def test_outside_the_domain():
    """Outside their domain the functions say NaN, infinity or zero, and never raise."""
    for p in (0.0, 1.0, -0.1, 1.1, math.nan):
        assert math.isnan(random.normal_quantile(p))
    for x in (0.0, -1.0, math.inf, math.nan):
        assert math.isnan(random.ln(x))
    assert random.exp(710.0) == math.inf
    assert random.exp(math.inf) == math.inf
    assert random.exp(-746.0) == 0.0
    assert random.exp(-math.inf) == 0.0
    assert math.isnan(random.exp(math.nan))

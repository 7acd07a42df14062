"""Random numbers as a pure function of (seed, stream, counter): Philox4x32-10.

A generator with hidden state would be a second memory of the engine; here the caller keeps a counter in its own
record, so that a snapshot holds it, lanes never share it, and any draw can be made again alone.  A stream is a
purpose (latency of venue 2, cancels ahead of us ...): draws of one purpose never shift those of another.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (Random123).
Nothing but integer arithmetic and + - * / sqrt of doubles is used, each exact by IEEE 754, so a draw has the same bits
compiled and interpreted, on every machine: the C library's log and exp, which differ between versions, are not asked.
All functions: seed, stream, counter are integers of 64 bits, any value; streams and counters are independent.
"""

from __future__ import annotations

import math

from pinnacle.kernels.jit import jit

_WORD = 0xFFFFFFFF
# Multipliers and Weyl increments of Philox4x32, as published.
_MULTIPLIER_0 = 0xD2511F53
_MULTIPLIER_1 = 0xCD9E8D57
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85

# ln 2 in two parts: the high one has 32 trailing zero bits, so that a small integer times it is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_HALF_SQRT2 = 0.7071067811865476


@jit
def philox(counter_0, counter_1, counter_2, counter_3, key_0, key_1):
    """One block of Philox4x32-10: four 32-bit counter words and two key words to four words, all as integers >= 0."""
    # int() so that NumPy scalars of an interpreted run become integers without overflow; compiled, a product wraps
    # at 64 bits instead, and the masks keep what both have in common.
    a, b, c, d = int(counter_0), int(counter_1), int(counter_2), int(counter_3)
    k, m = int(key_0), int(key_1)
    for _ in range(10):
        first = _MULTIPLIER_0 * a
        second = _MULTIPLIER_1 * c
        a = ((second >> 32) & _WORD) ^ b ^ k
        b = second & _WORD
        c = ((first >> 32) & _WORD) ^ d ^ m
        d = first & _WORD
        k = (k + _WEYL_0) & _WORD
        m = (m + _WEYL_1) & _WORD
    return a, b, c, d


@jit
def words(seed, stream, counter):
    """Four 32-bit words of draw `counter` of a stream: the seed is the key, counter and stream the Philox counter."""
    key, low, high = int(seed), int(counter), int(stream)
    return philox(
        low & _WORD, (low >> 32) & _WORD, high & _WORD, (high >> 32) & _WORD, key & _WORD, (key >> 32) & _WORD
    )


@jit
def uniform(seed, stream, counter):
    """Uniform in (0, 1), both ends excluded: an odd multiple of 2^-53, so ln(u) and ln(1 - u) are finite."""
    a, b, _, _ = words(seed, stream, counter)
    # 52 bits and a half: with 53 the largest value would round to 1.
    return ((a >> 6) * 67108864.0 + (b >> 6) + 0.5) * 2.220446049250313e-16


@jit
def normal(seed, stream, counter):
    """Standard normal, by the inverse of its distribution: one uniform a draw, increasing in it, so |z| < 8.3."""
    return normal_quantile(uniform(seed, stream, counter))


@jit
def exponential(seed, stream, counter):
    """Exponential with mean 1, > 0: divide by a rate in 1/s for a waiting time in s."""
    return -ln(uniform(seed, stream, counter))


@jit
def lognormal(seed, stream, counter, log_mean, log_sd):
    """exp(log_mean + log_sd * z): its median is exp(log_mean).  log_sd >= 0; infinite above 1.8e308."""
    return exp(log_mean + log_sd * normal(seed, stream, counter))


@jit
def normal_quantile(p):
    """z with P(Z <= z) = p, within 1e-15 relative; NaN unless 0 < p < 1.

    Source: Wichura 1988, Algorithm AS 241 (PPND16), Applied Statistics 37(3), 477-484.
    """
    if not 0.0 < p < 1.0:
        return math.nan
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        top = 2.5090809287301226727e3 * r + 3.3430575583588128105e4
        top = ((top * r + 6.7265770927008700853e4) * r + 4.5921953931549871457e4) * r + 1.3731693765509461125e4
        top = ((top * r + 1.9715909503065514427e3) * r + 1.3314166789178437745e2) * r + 3.3871328727963666080e0
        low = 5.2264952788528545610e3 * r + 2.8729085735721942674e4
        low = ((low * r + 3.9307895800092710610e4) * r + 2.1213794301586595867e4) * r + 5.3941960214247511077e3
        low = ((low * r + 6.8718700749205790830e2) * r + 4.2313330701600911252e1) * r + 1.0
        return top * q / low
    r = math.sqrt(-ln(p if q < 0.0 else 1.0 - p))
    if r <= 5.0:
        r -= 1.6
        top = 7.7454501427834140764e-4 * r + 2.27238449892691845833e-2
        top = ((top * r + 2.41780725177450611770e-1) * r + 1.27045825245236838258e0) * r + 3.64784832476320460504e0
        top = ((top * r + 5.76949722146069140550e0) * r + 4.63033784615654529590e0) * r + 1.42343711074968357734e0
        low = 1.05075007164441684324e-9 * r + 5.47593808499534494600e-4
        low = ((low * r + 1.51986665636164571966e-2) * r + 1.48103976427480074590e-1) * r + 6.89767334985100004550e-1
        low = ((low * r + 1.67638483018380384940e0) * r + 2.05319162663775882187e0) * r + 1.0
    else:
        r -= 5.0
        top = 2.01033439929228813265e-7 * r + 2.71155556874348757815e-5
        top = ((top * r + 1.24266094738807843860e-3) * r + 2.65321895265761230930e-2) * r + 2.96560571828504891230e-1
        top = ((top * r + 1.78482653991729133580e0) * r + 5.46378491116411436990e0) * r + 6.65790464350110377720e0
        low = 2.04426310338993978564e-15 * r + 1.42151175831644588870e-7
        low = ((low * r + 1.84631831751005468180e-5) * r + 7.86869131145613259100e-4) * r + 1.48753612908506148525e-2
        low = ((low * r + 1.36929880922735805310e-1) * r + 5.99832206555887937690e-1) * r + 1.0
    return -top / low if q < 0.0 else top / low


@jit
def ln(x):
    """Natural logarithm within one unit in the last place; NaN unless 0 < x < infinity.

    Source: fdlibm's e_log.c: x = 2^k (1 + f), and a polynomial in (f / (2 + f))^2.
    """
    if not 0.0 < x < math.inf:
        return math.nan
    mantissa, power = math.frexp(x)
    if mantissa < _HALF_SQRT2:
        mantissa *= 2.0
        power -= 1
    f = mantissa - 1.0
    s = f / (2.0 + f)
    z = s * s
    r = 1.479819860511658591e-01 * z + 1.531383769920937332e-01
    r = ((r * z + 1.818357216161805012e-01) * z + 2.222219843214978396e-01) * z + 2.857142874366239149e-01
    r = ((r * z + 3.999999999940941908e-01) * z + 6.666666666666735130e-01) * z
    half = 0.5 * f * f
    k = float(power)
    return k * _LN2_HIGH - ((half - (s * (half + r) + k * _LN2_LOW)) - f)


@jit
def exp(x):
    """Exponential within one unit in the last place; infinite above 709.78, zero below -745.13, NaN for NaN.

    Source: fdlibm's e_exp.c: x = k ln2 + r, and a rational function of r.
    """
    if x != x:
        return math.nan
    if x > 709.782712893384:
        return math.inf
    if x < -745.1332191019411:
        return 0.0
    k = math.floor(x * 1.4426950408889634 + 0.5)
    high = x - k * _LN2_HIGH
    low = k * _LN2_LOW
    r = high - low
    t = r * r
    c = 4.13813679705723846039e-08 * t - 1.65339022054652515390e-06
    c = ((c * t + 6.61375632143793436117e-05) * t - 2.77777777770155933842e-03) * t + 1.66666666666666019037e-01
    c = r - t * c
    y = 1.0 - ((low - r * c / (2.0 - c)) - high)
    # In two steps, because 2^1024 is not a double though y * 2^1024 may be.
    return math.ldexp(math.ldexp(y, k // 2), k - k // 2)

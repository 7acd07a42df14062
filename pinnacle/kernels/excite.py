"""Self-exciting (Hawkes) processes with exponential memory: intensities, their integrals, and simulation, each O(n).

Such a memory decays from one event to the next by one factor, so sums over all pairs of events become one loop.
"""

from __future__ import annotations

import math

import numpy as np

from pinnacle.kernels.jit import jit
from pinnacle.kernels.random import uniform


@jit
def excitation(times_s, kinds, kinds_count, decay_per_s, target):
    """target[i, j] = sum over earlier events of kind j of decay exp(-decay (t_i - t)), 1/s.

    times_s: float64[n], rising; events of the same time do not excite each other.  kinds: int64[n] below kinds_count.
    target: float64[n, kinds_count].  O(n kinds_count).  Source: Ogata 1981; Ozaki 1979 for the recursion.
    """
    memory = np.zeros(kinds_count)
    waiting = np.zeros(kinds_count)
    last_s = times_s[0] if len(times_s) else 0.0
    for i in range(len(times_s)):
        t = times_s[i]
        if t > last_s:
            kept = math.exp(-decay_per_s * (t - last_s))
            for j in range(kinds_count):
                memory[j] = (memory[j] + waiting[j]) * kept
                waiting[j] = 0.0
            last_s = t
        for j in range(kinds_count):
            target[i, j] = memory[j]
        waiting[kinds[i]] += decay_per_s


@jit
def residuals(times_s, kinds, base, offspring, decays, target):
    """target[i] = integral of the intensity of event i's kind since the last event of that kind (or 0); returns
    the number written, which is n.

    base: float64[m] per s.  offspring: float64[m, m, k]: children of kind row by one parent of kind column, at decay k.
    decays: float64[k], 1/s.  The residuals of a true model are exponential with mean 1 (time-rescaling theorem).
    """
    m, k_count = len(base), len(decays)
    memory = np.zeros((m, k_count))
    grown = np.zeros(m)
    last_s = 0.0
    for i in range(len(times_s)):
        t = times_s[i]
        elapsed = t - last_s
        if elapsed > 0.0:
            for a in range(m):
                grown[a] += base[a] * elapsed
            for k in range(k_count):
                kept = math.exp(-decays[k] * elapsed)
                for j in range(m):
                    lost = memory[j, k] * (1.0 - kept)
                    memory[j, k] *= kept
                    if lost > 0.0:
                        for a in range(m):
                            grown[a] += offspring[a, j, k] * lost
            last_s = t
        kind = kinds[i]
        target[i] = grown[kind]
        grown[kind] = 0.0
        for k in range(k_count):
            memory[kind, k] += 1.0
    return len(times_s)


@jit
def thinning(base, offspring, decays, end_s, seed, times_s, kinds):
    """Events of a Hawkes process from 0 to end_s; returns how many, at most len(times_s) (then it was cut short).

    Arguments as for `residuals`.  Between events the intensity only falls, so its value now bounds it.
    Source: Ogata 1981, IEEE Transactions on Information Theory 27(1), algorithm 2.
    """
    m, k_count = len(base), len(decays)
    # Intensity that each kind has from the past, by decay.
    excited = np.zeros((m, k_count))
    t, count, draw = 0.0, 0, 0
    while count < len(times_s):
        bound = 0.0
        for a in range(m):
            bound += base[a]
            for k in range(k_count):
                bound += excited[a, k]
        if not bound > 0.0:
            break
        wait = -math.log(uniform(seed, 0, draw)) / bound
        t += wait
        if t >= end_s:
            break
        for k in range(k_count):
            kept = math.exp(-decays[k] * wait)
            for a in range(m):
                excited[a, k] *= kept
        u = uniform(seed, 1, draw) * bound
        draw += 1
        for a in range(m):
            u -= base[a]
            for k in range(k_count):
                u -= excited[a, k]
            if u < 0.0:
                times_s[count] = t
                kinds[count] = a
                count += 1
                for k in range(k_count):
                    for b in range(m):
                        excited[b, k] += offspring[b, a, k] * decays[k]
                break
    return count

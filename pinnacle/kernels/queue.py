"""How many lots stand ahead of an own order at its price, when the data shows levels and not orders.

A trade at our price eats the front.  A shrinking level loses orders ahead of us or behind us: the models differ in
that split only.  Formulas: the risk-averse and probability families of hftbacktest's order-fill documentation,
restated with their numbers in tests/reference.
"""

from __future__ import annotations

import math

from pinnacle.kernels.jit import jit

RISK_AVERSE = 0  # cancels are never ahead of us
POWER = 1  # b^n / (b^n + f^n)
POWER2 = 2  # b^n / (b + f)^n
POWER3 = 3  # 1 - (f / (f + b))^n
LOG = 4  # ln(1 + b) / (ln(1 + b) + ln(1 + f))
LOG2 = 5  # ln(1 + b) / ln(1 + b + f)
EXACT = 6  # not a model: the recording holds single orders, see fifo
MODELS = {"risk-averse": 0, "power": 1, "power2": 2, "power3": 3, "log": 4, "log2": 5, "exact": 6}


@jit
def probability_behind(model, n, front, back):
    """Probability that a lot that left the level was behind us; NaN where the formula has no value.

    model: POWER .. LOG2.  n: exponent of the power models.  front, back: quantity ahead of and behind us.
    """
    if model == POWER:
        b, f = back**n, front**n
        return b / (b + f) if b + f != 0 else math.nan
    if model == POWER2:
        whole = (back + front) ** n
        return back**n / whole if whole != 0 else math.nan
    if model == POWER3:
        whole = front + back
        return 1.0 - (front / whole) ** n if whole != 0 else math.nan
    if 1.0 + back <= 0 or 1.0 + front <= 0:
        return math.nan
    b = math.log(1.0 + back)
    whole = b + math.log(1.0 + front) if model == LOG else math.log(1.0 + back + front)
    return b / whole if whole != 0 else math.nan


@jit
def front_after_depth(model, n, lot_qty, front, before_lots, after_lots, explained_lots):
    """Lots ahead of us after the level went from before_lots to after_lots.

    explained_lots: traded at our price since the level was last set, and so already taken off the front.  lot_qty:
    size of a lot in the instrument's own unit of quantity; the logarithms are not free of scale and are taken of that.
    """
    if model == RISK_AVERSE:
        return min(front, float(after_lots))
    change = before_lots - after_lots - explained_lots
    if change < 0:
        return min(front, float(after_lots))
    back = before_lots - front
    p = probability_behind(model, n, front * lot_qty, back * lot_qty)
    if math.isnan(p):
        return float(after_lots)
    if math.isinf(p):
        p = 1.0
    return min(front - (1.0 - p) * change + min(back - p * change, 0.0), float(after_lots))

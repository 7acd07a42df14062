"""Which stylised facts a generated market is meant to share with the real one, by model; the others are not hidden.

A model is judged by what it is for.  Orders at constant rates know nothing of who came before: no memory of signs, no
clustering, and prices that forget a trade.  None of the models sends its messages in batches as venues do, so gaps
between limit orders or cancels are not comparable below the batch; none makes the largest fifth of market orders move
prices as far as real ones do; and none remembers signs beyond a few orders.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_BOOK = ("spread.share_at_1_tick", "spread.quantile_0.5", "spread.quantile_0.9", "depth.*")
_RATES = ("gap.rate_*", "gap.mean_market")
_RETURNS = ("returns.autocorrelation_0.2s", "returns.autocorrelation_0.5s", "returns.autocorrelation_1s",
            "returns.autocorrelation_5s")  # fmt: skip
_EXCITED = ("gap.cv_market", "gap.quantile_*_market", "signs.autocorrelation_2")
CLAIMS: dict[str, tuple[str, ...]] = {
    "zero-intelligence": (*_BOOK, *_RATES, *_RETURNS, "spread.mean"),
    "hawkes": (
        *_BOOK, *_RATES, *_RETURNS, *_EXCITED, "signs.autocorrelation_1", "clustering.autocorrelation_1s",
        "spread.mean",
    ),
    "informed": (
        *_BOOK, *_RATES, *_RETURNS, "returns.autocorrelation_0.1s", "signature.*", "tail.hill_0.1s",
        "impact.size_fifth_3", "impact.size_fifth_4", "maker.half_spread",
    ),
    "recorded": ("spread.*", "depth.*", "returns.*", "signature.*"),
}  # fmt: skip


def claimed(model: str, excited: bool, name: str) -> bool:
    """Whether a model claims a fact."""
    claims = CLAIMS[model] + (_EXCITED if model == "informed" and excited else ())
    return any(fnmatchcase(name, claim) for claim in claims)

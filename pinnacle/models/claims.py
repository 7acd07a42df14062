"""Which stylised facts a generated market is meant to share with the real one, by model; the others are not hidden.

A model is judged by what it is for.  Orders at constant rates know nothing of who came before, so they have no memory
of signs and no clustering; none of the models batches its messages as venues do, so gaps between limit orders or
cancels below the venue's batch are not comparable; and jumps that come alone do not make moves of ten seconds as fat
as real ones.
"""

from __future__ import annotations

_BOOK = ("spread.share", "spread.quantile_0.5", "spread.quantile_0.9", "depth.at_1", "depth.at_2", "depth.at_3")
_FAR = ("depth.at_50", "depth.at_100", "depth.at_200", "depth.at_500", "depth.at_1000")
_RATES = ("gap.rate_", "gap.mean_market")
_RANDOM_WALK = ("returns.autocorrelation_0.2s", "returns.autocorrelation_0.5s", "returns.autocorrelation_1s")
_EXCITED = (
    "gap.cv_market",
    "gap.quantile_0.5_market",
    "gap.quantile_0.9_market",
    "signs.autocorrelation_1",
)
_VALUE = ("signature.", "returns.autocorrelation_0.1s", "impact.size_fifth_1", "impact.size_fifth_2")
CLAIMS: dict[str, tuple[str, ...]] = {
    "zero-intelligence": _BOOK + _FAR + _RATES + _RANDOM_WALK,
    "hawkes": _BOOK + _FAR + _RATES + _RANDOM_WALK + _EXCITED,
    "informed": _BOOK + _FAR + _RATES + _RANDOM_WALK + _VALUE,
    "recorded": ("spread.", "depth.", "returns.", "signature."),
}


def claimed(model: str, excited: bool, name: str) -> bool:
    """Whether a model claims a fact."""
    claims = CLAIMS[model] + (_EXCITED if model == "informed" and excited else ())
    return name.startswith(claims)

"""The shipped market is like the one it was fitted on, fact by fact, as far as each model claims."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pinnacle.config import parse_config, read_toml
from pinnacle.models.claims import claimed
from pinnacle.models.facts import compare, measure
from pinnacle.run.generated_facts import real_facts
from pinnacle.run.market import GeneratedMarket
from pinnacle.run.prepare_simulation import generator_of
from tests.simulated.scene import watched

CONFIG = Path(__file__).resolve().parent.parent.parent / "configs" / "simulate.toml"
MODELS = {
    "zero-intelligence": ("zero-intelligence", False),
    "hawkes": ("hawkes", False),
    "informed": ("informed", False),
    "informed and excited": ("informed", True),
}
SEED = 2


def measured(model: str, excited: bool, seconds: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """(facts of a market of the shipped config, their comparison with the real one)."""
    raw = read_toml(CONFIG)
    raw["simulate"] |= {"model": model, "excited": excited}
    config = parse_config(raw, CONFIG.name)
    assert config.simulate is not None
    instrument = config.instruments[0].instrument(CONFIG.name)
    assert instrument is not None
    price = instrument.ticks(str(config.simulate.price))
    made = GeneratedMarket(
        instrument, generator_of(config.simulate, CONFIG.name), seed=SEED, start_ns=10**18, price_ticks=price
    )
    found = measure(watched(made, seconds, 10.0), instrument)
    return found, compare(real_facts(config.simulate.real_facts), found)


@pytest.mark.parametrize("name", MODELS)
def test_facts_that_a_model_claims_are_in_range(name: str) -> None:
    """Ten generated minutes share at least nine tenths of the claimed facts with the market they were fitted on."""
    model, excited = MODELS[name]
    _, compared = measured(model, excited, 600.0)
    claims = [fact for fact in compared["facts"] if claimed(model, excited, fact)]
    wrong = [compared["facts"][fact]["text"] for fact in claims if not compared["facts"][fact]["in_range"]]
    assert len(claims) >= 23 and len(wrong) <= len(claims) // 10, wrong


def test_each_model_adds_what_the_simpler_one_lacks() -> None:
    """Excitation brings bursts and memory of signs; a value brings moves that last and makers that lose to them."""
    plain, excited, informed = (measured(model, False, 300.0)[0]["facts"] for model in list(MODELS)[:3])

    def value(facts: dict[str, Any], name: str) -> float:
        return float(facts[name]["value"])

    assert abs(value(plain, "gap.cv_market") - 1.0) < 0.1 < value(excited, "gap.cv_market") - 1.0
    assert abs(value(plain, "signs.autocorrelation_1")) < 0.06 < 0.15 < value(excited, "signs.autocorrelation_1")
    assert value(informed, "signature.variance_10s") > 1.2 * value(plain, "signature.variance_10s")
    # What the mid takes back within a second is more than the half-spread that a maker earned.
    assert value(informed, "maker.loss_over_half_spread_1s") > 1.5
    assert value(informed, "impact.size_fifth_4") > 3.0 * max(value(plain, "impact.size_fifth_4"), 1.0)

"""facts.json of a simulation: the stylised facts of its market beside those of the market its numbers are from.

They are measured from the log, so they are those of the market with our own strategy in it, as it was heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pinnacle.config import Config
from pinnacle.errors import HistoryError
from pinnacle.event import MARKET_KIND_MAX
from pinnacle.instrument import Instrument
from pinnacle.log.manifest import replacing
from pinnacle.log.reader import LogReader
from pinnacle.models.claims import claimed
from pinnacle.models.facts import FORMAT_VERSION, compare, measure

FACTS_NAME = "facts.json"


def write_facts(out: Path, config: Config, instrument: Instrument) -> None:
    """Measure a finished run's market and write facts.json: {"generated", "real", "comparison", "claimed", "note"}."""
    simulate = config.simulate
    assert simulate is not None
    real = real_facts(simulate.real_facts)
    told: dict[str, Any] = {
        "format_version": FORMAT_VERSION, "model": simulate.model, "fitted_on": simulate.fitted_on, "real": real,
        "generated": None, "comparison": None, "claimed": [], "note": "",
    }  # fmt: skip
    try:
        told["generated"] = measure(market_rows(out), instrument)
    except HistoryError as error:
        told["note"] = f"not measured: {error}"
    if told["generated"] is not None and real["facts"]:
        told["comparison"] = compare(real, told["generated"])
        told["claimed"] = [name for name in real["facts"] if claimed(simulate.model, simulate.excited, name)]
    with replacing(out / FACTS_NAME) as sink:
        sink.write((json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def market_rows(out: Path) -> Iterator[np.ndarray]:
    """What the market said, from a run's log."""
    for rows in LogReader(out).records():
        market = rows[rows["kind"] <= MARKET_KIND_MAX]
        if market.size:
            yield market


def real_facts(pairs: dict[str, list[float]]) -> dict[str, Any]:
    """[value, standard error] by name, in the shape of models/facts."""
    return {"facts": {name: {"value": value, "se": error} for name, (value, error) in pairs.items()}}

"""The [optimize] section of a config: what is searched, how, on which part of the data, and for what.

A file of its own because it is a noun of its own; `config.py` reads it like every other section.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from pinnacle.errors import OperatorError

# What can be wanted; optimize/objectives.py says how each is computed.
OBJECTIVES = (
    "net", "sharpe", "markout", "markout_1s", "markout_30s", "net_minus_inventory", "drawdown", "turnover", "fills",
)  # fmt: skip
STORAGES = ("journal", "sqlite")


class SearchRange(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How one parameter is searched, where that differs from what its strategy says.

    low, high: the ends.  log: walk it on a logarithmic scale.  step: only low, low + step, ...  choices: only these.
    fixed: not searched, this value.  An empty table searches a parameter that its strategy leaves out.
    """

    low: float | None = None
    high: float | None = None
    log: bool | None = None
    step: float | None = None
    choices: list[float] | None = None
    fixed: float | None = None


class Optimize(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A parameter search.

    trials: candidates tried.  timeout_s: none begun after this (0: no limit).  batch: asked for at once; part of what
    makes a search repeat.  lanes: candidates a worker judges in one pass over the data.  seed: of every draw.
    pruner: drops candidates that fall behind, judged at `rungs` equal parts of the train window.
    objectives: what is wanted, see `optimize/objectives.py`.  inventory_penalty: quote currency of net given up for one
    of inventory risk, in net_minus_inventory.  min_fills: fewer have no value.
    split: train, validation, test as shares of the time.  purge_s: left out between them.  buckets: of the whole span,
    the steps of the equity curve.  folds: of the walk-forward, 0 for none.  anchored: they train from the beginning.
    storage: "journal" or "sqlite" in the study's folder, or a database's URL.  name: of the study there; the name of
    its folder if empty.
    grid_points: of a parameter without choices or step.  search: by parameter, over what its strategy says.
    """

    trials: Annotated[int, Meta(ge=1, le=1_000_000)] = 256
    timeout_s: Annotated[float, Meta(ge=0, le=1e9)] = 0
    batch: Annotated[int, Meta(ge=1, le=4096)] = 64
    lanes: Annotated[int, Meta(ge=1, le=4096)] = 64
    seed: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    sampler: Literal["tpe", "cma-es", "nsga2", "grid", "random"] = "tpe"
    pruner: Literal["none", "median", "percentile", "successive-halving", "hyperband"] = "none"
    rungs: Annotated[int, Meta(ge=2, le=64)] = 4
    objectives: list[str] = msgspec.field(default_factory=lambda: ["net"])
    inventory_penalty: Annotated[float, Meta(ge=0, le=1e9)] = 1
    split: list[float] = msgspec.field(default_factory=lambda: [0.6, 0.2, 0.2])
    folds: Annotated[int, Meta(ge=0, le=100)] = 0
    anchored: bool = True
    purge_s: Annotated[float, Meta(ge=0, le=1e7)] = 60
    buckets: Annotated[int, Meta(ge=30, le=100_000)] = 500
    storage: str = "journal"
    name: str = ""
    grid_points: Annotated[int, Meta(ge=2, le=1000)] = 8
    min_fills: Annotated[int, Meta(ge=0, le=1 << 53)] = 1
    search: dict[str, SearchRange] = {}


def check_optimize(optimize: Optimize, where: str) -> None:
    """What types cannot say.  Raises OperatorError naming the file, the key, what was found and the remedy."""
    at = f"{where}: optimize"
    if len(optimize.split) != 3 or min(optimize.split) <= 0 or abs(sum(optimize.split) - 1) > 1e-9:
        raise OperatorError(
            f"{at}.split is {optimize.split}, and must be three positive numbers that sum to 1: train, validation, "
            "test, for example [0.6, 0.2, 0.2]"
        )
    if optimize.storage not in STORAGES and "://" not in optimize.storage:
        raise OperatorError(
            f"{at}.storage is {optimize.storage!r}, and must be journal, sqlite or a database's URL, for example "
            "postgresql://user:password@host/name"
        )
    _check_objectives(optimize, at)
    for name, one in optimize.search.items():
        check_range(one, f"{at}.search.{name}")


def _check_objectives(optimize: Optimize, at: str) -> None:
    names = optimize.objectives
    if not names:
        raise OperatorError(f"{at}.objectives is empty, and must name at least one of {', '.join(OBJECTIVES)}")
    for name in names:
        if name not in OBJECTIVES:
            raise OperatorError(
                f"{at}.objectives has {name!r}{meant(name, OBJECTIVES)}, and must be of {', '.join(OBJECTIVES)}"
            )
        if names.count(name) > 1:
            raise OperatorError(f"{at}.objectives names {name} twice; remove one")
    if len(names) > 1 and optimize.sampler == "cma-es":
        raise OperatorError(f"{at}.sampler cma-es knows one objective, and there are {len(names)}; take nsga2 or tpe")
    if len(names) > 1 and optimize.pruner != "none":
        raise OperatorError(
            f"{at}.pruner {optimize.pruner} judges one objective, and there are {len(names)}; set pruner to none"
        )


def check_range(one: SearchRange, key: str) -> None:
    """One search table by itself, before the strategy's own bounds are known."""
    given = [name for name, value in msgspec.structs.asdict(one).items() if value is not None]
    for alone in ("fixed", "choices"):
        if alone in given and len(given) > 1:
            others = ", ".join(name for name in given if name != alone)
            raise OperatorError(f"{key} has {alone} and {others}, which say different things; keep one of them")
    if one.choices is not None and (len(one.choices) < 2 or len(set(one.choices)) < len(one.choices)):
        raise OperatorError(f"{key}.choices is {one.choices}, and must be two or more different numbers")
    if one.low is not None and one.high is not None and one.low >= one.high:
        raise OperatorError(
            f"{key} goes from low {one.low} to high {one.high}, and low must be below high; for one value write fixed"
        )
    if one.log and one.low is not None and one.low <= 0:
        raise OperatorError(f"{key}.low is {one.low}, which has no logarithm; set it above 0, or log = false")
    if one.step is not None and one.step <= 0:
        raise OperatorError(f"{key}.step is {one.step}, and must be above 0")
    if one.log and one.step is not None:
        raise OperatorError(f"{key} has log and step, which do not go together; remove one of them")


def meant(name: str, known: tuple[str, ...] | Mapping[str, object]) -> str:
    """` (did you mean x?)`, or nothing if nothing known is near."""
    near = difflib.get_close_matches(name, list(known), 1)
    return f" (did you mean {near[0]}?)" if near else ""

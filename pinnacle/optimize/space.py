"""The space a search walks: one axis a parameter, from what the strategy says and what the config says over it.

Resolved once, before anything runs, so that an impossible search is refused in the operator's words and a study can be
compared with the one it continues.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np

from pinnacle.config_optimize import SearchRange, meant
from pinnacle.errors import OperatorError
from pinnacle.strategy import Param

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


# Finer than that a step is none.
STEPS_MAX = 1_000_000


@dataclass(frozen=True)
class Axis:
    """One searched parameter.

    low, high: the ends, both reached (with step, high is the last step).  log: logarithmic.  step: only low + k step.
    whole: only whole numbers.  choices: only these, rising, and then low and high are the first and the last.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False
    choices: tuple[float, ...] | None = None

    def distribution(self) -> BaseDistribution:
        """The axis as Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def normalise(self, values: np.ndarray) -> np.ndarray:
        """float64[n] values of this axis as their place between its ends, 0 to 1; choices are evenly spaced."""
        if self.choices is not None:
            return np.searchsorted(np.asarray(self.choices), values) / (len(self.choices) - 1)
        low, high = self.low, self.high
        if self.log:
            low, high, values = math.log(low), math.log(high), np.log(values)
        return np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0.0, 1.0)

    def points(self, count: int) -> tuple[float, ...]:
        """At most count values from end to end, evenly (log: in ratio), for a grid; all choices where there are any."""
        if self.choices is not None:
            return self.choices
        even = np.geomspace if self.log else np.linspace
        # geomspace misses its own ends by a last bit.
        places = np.clip(even(self.low, self.high, count), self.low, self.high).tolist()
        step = self.step or (1.0 if self.whole else None)
        if step is not None:
            places = [_after(self.low, step, round((place - self.low) / step)) for place in places]
        return tuple(dict.fromkeys(places))


@dataclass(frozen=True)
class Space:
    """What is searched, and the value of every parameter that is not.  axes: in the strategy's order."""

    axes: tuple[Axis, ...]
    fixed: Mapping[str, float]

    def distributions(self) -> dict[str, BaseDistribution]:
        """Optuna's distributions by name."""
        return {axis.name: axis.distribution() for axis in self.axes}

    def whole_params(self, values: Mapping[str, float]) -> dict[str, float]:
        """Every parameter of the strategy: the fixed ones and these values of the axes, as floats."""
        return {**self.fixed, **{axis.name: float(values[axis.name]) for axis in self.axes}}

    def normalise(self, values: Sequence[Mapping[str, float]]) -> np.ndarray:
        """float64[n, axes]: candidates as points of the unit cube."""
        table = np.empty((len(values), len(self.axes)))
        for column, axis in enumerate(self.axes):
            table[:, column] = axis.normalise(np.array([one[axis.name] for one in values], dtype=np.float64))
        return table

    def as_json(self) -> dict[str, dict[str, Any]]:
        """The axes by name, as a study's files hold them."""
        axes = {}
        for axis in self.axes:
            plain = asdict(axis)
            plain["choices"] = None if axis.choices is None else list(axis.choices)
            axes[plain.pop("name")] = plain
        return axes

    @staticmethod
    def from_json(axes: Mapping[str, Mapping[str, Any]], fixed: Mapping[str, float]) -> Space:
        """The space that a study's files hold."""
        return Space(
            tuple(
                Axis(name, **{**plain, "choices": None if plain["choices"] is None else tuple(plain["choices"])})
                for name, plain in axes.items()
            ),
            dict(fixed),
        )


def search_space(
    params: Sequence[Param],
    search: Mapping[str, SearchRange],
    given: Mapping[str, float],
    own: Mapping[str, Mapping[str, float]],
    where: str,
) -> Space:
    """The space of a strategy's parameters under a config.

    search: [optimize.search].  given: [strategy.params], the values of what is not searched.  own: params of single
    instruments by the instrument's name, which no candidate could change.  where: the config file, for errors.
    Raises OperatorError for a parameter that is unknown or cannot be searched as said, and for an empty space.
    """
    known = {param.name: param for param in params}
    for name in search:
        if name not in known:
            raise OperatorError(
                f"{where}: optimize.search.{name}: the strategy has no parameter {name!r}{meant(name, known)}; "
                f"it has {', '.join(known) or 'none'}"
            )
    axes, fixed = [], {}
    for param in params:
        one = search.get(param.name)
        key = f"{where}: optimize.search.{param.name}"
        walked = param.search is not False if one is None else one.fixed is None
        # An interval of no length has nothing to search, unless the config asks for it, which is refused below.
        if walked and (one is not None or param.low < param.high):
            _check_own(param, own, key)
            axes.append(_axis(param, one or SearchRange(), key))
        else:
            fixed[param.name] = _fixed(param, one, given, key)
    if not axes:
        searchable = ", ".join(name for name, param in known.items() if param.low < param.high)
        raise OperatorError(
            f"{where}: nothing is searched: the strategy leaves every parameter out of the search; name one with its "
            + (f"range, such as [optimize.search.{next(iter(known))}] with low and high (it has {searchable})"
               if searchable else "range in its PARAMS; it has none that could be searched")
        )  # fmt: skip
    return Space(tuple(axes), fixed)


def _check_own(param: Param, own: Mapping[str, Mapping[str, float]], key: str) -> None:
    for instrument, values in own.items():
        if param.name in values:
            raise OperatorError(
                f"{key}: {param.name} is searched, and {instrument} sets it to {values[param.name]:g} in params of its "
                f"own, which no candidate could change; remove it there, or set {key.split(': ')[-1]}.fixed"
            )


def _fixed(param: Param, one: SearchRange | None, given: Mapping[str, float], key: str) -> float:
    if one is None or one.fixed is None:
        return float(given.get(param.name, param.default))
    _check_inside(param, one.fixed, f"{key}.fixed")
    return float(one.fixed)


def _check_inside(param: Param, value: float, key: str) -> None:
    if not param.low <= value <= param.high:
        raise OperatorError(f"{key} is {value:g}, and must be from {param.low:g} to {param.high:g} {param.unit}")
    if param.whole and value != int(value):
        raise OperatorError(f"{key} is {value:g}, and must be a whole number ({param.unit})")


def _axis(param: Param, one: SearchRange, key: str) -> Axis:
    """The axis of one parameter: the config's word over the strategy's.  Raises OperatorError."""
    if one.choices is not None:
        for choice in one.choices:
            _check_inside(param, choice, f"{key}.choices")
        choices = tuple(sorted(float(choice) for choice in one.choices))
        return Axis(param.name, choices[0], choices[-1], whole=param.whole, choices=choices)
    usual = param.search if isinstance(param.search, tuple) else (param.low, param.high)
    low, high = float(usual[0] if one.low is None else one.low), float(usual[1] if one.high is None else one.high)
    for end, value in (("low", low), ("high", high)):
        _check_inside(param, value, f"{key}.{end}")
    if low >= high:
        raise OperatorError(
            f"{key} goes from low {low:g} to high {high:g}, and low must be below high; the strategy itself says "
            f"{usual[0]:g} to {usual[1]:g}, set both ends"
        )
    log = (param.log and one.step is None) if one.log is None else one.log
    if log and low <= 0:
        raise OperatorError(
            f"{key} is logarithmic from {low:g}, which has no logarithm; set low above 0, or log = false"
        )
    step = None if one.step is None else float(one.step)
    if step is not None:
        if param.whole and step != int(step):
            raise OperatorError(f"{key}.step is {step:g}, and must be a whole number, as {param.name} is")
        if step > high - low:
            raise OperatorError(f"{key}.step is {step:g}, and must be at most {high - low:g}, the length of its range")
        if (high - low) / step > STEPS_MAX:
            raise OperatorError(
                f"{key}.step is {step:g}, which makes more than {STEPS_MAX:,} steps; take a greater one, or none"
            )
        # In decimals, as it was written: 0.1, 0.2, 0.3 reaches 0.3.
        high = _after(low, step, int((_exact(high) - _exact(low)) / _exact(step)))
    return Axis(param.name, low, high, log=log, step=step, whole=param.whole)


def _exact(number: float) -> Decimal:
    """The decimal that a person wrote."""
    return Decimal(repr(number))


def _after(low: float, step: float, count: int) -> float:
    """low and count steps, without the last bits that repeated addition gathers."""
    return float(_exact(low) + count * _exact(step))

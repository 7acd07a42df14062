"""Loading a strategy file, checking its contract, and making it callable from the fold.

A strategy decorated with `jit` is compiled and called by its address; a plain Python function is called from outside
the kernels at each wake, slower, with the same records.  What is wrong with it is the operator's to mend, so every
failure here names the file, the line and the remedy.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from pinnacle.errors import OperatorError, StrategyError
from pinnacle.kernels import call
from pinnacle.kernels.jit import INTERPRETED
from pinnacle.kernels.state import WANT, lane_dtype, market_dtype
from pinnacle.limits import STRATEGY_MEMORY_MAX, STRATEGY_PARAMS_MAX
from pinnacle.strategy import Param

_ARGUMENTS = ("market", "lane", "me", "params", "memory", "want")


@dataclass(frozen=True)
class Strategy:
    """A loaded strategy.  quote: the plain Python function; compiled: its dispatcher if it was decorated with jit."""

    name: str
    path: str
    source: str
    sha256: str
    params: tuple[Param, ...]
    memory: Mapping[str, int]
    quote: Callable[..., None]
    compiled: Any

    @property
    def params_dtype(self) -> np.dtype:
        """The parameters by name over the state's numbers."""
        return np.dtype(_named({param.name: 1 for param in self.params}, STRATEGY_PARAMS_MAX))

    @property
    def memory_dtype(self) -> np.dtype:
        """What the strategy remembers, by name, over the state's numbers."""
        return np.dtype(_named(self.memory, STRATEGY_MEMORY_MAX))

    @property
    def external(self) -> bool:
        """Whether it must be called from outside the kernels."""
        return self.compiled is None and not INTERPRETED

    def values(self, given: Mapping[str, Any], where: str) -> dict[str, float]:
        """Parameter values from defaults and what was given; `where` names the config for errors."""
        known = {param.name: param for param in self.params}
        for name, value in given.items():
            if name not in known:
                raise OperatorError(f"{where}: {self.name} has no parameter {name!r}; it has {', '.join(known)}")
            param = known[name]
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise OperatorError(f"{where}: {name} is {value!r}, and must be a number ({param.unit})")
            if not param.low <= value <= param.high:
                raise OperatorError(
                    f"{where}: {name} is {value}, and must be from {param.low} to {param.high} {param.unit}"
                )
            if param.whole and value != int(value):
                raise OperatorError(f"{where}: {name} is {value}, and must be a whole number ({param.unit})")
        return {param.name: float(given.get(param.name, param.default)) for param in self.params}


def _named(sizes: Mapping[str, int], room: int) -> list[tuple[Any, ...]]:
    """Fields of float64, one number or a row of them each, padded to the room they live in."""
    fields: list[tuple[Any, ...]] = [(name, "<f8") if n == 1 else (name, "<f8", (n,)) for name, n in sizes.items()]
    left = room - sum(sizes.values())
    return fields + ([("_", "<f8", (left,))] if left else [])


def load_strategy(path: Path, source: str | None = None) -> Strategy:
    """Load a strategy file.  source: its text as a manifest kept it, instead of what the file holds now.

    Raises StrategyError for a file that is missing, does not run, or does not keep the contract.
    """
    if source is None:
        try:
            source = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise StrategyError(
                f"{path}: the strategy file cannot be read ({error}); give the path of a .py file"
            ) from None
        module = _run_file(path)
    else:
        module = _run_text(path, source)
    quote = module.get("quote")
    plain = getattr(quote, "py_func", quote)
    if not isinstance(plain, FunctionType):
        raise StrategyError(f"{path}: defines no function `quote`; see strategies/fixed_spread.py for the smallest one")
    names = plain.__code__.co_varnames[: plain.__code__.co_argcount]
    if len(names) != len(_ARGUMENTS):
        raise StrategyError(f"{path}: `quote` takes ({', '.join(names)}), and must take ({', '.join(_ARGUMENTS)})")
    params = _checked_params(path, module.get("PARAMS", ()))
    memory = _checked_memory(path, module.get("MEMORY", {}))
    return Strategy(
        name=path.stem,
        path=str(path),
        source=source,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        params=params,
        memory=memory,
        quote=plain,
        compiled=quote if quote is not plain else None,
    )


def _checked_params(path: Path, params: Any) -> tuple[Param, ...]:
    if not isinstance(params, tuple) or not all(isinstance(param, Param) for param in params):
        raise StrategyError(f"{path}: PARAMS must be a tuple of pinnacle.strategy.Param")
    if len(params) > STRATEGY_PARAMS_MAX:
        raise StrategyError(f"{path}: {len(params)} parameters, and there is room for {STRATEGY_PARAMS_MAX}")
    names = [param.name for param in params]
    for param in params:
        if not _is_name(param.name) or names.count(param.name) > 1:
            raise StrategyError(
                f"{path}: a parameter is called {param.name!r}; each needs a name of its own, as a variable has"
            )
        if not all(isinstance(number, (int, float)) for number in (param.low, param.default, param.high)):
            raise StrategyError(f"{path}: default, low and high of {param.name} must be numbers")
        if not param.low <= param.default <= param.high:
            raise StrategyError(
                f"{path}: the default of {param.name}, {param.default}, is outside its own bounds, "
                f"{param.low} to {param.high}; mend one of them in PARAMS"
            )
        _check_search(path, param)
    return params


def _check_search(path: Path, param: Param) -> None:
    """What the search walks: True, False, or a range inside the parameter's own bounds."""
    search = param.search
    if isinstance(search, bool):
        return
    if not isinstance(search, tuple) or len(search) != 2 or not all(type(end) in (int, float) for end in search):
        raise StrategyError(f"{path}: search of {param.name} is {search!r}, and must be True, False or (from, to)")
    start, end = search
    if not param.low <= start < end <= param.high:
        raise StrategyError(
            f"{path}: search of {param.name} goes from {start} to {end}, and must rise within its own bounds, "
            f"{param.low} to {param.high}; mend one of them in PARAMS"
        )
    if param.log and start <= 0:
        raise StrategyError(
            f"{path}: search of {param.name} starts at {start}, which has no logarithm; start above 0, or drop log"
        )
    if param.whole and (start != int(start) or end != int(end)):
        raise StrategyError(f"{path}: search of {param.name} is {search!r}, and must be whole numbers as it is")


def _checked_memory(path: Path, memory: Any) -> dict[str, int]:
    if not isinstance(memory, Mapping) or not all(
        _is_name(name) and isinstance(count, int) and count > 0 for name, count in memory.items()
    ):
        raise StrategyError(f"{path}: MEMORY must be a dict of name to how many numbers it holds")
    total = sum(memory.values())
    if total > STRATEGY_MEMORY_MAX:
        raise StrategyError(f"{path}: MEMORY holds {total} numbers, and there is room for {STRATEGY_MEMORY_MAX}")
    return dict(memory)


def _is_name(name: Any) -> bool:
    """Whether a field of a record may be called that; `_` is the padding's."""
    return isinstance(name, str) and name.isidentifier() and name != "_"


def _run_file(path: Path) -> dict[str, Any]:
    """The names a strategy file defines; as a module of its own, so that numba can keep what it compiles."""
    name = f"pinnacle_strategy_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path}: is no Python file; a strategy is a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{path}: {_complaint(error, path)}") from error
    return vars(module)


def _run_text(path: Path, source: str) -> dict[str, Any]:
    """The same from a text that no file need hold any more; what it compiles is not kept."""
    import numba

    module: dict[str, Any] = {"__name__": "pinnacle_strategy_replayed", "__file__": str(path)}
    keep = numba.core.dispatcher.Dispatcher.enable_caching
    try:
        numba.core.dispatcher.Dispatcher.enable_caching = lambda self: None
        exec(compile(source, str(path), "exec"), module)
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{path}: {_complaint(error, path)}") from error
    finally:
        numba.core.dispatcher.Dispatcher.enable_caching = keep
    return module


def _complaint(error: BaseException, path: Path) -> str:
    """What happened and on which line of the strategy, in one line."""
    from numba.core.errors import NumbaError

    if isinstance(error, NumbaError):
        text = compile_complaint(error)
    else:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        text = next((part.strip() for part in str(said).splitlines() if part.strip()), "")
    line = _line_of(error, path)
    return f"{f'line {line}: ' if line else ''}{type(error).__name__}{': ' if text else ''}{text}"


def _line_of(error: BaseException, path: Path) -> int:
    """The line of the strategy's file that an error came from, 0 if it does not say.

    A Python error says it in its traceback, numba's in its text, from the innermost function outwards.
    """
    line = (error.lineno or 0) if isinstance(error, SyntaxError) else 0
    for frame in traceback.extract_tb(error.__traceback__):
        if Path(frame.filename).resolve() == path.resolve():
            line = frame.lineno or line
    places = re.findall(r"(?:at|from) (/[^\n]*) \((\d+)\)", str(error))
    if hasattr(error, "loc") and error.loc is not None:
        places.insert(0, (error.loc.filename, error.loc.line))
    for name, number in places:
        if Path(name).resolve() == path.resolve():
            line = int(number)
    return line


def bind(strategy: Strategy, instruments: int) -> int:
    """The address by which kernels call the strategy, for a state of that capacity; 0 if it is called from outside.

    Raises StrategyError if it does not compile.
    """
    if INTERPRETED:
        return call.register(strategy.quote, strategy.params_dtype, strategy.memory_dtype)
    if strategy.compiled is None:
        return 0
    from numba import from_dtype, types

    arguments = (
        from_dtype(market_dtype(instruments)),
        from_dtype(lane_dtype(instruments)),
        types.int64,
        from_dtype(strategy.params_dtype),
        from_dtype(strategy.memory_dtype),
        from_dtype(WANT),
    )
    try:
        strategy.compiled.compile(arguments)
    except Exception as error:
        line = _line_of(error, Path(strategy.path))
        raise StrategyError(
            f"{strategy.path}: {f'line {line}: ' if line else ''}does not compile: {compile_complaint(error)}; "
            "run it with --no-jit to debug it in plain Python, or drop the decorator"
        ) from error
    compiled = strategy.compiled.overloads[arguments]
    # The kernels call it as a function of no result; one that has a result would write it over their stack.
    if compiled.signature.return_type != types.none:
        raise StrategyError(f"{strategy.path}: `quote` returns a value, and must return nothing; say it through `want`")
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def compile_complaint(error: BaseException) -> str:
    """The part of numba's message that a person can act on: its first complaint, with the types it is about."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("Failed in", "During:"))]
    what = lines[0] if lines else type(error).__name__
    called = next((line.removeprefix(">>> ") for line in lines if line.startswith(">>> ")), "")
    if what.endswith("signature:") and called:
        return f"nothing implements {called}"
    return re.sub(r" with fields \(.*\)", "", what).rstrip(":")


def quote_outside(strategy: Strategy, state: np.void, me: int) -> None:
    """Call a plain Python strategy for instrument `me`, with the records that compiled code would hand it."""
    market, lane = state["market"], state["lane"]
    own = lane["own"][me]
    strategy.quote(
        market,
        lane,
        me,
        own["params"].view(strategy.params_dtype)[0],
        own["memory"].view(strategy.memory_dtype)[0],
        own["want"],
    )


def raised(strategy: Strategy, error: BaseException) -> StrategyError:
    """A strategy's own exception as one clear error."""
    return StrategyError(
        f"{strategy.path}: quote raised: {_complaint(error, Path(strategy.path))}; "
        "the run stopped there, what was logged before is intact"
    )

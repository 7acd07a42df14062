"""The house stands: a module imports only what lies below it, and the core has no door to the outside.

Read from the source, so an import inside a function counts like one at the top.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pinnacle"

# A part is a package or a module directly under pinnacle/; "" is pinnacle itself, which says its version.
RANKS = {
    "": 0, "errors": 0, "limits": 0, "interrupt": 0,
    "event": 1, "instrument": 1,
    "config_live": 2, "config_optimize": 2, "config_simulate": 2, "kernels": 2, "log": 2, "fix": 2, "transport": 2,
    "vault": 2,
    "engine": 3, "config": 3, "strategy": 3, "resources": 3, "venues": 3, "models": 3,
    "history": 4, "dialects": 4, "execution": 4,
    "run": 5,
    "optimize": 6, "report": 6, "watch": 6,
    "sweep": 7,
    "commands": 8,
    "cli": 9,
    "__main__": 10,
}  # fmt: skip

# Siblings that meet all the same, each with its reason.
SIBLINGS = {
    ("engine", "strategy"): "the loader checks PARAMS against Param, which strategy.py shows to strategy files",
}

# What may be seen from where the rank alone would allow more.
ONLY = {
    "kernels": {"event", "limits", "kernels"},
    "strategy": {"event", "kernels"},
    "resources": {"errors"},
}
NEVER = {
    "venues": {"transport", "run"},
    "dialects": {"transport", "engine"},
    "execution": {"transport", "dialects", "history"},
    "transport": {"event", "instrument"},
    "report": {"run", "engine", "kernels", "history", "optimize"},
    "optimize": {"report"},
    "watch": {"run", "engine", "kernels"},
}

# Time, chance and the outside world enter the core only as events.
CLOCKS_AND_DOORS = {
    "time",
    "datetime",
    "random",
    "secrets",
    "uuid",
    "socket",
    "ssl",
    "asyncio",
    "threading",
    "subprocess",
}
COMPILER_CACHE = {"os", "pathlib", "hashlib"}  # kernels/jit.py names the folder of compiled kernels by their hash
OUTSIDE = {
    "kernels": CLOCKS_AND_DOORS | COMPILER_CACHE | {"io", "json", "logging"},
    "engine": CLOCKS_AND_DOORS | {"os"},
    "fix": CLOCKS_AND_DOORS | {"os"},
    "venues": CLOCKS_AND_DOORS | {"os"},
    "dialects": CLOCKS_AND_DOORS | {"os"},
    "execution": CLOCKS_AND_DOORS | {"os"},
}
MAY = {"kernels/jit.py": COMPILER_CACHE}


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path) -> str:
    """The part a file of the package belongs to."""
    top = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if top == "__init__" else top


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every module a file imports, as dotted text, with its line; `from pinnacle import x` counts as pinnacle.x."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import; write the whole name"
            if node.module == "pinnacle":
                yield from ((f"pinnacle.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module or "", node.lineno


def parts_met(path: Path) -> Iterator[tuple[str, int]]:
    """Every part of pinnacle that a file imports from, with the line."""
    for name, line in imports(path):
        top, _, rest = name.partition(".")
        if top == "pinnacle":
            part = rest.partition(".")[0]
            yield "" if part.startswith("__") else part, line


def test_every_part_has_a_rank() -> None:
    """No file of the package stands outside the table: a new part is given its place before it is imported."""
    unknown = {part_of(path) for path in modules(PACKAGE)} - RANKS.keys()
    assert not unknown, f"give {sorted(unknown)} a rank"


def test_imports_go_down() -> None:
    """A part imports itself and lower ranks; siblings never meet but for those listed with a reason."""
    wrong = []
    for path in modules(PACKAGE):
        part = part_of(path)
        for met, line in parts_met(path):
            allowed = met == part or RANKS.get(met, 99) < RANKS[part] or (part, met) in SIBLINGS
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {part} imports {met or 'pinnacle'}")
    assert not wrong, "\n".join(wrong)


def test_every_exception_is_needed() -> None:
    """An exception in the table is used by some file, so the table is never laxer than the code."""
    used = {(part_of(path), met) for path in modules(PACKAGE) for met, _ in parts_met(path)}
    assert set(SIBLINGS) <= used


@pytest.mark.parametrize("part", sorted(ONLY))
def test_a_part_sees_only_what_it_must(part: str) -> None:
    """The kernels and what faces the user see less than their rank would allow."""
    seen = {met for path in modules(PACKAGE) if part_of(path) == part for met, _ in parts_met(path)}
    assert seen <= ONLY[part]


@pytest.mark.parametrize("part", sorted(NEVER))
def test_readers_never_meet_what_they_read(part: str) -> None:
    """Reports and screens read the log and never the engine or its wiring; venues and transport never meet."""
    seen = {met for path in modules(PACKAGE) if part_of(path) == part for met, _ in parts_met(path)}
    assert not seen & NEVER[part]


@pytest.mark.parametrize("part", sorted(OUTSIDE))
def test_the_core_has_no_clock_no_chance_no_door(part: str) -> None:
    """No file of the core imports a clock, a random source or a way out of the process."""
    wrong = []
    for path in modules(PACKAGE / part):
        forbidden = OUTSIDE[part] - MAY.get(str(path.relative_to(PACKAGE)), set())
        wrong += [
            f"{path.relative_to(ROOT)}:{line}: imports {name}"
            for name, line in imports(path)
            if name.split(".")[0] in forbidden
        ]
    assert not wrong, "\n".join(wrong)


def test_a_shipped_strategy_needs_its_face_and_pure_functions() -> None:
    """A strategy imports pinnacle.strategy, pure functions over records, and math: it can be copied and moved."""
    pure = {f"pinnacle.kernels.{name}" for name in ("spread", "flow", "book")}
    allowed = {"pinnacle.strategy", "math"} | pure
    seen = {name for path in modules(ROOT / "strategies") for name, _ in imports(path)}
    assert seen <= allowed

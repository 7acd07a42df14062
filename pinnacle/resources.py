"""Where the shipped strategies, configs and data sample are: beside a checkout, or inside an installed package."""

from __future__ import annotations

from pathlib import Path

from pinnacle.errors import OperatorError

_PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """The folder `strategies`, `configs` or `data` that came with this installation."""
    for root in (_PACKAGE / "bundled", _PACKAGE.parent):
        if (root / folder).is_dir():
            return root / folder
    raise OperatorError(f"{folder}: did not come with this installation; install pinnacle again")


def find_file(name: str, beside: Path | None, folder: str, suffix: str) -> Path:
    """A file given by path, by a path beside the config, or by the bare name of a shipped one.

    Raises OperatorError naming where was looked and what is shipped.
    """
    given = Path(name).expanduser()
    places = [given] if given.is_absolute() else [*([beside / given] if beside else []), given]
    stem = given.name.removesuffix(suffix)
    if given.name == name or given.parts[:1] == (folder,):
        places.append(shipped(folder) / f"{stem}{suffix}")
    for place in places:
        if place.is_file():
            return place.resolve()
    there = ", ".join(sorted(path.stem for path in shipped(folder).glob(f"*{suffix}")))
    raise OperatorError(f"{name}: no such file in {folder} or at that path; shipped: {there}")

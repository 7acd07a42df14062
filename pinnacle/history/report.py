"""What an import found, changed and left out, as numbers: the only place where a repair may be said to have happened.

A history whose repairs are not written down cannot be told from one that was clean.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

EXAMPLES_MAX = 5


@dataclass(slots=True)
class ImportReport:
    """Counts of one import, filled while its rows are read; complete when the last array has been given.

    offset_ns: what was added to every local time.  latency_ns_min: the smallest latency as recorded.
    found: messages by kind.  links: consecutive ids compared, by chain; gaps: those that did not follow.
    repaired, skipped: by reason, how many.  examples: the first few of what was off.  notes: sentences.
    """

    format: str = ""
    sources: list[str] = field(default_factory=list)
    rows: int = 0
    offset_ns: int = 0
    latency_ns_min: int | None = None
    found: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def example(self, text: str) -> None:
        """Keep the first few examples."""
        if len(self.examples) < EXAMPLES_MAX:
            self.examples.append(text)

    def note(self, text: str) -> None:
        """Keep a sentence once."""
        if text not in self.notes:
            self.notes.append(text)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain values for JSON."""
        return {
            "format": self.format,
            "sources": list(self.sources),
            "rows": self.rows,
            "offset_ns": self.offset_ns,
            "latency_ns_min": self.latency_ns_min,
            **{name: _nonzero(getattr(self, name)) for name in ("found", "links", "gaps", "repaired", "skipped")},
            "examples": list(self.examples),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report for a person, one fact a line."""
        out = [f"{self.format}: {self.rows:,} rows from {', '.join(self.sources)}"]
        out += [f"  {count:,} {name}" for name, count in sorted(self.found.items()) if count]
        if self.offset_ns:
            least = "not known" if self.latency_ns_min is None else f"{self.latency_ns_min:,} ns"
            out.append(f"  local clock moved by {self.offset_ns:,} ns (smallest recorded latency {least})")
        out += [
            f"  {name}: {links:,} links, {self.gaps.get(name, 0):,} gaps" for name, links in sorted(self.links.items())
        ]
        out += [f"  repaired: {count:,} {name}" for name, count in sorted(self.repaired.items()) if count]
        out += [f"  skipped: {count:,} {name}" for name, count in sorted(self.skipped.items()) if count]
        out += [f"  e.g. {text}" for text in self.examples]
        out += [f"  note: {text}" for text in self.notes]
        return out


def _nonzero(counter: Counter[str]) -> dict[str, int]:
    return {name: int(count) for name, count in sorted(counter.items()) if count}

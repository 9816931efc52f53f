# SPDX-License-Identifier: GPL-3.0-or-later
"""One figure that is asked for, what was measured of it, and how people and programs are told. Pure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

Timer = Callable[[], float]
"""Does something once and returns how long it took, in seconds."""


@dataclass(frozen=True)
class Measure:
    """A figure beside what it is compared with: at first only asked for, then `measured`, or `missing` here."""

    name: str
    unit: str
    against: str
    """What the figure is compared with."""
    limit: float | None = None
    """The highest value allowed; None where none was set."""
    value: float | None = None
    detail: str = ""
    """What the value was made from, in words."""
    why: str = ""
    """Why there is no value."""

    @property
    def holds(self) -> bool | None:
        """Whether the limit is kept; None without a limit or a value."""
        return None if self.value is None or self.limit is None else self.value <= self.limit

    def with_blender(self, version: str) -> "Measure":
        """Return the same figure for one of several Blenders."""
        return replace(self, name=f"{self.name}, Blender {version}")

    def measured(self, value: float, detail: str) -> "Measure":
        """Return the figure with its value."""
        return replace(self, value=round(value, 3), detail=detail)

    def ratio(self, times: Sequence[tuple[float, float]], note: str = "") -> "Measure":
        """Return the figure with the median of the rounds' ratios, of (ours, theirs) in seconds."""
        ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
        detail = f"{ours:.3f} s against {theirs:.3f} s, medians of {len(times)} rounds"
        value = statistics.median(mine / other for mine, other in times)
        return self.measured(value, f"{detail}; {note}" if note else detail)

    def missing(self, why: str) -> "Measure":
        """Return the figure as one that cannot be had here."""
        return replace(self, why=why)

    def as_json(self) -> dict[str, Any]:
        """Return the form in which programs read it."""
        words = {"detail": self.detail, "why": self.why}
        return {
            "name": self.name, "value": self.value, "unit": self.unit, "against": self.against, "limit": self.limit,
            "holds": self.holds, **{name: text for name, text in words.items() if text},
        }  # fmt: skip


def side_by_side(rounds: int, ours: Timer, theirs: Timer) -> list[tuple[float, float]]:
    """Run both in turn, `rounds` times, so that the machine's mood hits both alike; return their times by round."""
    return [(ours(), theirs()) for _ in range(rounds)]


def p999(numbers: Sequence[float]) -> float:
    """Return the number that one in a thousand exceeds."""
    return sorted(numbers)[int(len(numbers) * 0.999)]


def report(bench: str, measures: Iterable[Measure]) -> dict[str, Any]:
    """Return what is printed as the last line."""
    return {"bench": bench, "measures": [measure.as_json() for measure in measures]}

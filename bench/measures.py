# SPDX-License-Identifier: GPL-3.0-or-later
"""One measured figure, and how people and programs are told of many. Pure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Timer = Callable[[], float]
"""Does something once and returns how long it took, in seconds."""


@dataclass(frozen=True)
class Measure:
    """A figure beside what it was compared with; `value` None says that this machine could not measure it."""

    name: str
    unit: str
    against: str
    """What the figure was compared with, or what the limit is about."""
    value: float | None = None
    limit: float | None = None
    """The highest value allowed; None where none was set."""
    detail: str = ""
    """What the value was made from, in words."""
    why: str = ""
    """Why there is no value."""

    @property
    def holds(self) -> bool | None:
        """Whether the limit is kept; None without a limit or a value."""
        return None if self.value is None or self.limit is None else self.value <= self.limit

    def as_json(self) -> dict[str, Any]:
        """Return the form in which programs read it."""
        form: dict[str, Any] = {
            "name": self.name, "value": self.value, "unit": self.unit, "against": self.against, "limit": self.limit,
            "holds": self.holds,
        }  # fmt: skip
        words = {"detail": self.detail, "why": self.why}
        return form | {name: text for name, text in words.items() if text}


def side_by_side(rounds: int, ours: Timer, theirs: Timer) -> list[tuple[float, float]]:
    """Run both in turn, `rounds` times, so that the machine's mood hits both alike; return their times by round."""
    return [(ours(), theirs()) for _ in range(rounds)]


def ratio(name: str, against: str, times: Sequence[tuple[float, float]], limit: float | None = None) -> Measure:
    """Return the median of the rounds' ratios of ours to theirs, from (ours, theirs) in seconds."""
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    value = statistics.median(mine / other for mine, other in times)
    detail = f"{ours:.3f} s against {theirs:.3f} s, medians of {len(times)} rounds"
    return Measure(name, "ratio", against, round(value, 3), limit, detail)


def report(bench: str, measures: Iterable[Measure]) -> dict[str, Any]:
    """Return what is printed as the last line."""
    return {"bench": bench, "measures": [measure.as_json() for measure in measures]}


def describe(measure: Measure) -> str:
    """Return two or three lines for people.

    >>> print(describe(Measure("a frame", "ratio", "by hand", 0.25, 1.1, "1.000 s against 4.000 s")))
    a frame: 0.25 ratio, limit 1.1: holds
      against by hand
      1.000 s against 4.000 s
    """
    verdict = {True: ": holds", False: ": MISSED", None: ""}[measure.holds]
    limit = "" if measure.limit is None else f", limit {measure.limit:g}{verdict}"
    figure = "not measured" if measure.value is None else f"{measure.value:g} {measure.unit}{limit}"
    lines = [f"{measure.name}: {figure}", f"  against {measure.against}", f"  {measure.detail or measure.why}"]
    return "\n".join(line for line in lines if line.strip())

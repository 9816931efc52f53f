# SPDX-License-Identifier: GPL-3.0-or-later
"""Which job's turn it is. Pure.

Jobs of a higher priority come first; among equal ones those of a lower place. A place is any number, so that a job can
be put between two others without touching these.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol, TypeVar


class Placed(Protocol):
    """What has a turn."""

    priority: int
    place: float


_Placed = TypeVar("_Placed", bound=Placed)

Turn = tuple[int, float]
"""Priority and place."""


def in_order(jobs: Iterable[_Placed]) -> list[_Placed]:
    """Return jobs in the order of work."""
    return sorted(jobs, key=lambda job: (-job.priority, job.place))


def moved(job: _Placed, before: _Placed | None, waiting: Sequence[_Placed]) -> list[tuple[_Placed, Turn]]:
    """Return the turns that are different when `job` comes right before another of those that wait, or last (None).

    `waiting`: all, in order, `job` included. The job takes over the priority of the one that it is put before.
    """
    others = [each for each in waiting if each is not job]
    taken = {each.place for each in others}
    if before is None:
        last = others[-1] if others else job
        return [(job, (min(job.priority, last.priority), max(taken, default=job.place) + 1))]
    at = next(number for number, each in enumerate(others) if each is before)
    above = others[at - 1] if at and others[at - 1].priority == before.priority else None
    place = _between(before.place - 2 if above is None else above.place, before.place, taken)
    if place is not None:
        return [(job, (before.priority, place))]
    # Numbers this near have none between them: all are counted anew.
    anew = enumerate([*others[:at], job, *others[at:]])
    return [(each, (before.priority if each is job else each.priority, float(count))) for count, each in anew]


def _between(low: float, high: float, taken: AbstractSet[float]) -> float | None:
    """A place that nobody has, of whatever priority: no two are ever the same. None where there is no number left."""
    while low < (place := (low + high) / 2) < high:
        if place not in taken:
            return place
        low = place
    return None


def swapped(job: _Placed, before: _Placed | None, own: Sequence[_Placed]) -> list[tuple[_Placed, Turn]]:
    """The same within the turns that an artist's jobs, `own`, in order, have anyhow: others' do not wait for it."""
    others = [each for each in own if each is not job]
    at = len(others) if before is None else next(number for number, each in enumerate(others) if each is before)
    turns = [(each.priority, each.place) for each in own]
    return [
        (each, turn)
        for each, turn in zip([*others[:at], job, *others[at:]], turns, strict=True)
        if (each.priority, each.place) != turn
    ]

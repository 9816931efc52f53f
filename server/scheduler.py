# SPDX-License-Identifier: GPL-3.0-or-later
"""Which task runs on which slot. Pure: decides, and leaves the doing to others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from .jobs import Task


@dataclass(frozen=True, slots=True)
class IdleSlot:
    """A place where one Blender can render now."""

    slot: int
    open_job: str | None
    """The job whose file its Blender has open, if any: another frame of it starts without reading the file again."""


def plan(idle: Sequence[IdleSlot], candidates: Iterable[Task]) -> list[tuple[int, Task]]:
    """Return (slot, task) pairs to start now.

    `candidates` come in the order in which they should start; every task takes the slot that has its file open, else a
    slot that has none of the other candidates' files open, else any.
    """
    free = list(idle)
    waiting = list(islice(candidates, len(free)))  # Each is looked up in the books: no more than there is room for.
    wanted = {task.job for task in waiting}
    pairs = []
    for task in waiting:
        best = min(free, key=lambda slot: (slot.open_job != task.job, slot.open_job in wanted, slot.slot))
        free.remove(best)
        pairs.append((best.slot, task))
    return pairs

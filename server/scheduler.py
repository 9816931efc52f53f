# SPDX-License-Identifier: GPL-3.0-or-later
"""Which task runs on which slot. Pure: decides, and leaves the doing to others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from .jobs import Job, Task, TaskState

PARTS_PER_SLOT = 4
"""A frame's rows differ in what they cost: with so many parts a slot, the last one ends soon after the others."""

MOST_PARTS = 32
"""Each part costs some work of its own: rows beyond its edges, and Cycles' own beginning."""


@dataclass(frozen=True, slots=True)
class IdleSlot:
    """A place where one Blender can render now."""

    slot: int
    open_job: str | None
    """The job whose file its Blender has open, if any: another frame of it starts without reading the file again."""


def parts_of(wanted: bool, frames: int, slots: int) -> int:
    """Return into how many parts a job's frame is split: none, unless it is the only one and there are slots for it."""
    return min(MOST_PARTS, slots * PARTS_PER_SLOT) if wanted and frames == 1 and slots > 1 else 0


def is_ready(job: Job, task: Task) -> bool:
    """Whether what a pending task is made of is there: parts for a split frame, all frames for the movie."""
    if task.frame is None:
        return job.frames[TaskState.DONE] == job.total
    return task.part is not None or not job.lacks_parts


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is and which steps it may take. Pure: no clocks, no disk."""

import enum
import math
from collections import Counter
from dataclasses import dataclass, field

from addon.protocol.messages import FINISHED, JobSpec, JobState

from .errors import IllegalTransition
from .forecast import Costs
from .scaling import Scaling

MAX_ATTEMPTS = 3
"""Blenders that one frame may take down before it counts as failed; Flamenco, too, gives a task three."""


PAUSED = "Paused."
"""What a job that is says."""

CPU = "CPU"
"""The name of the processor where a device is told."""


class TaskState(enum.StrEnum):
    """Where one frame, a part of it, or the making of the movie, stands."""

    PENDING = "pending"
    RENDERING = "rendering"
    DONE = "done"
    FAILED = "failed"


_S = JobState
_ENDS = frozenset({_S.DONE, _S.FAILED, _S.CANCELLED, _S.SUPERSEDED})
TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _S.QUEUED: frozenset({_S.RENDERING, _S.ENCODING}) | _ENDS,
    _S.RENDERING: frozenset({_S.QUEUED, _S.ENCODING}) | _ENDS,
    _S.ENCODING: frozenset({_S.QUEUED}) | _ENDS,
    _S.FAILED: frozenset({_S.QUEUED}),
    _S.DONE: frozenset(),
    _S.CANCELLED: frozenset(),
    _S.SUPERSEDED: frozenset(),
}
"""Every legal change of a job's state. Back to QUEUED: the server was restarted, its disk is full, or the artist
asked for another try.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to run in a Blender: a frame, part of a frame, or, with frame None, the movie made of all frames."""

    job: str
    position: int
    """Order of rendering within the job, from 0; the movie comes last. A split frame's parts come before it, from -1
    downwards.
    """
    frame: int | None
    attempts: int = 0
    """Blenders it has taken down so far."""

    @property
    def part(self) -> int | None:
        """Which part of its frame it is, from 0 for the lowest; None: all of it, made of the parts if it has any."""
        return -1 - self.position if self.position < 0 else None


@dataclass(slots=True)
class Running:
    """How far a task in a Blender has come: what Blender said last, and what follows from that since.

    All times are seconds on the caller's monotonic clock.
    """

    task: Task
    started: float
    first: bool = False
    """Whether no frame of the job was done yet when it was begun: it may have had to prepare something."""
    sample: int | None = None
    samples: int | None = None
    tile: int | None = None
    tiles: int | None = None
    _told: float | None = None
    """When it was said last how far the task is."""
    _done: float = 0.0
    """Part of it that was done then, 0 to 1."""
    _left_s: float | None = None
    """How long the rest takes, from then."""

    def expect(self, seconds: float) -> None:
        """Until Blender says something, go by what such a frame costs."""
        if self._told is None:
            self._left_s = seconds

    def report(self, now: float, remaining_s: float | None) -> None:
        """Take in what Blender said, in `sample` to `tiles` and in its own estimate of the rest."""
        self._done = max(self._reported(), self.fraction(now))
        self._told = now
        self._left_s = remaining_s
        if remaining_s is None and (reported := self._reported()) > 0:
            self._left_s = (now - self.started) * (1 - reported) / reported

    def fraction(self, now: float) -> float:
        """Part of the task that is done, 0 to 1: it grows with every second, and is 1 only when Blender says so."""
        if not self._left_s:
            return self._done
        passed = (now - (self.started if self._told is None else self._told)) / self._left_s
        return self._done + (1 - self._done) * _eased(passed)

    def left_s(self, now: float) -> float | None:
        """Seconds until it is done, or None while nothing is known."""
        if self._left_s is None:
            return None
        return max(0.0, (self.started if self._told is None else self._told) + self._left_s - now)

    def _reported(self) -> float:
        if self.tile is not None and self.tiles:
            return min(1.0, self.tile / self.tiles)
        if self.sample is not None and self.samples:
            return min(1.0, self.sample / self.samples)
        return 0.0


STEADY = 0.8
"""So far a task goes at the pace that was expected; what takes longer than expected goes on ever more slowly."""


def _eased(passed: float) -> float:
    """Part that is shown for `passed` times the expected time: the same up to STEADY, and 1 only after all time."""
    if passed <= STEADY:
        return max(0.0, passed)
    rest = 1 - STEADY
    return 1 - rest * math.exp(-(passed - STEADY) / rest)


@dataclass(slots=True)
class Job:
    """A job in memory; job_store.py keeps the same on disk."""

    spec: JobSpec
    owner: str
    total: int
    """Frames asked for; the movie does not count."""
    state: JobState = JobState.QUEUED
    text: str = ""
    paused: bool = False
    """Whether no more of it is begun until the artist says so."""
    priority: int = 0
    place: float = 0.0
    """Its turn: see order.py."""
    notices: tuple[str, ...] = ()
    blender: str | None = None
    device: str = ""
    """What its last frame was rendered on, as in executors.base.Opened."""
    fps: float | None = None
    """Of its scene, frames a second; None: it was not opened yet."""
    movie: TaskState | None = None
    """Where the movie stands that is made of the frames at the end; None: the frames themselves are what is wanted."""
    frames: Counter[TaskState] = field(default_factory=Counter)
    """Frames by state; the movie's task is not among them."""
    parts: Counter[TaskState] = field(default_factory=Counter)
    """Parts by state, of a frame that is split over the slots; empty: it is rendered whole."""
    seconds: float = 0.0
    """Render time of the finished frames, or parts, summed."""
    undelivered: int = 0
    preview: tuple[int, bytes] | None = None
    """Frame and JPEG of the newest small picture; not kept over a restart."""
    drafted: bool = False
    """Whether a draft of it was asked for since the node's start; there is one a job."""
    running: dict[int, Running] = field(default_factory=dict)
    """By position."""
    opened_s: float = 0.0
    """Seconds that a Blender took last to have its file open."""
    scaling: Scaling = field(default_factory=Scaling)
    """How many of its frames are rendered at once, where that is on the processor."""
    costs: Costs | None = None
    """Of the frames that are done; None for a job that was finished when the node started."""
    shape: Costs | None = None
    """Of an earlier save of the same file."""

    @property
    def id(self) -> str:
        """The identifier that the client made up."""
        return self.spec.job

    def step(self, task: Task) -> int | None:
        """Return the number that a task has among the job's `costs`: of its frame, or of its part of a split one.

        None: it costs something else, as the movie does, and putting parts together.
        """
        if self.parts:
            return task.part
        return task.frame if task.part is None else None

    @property
    def lacks_parts(self) -> bool:
        """Whether its frame cannot be put together yet."""
        return self.parts[TaskState.DONE] < self.parts.total()

    @property
    def finished(self) -> bool:
        """Whether the node does nothing more for it by itself."""
        return self.state in FINISHED

    @property
    def unrendered(self) -> int:
        """Frames that wait or are being rendered."""
        return self.frames[TaskState.PENDING] + self.frames[TaskState.RENDERING]

    def replaces(self, other: "Job") -> bool:
        """Whether this save makes another, earlier one of the same file needless."""
        same = self.spec.group and (other.owner, other.spec.group) == (self.owner, self.spec.group)
        return bool(same) and other is not self and other.spec.created <= self.spec.created

    @property
    def under_way(self) -> bool:
        """Whether a Blender is at work for it."""
        return self.state in (JobState.RENDERING, JobState.ENCODING)

    def move(self, state: JobState, text: str = "") -> None:
        """Take one step. Raises IllegalTransition when the table does not allow it."""
        if state not in TRANSITIONS[self.state]:
            raise IllegalTransition(f"{self.id} from {self.state} to {state}")
        self.state = state
        self.text = text

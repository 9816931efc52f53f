# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job is and which steps it may take. Pure: no clocks, no disk."""

import enum
from collections import Counter
from dataclasses import dataclass, field

from addon.protocol.messages import FINISHED, JobSpec, JobState

from .errors import IllegalTransition

MAX_ATTEMPTS = 3
"""Blenders that one frame may take down before it counts as failed; Flamenco, too, gives a task three."""


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
"""Every legal change of a job's state. Back to QUEUED: the server was restarted, or the artist asked for another
try.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to run in a Blender: a frame, part of a frame, or, with frame None, the movie made of all frames."""

    job: str
    position: int
    """Order within the job, from 0; the movie comes last. A split frame's parts come before it, from -1 downwards."""
    frame: int | None
    attempts: int = 0
    """Blenders it has taken down so far."""

    @property
    def part(self) -> int | None:
        """Which part of its frame it is, from 0 for the lowest; None: all of it, made of the parts if it has any."""
        return -1 - self.position if self.position < 0 else None


@dataclass(slots=True)
class Running:
    """How far a task in a Blender has come."""

    task: Task
    started: float
    """Seconds on the caller's monotonic clock."""
    sample: int | None = None
    samples: int | None = None
    tile: int | None = None
    tiles: int | None = None
    remaining_s: float | None = None

    def fraction(self) -> float:
        """Part of the task that is done, 0 to 1."""
        if self.tile is not None and self.tiles:
            return min(1.0, self.tile / self.tiles)
        if self.sample is not None and self.samples:
            return min(1.0, self.sample / self.samples)
        return 0.0


@dataclass(slots=True)
class Job:
    """A job in memory; job_store.py keeps the same on disk."""

    spec: JobSpec
    owner: str
    total: int
    """Frames asked for; the movie does not count."""
    state: JobState = JobState.QUEUED
    text: str = ""
    notices: tuple[str, ...] = ()
    blender: str | None = None
    device: str = ""
    """What its last frame was rendered on, as in executors.base.Opened."""
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
    running: dict[int, Running] = field(default_factory=dict)
    """By position."""

    @property
    def id(self) -> str:
        """The identifier that the client made up."""
        return self.spec.job

    @property
    def lacks_parts(self) -> bool:
        """Whether its frame cannot be put together yet."""
        return self.parts[TaskState.DONE] < self.parts.total()

    @property
    def finished(self) -> bool:
        """Whether the node does nothing more for it by itself."""
        return self.state in FINISHED

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

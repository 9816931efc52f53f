# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be rendered, and how far it is."""

import enum
from dataclasses import dataclass

from ..engine import Engine
from ..frame_order import FrameOrder
from ..frame_range import parse_frames
from .checks import check_id, check_line, check_priority, check_text


class JobState(enum.StrEnum):
    """Where a job stands on the node."""

    QUEUED = "queued"
    RENDERING = "rendering"
    ENCODING = "encoding"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


FINISHED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED})
"""States in which the node does nothing more for a job by itself."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is to be rendered. The client makes `job` up, so that a submission said twice is one job."""

    job: str
    title: str
    """For people: the name of the .blend."""
    manifest: str
    """Digest of the manifest of its files."""
    scene: str | None
    """None: the scene that was active when the file was saved."""
    frames: str
    """As `frame_range.parse_frames` reads them."""
    group: str
    """A newer job of the same client and group supersedes this one; empty: nothing does."""
    created: float
    """Seconds since the epoch on the artist's clock, for people only."""
    draft: bool = True
    """Begin with a small picture of few samples, where that costs little."""
    order: FrameOrder = FrameOrder.SEQUENCE
    current: int | None = None
    """The frame that the artist was at; matters for FrameOrder.SPREAD."""
    split: bool = True
    """Render a job's only frame in parts on several slots, where that gives the same picture."""
    priority: int = 0
    """-10 to 10, higher ones first; only the node's owner gives more than 0."""
    engine: Engine | None = None
    """Instead of the scene's own."""

    def __post_init__(self) -> None:
        check_id(self.job)
        check_id(self.manifest)
        check_line(self.title)
        check_text(self.scene or "", self.group)
        parse_frames(self.frames)
        check_priority(self.priority)


@dataclass(frozen=True, slots=True)
class Submit:
    """Queue this job as soon as its files are stored; they were offered before."""

    spec: JobSpec


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this job now; frames already rendered still come back."""

    job: str


@dataclass(frozen=True, slots=True)
class Pause:
    """Begin no more of this job; what is being rendered comes to its end."""

    job: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with this paused job."""

    job: str


@dataclass(frozen=True, slots=True)
class Prioritize:
    """Give this job another priority, from -10 to 10; only the node's owner gives more than 0."""

    job: str
    priority: int

    def __post_init__(self) -> None:
        check_priority(self.priority)


@dataclass(frozen=True, slots=True)
class Move:
    """Have this job rendered right before another one."""

    job: str
    before: str | None
    """None: last."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Render the failed frames of this job again."""

    job: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Take this finished job off the list, with all the node holds of it."""

    job: str


@dataclass(frozen=True, slots=True)
class Collect:
    """This session takes the job's outputs: announce them to it."""

    job: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """All there is to say about a job; each one replaces the one before."""

    job: str
    owner: str
    title: str
    state: JobState
    frames: str
    total: int
    """Frames asked for."""
    done: int
    failed: int
    undelivered: int
    """Frames (and the movie) with outputs that the client has not acknowledged."""
    fraction: float
    """0 to 1, the running frames' parts included."""
    eta_s: float | None
    frame: int | None
    """The frame being rendered; of several the one that comes first in the job's order."""
    sample: int | None
    samples: int | None
    tile: int | None
    tiles: int | None
    text: str
    """One sentence for the artist when something needs to be said, else empty."""
    notices: tuple[str, ...]
    blender: str | None
    """Version that renders, "5.2.2"."""
    device: str
    """What Cycles renders on, "CPU" or a GPU's name and backend; empty: not known, or another engine."""
    created: float
    paused: bool
    """Whether no more of it is begun until the artist says so."""
    priority: int
    """Higher ones come first; 0 by itself."""
    place: float
    """Among unfinished jobs of one priority the lower come first."""


@dataclass(frozen=True, slots=True)
class JobChanged:
    """News of a job; on a new session one for every job that it may see, finished ones included."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class JobGone:
    """The node holds nothing of this job (any more)."""

    job: str

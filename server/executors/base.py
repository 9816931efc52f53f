# SPDX-License-Identifier: GPL-3.0-or-later
"""What every executor does: run one task at a time on each slot, and tell how it goes."""

import abc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from addon.protocol.messages import WorkerStatus

from ..blenders import Blender
from ..jobs import Task


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything a Blender needs for one task."""

    task: Task
    owner: str
    """Whose file it is."""
    blender: Blender
    blend: Path
    tree: Path
    """The mirror of the artist's folders, with one folder for each of `roots`, named by its number."""
    roots: tuple[str, ...]
    scene: str | None
    folder: Path
    """Exists and is empty; all that the task wrote comes to lie below it."""
    log: Path
    """Blender's own words are appended here."""
    engine: str | None = None
    """What renders instead of the scene's own engine; one of addon.protocol.engine.Engine."""
    scripts: bool = False
    """Whether the file's Python runs."""
    draft: bool = False
    """Whether a small picture of few samples is to be made first, if the frame is worth it."""
    frames: tuple[int, ...] = ()
    """For the movie: the frames it is made of, with `pictures` beside them."""
    pictures: tuple[Path, ...] = ()
    """For a frame that was split: its parts, the lowest first."""
    parts: int = 0
    """For a part: how many its frame is split in."""
    parts_on_cpu: bool = True
    """For a part: whether splitting gains anything where Cycles renders on the processor."""


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that Blender says it wrote."""

    directory: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Opened:
    """The .blend is open; this is what the scene asks for."""

    engine: str
    movie: bool
    notices: tuple[str, ...]
    device: str
    """What Cycles renders on, as Blender names it: "CPU", "NVIDIA L4 (OPTIX)"; empty: the engine does not say."""
    fps: float
    """Of the scene, frames a second."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the frame is; None where Blender does not say."""

    sample: int | None
    samples: int | None
    tile: int | None
    tiles: int | None
    remaining_s: float | None


@dataclass(frozen=True, slots=True)
class Written:
    """The task is done; its slot is free."""

    seconds: float
    """Of the frame itself."""
    load: float
    """Part of the cores of its machine that it used meanwhile, 0 to 1."""
    draft_s: float | None
    """Of the draft before it; None: there was none."""
    files: tuple[WrittenFile, ...]


@dataclass(frozen=True, slots=True)
class PreviewMade:
    """A small JPEG of a frame; may come after `Written`, when the slot has gone on."""

    path: Path


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """Blender cannot render this, and would not on a second try; its slot is free."""

    reason: str
    fatal: bool
    """Every other frame of the job would fail in the same way."""
    disk_full: bool = False
    """There was no room for what it wrote, and there may be later."""


@dataclass(frozen=True, slots=True)
class NotSplit:
    """The frame of which a part was asked for has to be rendered whole; its slot is free."""

    reason: str
    """For the artist; empty where nobody need know."""


@dataclass(frozen=True, slots=True)
class BlenderDied:
    """Blender ended in the middle of the task; its slot is free."""

    last_words: str
    """The end of what it printed."""
    reason: str = ""
    """Why we ended it, one sentence; empty: it ended by itself."""


@dataclass(frozen=True, slots=True)
class AttemptClosed:
    """Nothing comes into the assignment's folder any more: it may be deleted."""


Event = Opened | Progressed | Written | PreviewMade | NotSplit | TaskFailed | BlenderDied | AttemptClosed
Listener = Callable[[Assignment, Event], None]


class Executor(abc.ABC):
    """Runs tasks. All methods are called from the server's loop, and the listener is called there."""

    @property
    @abc.abstractmethod
    def slots(self) -> int:
        """Tasks that can run at once; slots are numbered from 0. There may be more after `start`."""

    @property
    def cpu_slots(self) -> int:
        """Tasks that run at once on the processor before it is known what is fastest there."""
        return self.slots

    @property
    def has_gpus(self) -> bool:
        """Whether a scene can be rendered on anything but the processor."""
        return False

    def most_slots(self) -> int:
        """Return for how many tasks like those that run now there are slots and memory."""
        return self.slots

    @abc.abstractmethod
    async def start(self, blender: Blender) -> None:
        """Get ready for jobs of which `blender` is likely to be wanted; `run` may be called before and meanwhile."""

    @abc.abstractmethod
    def expect(self) -> None:
        """A job is on its way."""

    @abc.abstractmethod
    async def workers(self) -> list[WorkerStatus]:
        """Say which Blenders there are and what they cost."""

    @abc.abstractmethod
    async def let_go(self) -> None:
        """End what has files open and nothing to do: their room on the disk is free only then."""

    @abc.abstractmethod
    def run(self, slot: int, assignment: Assignment) -> None:
        """Start a task on an idle slot.

        The listener hears how it goes, at the end Written, NotSplit, TaskFailed or BlenderDied; and last of all
        AttemptClosed.
        """

    @abc.abstractmethod
    def stop(self, slot: int) -> None:
        """End what the slot does, now; the listener hears nothing more of its assignment but AttemptClosed."""

    @abc.abstractmethod
    async def close(self) -> None:
        """End everything; returns when nothing runs any more."""

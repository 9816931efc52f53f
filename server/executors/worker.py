# SPDX-License-Identifier: GPL-3.0-or-later
"""One Blender and what is known of it: whether it is ready, what it has open, what it still writes."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..background import Background, in_thread
from ..blenders import Blender
from ..disk import is_full
from .base import Assignment, WrittenFile
from .watch import Watch
from .worker_process import Line, WorkerProcess
from .workplace import Workshop

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that Cycles can render with."""

    id: str
    """As Blender's preferences have it."""
    name: str


@dataclass(frozen=True, slots=True)
class Opening:
    """How a file was opened."""

    blend: Path
    scene: str | None
    """The one that was asked for; None: the active one."""
    engine: str | None
    scripts: bool

    @classmethod
    def of(cls, assignment: Assignment) -> "Opening":
        """Return how it has to be for an assignment."""
        return cls(assignment.blend, assignment.scene, assignment.engine, assignment.scripts)


def _unheard(_: Line) -> None:
    """A spare has nobody to tell."""


class Worker:
    """A running Blender, spare or in a slot. Whoever has it sets `on_line` and `on_exit`."""

    def __init__(self, blender: Blender, gpu: str | None, workshop: Workshop) -> None:
        """Start it in a folder of its own. Raises OSError when that is not possible."""
        self.blender = blender
        self.gpu = gpu
        """Id of the only GPU it renders with; None: all there are."""
        self.on_line: Callable[[Line], None] = _unheard
        self.on_exit: Callable[[], None] = lambda: None
        self.began = time.monotonic()
        self.ready = False
        self.gpus: tuple[Gpu, ...] = ()
        """All of this machine, known when it is ready."""
        self.opened: Opening | None = None
        """What it has open."""
        self.scripted = False
        """Whether a file's Python has run in it: it is never used for another file."""
        self.owner: str | None = None
        """Whose file it has opened: it is never used for anybody else's."""
        self.frames = 0
        """Rendered so far."""
        self.unfinished: list[Assignment] = []
        """What it has been told to do and may still write for, the oldest first."""
        self.warm: set[str] = set()
        """Engines that it has been told to get ready, or has rendered with."""
        self.watch = Watch()
        self.reason = ""
        """Why we ended it, one sentence; empty: we did not."""
        self.is_final = False
        """Whether the frame that it was ended in would end another one, too."""
        self._frame_began: float | None = None
        self._background = Background()
        self._workshop = workshop
        self._place = workshop.new(blender)
        command = workshop.containment.cell(blender).command(self._place.readable, self._place.writable)
        try:
            self._process = WorkerProcess(command, self._place.writable, self._hear, self._ended)
        except OSError:
            self._place.remove()
            raise
        with contextlib.suppress(OSError):  # It is for a start after a kill only; a full disk has its own words.
            self._place.belongs_to(self._process.pid)

    @property
    def pid(self) -> int:
        """Process id of the Blender, or of the program that wraps it."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """Why we ended it, else the end of what Blender printed."""
        return self.reason or self._process.last_words

    @property
    def frame_s(self) -> float:
        """Seconds since it was told to render the frame that it is at; 0: it is at none."""
        return 0.0 if self._frame_began is None else time.monotonic() - self._frame_began

    def slept(self, seconds: float) -> None:
        """The machine has; on Windows the clock went on."""
        if self._frame_began is not None:
            self._frame_began += seconds

    def open(self, assignment: Assignment) -> None:
        """Begin to open the file of an assignment; the event is "opened" or "failed"."""
        assert self.owner in (None, assignment.owner), "another artist's Blender"
        self.opened, self.owner = None, assignment.owner
        self.scripted = self.scripted or assignment.scripts
        command = {
            "command": "open", "path": str(self._place.blend(assignment)), "tree": str(self._place.tree(assignment)),
            "roots": list(assignment.roots), "scene": assignment.scene, "gpu": self.gpu, "scripts": assignment.scripts,
            "engine": assignment.engine,
        }  # fmt: skip
        self._background.start(self._open(assignment, command))

    def render(self, assignment: Assignment) -> None:
        """Begin to render the frame of an assignment whose file is open."""
        task = assignment.task
        self._begin(assignment, {"command": "render", "frame": task.frame, "draft": assignment.draft})

    def render_part(self, assignment: Assignment) -> None:
        """Begin to render part of the frame of an assignment whose file is open."""
        task = assignment.task
        self._begin(
            assignment,
            {
                "command": "part", "frame": task.frame, "part": task.part, "parts": assignment.parts,
                "on_cpu": assignment.parts_on_cpu, "draft": assignment.draft,
            },
        )  # fmt: skip

    def merge(self, assignment: Assignment) -> None:
        """Begin to put a frame together whose parts are rendered."""
        self._begin(assignment, {"command": "merge", "frame": assignment.task.frame})

    def encode(self, assignment: Assignment) -> None:
        """Begin to make a movie; that rearranges the open scene, so the next task must read the file again."""
        self.opened = None
        self._begin(assignment, {"command": "encode", "frames": list(assignment.frames)})

    def take(self, assignment: Assignment, line: Line) -> tuple[WrittenFile, ...]:
        """Bring home what a "written" event tells of. Raises takeover.NotTaken, or OSError."""
        return self._place.take(assignment, line["outputs"])

    def take_preview(self, assignment: Assignment, line: Line) -> Path:
        """Bring home the picture of a "preview" event. Raises takeover.NotTaken, or OSError."""
        return self._place.take_preview(assignment, line["path"])

    def finished(self) -> Assignment:
        """The oldest thing it was told to do is done with: forget it, and what it wrote for it."""
        assignment = self.unfinished.pop(0)
        self._place.end(assignment)
        return assignment

    def bytes_written(self) -> int:
        """Return what it has on the disk, in a folder that only it writes to."""
        return self._place.bytes_written()

    def warm_up(self, engine: str) -> None:
        """Get an engine ready; commands that come meanwhile wait."""
        self.warm.add(engine)
        self._process.send({"command": "warm", "engine": engine, "gpu": self.gpu})

    def log_to(self, path: Path) -> None:
        """From now on append Blender's own words to `path`."""
        self._process.log_to(path)

    def retire(self) -> None:
        """Let it end by itself after what it has been told to do."""
        self._process.send({"command": "quit"})

    def kill(self) -> None:
        """End it and all its children now; no line comes any more, and on_exit when it is gone."""
        self._process.kill()

    def put_down(self, reason: str, is_final: bool = False, deaf: bool = False) -> None:
        """End it for a reason that counts as its last words: to its slot it is as if it had died.

        `is_final`: another one would come to the same end. `deaf`: nothing that it has said already is heard.
        """
        log.warning("Blender %d: %s", self.pid, reason)
        self.reason, self.is_final = reason, is_final
        self._process.kill(deaf)

    async def wait(self) -> None:
        """Return when it has ended, its output is read and its folder gone."""
        await self._process.wait()
        await self._background.close()
        await asyncio.to_thread(self._place.remove)

    def _begin(self, assignment: Assignment, command: Line) -> None:
        self.unfinished.append(assignment)
        if assignment.task.frame is not None:
            self._frame_began = time.monotonic()
        if assignment.pictures:
            self._background.start(self._begin_with_pictures(assignment, command))
        else:
            self._begin_now(assignment, command)

    def _begin_now(self, assignment: Assignment, command: Line) -> None:
        try:
            folder = self._place.begin(assignment)
        except OSError as error:
            self._process.pretend(_refusal(error), {"event": "closed"})
        else:
            self._process.send({**command, "folder": str(folder)})

    async def _begin_with_pictures(self, assignment: Assignment, command: Line) -> None:
        try:
            pictures = await in_thread(self._place.lay_out_pictures, assignment)
        except OSError as error:
            self._process.pretend(_refusal(error), {"event": "closed"})
        else:
            self._begin_now(assignment, {**command, "pictures": pictures})

    async def _open(self, assignment: Assignment, command: Line) -> None:
        try:
            await in_thread(self._place.lay_out, assignment)
        except OSError as error:
            self._process.pretend(_refusal(error))
        else:
            self._process.send(command)

    async def _keep_cache(self) -> None:
        await in_thread(self._workshop.keep_cache, self.blender, self._place, lambda: self.owner is None)

    def _ended(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self._place.remove)
        self.on_exit()

    def _hear(self, line: Line) -> None:
        self.watch.heard()
        match line.get("event"):
            case "alive":
                return
            case "ready":
                self.ready = True
                self.gpus = _gpus(line["devices"])
            case "warm":
                self._background.start(self._keep_cache())
            case "written":
                self.frames += 1
                self._frame_began = None
            case "failed" | "whole":
                self._frame_began = None
        self.on_line(line)


def _gpus(devices: Sequence[dict[str, str]]) -> tuple[Gpu, ...]:
    return tuple(Gpu(device["id"], f"{device['name']} ({device['type']})") for device in devices)


def _refusal(error: OSError) -> Line:
    """What Blender would say, had it been asked: the files could not be put in place for it."""
    if is_full(error):
        return {"event": "failed", "fatal": True, "reason": "The node's disk is full: make room there and press Retry."}
    reason = f"The node could not give Blender its files: {error.strerror}."
    return {"event": "failed", "fatal": True, "reason": reason}

# SPDX-License-Identifier: GPL-3.0-or-later
"""One Blender and what is known of it: whether it is ready, what it has open, what it still writes."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..blenders import Blender
from .base import Assignment
from .watch import Watch
from .worker_process import Line, WorkerProcess

log = logging.getLogger(__name__)

WORKER_SCRIPT = Path(__file__).parents[1] / "blender_scripts" / "worker.py"


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics processor that Cycles can render with."""

    id: str
    """As Blender's preferences have it."""
    name: str


def _unheard(_: Line) -> None:
    """A spare has nobody to tell."""


class Worker:
    """A running Blender, spare or in a slot. Whoever has it sets `on_line` and `on_exit`."""

    def __init__(self, blender: Blender, gpu: str | None) -> None:
        """Start it. Raises OSError when that is not possible."""
        self.blender = blender
        self.gpu = gpu
        """Id of the only GPU it renders with; None: all there are."""
        self.on_line: Callable[[Line], None] = _unheard
        self.on_exit: Callable[[], None] = lambda: None
        self.began = time.monotonic()
        self.ready = False
        self.gpus: tuple[Gpu, ...] = ()
        """All of this machine, known when it is ready."""
        self.opened: tuple[Path, str | None] | None = None
        """The .blend that it has open, and which scene was asked for."""
        self.frames = 0
        """Rendered so far."""
        self.unfinished: list[Assignment] = []
        """What it has been told to do and may still write for, the oldest first."""
        self.warm: set[str] = set()
        """Engines that it has been told to get ready, or has rendered with."""
        self.watch = Watch()
        self._reason = ""
        command = [*blender.command, str(WORKER_SCRIPT)]
        self._process = WorkerProcess(command, self._hear, self._ended)

    @property
    def pid(self) -> int:
        """Process id of the Blender, or of the program that wraps it."""
        return self._process.pid

    @property
    def last_words(self) -> str:
        """Why we ended it, else the end of what Blender printed."""
        return self._reason or self._process.last_words

    def open(self, assignment: Assignment) -> None:
        """Begin to open the file of an assignment; the event is "opened" or "failed"."""
        self.opened = None
        self._process.send({
            "command": "open", "path": str(assignment.blend), "tree": str(assignment.tree),
            "roots": list(assignment.roots), "scene": assignment.scene, "gpu": self.gpu,
        })  # fmt: skip

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
        pictures = [str(path) for path in assignment.pictures]
        self._begin(assignment, {"command": "merge", "frame": assignment.task.frame, "pictures": pictures})

    def encode(self, assignment: Assignment) -> None:
        """Begin to make a movie; that rearranges the open scene, so the next task must read the file again."""
        self.opened = None
        pictures = [str(path) for path in assignment.pictures]
        self._begin(assignment, {"command": "encode", "frames": list(assignment.frames), "pictures": pictures})

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

    def put_down(self, reason: str) -> None:
        """End it for a reason that counts as its last words: to its slot it is as if it had died."""
        log.warning("Blender %d: %s", self.pid, reason)
        self._reason = reason
        self._process.kill(deaf=False)

    async def wait(self) -> None:
        """Return when it has ended and its output is read."""
        await self._process.wait()

    def _begin(self, assignment: Assignment, command: Line) -> None:
        self.unfinished.append(assignment)
        self._process.send({**command, "folder": str(assignment.folder)})

    def _ended(self) -> None:
        self.on_exit()

    def _hear(self, line: Line) -> None:
        self.watch.heard()
        match line.get("event"):
            case "alive":
                return
            case "ready":
                self.ready = True
                self.gpus = _gpus(line["devices"])
            case "written":
                self.frames += 1
        self.on_line(line)


def _gpus(devices: Sequence[dict[str, str]]) -> tuple[Gpu, ...]:
    return tuple(Gpu(device["id"], f"{device['name']} ({device['type']})") for device in devices)

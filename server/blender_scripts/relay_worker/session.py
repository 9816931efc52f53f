# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands do. One file is open at a time, and every frame finds it as it was opened."""

import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import devices
from .blocked import blocked_scripts
from .draft import make_draft, worth_a_draft
from .failures import Failure, RenderWhole
from .frame import render_frame
from .lines import Lines
from .movie import encode, missing_sound, render_pictures
from .outputs import OWN
from .parts import check_splittable, merge_parts, render_part
from .persistence import Persistence
from .preview import make_preview
from .progress import NOTHING, Progress, parse_stats
from .scene_file import missing_files, open_scene
from .warming import warm

PROGRESS_INTERVAL_S = 0.1
"""Between two "progress" events: nobody sees more."""


class Session:
    """Carries out commands and tells the parent how it goes."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._opened: tuple[str, str | None, str, list[str], bool, str | None] | None = None
        self._encoding: bool | None = None
        self._device = ""
        self._frame: int | None = None
        self._drafting = False
        self._persistence = Persistence()
        self._told = 0.0  # seconds on the monotonic clock; 0: nothing yet of this command
        bpy.app.handlers.render_stats.append(persistent(lambda text, _: self._tell_progress(text)))
        bpy.app.handlers.render_write.append(persistent(lambda scene, _: self._tell_encoded(scene)))

    def ready(self) -> None:
        """Say that commands may come."""
        version = ".".join(map(str, bpy.app.version))
        self._lines.emit("ready", version=version, pid=os.getpid(), devices=devices.gpus())

    def handle(self, command: dict[str, Any]) -> None:
        """Carry out one command. What an artist can do something about is told; anything else ends the worker."""
        self._frame, self._told = command.get("frame"), 0.0
        with self._lines.about(self._frame):
            self._carry_out(command)
        if "folder" in command:  # From here on the parent may do with it as it likes.
            self._lines.emit("closed", frame=self._frame)

    def _carry_out(self, command: dict[str, Any]) -> None:
        try:
            match command["command"]:
                case "open":
                    self._open(**{name: value for name, value in command.items() if name != "command"})
                case "render":
                    self._render(command["frame"], Path(command["folder"]), command["draft"])
                case "part":
                    self._check_splittable(command["parts"], command["on_cpu"])
                    self._render_part(
                        command["frame"], command["part"], command["parts"], Path(command["folder"]), command["draft"]
                    )
                case "merge":
                    self._render(command["frame"], Path(command["folder"]), False, list(map(Path, command["pictures"])))
                case "encode":
                    self._encode(command["frames"], command["pictures"], Path(command["folder"]))
                case "warm":
                    warm(command["engine"], command["gpu"])
                    self._lines.emit("warm", engine=command["engine"])
                case unknown:
                    raise ValueError(f"no such command: {unknown}")
        except Failure as failure:
            self._lines.emit(
                "failed", frame=self._frame, fatal=failure.fatal, disk_full=failure.disk_full, reason=str(failure)
            )
        except RenderWhole as reason:
            self._lines.emit("whole", frame=self._frame, reason=str(reason))

    def _open(
        self,
        path: str,
        scene: str | None,
        tree: str,
        roots: list[str],
        gpu: str | None,
        scripts: bool,
        engine: str | None,
    ) -> None:
        self._opened = self._encoding = None
        opened = open_scene(path, scene, tree, roots, scripts, engine)
        self._device, notice = devices.prepare(opened, gpu)
        blocked = None if scripts else blocked_scripts()
        self._opened = path, scene, tree, roots, scripts, engine
        self._tell_opened(opened, [notice, missing_files(), missing_sound(opened), blocked])

    def _tell_opened(self, scene: bpy.types.Scene, notices: Sequence[str | None]) -> None:
        self._lines.emit(
            "opened",
            scene=scene.name,
            engine=scene.render.engine,
            movie=scene.render.is_movie_format,
            fps=scene.render.fps / scene.render.fps_base,
            frame_start=scene.frame_start,
            frame_end=scene.frame_end,
            frame_step=scene.frame_step,
            frame_current=scene.frame_current,
            device=self._device,
            notices=[text for text in notices if text],
        )

    def _render(self, frame: int, folder: Path, draft: bool, parts: Sequence[Path] = ()) -> None:
        scene = self._scene(encoding=False)
        draft_s = self._draft(scene, frame, folder / "draft") if draft and worth_a_draft(scene) else None
        self._lines.emit("started", frame=frame)
        began = _Clocks()
        with self._persistence.frame(scene):
            outputs = merge_parts(scene, frame, parts, folder) if parts else render_frame(scene, frame, folder)
        took = began.passed()
        picture = next((Path(output["path"]) for output in outputs if output["directory"] == OWN), None)
        self._lines.emit("written", frame=frame, **took, draft_s=draft_s, outputs=outputs)
        if picture and (size := make_preview(picture, scene, preview := folder / "preview.jpg")):
            self._lines.emit("preview", frame=frame, path=str(preview), width=size[0], height=size[1])

    def _check_splittable(self, count: int, on_cpu: bool) -> None:
        """Raise RenderWhole. `on_cpu`: whether parts gain anything where Cycles renders on the processor."""
        check_splittable(self._scene(encoding=False), count)
        if self._device == devices.CPU and not on_cpu:
            raise RenderWhole("")

    def _render_part(self, frame: int, number: int, count: int, folder: Path, draft: bool) -> None:
        scene = self._scene(encoding=False)
        draft_s = self._draft(scene, frame, folder / "draft") if draft else None
        self._lines.emit("started", frame=frame)
        self._persistence.keep(scene)  # Each part after the first finds the scene prepared.
        began = _Clocks()
        outputs = render_part(scene, frame, number, count, folder)
        self._lines.emit("written", frame=frame, **began.passed(), draft_s=draft_s, outputs=outputs)

    def _draft(self, scene: bpy.types.Scene, frame: int, folder: Path) -> float:
        """Show the frame before it is rendered; return the seconds that this took."""
        began = time.monotonic()
        self._persistence.keep(scene)  # What is prepared for the draft is prepared for the frame.
        folder.mkdir()
        self._drafting = True
        try:
            size = make_draft(scene, frame, folder, preview := folder.with_suffix(".jpg"))
        finally:
            self._drafting = False
        if size is not None:
            self._lines.emit("preview", frame=frame, path=str(preview), width=size[0], height=size[1])
        return round(time.monotonic() - began, 4)

    def _encode(self, frames: list[int], pictures: list[str], folder: Path) -> None:
        self._lines.emit("started", frame=None)
        scene = self._scene(encoding=True)
        began = _Clocks()
        outputs = encode(scene, frames, [Path(picture) for picture in pictures], folder)
        self._lines.emit("written", frame=None, **began.passed(), draft_s=None, outputs=outputs)

    def _scene(self, encoding: bool) -> bpy.types.Scene:
        """The scene to render; a movie's frames and its encoding each change the file for themselves."""
        if self._opened is None:
            raise Failure("No file is open in the node's Blender: retry the failed frames.")
        if self._encoding not in (None, encoding):
            open_scene(*self._opened)
            self._encoding = None
        scene = bpy.context.window.scene
        if scene.render.is_movie_format:
            self._encoding = encoding
            if not encoding:
                render_pictures(scene)
        return scene

    def _tell_progress(self, text: str) -> None:
        progress = parse_stats(text)
        if self._drafting or not progress.counts:
            return
        self._persistence.sampling()
        if progress.sample or not self._told:  # Between tiles, too, Cycles says sample 0.
            self._tell(self._frame, progress)

    def _tell_encoded(self, scene: bpy.types.Scene) -> None:
        if self._encoding:
            self._tell(scene.frame_current, NOTHING)

    def _tell(self, frame: int | None, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= PROGRESS_INTERVAL_S:
            self._told = now
            self._lines.emit("progress", frame=frame, **asdict(progress))


class _Clocks:
    """Seconds from now on: of time, and of computing, all threads of this Blender together."""

    def __init__(self) -> None:
        self._time, self._cpu = time.monotonic(), time.process_time()

    def passed(self) -> dict[str, float]:
        return {
            "seconds": round(time.monotonic() - self._time, 4),
            "cpu_s": round(time.process_time() - self._cpu, 4),
        }

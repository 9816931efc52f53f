# SPDX-License-Identifier: GPL-3.0-or-later
"""What the commands do. One file is open at a time, and every frame finds it as it was opened."""

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from . import devices
from .failures import Failure
from .frame import render_frame
from .lines import Lines
from .outputs import OWN
from .preview import keep, make_preview
from .progress import parse_stats
from .scene_file import missing_files, open_scene

PROGRESS_INTERVAL_S = 0.1
"""Between two "progress" events: nobody sees more."""


class Session:
    """Carries out commands and tells the parent how it goes."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._scene_name: str | None = None
        self._frame: int | None = None
        self._told = 0.0
        bpy.app.handlers.render_stats.append(persistent(lambda text, _: self._tell_progress(text)))

    def ready(self) -> None:
        """Say that commands may come."""
        version = ".".join(map(str, bpy.app.version))
        self._lines.emit("ready", version=version, pid=os.getpid(), devices=devices.gpus())

    def handle(self, command: dict[str, Any]) -> None:
        """Carry out one command. What an artist can do something about is told; anything else ends the worker."""
        self._frame = command.get("frame")
        try:
            match command["command"]:
                case "open":
                    self._open(command["path"], command["scene"])
                case "render":
                    self._render(command["frame"], Path(command["folder"]))
                case unknown:
                    raise ValueError(f"no such command: {unknown}")
        except Failure as failure:
            self._lines.emit("failed", frame=self._frame, fatal=failure.fatal, reason=str(failure))

    def _open(self, path: str, name: str | None) -> None:
        self._scene_name = None
        scene = open_scene(path, name)
        device, notice = devices.prepare(scene)
        self._scene_name = scene.name
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
            device=device,
            notices=[text for text in (notice, missing_files()) if text],
        )

    def _render(self, frame: int, folder: Path) -> None:
        scene = self._scene()
        self._lines.emit("started", frame=frame)
        began = time.monotonic()
        outputs = render_frame(scene, frame, folder)
        seconds = time.monotonic() - began
        picture = next((Path(output["path"]) for output in outputs if output["directory"] == OWN), None)
        kept = picture and keep(picture, folder)
        self._lines.emit("written", frame=frame, seconds=round(seconds, 4), outputs=outputs)
        if kept:
            self._preview(kept, frame, folder / "preview.jpg")

    def _preview(self, picture: Path, frame: int, target: Path) -> None:
        size = make_preview(picture, self._scene(), target)
        picture.unlink()
        if size:
            self._lines.emit("preview", frame=frame, path=str(target), width=size[0], height=size[1])

    def _scene(self) -> bpy.types.Scene:
        if self._scene_name is None:
            raise Failure("No file is open: the node asked in the wrong order, start it again.", fatal=True)
        return bpy.data.scenes[self._scene_name, None]

    def _tell_progress(self, text: str) -> None:
        progress = parse_stats(text)
        now = time.monotonic()
        if progress.counts and now - self._told >= PROGRESS_INTERVAL_S:
            self._told = now
            self._lines.emit("progress", frame=self._frame, **asdict(progress))

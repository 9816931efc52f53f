# SPDX-License-Identifier: GPL-3.0-or-later
"""An artist at work without a window: a Blender that lives through many saves (big_scene.py), and what it saved."""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from server.blenders import Blender

from .memory import memory_bytes, why_no_memory

BUILD_BYTES = 4 * 10**9
"""Address space of the Blender that builds and edits: the bench has to run on an ordinary machine."""

SCRIPT = Path(__file__).with_name("big_scene.py")
ANSWER = "big-scene: "
"""As big_scene.py has it, which can be imported in Blender only."""

EDITS = {
    "nothing": "nothing changed",
    "move": "an object moved",
    "colour": "a material's colour",
    "sculpt": "1% of vertices sculpted",
    "add": "an object added",
    "delete": "an object deleted",
    "repaint": "a packed image repainted",
    "reopen": "a new process",
}
"""What is done between two saves, in this order; in words."""

FORMATS = {"uncompressed": False, "compressed": True}


@dataclass(frozen=True)
class Size:
    """Of a scene; the arguments of big_scene.build."""

    side: int
    """The two largest meshes have side x side vertices."""
    props: int
    """Small objects, each with a mesh of its own."""
    prop: tuple[int, int]
    """Vertices along and across a small one."""
    keys: int
    textures: int
    texture_side: int
    """Pixels; a texture has 3 * texture_side ** 2 bytes."""


FULL = Size(side=1000, props=2496, prop=(20, 16), keys=1, textures=14, texture_side=1040)
"""2.8 M vertices in 2,500 objects (a camera and a lamp are two of them) and 45 MB of PNGs: about 350 MB."""

QUICK = Size(side=100, props=30, prop=(20, 16), keys=2, textures=3, texture_side=128)
"""Everything in it, 3 MB: to see that the bench works."""


TINY = Size(side=20, props=12, prop=(4, 4), keys=0, textures=3, texture_side=16)
"""For what does not depend on the scene: little to open, nothing to render."""


class Studio:
    """A Blender that does one step after the other."""

    def __init__(self, blender: Blender) -> None:
        self._process = subprocess.Popen(
            [*blender.command, os.fspath(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        _limit_memory(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        if kind is not None:
            self._process.kill()
        self._process.communicate()

    def do(self, step: str, **arguments: Any) -> dict[str, Any]:
        """Have one of big_scene.STEPS done; return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": step, **arguments}) + "\n")
        self._process.stdin.flush()
        said = []
        for line in self._process.stdout:
            if line.startswith(ANSWER):
                answer: dict[str, Any] = json.loads(line.removeprefix(ANSWER))
                return answer
            said.append(line)
        raise RuntimeError(f"Blender ended at {step!r} with {self._process.wait()}:\n{''.join(said[-30:])}")

    def peak_bytes(self) -> int:
        """Memory that this Blender had at its largest."""
        return memory_bytes(self._process.pid, "VmHWM")


@dataclass(frozen=True)
class Saves:
    """The files of one artist's session, as Blender left them."""

    files: dict[str, dict[str, Path]]
    """By format and edit; "first" is what all edits begin with."""
    census: dict[str, int]
    """What big_scene.census counted."""
    build_s: float
    build_peak_bytes: int
    """0 where memory cannot be measured."""

    def name(self) -> str:
        """Return the scene in words."""
        million, packed = self.census["vertices"] / 1e6, self.census["packed_bytes"] / 1e6
        objects, size = self.census["objects"], self.files["uncompressed"]["first"].stat().st_size / 1e6
        return f"{size:.0f} MB, {million:.2f} M vertices, {objects} objects, {packed:.0f} MB of packed PNGs"


def work(blender: Blender, folder: Path, size: Size) -> Saves:
    """Build the scene, open it in a second Blender, edit and save it there, and save it once more in a third.

    Every save goes to the same place, as an artist's do, and is kept under another name beside it: Blender replaces the
    file and leaves the older one alone.
    """
    began = time.perf_counter()
    with Studio(blender) as studio:
        census = studio.do("build", **asdict(size))
        _save(studio, folder)
        build_s = time.perf_counter() - began
        peak_bytes = 0 if why_no_memory() else studio.peak_bytes()
    files: dict[str, dict[str, Path]] = {kind: {} for kind in FORMATS}
    with Studio(blender) as studio:
        studio.do("open", path=_shot(folder, "uncompressed"))
        _keep(_save(studio, folder), "first", files)
        for edit in EDITS:
            if edit != "reopen":
                studio.do("edit", name=edit)
                _keep(_save(studio, folder), edit, files)
    with Studio(blender) as studio:
        studio.do("open", path=_shot(folder, "uncompressed"))
        _keep(_save(studio, folder), "reopen", files)
    return Saves(files, census, build_s, peak_bytes)


def _save(studio: Studio, folder: Path) -> dict[str, Path]:
    for kind, compress in FORMATS.items():
        Path(_shot(folder, kind)).parent.mkdir(parents=True, exist_ok=True)
        studio.do("save", path=_shot(folder, kind), compress=compress)
    return {kind: Path(_shot(folder, kind)) for kind in FORMATS}


def _shot(folder: Path, kind: str) -> str:
    return os.fspath(folder / kind / "shot.blend")


def _keep(saved: Mapping[str, Path], name: str, files: Mapping[str, dict[str, Path]]) -> None:
    for kind, path in saved.items():
        files[kind][name] = path.with_name(f"{name}.blend")
        os.link(path, files[kind][name])


def _limit_memory(pid: int) -> None:
    """Where the system can; it is a promise of the bench, and no measure depends on it."""
    if hasattr(psutil, "RLIMIT_AS"):
        psutil.Process(pid).rlimit(psutil.RLIMIT_AS, (BUILD_BYTES, BUILD_BYTES))

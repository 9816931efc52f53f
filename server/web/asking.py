# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a .blend that came with a browser: a Blender is asked, within the same walls as those that render."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import addon
from addon.client.gather import Dependency
from addon.protocol import blendfile
from addon.protocol.codec import build
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages.checks import as_line

from ..background import in_thread
from ..blenders import Blender, NoBlender, choose_blender
from ..errors import ServerError
from ..executors.family import kill_tree
from ..sandbox import Containment, make_folders

PATIENCE_S = 120.0
"""A Blender that has not answered by then is ended: to open a scene of gigabytes takes a minute from a slow disk."""

ROOT = "/relay-upload/1/2/3/4/5/6/7/8"
"""What the folder of an upload is called, for paths that lead out of it: as the artist's folder is called is not known.
So deep that "//../../textures" stays below the first of it.
"""

_PACKAGE = Path(addon.__file__).parent
SCRIPT = _PACKAGE / "blender" / "describe.py"


@dataclass(frozen=True, slots=True)
class SceneInfo:
    """One scene, as Blender has it; frames per second, pixels."""

    name: str
    active: bool
    frame_start: int
    frame_end: int
    frame_step: int
    frame_current: int
    fps: float
    engine: str
    width: int
    height: int
    samples: int | None
    camera: bool
    format: str
    is_movie: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a .blend."""

    version: str
    scenes: tuple[SceneInfo, ...]
    files: tuple[Dependency, ...]
    """What it uses; their paths as they would be if the upload's folder were ROOT."""


class CannotTell(ServerError):
    """No Blender could say what is in this file."""


class Asker:
    """Asks one file at a time: each holds its scene in memory."""

    def __init__(self, containment: Containment, blenders: Sequence[Blender], folder: Path) -> None:
        """`folder`: for what the Blenders that are asked get to see; it is emptied."""
        self._containment = containment
        self._blenders = blenders
        self._folder = folder
        self._turn = asyncio.Lock()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    async def ask(self, files: Path, blend: str) -> Contents:
        """Return what is in `blend`, one of the files below `files`. Raises CannotTell."""
        async with self._turn:
            asking = _Asking()
            try:
                return await in_thread(self._ask, files, blend, asking)
            except asyncio.CancelledError:
                asking.end()
                raise

    def _ask(self, files: Path, blend: str, asking: "_Asking") -> Contents:
        try:
            with (files / blend).open("rb") as file:
                version = blendfile.read_header(file.read(blendfile.HEAD_BYTES)).version
            blender = choose_blender(version, self._blenders)
        except (NoBlender, blendfile.NotABlend) as error:
            raise CannotTell(str(error)) from None
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            readable, writable = make_folders(Path(folder))
            inside = readable / ROOT.lstrip("/")
            _mirror(files, inside)
            answer = writable / "answer.json"
            cell = self._containment.cell(blender)
            argv = (*cell.argv, str(SCRIPT), "--", str(inside / blend), str(answer), str(_PACKAGE.parent))
            command = cell.sandbox.wrap(argv, (*cell.shown, _PACKAGE), readable, writable)
            asking.run(command.argv, command.environment, writable)
            return _contents(answer, str(readable), str(inside))


class _Asking:
    """One Blender that can be ended from another thread."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, argv: Sequence[str], environment: dict[str, str], folder: Path) -> None:
        """Return when it has ended. Raises CannotTell."""
        try:
            self._process = subprocess.Popen(
                argv, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, start_new_session=os.name == "posix",
            )  # fmt: skip
        except OSError as error:
            raise CannotTell(f"Blender could not be started: {error.strerror}.") from None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE_S)
        self.end()

    def end(self) -> None:
        """End it, if it has not by itself."""
        if self._process is not None and self._process.poll() is None:
            kill_tree(self._process.pid)
            self._process.wait()


def _contents(answer: Path, prefix: str, folder: str) -> Contents:
    """What a Blender has written, which a file may have got hold of."""
    try:
        with answer.open("rb") as file:
            said = json.loads(file.read(_MOST_BYTES))
        if "error" in said:
            words = as_line(" ".join(str(said["error"]).replace(f"{folder}/", "").split()))[:300].rstrip(".")
            raise CannotTell(f"Blender cannot open it: {words}.")
        scenes = tuple(build(SceneInfo, each) for each in said["scenes"])
        files = tuple(build(Dependency, {**each, "path": _outside(each["path"], prefix)}) for each in said["files"])
        return Contents(str(said["version"]), scenes, files)
    except (OSError, ValueError, LookupError, TypeError, RemoteProtocolError, RecursionError):
        raise CannotTell("Blender ended while it opened this file: is it whole?") from None


_MOST_BYTES = 64 << 20


def _outside(path: str, prefix: str) -> str:
    """A path as it would be if the upload's folder were ROOT. Backslashes are Windows' slashes on every system."""
    path = path.replace("\\", "/")
    return path.removeprefix(prefix.replace("\\", "/"))


def _mirror(files: Path, inside: Path) -> None:
    for folder, _, names in os.walk(files):
        here = inside / Path(folder).relative_to(files)
        here.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                os.link(Path(folder, name), here / name)
            except OSError:
                shutil.copyfile(Path(folder, name), here / name)

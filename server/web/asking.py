# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a .blend that came with a browser: a Blender is asked, within the same walls as those that render."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import addon
from addon.client.contents import Contents, contents
from addon.protocol import blendfile
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages.checks import as_line

from ..background import in_thread
from ..blenders import Blender, NoBlender, choose_blender
from ..errors import ServerError
from ..executors import takeover
from ..program import Program
from ..sandbox import Containment, make_folders

PATIENCE_S = 120.0
"""A Blender that has not answered by then is ended: to open a scene of gigabytes takes a minute from a slow disk."""

ROOT = "/relay-upload/1/2/3/4/5/6/7/8"
"""What the folder of an upload is called, for paths that lead out of it: as the artist's folder is called is not known.
So deep that "//../../textures" stays below the first of it.
"""

_PACKAGE = Path(addon.__file__).parent
SCRIPT = _PACKAGE / "blender" / "describe.py"


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
        self._program = Program()
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    def close(self) -> None:
        """End the Blender that is being asked; nobody is asked any more."""
        self._program.end()

    async def ask(self, files: Path, blend: str) -> Contents:
        """Return what is in `blend`, one of the files below `files`. Raises CannotTell."""
        async with self._turn:
            return await in_thread(self._ask, files, blend)

    def _ask(self, files: Path, blend: str) -> Contents:
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
            argv = (*cell.argv, str(SCRIPT), "--", str(inside / blend), str(answer))
            command = cell.sandbox.wrap(argv, (*cell.shown, _PACKAGE), readable, writable)
            try:
                self._program.run(command, writable, PATIENCE_S)
            except OSError as error:
                raise CannotTell(f"Blender could not be started: {error.strerror}.") from None
            return _contents(answer, writable, str(readable), str(inside))


def _contents(answer: Path, writable: Path, prefix: str, folder: str) -> Contents:
    """What a Blender has written, which a file may have got hold of."""
    try:
        said = json.loads(takeover.take_bytes(str(answer), writable, _MOST_BYTES))
        if "error" in said:
            words = as_line(" ".join(str(said["error"]).replace(f"{folder}/", "").split()))[:300].rstrip(".")
            raise CannotTell(f"Blender cannot open it: {words}.")
        files = [{**each, "path": _outside(each["path"], prefix)} for each in said["files"]]
        return contents({**said, "files": files})
    except (takeover.NotTaken, OSError, ValueError, LookupError, TypeError, RemoteProtocolError, RecursionError):
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

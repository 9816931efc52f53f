# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one Blender: what it reads, where it writes, and nothing of anybody else's.

- workers/<id>/in/<job>/...: the files of the job it has open, hard links into the store; read-only in a sandbox
- workers/<id>/out/scene/<job>/<root>/<name>: the artist's folders, with links to these files. Blender opens the .blend
  here: what a simulation puts beside it, it can write, and the store's own files it cannot
- workers/<id>/out/<attempt>/: where one attempt writes
- workers/<id>/out/home, out/tmp: what programs expect
- caches/<version>: what graphics drivers compiled for a Blender that had opened nobody's file yet

It is made before the Blender starts, since walls are put up once, and a spare starts before its job is known.
"""

import contextlib
import logging
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from addon.protocol.limits import PREVIEW_BYTES

from ..blenders import Blender
from ..sandbox import Containment, make_folders
from . import takeover
from .base import Assignment, WrittenFile
from .family import end_noted, note

log = logging.getLogger(__name__)

CACHE_BYTES = 256 << 20
"""Of one version's kept cache; copying it is part of every start."""

_RECORD = "process"

_SUFFIX = re.compile(r"\.\w{1,16}\Z")


class Workshop:
    """Where all Blenders of a node have their folders, and which of them have walls."""

    def __init__(self, root: Path, containment: Containment | None = None) -> None:
        """End Blenders of a former run that are still there, and delete what they left in `root`.

        No other node uses it. Where the system does not end them with a node that is killed, on macOS, one that is in
        the middle of a long call may still be there.
        """
        self.containment = containment or Containment()
        self._root = root
        for record in root.glob(f"*/{_RECORD}"):
            end_noted(record)
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True, exist_ok=True)

    def new(self, blender: Blender) -> "Workplace":
        """Make the folder of one. Raises OSError."""
        place = Workplace(self._root / secrets.token_hex(8))
        if self._has_walls(blender) and (cache := self._cache(blender)).is_dir():
            with contextlib.suppress(OSError):  # It is compiled anew.
                shutil.copytree(cache, place.cache)
        return place

    def keep_cache(self, blender: Blender, place: "Workplace", is_clean: Callable[[], bool]) -> None:
        """Give what drivers compiled for a Blender to those that start later: 10 s and more for EEVEE's shaders.

        A file must not: compiled code is run. So Blenders share no cache, and `is_clean` says after the copying whether
        this one has opened none yet. Without walls all have the account's own. Call it in a thread.
        """
        if not self._has_walls(blender) or not place.cache.is_dir():
            return
        fresh = self._root / f"cache-{secrets.token_hex(8)}"
        try:
            shutil.copytree(place.cache, fresh, symlinks=True)
            if is_clean() and _allocated(fresh) <= CACHE_BYTES:
                shutil.rmtree(self._cache(blender), ignore_errors=True)
                self._cache(blender).parent.mkdir(exist_ok=True)
                fresh.rename(self._cache(blender))
        except (OSError, shutil.Error) as error:
            log.debug("no cache is kept: %s", error)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _has_walls(self, blender: Blender) -> bool:
        return self.containment.cell(blender).sandbox.is_active

    def _cache(self, blender: Blender) -> Path:
        return self._root.parent / "caches" / blender.name


class Workplace:
    """One Blender's folder. What takes long may be called in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.readable, self.writable = make_folders(folder)
        self.cache = self.writable / "home" / ".cache"
        self._attempts: dict[int, Path] = {}
        """Where Blender writes, by the id of the assignment: a second one for the same folder may begin meanwhile."""
        self._lock = threading.Lock()
        self._gone = False

    def belongs_to(self, pid: int) -> None:
        """It is this process that works here. Raises OSError."""
        note(pid, self._folder / _RECORD)

    # What Blender gets

    def tree(self, assignment: Assignment) -> Path:
        """What Blender knows the mirror of the artist's folders by."""
        return self.writable / "scene" / assignment.task.job

    def blend(self, assignment: Assignment) -> Path:
        """What it knows the .blend by."""
        return self.tree(assignment) / assignment.blend.relative_to(assignment.tree)

    def lay_out(self, assignment: Assignment) -> None:
        """Put a job's files in place, and take away those of the job before. Raises OSError."""
        with self._lock:
            if self._gone:
                return
            _clear(self.readable)
            shutil.rmtree(self.writable / "scene", ignore_errors=True)
            here = self.readable / assignment.task.job
            _mirror(assignment.tree, here / "source", self.tree(assignment))

    def lay_out_pictures(self, assignment: Assignment) -> list[str]:
        """Put the pictures in place that an assignment is made of; returns what Blender knows them by. OSError."""
        here = self.readable / assignment.task.job / "pictures"
        with self._lock:
            shutil.rmtree(here, ignore_errors=True)
            if self._gone or not assignment.pictures:
                return []
            here.mkdir(parents=True, exist_ok=True)
            places = [here / picture.name for picture in assignment.pictures]
            for picture, place in zip(assignment.pictures, places, strict=True):
                _link_or_copy(picture, place)
            return [str(place) for place in places]

    # What comes from Blender

    def begin(self, assignment: Assignment) -> Path:
        """Return a new folder for Blender to write in. Its name cannot be foreseen inside. Raises OSError."""
        place = Path(tempfile.mkdtemp(dir=self.writable, prefix=f"{assignment.task.position}-"))
        self._attempts[id(assignment)] = place
        return place

    def take(self, assignment: Assignment, outputs: Iterable[dict[str, str]]) -> tuple[WrittenFile, ...]:
        """Bring what Blender says it wrote into the assignment's own folder; it may read on what it has.

        Raises takeover.NotTaken, or OSError.
        """
        taken = []
        for number, output in enumerate(outputs):
            name = str(output["name"])
            suffix = _SUFFIX.search(name)
            target = assignment.folder / f"{number}{suffix[0] if suffix else ''}"
            takeover.take(str(output["path"]), self._attempts[id(assignment)], target)
            taken.append(WrittenFile(str(output["directory"]), name, target))
        return tuple(taken)

    def take_preview(self, assignment: Assignment, path: str) -> Path:
        """Bring a preview into the assignment's own folder. Raises takeover.NotTaken, or OSError."""
        target = assignment.folder / "preview.jpg"
        target.write_bytes(takeover.take_bytes(path, self._attempts[id(assignment)], PREVIEW_BYTES))
        return target

    def end(self, assignment: Assignment) -> None:
        """Blender has finished with an attempt: drop what it wrote."""
        if place := self._attempts.pop(id(assignment), None):
            shutil.rmtree(place, ignore_errors=True)

    def bytes_written(self) -> int:
        """Return what the folder that Blender writes in takes on the disk."""
        return _allocated(self.writable)

    def remove(self) -> None:
        """Delete all of it, once Blender has ended."""
        with self._lock:
            self._gone = True
            shutil.rmtree(self._folder, ignore_errors=True)


def _mirror(source: Path, links: Path, scene: Path) -> None:
    """Link each file below `source` at the same place below `links`, and lead there from below `scene`."""
    for folder, _, names in os.walk(source):
        inner = Path(folder).relative_to(source)
        (links / inner).mkdir(parents=True)
        (scene / inner).mkdir(parents=True)
        for name in names:
            _link_or_copy(Path(folder, name), links / inner / name)
            _lead(scene / inner / name, links / inner / name)


def _lead(place: Path, file: Path) -> None:
    """Make `place` stand for `file`; Windows lets only some accounts make symbolic links."""
    try:
        place.symlink_to(file)
    except OSError:
        _link_or_copy(file, place)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # FAT has no links, ext4 only 65,000 to one file.
        shutil.copyfile(source, target)


def _clear(folder: Path) -> None:
    """Empty a folder that must stay the same one: walls were built around it."""
    for entry in list(os.scandir(folder)):
        shutil.rmtree(entry.path, ignore_errors=True)


def _allocated(folder: Path) -> int:
    """Bytes on the disk; what vanishes while we look does not count."""
    total = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    total += _allocated(Path(entry.path))
                else:
                    status = entry.stat(follow_symlinks=False)
                    total += status.st_blocks * 512 if hasattr(status, "st_blocks") else status.st_size
    return total

# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to look at of what has gone home: on the page an artist leafs through them, and compares two saves.

- gallery/<job>/<name>: a result or a log, by the name that it had in the job's folder
- gallery/<job>/<frame>.small: a small JPEG of a frame

Nothing depends on any of this. It is kept within a limit, the job that went home first goes first, and all of it makes
way for what the disk is needed for.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class _Held:
    """What the gallery has of one job."""

    size: int = 0
    began: float = float("inf")
    """Seconds since the epoch: when its oldest file was made."""


class Gallery:
    """A job's files are found by their names, also after a restart. Used by one thread.

    A file costs its renaming, and with a full gallery the deletion of one or two others; not one of the methods fails
    for what the disk does: then there is a picture less.
    """

    def __init__(self, root: Path, limit: int) -> None:
        """`limit`: in bytes; 0: nothing is kept. Reads what is there: 0.3 s for 100,000 files."""
        self._root = root
        self.limit = limit
        self.size = 0
        """In bytes."""
        self._jobs: dict[str, _Held] = {}
        self._leaving: list[str] = []
        """Files of the first job, the oldest last, as far as they were looked up."""
        self._load()
        self._keep_to(limit)

    def keep(self, job: str, file: Path) -> None:
        """Take over a file that is not needed where it lies."""
        try:
            size = file.stat().st_size
            if size > self.limit:
                file.unlink()
                return
            target = self._place(job, file.name)
            file.replace(target)
        except OSError:
            with contextlib.suppress(OSError):  # Windows, while it is being read: it goes with the job's folder.
                file.unlink(missing_ok=True)
            return
        self._count(job, size)

    def keep_small(self, job: str, frame: int, jpeg: bytes) -> None:
        """Take a frame's small picture in; replaces an earlier one."""
        if len(jpeg) > self.limit:
            return
        try:
            target = self._place(job, _small(frame))
        except OSError:
            return  # A frame without a small picture is no reason to trouble anybody.
        try:
            target.write_bytes(jpeg)
        except OSError:
            with contextlib.suppress(OSError):
                target.unlink()  # Half of one is, and it is in the way of what the disk is full of.
            return
        self._count(job, len(jpeg))

    def find(self, job: str, name: str) -> Path | None:
        """Return where a file is, if it is here (still)."""
        path = self._root / job / name
        return path if path.is_file() else None

    def find_small(self, job: str, frame: int) -> Path | None:
        """As `find`, a frame's small picture."""
        return self.find(job, _small(frame))

    def names(self, job: str) -> frozenset[str]:
        """Return what there is of a job."""
        try:
            return frozenset(path.name for path in (self._root / job).iterdir())
        except OSError:
            return frozenset()

    def drop(self, job: str) -> None:
        """Delete all that is here of a job."""
        for name in self.names(job):
            self._delete(job, name)
        self._forget(job)

    def keep_only(self, jobs: set[str]) -> None:
        """Delete what is here of other jobs."""
        for job in self._jobs.keys() - jobs:
            self.drop(job)

    def make_way(self, size: int) -> int:
        """Delete so many bytes, or all there is; return how many it were."""
        before = self.size
        self._keep_to(max(0, before - size))
        return before - self.size

    def _load(self) -> None:
        found: dict[str, _Held] = {}
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            held = found[folder.name] = _Held()
            for name in self.names(folder.name):
                size, made = _status(folder / name)
                held.size += size
                held.began = min(held.began, made)
        self._jobs = dict(sorted(found.items(), key=lambda item: item[1].began))
        self.size = sum(held.size for held in found.values())

    def _place(self, job: str, name: str) -> Path:
        """Return where a file goes, after taking away what is there."""
        folder = self._root / job
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / name).exists():
            self._delete(job, name)
        return folder / name

    def _count(self, job: str, size: int) -> None:
        self._jobs.setdefault(job, _Held()).size += size
        self.size += size
        self._keep_to(self.limit)

    def _keep_to(self, limit: int) -> None:
        while self.size > limit and self._jobs:
            job = next(iter(self._jobs))
            some = bool(self._leaving) or self._look_up(job)
            if not some or not self._delete(job, self._leaving.pop()) or not self._jobs[job].size:
                self._forget(job)

    def _look_up(self, job: str) -> bool:
        """Whether there is anything left of a job to delete."""
        folder = self._root / job
        self._leaving = sorted(self.names(job), key=lambda name: _status(folder / name)[1], reverse=True)
        return bool(self._leaving)

    def _delete(self, job: str, name: str) -> bool:
        path = self._root / job / name
        try:
            size = path.stat().st_size
            path.unlink()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self.size -= size
        if job in self._jobs:
            self._jobs[job].size -= size
        return True

    def _forget(self, job: str) -> None:
        """What could not be deleted is not counted any more, until the next start."""
        held = self._jobs.pop(job, None)
        self._leaving = []
        if held is not None:
            self.size -= held.size
        with contextlib.suppress(OSError):
            (self._root / job).rmdir()


def _status(path: Path) -> tuple[int, float]:
    """Return (size in bytes, when it was made, in seconds since the epoch); zeros for what has just been deleted."""
    try:
        status = path.lstat()
    except OSError:
        return 0, 0.0
    return status.st_size, status.st_mtime


def _small(frame: int) -> str:
    return f"{frame}.small"

# SPDX-License-Identifier: GPL-3.0-or-later
"""The folders of jobs: what is being rendered, and what waits to travel back.

- jobs/<job>/source/<root>/<name>: the artist's files as they stand on the artist's disk (see store/)
- jobs/<job>/attempts/<position>-<n>/: where one attempt at one task writes
- jobs/<job>/outputs/: verified results
- jobs/<job>/videos/: what the page has made of them
- jobs/<job>/blender.log: Blender's own words

What has gone home moves to the gallery (see gallery.py).
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from addon.durable import make_folder, sync, sync_folder
from addon.protocol.digest import new_digest
from addon.protocol.paths import check_relative_name

from . import pictures
from .databases import kept_aside
from .executors.base import WrittenFile
from .gallery import Gallery
from .job_store import DATABASE, PART, PICTURE, RESULT, NewOutput
from .jobs import Task

LOG = "blender.log"


class JobFolders:
    """All jobs' folders of one node."""

    def __init__(self, root: Path, gallery_limit: int = 0) -> None:
        """`gallery_limit`: bytes that are kept of what nobody needs; see Gallery."""
        self.root = root
        self._jobs = root / "jobs"
        make_folder(self._jobs)
        self.gallery = Gallery(root / "gallery", gallery_limit)

    def sweep(self, jobs: set[str]) -> None:
        """Delete the folders of all but these jobs: what crashes left behind.

        Not while a damaged list of jobs is kept aside: they may hold frames of jobs that could not be read there.
        """
        self.gallery.keep_only(jobs)
        if self._list_has_gaps:
            return
        for folder in self._jobs.iterdir():
            if folder.name not in jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def job_folder(self, job: str) -> Path:
        """All that belongs to one job."""
        return self._jobs / job

    def source(self, job: str) -> Path:
        """Where the artist's files are mirrored for this job."""
        return self.job_folder(job) / "source"

    def prepare(self, job: str) -> None:
        """Make room for what the job will write. Raises OSError."""
        make_folder(self._outputs(job))

    def begin_attempt(self, task: Task) -> Path:
        """Return an empty folder for one attempt at a task."""
        folder = self._attempts(task.job) / f"{task.position}-{task.attempts}"
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        return folder

    def drop_attempt(self, folder: Path) -> None:
        """Delete what an attempt left behind, when nothing reads it any more."""
        shutil.rmtree(folder, ignore_errors=True)

    def keep_outputs(self, task: Task, files: tuple[WrittenFile, ...], for_movie: bool) -> list[NewOutput]:
        """Verify what an attempt wrote and put it among the job's outputs. Reads every byte: call it in a thread.

        The attempt's own copy stays until `drop_attempt`: Blender still reads it to make a preview. `for_movie`: the
        scene's own pictures are not for the artist. Raises pictures.IncompletePicture, UnsafePath for a name
        that cannot be sent, or OSError for a full disk.
        """
        kept: list[NewOutput] = []
        targets: list[Path] = []
        try:
            for number, written in enumerate(files):
                pictures.verify(written.path)
                stored = f"{task.position}-{number}{written.path.suffix}"
                check_relative_name(written.name)
                targets.append(target := self._outputs(task.job) / stored)
                link_or_copy(written.path, target)
                size, digest = digest_of(target)
                sync(target)
                kind = PART if task.part is not None else PICTURE if for_movie and not written.directory else RESULT
                kept.append(NewOutput(written.directory, written.name, size, digest, stored, kind))
            sync_folder(self._outputs(task.job))
        except OSError:  # Half a copy is in the way of what the disk is full of.
            for target in targets:
                target.unlink(missing_ok=True)
            raise
        return kept

    def output(self, job: str, stored: str) -> Path:
        """Where a verified output lies."""
        return self._outputs(job) / stored

    def retire(self, job: str, stored: str) -> None:
        """An output is home: it is for the gallery from now on."""
        self.gallery.keep(job, self.output(job, stored))

    def still_here(self, job: str, stored: str) -> Path | None:
        """Where an output lies that may be home; None when the node has it no more."""
        path = self.output(job, stored)
        return path if path.is_file() else self.gallery.find(job, stored)

    def videos(self, job: str) -> Path:
        """Where videos of its frames lie, if there are any."""
        return self.job_folder(job) / "videos"

    def drop_outputs(self, job: str, outputs: Iterable[NewOutput]) -> None:
        """Delete what was kept and could not be written down."""
        for output in outputs:
            self.output(job, output.stored).unlink(missing_ok=True)

    def log(self, job: str) -> Path:
        """Where Blender's own words go, and where they are found."""
        path = self.job_folder(job) / LOG
        return path if path.exists() else self.gallery.find(job, LOG) or path

    def retire_job(self, job: str, outputs: Iterable[str]) -> None:
        """Keep of a job what can be looked at, as long as there is room: these outputs, the log, its videos.

        While a damaged list of jobs is kept aside, its frames stay where they are: a job of which the list has lost
        them looks as if all of them were home.
        """
        gone = [self.source(job), self._attempts(job)]
        if not self._list_has_gaps:
            for stored in outputs:
                self.retire(job, stored)
            if (log := self.job_folder(job) / LOG).exists():
                self.gallery.keep(job, log)
            gone.append(self._outputs(job))
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # There are videos, or there is no folder.
            self.job_folder(job).rmdir()

    def drop_job(self, job: str) -> None:
        """Delete all that belongs to a job; but not its frames, while a damaged list of jobs is kept aside."""
        self.gallery.drop(job)
        folders = (self.source(job), self._attempts(job)) if self._list_has_gaps else (self.job_folder(job),)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _list_has_gaps(self) -> bool:
        """Whether there may be frames that the list of jobs does not know."""
        return bool(kept_aside(self.root / DATABASE))

    def _attempts(self, job: str) -> Path:
        return self.job_folder(job) / "attempts"

    def _outputs(self, job: str) -> Path:
        return self.job_folder(job) / "outputs"


def digest_of(path: Path) -> tuple[int, str]:
    """Return (size in bytes, BLAKE2b-128 in hex) of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, new_digest)
        return file.tell(), digest.hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, by a copy where the file system has no hard links; replaces `target`."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's files: what artists sent, what is being rendered, and what waits to travel back.

- incoming/<digest>.<client>.part: an upload, resumable
- files/<digest>: a complete, verified one
- jobs/<job>/source/<name>.blend: the same file under the artist's name (hard link, else copy)
- jobs/<job>/attempts/<position>-<n>/: where one attempt at one task writes
- jobs/<job>/outputs/: verified results
- jobs/<job>/blender.log: Blender's own words
"""

import errno
import hashlib
import mmap
import os
import shutil
from pathlib import Path

from addon.protocol import blendfile
from addon.protocol.digest import new_digest
from addon.protocol.messages import JobSpec, Refusal
from addon.protocol.paths import check_relative_name
from addon.protocol.transfer import Incoming

from . import pictures
from .errors import RequestRefused
from .executors.base import WrittenFile
from .job_store import PICTURE, RESULT, NewOutput
from .jobs import Task

ABANDONED_S = 7 * 86400.0
"""An upload that nobody went on with for a week will not be."""

_READ_BYTES = 1 << 20


class FileStore:
    """The folder of one node."""

    def __init__(self, root: Path) -> None:
        self._incoming = root / "incoming"
        self._files = root / "files"
        self._jobs = root / "jobs"
        for folder in (self._incoming, self._files, self._jobs):
            folder.mkdir(parents=True, exist_ok=True)

    # Files from artists

    def has(self, digest: str) -> bool:
        """Whether the file lies here complete."""
        return self.file(digest).exists()

    def file(self, digest: str) -> Path:
        """Where the file `digest` lies, or would."""
        return self._files / digest

    def begin_upload(self, digest: str, client: str, size: int) -> "Upload":
        """Start or resume an upload. Reads what is there already: call it in a thread. Raises RequestRefused."""
        part = self._incoming / f"{digest}.{client}.part"
        received = part.stat().st_size if part.exists() else 0
        if received > size:
            part.unlink()
            received = 0
        free = shutil.disk_usage(self._incoming).free
        if free < size - received:
            raise disk_full(free, size)
        return Upload(part, self.file(digest), digest, size)

    def inspect(self, digest: str) -> blendfile.BlendHeader:
        """Return what a file says of itself, after checking that all of it is there. Reads it: call it in a thread.

        Raises blendfile.NotABlend or blendfile.TruncatedBlend.
        """
        with self.file(digest).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            blendfile.check_complete(view)
            return blendfile.read_header(view[: blendfile.HEAD_BYTES])

    def drop_file(self, digest: str) -> None:
        """Delete a file that no job needs."""
        self.file(digest).unlink(missing_ok=True)

    def sweep(self, jobs: set[str], digests: set[str], now: float) -> None:
        """Delete what crashes left behind: folders of unknown jobs, files that no job needs, uploads given up long ago.

        `now` is in seconds since the epoch. Only while no upload runs.
        """
        for folder in self._jobs.iterdir():
            if folder.name not in jobs:
                shutil.rmtree(folder, ignore_errors=True)
        for path in [*self._files.iterdir(), *self._incoming.iterdir()]:
            if path.name not in digests and now - path.stat().st_mtime > ABANDONED_S:
                path.unlink(missing_ok=True)

    def refusal(self, error: OSError, size: int) -> RequestRefused:
        """Return the artist's sentence for a file of `size` bytes that could not be stored."""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return disk_full(shutil.disk_usage(self._files).free, size)
        return RequestRefused(Refusal.STORAGE, f"The node cannot store the file: {error.strerror}.")

    # Jobs

    def job_folder(self, job: str) -> Path:
        """All that belongs to one job."""
        return self._jobs / job

    def blend(self, spec: JobSpec) -> Path:
        """Where the job's .blend lies, under the artist's name."""
        return self.job_folder(spec.job) / "source" / spec.blend

    def prepare_job(self, spec: JobSpec) -> None:
        """Lay out a job's folders and its .blend. Raises RequestRefused when the disk is full."""
        target = self.blend(spec)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._outputs(spec.job).mkdir(exist_ok=True)
        try:
            link_or_copy(self.file(spec.digest), target)
            sync(target)
            sync(target.parent)
        except OSError as error:
            raise self.refusal(error, spec.size) from error

    def begin_attempt(self, task: Task) -> Path:
        """Return an empty folder for one attempt at a task."""
        folder = self.job_folder(task.job) / "attempts" / f"{task.position}-{task.attempts}"
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
        kept = []
        for number, written in enumerate(files):
            pictures.verify(written.path)
            stored = f"{task.position}-{number}{written.path.suffix}"
            check_relative_name(written.name)
            target = self._outputs(task.job) / stored
            link_or_copy(written.path, target)
            size, digest = digest_of(target)
            sync(target)
            kind = PICTURE if for_movie and not written.directory else RESULT
            kept.append(NewOutput(written.directory, written.name, size, digest, stored, kind))
        sync(self._outputs(task.job))
        return kept

    def output(self, job: str, stored: str) -> Path:
        """Where a verified output lies."""
        return self._outputs(job) / stored

    def log(self, job: str) -> Path:
        """Where Blender's own words go."""
        return self.job_folder(job) / "blender.log"

    def drop_job(self, job: str) -> None:
        """Delete all that belongs to a job."""
        shutil.rmtree(self.job_folder(job), ignore_errors=True)

    def _outputs(self, job: str) -> Path:
        return self.job_folder(job) / "outputs"


class Upload:
    """One file on its way in. Hashes what arrives; a resumed one hashes what was there first."""

    def __init__(self, part: Path, target: Path, digest: str, size: int) -> None:
        self.digest = digest
        self._part = part
        self._target = target
        self._hash = new_digest()
        self._file = part.open("a+b")
        self._file.seek(0)
        while block := self._file.read(_READ_BYTES):
            self._hash.update(block)
        self.incoming = Incoming(size, self._file.tell())

    def write(self, offset: int, payload: bytes | memoryview) -> bool:
        """Take a piece in; False for one that is left over from an earlier request.

        Raises OSError, or RemoteProtocolError for one that was not asked for.
        """
        if not self.incoming.accept(offset, len(payload)):
            return False
        self._file.write(payload)
        self._hash.update(payload)
        return True

    def finish(self) -> bool:
        """Put the complete file in its place, on disk for good; False when its bytes are not what was promised.

        Waits for the disk: call it in a thread.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        if self._hash.hexdigest() != self.digest:
            self._part.unlink()
            return False
        self._part.replace(self._target)
        sync(self._target.parent)
        return True

    def close(self) -> None:
        """Stop; what has arrived stays for the next attempt."""
        try:
            self._file.close()
        except OSError as error:  # Buffered bytes did not fit on the disk: they will be asked for again.
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise

    def discard(self) -> None:
        """Stop for good."""
        self.close()
        self._part.unlink(missing_ok=True)


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


def sync(path: Path) -> None:
    """Wait until a file, or a folder's entries, are on disk."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders; NTFS journals their entries.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_full(free: int, needed: int) -> RequestRefused:
    """The sentence for a full disk; sizes in bytes."""
    return RequestRefused(
        Refusal.DISK_FULL,
        f"The node's disk is full: {free / 1e6:,.0f} MB free, {needed / 1e6:,.0f} MB needed. "
        "Make room there; the upload goes on by itself.",
    )

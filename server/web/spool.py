# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on their way from a browser: each as long on the disk as it has come, so that any break can be gone on from.

uploads/<upload>/upload.json says whose it is and how long its files will be, uploads/<upload>/files/ holds them under
the names that they had in the artist's folder. Nothing is kept in memory: after a kill an upload goes on where it was.
"""

import contextlib
import json
import os
import re
import shutil
import threading
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from addon.durable import make_folder, sync_folder
from addon.protocol.codec import build
from addon.protocol.errors import RemoteProtocolError, UnsafePath
from addon.protocol.messages import Refusal
from addon.protocol.paths import check_relative_name

from ..disk import full
from ..errors import RequestRefused

MAX_FILES = 20_000
"""Of one upload: a folder of so many takes a browser a minute to look through."""

KEPT_S = 86400.0
"""An upload that nobody goes on with is deleted after a day."""

UNKNOWN_UPLOAD = RequestRefused(Refusal.UNKNOWN_JOB, "The node does not know this upload (any more): begin it again.")


class WrongOffset(Exception):
    """The file does not end where the sender believes."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"{offset} bytes of this file are here: go on from there.")
        self.offset = offset


@dataclass(slots=True)
class Record:
    """What is known of an upload beside its files."""

    owner: str
    lengths: dict[str, int] = field(default_factory=dict)
    """Of each file that has been announced, bytes."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of an upload."""

    path: str
    """Relative, with slashes."""
    size: int
    """Bytes that are here."""
    length: int
    """Bytes that it will have."""


class Spool:
    """All uploads. Its calls wait for the disk: make them in a thread; any thread may."""

    def __init__(self, folder: Path) -> None:
        """Raises OSError."""
        self._folder = folder
        make_folder(folder, mode=0o700)
        self._lock = threading.Lock()
        self._busy: set[Path] = set()
        """Files that are being written."""

    # Uploads

    def begin(self, owner: str) -> str:
        """Return the identifier of a new upload."""
        upload = uuid.uuid4().hex
        make_folder(self.files(upload))
        self._save(upload, Record(owner))
        return upload

    def record(self, upload: str) -> Record:
        """Raises RequestRefused for one that is not there."""
        if not re.fullmatch("[0-9a-f]{32}", upload):
            raise UNKNOWN_UPLOAD
        try:
            said = json.loads((self._folder / upload / "upload.json").read_text("utf-8"))
            record: Record = build(Record, said)
        except (OSError, ValueError, TypeError, RemoteProtocolError):
            raise UNKNOWN_UPLOAD from None
        return record

    def uploads(self) -> set[str]:
        """Return the identifiers of all that are here."""
        return {folder.name for folder in self._folder.iterdir()}

    def files(self, upload: str) -> Path:
        """Where its files are."""
        return self._folder / upload / "files"

    def listed(self, upload: str) -> list[UploadedFile]:
        """Return its files, by path."""
        lengths = self.record(upload).lengths
        return [
            UploadedFile(path, _size(self.files(upload) / path), length) for path, length in sorted(lengths.items())
        ]

    def names(self, upload: str) -> list[str]:
        """Return the names of the files that lie there, what zips held included."""
        top = self.files(upload)
        found = (Path(folder, name) for folder, _, names in os.walk(top) for name in names)
        return sorted(path.relative_to(top).as_posix() for path in found)

    def unpacked(self, upload: str, path: str) -> None:
        """A zip's files have taken its place."""
        with self._lock:
            record = self.record(upload)
            record.lengths.pop(path, None)
            self._save(upload, record)

    def delete(self, upload: str) -> None:
        """Forget it, with its files."""
        shutil.rmtree(self._folder / upload, ignore_errors=True)

    def sweep(self, now: float | None = None) -> None:
        """Delete what nobody has gone on with for a day; `now`: seconds since the epoch."""
        before = (time.time() if now is None else now) - KEPT_S
        for folder in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if max(path.stat().st_mtime for path in (folder, folder / "upload.json")) < before:
                    shutil.rmtree(folder, ignore_errors=True)

    def touch(self, upload: str) -> None:
        """It is still of use."""
        with contextlib.suppress(OSError):
            os.utime(self._folder / upload)

    # Files

    def offset(self, upload: str, path: str) -> tuple[int, int | None]:
        """Return how much of a file is here, and how long it will be, if that is known. Raises RequestRefused."""
        lengths = self.record(upload).lengths
        return _size(self._place(upload, path)), lengths.get(path)

    def announce(self, upload: str, path: str, length: int, limit: int | None) -> None:
        """A file of so many bytes will come. Raises RequestRefused for what is too much, or has no good name.

        `limit`: bytes of the whole upload.
        """
        self._place(upload, path)
        with self._lock:
            record = self.record(upload)
            if record.lengths.get(path) == length:
                return
            others = {name: size for name, size in record.lengths.items() if name != path}
            if len(others) >= MAX_FILES:
                raise _refused(f"These are more than {MAX_FILES:,} files: pack them into a zip, or send fewer.")
            total = sum(others.values()) + length
            if limit is not None and total > limit:
                raise _refused(
                    f"These files have {total / 1e9:,.1f} GB, and the node takes {limit / 1e9:,.1f} GB at a time."
                )
            self._check_room(upload, others, length)
            record.lengths = {**others, path: length}
            self._save(upload, record)

    def _check_room(self, upload: str, others: dict[str, int], length: int) -> None:
        """What has been announced fits on the disk, or is refused before it travels."""
        lacking = sum(size - min(size, _size(self.files(upload) / name)) for name, size in others.items()) + length
        if lacking > shutil.disk_usage(self._folder).free:
            raise full(self._folder, lacking)

    def open(self, upload: str, path: str, offset: int) -> "Writer":
        """Open a file to go on from `offset`; `close` it. Raises WrongOffset, RequestRefused, OSError."""
        place = self._place(upload, path)
        length = self.record(upload).lengths[path]
        self._claim(place)
        try:
            _check_offset(place, offset)
            place.parent.mkdir(parents=True, exist_ok=True)
            return Writer(place, length - offset)
        except BaseException:
            self._let_go(place)
            raise

    def close(self, writer: "Writer", rest: bytes) -> None:
        """Write the rest; all of it is on the disk when this returns. Raises as Writer.write."""
        try:
            writer.write(rest)
        finally:
            writer.close()
            self._let_go(writer.path)

    def _claim(self, place: Path) -> None:
        with self._lock:
            if place in self._busy:
                raise _refused("This file is being sent already, perhaps from another window.")
            self._busy.add(place)

    def _let_go(self, place: Path) -> None:
        with self._lock:
            self._busy.discard(place)

    def _place(self, upload: str, path: str) -> Path:
        try:
            return self.files(upload) / check_relative_name(path)
        except UnsafePath as error:
            raise _refused(str(error)) from None

    def _save(self, upload: str, record: Record) -> None:
        path = self._folder / upload / "upload.json"
        temporary = path.with_suffix(f".{threading.get_ident()}")
        temporary.write_text(json.dumps(asdict(record)), encoding="utf-8")
        temporary.replace(path)


class Writer:
    """Appends to a file, up to its length."""

    def __init__(self, path: Path, room: int) -> None:
        """`room`: bytes that are still to come. Raises OSError."""
        self.path = path
        self.written = 0
        self._room = room
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)

    def close(self) -> None:
        """Bring it onto the disk."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)
        sync_folder(self.path.parent)

    def write(self, piece: bytes) -> None:
        """Raises RequestRefused for more than was announced, OSError."""
        if len(piece) > self._room:
            raise _refused("This is more than was announced for this file: choose it again.")
        view = memoryview(piece)
        while view:
            done = os.write(self._file, view)
            view = view[done:]
            self._room -= done
            self.written += done


def _check_offset(path: Path, offset: int) -> None:
    if (here := _size(path)) != offset:
        raise WrongOffset(here)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _refused(sentence: str) -> RequestRefused:
    return RequestRefused(Refusal.BAD_FILE, sentence)

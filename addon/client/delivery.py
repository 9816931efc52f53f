# SPDX-License-Identifier: GPL-3.0-or-later
"""Bringing outputs home: fetched, verified, renamed into place, and only then acknowledged."""

import asyncio
import hashlib
import io
import logging
import os
import stat
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path

from ..durable import make_folder, sync, sync_folder
from ..protocol.digest import Buffer, new_digest
from ..protocol.errors import ProtocolError
from ..protocol.limits import MAX_UNACKNOWLEDGED
from ..protocol.messages import Delivered, Grant, Output, Piece, Want
from ..protocol.transfer import Incoming

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 4
"""Outputs fetched at once: hides the round trip of small frames, and bounds memory and open files."""

FOLDER_PAUSE_S = 3.0
"""How long to wait before trying again to write where writing failed."""

_BLOCK_BYTES = 1 << 20

Locate = Callable[[Output], Path]
OnDelivered = Callable[[Output, Path], None]
OnTrouble = Callable[[Output, str], None]


class Deliveries:
    """All outputs on their way home.

    `locate` says where one goes; `on_trouble` hears one sentence, or "" when it is over.
    """

    def __init__(
        self, send: Callable[..., None], locate: Locate, on_delivered: OnDelivered, on_trouble: OnTrouble
    ) -> None:
        self._send = send
        self._locate = locate
        self._on_delivered = on_delivered
        self._on_trouble = on_trouble
        self._slots = asyncio.Semaphore(SIDE_BY_SIDE)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._open: dict[str, _Fetch] = {}
        self._given_up: set[str] = set()
        self._told: defaultdict[str, deque[Output]] = defaultdict(lambda: deque(maxlen=MAX_UNACKNOWLEDGED))
        """By job, what is here and may be announced again: its acknowledgement can be lost with the connection."""

    def announce(self, output: Output) -> None:
        """The node holds this output for us."""
        if output.output not in self._tasks and output.job not in self._given_up:
            self._tasks[output.output] = asyncio.get_running_loop().create_task(self._bring(output))

    def piece(self, piece: Piece, payload: Buffer) -> None:
        """Bytes of an output have come."""
        fetch = self._open.get(piece.transfer)
        if fetch is not None:
            fetch.take(piece.offset, payload)

    def pause(self) -> None:
        """Stop fetching; what has come stays, and is gone on with when it is announced again."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    def give_up(self, job: str) -> None:
        """Stop fetching a job's outputs for good."""
        self._given_up.add(job)
        self._told.pop(job, None)
        for output, task in list(self._tasks.items()):
            if task.get_name() == job:
                task.cancel()
                del self._tasks[output]

    async def _bring(self, output: Output) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.set_name(output.job)
        path = await self._fetch_until_good(output)
        if self._tasks.get(output.output) is task:
            del self._tasks[output.output]
        self._send(Delivered(output.output))
        if output not in self._told[output.job]:
            self._told[output.job].append(output)
            self._on_delivered(output, path)

    async def _fetch_until_good(self, output: Output) -> Path:
        """Fetch an output; a folder that cannot be written is tried again until the artist has mended it."""
        trouble = ""
        while True:
            try:
                async with self._slots:
                    path = self._locate(output)
                    await self._fetch(output, path)
            except (OSError, ProtocolError) as error:
                log.warning("%s: %s", output.name, error)
                trouble = _sentence(error, output)
                self._on_trouble(output, trouble)
            else:
                if trouble:
                    self._on_trouble(output, "")
                return path
            await asyncio.sleep(FOLDER_PAUSE_S)  # Others may fetch meanwhile: their folders may be fine.

    async def _fetch(self, output: Output, path: Path) -> None:
        """One attempt. Raises OSError when this machine's disk does not take it, ProtocolError for a damaged one."""
        if await asyncio.to_thread(_is_there, path, output):  # Only the acknowledgement was lost.
            return
        await asyncio.to_thread(make_folder, path.parent)
        part = path.with_name(f".relay-{output.job[:8]}-{output.output}.part")  # However long its own name is.
        fetch = await asyncio.to_thread(_Fetch, part, output, self._send)
        self._open[output.output] = fetch
        try:
            await fetch.complete()
        finally:
            del self._open[output.output]
            fetch.close()
            if output.job in self._given_up:
                part.unlink(missing_ok=True)
        await asyncio.to_thread(_put_in_place, part, path)


class _Fetch:
    """One output's bytes."""

    def __init__(self, part: Path, output: Output, send: Callable[..., None]) -> None:
        self._output = output
        self._part = part
        self._send = send
        self._hash = new_digest()
        self._file = open(part, "a+b", buffering=0, opener=_open_no_link)  # noqa: SIM115 - as long as this
        self._incoming = Incoming(output.size, self._hash_what_is_there())
        self._done: asyncio.Future[None] | None = None

    async def complete(self) -> None:
        """Ask for what is missing and return when all is here and right. Raises OSError or ProtocolError."""
        self._done = asyncio.get_running_loop().create_future()
        if not self._incoming.complete:
            self._send(Want(self._output.output, *self._incoming.restart()))
            await self._done
        if self._hash.hexdigest() != self._output.digest:
            self._file.truncate(0)
            raise ProtocolError(f"{self._output.name} arrived damaged and is fetched again.")

    def take(self, offset: int, payload: Buffer) -> None:
        assert self._done is not None
        if self._done.done():
            return
        try:
            if self._incoming.accept(offset, len(payload)):
                _write_all(self._file, payload)
                self._hash.update(payload)
        except (OSError, ProtocolError) as error:
            self._done.set_exception(error)
            return
        limit = self._incoming.extend()
        if self._incoming.complete:
            self._done.set_result(None)
        elif limit is not None:
            self._send(Grant(self._output.output, limit))

    def close(self) -> None:
        self._file.close()

    def _hash_what_is_there(self) -> int:
        """Take in the bytes of an earlier attempt; returns how many."""
        if self._file.seek(0, os.SEEK_END) > self._output.size:
            self._file.truncate(0)
        self._file.seek(0)
        while block := self._file.read(_BLOCK_BYTES):
            self._hash.update(block)
        return self._file.tell()


def _open_no_link(path: str, flags: int) -> int:
    """A folder may be shared: what others put there under our name must not lead our bytes elsewhere."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _write_all(file: io.FileIO, payload: Buffer) -> None:
    view = memoryview(payload)
    while view:
        view = view[file.write(view) :]


def _is_there(path: Path, output: Output) -> bool:
    """Whether the complete output lies at `path`, on disk for good. Raises OSError when that cannot be had."""
    try:
        found = path.lstat()  # A link is replaced, like any file that is not this output.
        if not stat.S_ISREG(found.st_mode) or found.st_size != output.size:
            return False
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, new_digest)
    except OSError:
        return False
    if digest.hexdigest() != output.digest:
        return False
    sync(path)  # Whoever put it there may have been killed before it was flushed.
    sync_folder(path.parent)
    return True


def _put_in_place(part: Path, path: Path) -> None:
    """Rename a complete file to its name, on disk for good: the node forgets it after the acknowledgement."""
    sync(part)
    part.replace(path)
    sync_folder(path.parent)


def _sentence(error: Exception, output: Output) -> str:
    if isinstance(error, OSError):
        where = error.filename or output.name
        return f"Cannot write {where}: {error.strerror}. The frames wait on the node; they come when this is mended."
    return str(error)

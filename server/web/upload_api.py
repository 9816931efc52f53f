# SPDX-License-Identifier: GPL-3.0-or-later
"""Files from a browser, and the jobs that are made of them.

A file comes in pieces, each a PATCH that says where it begins, as in the tus protocol: after any break the sender asks
how much is here (HEAD) and goes on from there.
"""

import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starlette.requests import Request
from starlette.responses import Response

from addon.client.contents import Contents
from addon.client.recipe_cache import RecipeCache
from addon.protocol.engine import Engine
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.frame_order import FrameOrder
from addon.protocol.manifest import Manifest
from addon.protocol.messages import JobSpec, Refusal
from addon.protocol.messages.checks import check_id, check_line, check_priority, check_text

from ..background import in_thread, surely_in_thread
from ..errors import RequestRefused
from ..node import Node
from ..store import NoRoom
from .asking import ROOT, Asker, CannotTell
from .desk import Desk
from .intake import plan, store_files
from .placing import Placed, place_files
from .routing import Operation, answer, body_of, visitor_of
from .spool import UNKNOWN_UPLOAD, Spool
from .unzip import unpack
from .views import BlendView, FileView, JobView, MissingView, UploadStarted, UploadView

MOST_ASKED = 4
"""Of an upload's .blends, those that are least deep in folders: most others are libraries of these."""

WRITE_BYTES = 1 << 20
"""A piece is written in steps of so much: more would be memory that does nothing."""

NOT_WHOLE = RequestRefused(Refusal.FILE_MISSING, "These files have not come whole: go on with the upload.")


@dataclass(frozen=True, slots=True)
class Nothing:
    """An empty object."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is to be rendered."""

    upload: str
    blend: str
    """Of the upload's files."""
    frames: str
    """As `--frames` on the command line: 1-48, 1-10,20 or 1-100x2."""
    scene: str | None = None
    title: str | None = None
    order: FrameOrder = FrameOrder.SEQUENCE
    current: int | None = None
    draft: bool = True
    split: bool = True
    priority: int = 0
    engine: Engine | None = None
    """Instead of the scene's own."""
    job: str | None = None
    """Its identifier, made up by whoever asks: what is said twice is one job."""

    def __post_init__(self) -> None:
        if self.job is not None:
            check_id(self.job)
        check_line(self.title or "")
        check_text(self.scene or "")
        check_priority(self.priority)


class UploadApi:
    """Takes files and jobs in."""

    def __init__(self, desk: Desk, spool: Spool, asker: Asker, cache: RecipeCache) -> None:
        self._desk = desk
        self._node: Node = desk.node
        self._spool = spool
        self._asker = asker
        self._cache = cache
        self._stopped = threading.Event()
        self._contents: dict[tuple[str, str], Contents | str] = {}
        """Of .blends that were asked about, by upload and name."""
        file = "/api/uploads/{upload}/files/{path:path}"
        self.operations = (
            Operation("POST", "/api/uploads", self._begin, "Begin an upload", UploadStarted, Nothing, 201),
            Operation("GET", "/api/uploads/{upload}", self._show, "An upload", UploadView),
            Operation("DELETE", "/api/uploads/{upload}", self._delete, "Forget an upload", status=204),
            Operation("HEAD", file, self._offset, "How much of a file is here: Upload-Offset"),
            Operation("PATCH", file, self._write, "More of a file", body="application/octet-stream", status=204),
            Operation("POST", "/api/uploads/{upload}/complete", self._complete, "All is sent: what is it?", UploadView),
            Operation("POST", "/api/jobs", self._submit, "Render a .blend of an upload", JobView, NewJob, 201),
        )

    def close(self) -> None:
        """Let what runs in threads end soon."""
        self._stopped.set()
        self._asker.close()

    # Files

    async def _begin(self, request: Request) -> Response:
        await body_of(request, Nothing)
        await in_thread(self._spool.sweep)
        there = await in_thread(self._spool.uploads)
        self._contents = {key: known for key, known in self._contents.items() if key[0] in there}
        return answer(UploadStarted(await in_thread(self._spool.begin, visitor_of(request).owner)), 201)

    def _upload(self, request: Request, upload: str) -> str:
        visitor = visitor_of(request)
        if not visitor.may_see(self._spool.record(upload).owner):
            raise UNKNOWN_UPLOAD
        return upload

    async def _show(self, request: Request) -> Response:
        upload = self._upload(request, request.path_params["upload"])
        return answer(await self._view(upload))

    async def _delete(self, request: Request) -> Response:
        upload = self._upload(request, request.path_params["upload"])
        await in_thread(self._spool.delete, upload)
        self._contents = {key: known for key, known in self._contents.items() if key[0] != upload}
        return Response(status_code=204)

    async def _offset(self, request: Request) -> Response:
        upload = self._upload(request, request.path_params["upload"])
        offset, length = await in_thread(self._spool.offset, upload, request.path_params["path"])
        headers = {"upload-offset": str(offset)}
        return Response(headers=headers if length is None else {**headers, "upload-length": str(length)})

    async def _write(self, request: Request) -> Response:
        upload, path = self._upload(request, request.path_params["upload"]), request.path_params["path"]
        offset, length = _number(request, "upload-offset"), _number(request, "upload-length")
        await in_thread(self._spool.announce, upload, path, length, self._desk.upload_limit)
        writer = await in_thread(self._spool.open, upload, path, offset)
        waiting = bytearray()
        try:
            async for piece in request.stream():
                waiting += piece
                if len(waiting) >= WRITE_BYTES:
                    await in_thread(writer.write, bytes(waiting))
                    waiting.clear()
        finally:  # What came before a connection broke counts.
            await surely_in_thread(self._spool.close, writer, bytes(waiting))
        return Response(status_code=204, headers={"upload-offset": str(offset + writer.written)})

    # What they are

    async def _complete(self, request: Request) -> Response:
        await body_of(request, Nothing)
        upload = self._upload(request, request.path_params["upload"])
        files = await in_thread(self._spool.listed, upload)
        if not files or any(each.size != each.length for each in files):
            raise NOT_WHOLE
        for each in files:
            if each.path.lower().endswith(".zip"):
                await in_thread(self._unpack, upload, each.path)
        blends = sorted(await in_thread(self._blends, upload), key=lambda name: (name.count("/"), name))
        if not blends:
            raise RequestRefused(Refusal.BAD_FILE, "There is no .blend among these files: choose one, too.")
        for blend in blends[:MOST_ASKED]:
            await self._asked(upload, blend)
        return answer(await self._view(upload))

    def _unpack(self, upload: str, path: str) -> None:
        """A zip's files take its place, in a folder of its own unless it is alone."""
        folder = self._spool.files(upload)
        archive = folder / path
        room = self._desk.upload_limit or 1 << 62
        unpack(archive, archive.parent, room, self._stopped)
        archive.unlink()
        self._spool.unpacked(upload, path)

    def _blends(self, upload: str) -> list[str]:
        return [name for name in self._spool.names(upload) if name.lower().endswith(".blend")]

    async def _asked(self, upload: str, blend: str) -> Contents | str:
        """What Blender says of a .blend, or why it says nothing."""
        known = self._contents.get((upload, blend))
        if known is None:
            try:
                known = await self._asker.ask(self._spool.files(upload), blend)
            except CannotTell as error:
                known = str(error)
            self._contents[upload, blend] = known
        return known

    async def _view(self, upload: str) -> UploadView:
        files = await in_thread(self._spool.listed, upload)
        names = await in_thread(self._spool.names, upload)
        blends = []
        for (of, blend), contents in self._contents.items():
            if of != upload:
                continue
            if isinstance(contents, str):
                blends.append(BlendView(blend, "", (), (), contents))
                continue
            _, absent = place_files(names, contents.files, ROOT)
            missing = tuple(MissingView(each.owner, each.path, "is not there") for each in absent)
            blends.append(BlendView(blend, contents.version, contents.scenes, missing, ""))
        views = tuple(FileView(each.path, each.size, each.length) for each in files)
        return UploadView(upload, bool(blends), views, tuple(blends))

    # Jobs

    async def _submit(self, request: Request) -> Response:
        wanted: NewJob = await body_of(request, NewJob)
        visitor = visitor_of(request)
        upload = self._upload(request, wanted.upload)
        names = await in_thread(self._spool.names, upload)
        if wanted.blend not in names:
            raise RequestRefused(Refusal.FILE_MISSING, "This .blend is not among the files: send it first.")
        contents = await self._asked(upload, wanted.blend)
        if isinstance(contents, str):
            placed: Sequence[Placed] = [Placed(ROOT, name, name) for name in names]
        else:
            placed, _ = place_files(names, contents.files, ROOT)
        manifest, paths = await in_thread(plan, self._spool.files(upload), wanted.blend, placed, self._cache)
        spec = _spec(wanted, manifest.digest)
        await self._node.admission.check_files(visitor.owner, manifest, set())
        with self._desk.arriving(manifest.digest):
            await self._store(manifest, paths, visitor.owner)
            job = await self._node.submit(visitor.owner, spec, visitor.manages)
        self._spool.touch(upload)
        return answer(self._desk.view(job, visitor), 201)

    async def _store(self, manifest: Manifest, paths: dict[str, Path], owner: str) -> None:
        try:
            await in_thread(store_files, self._node.store, manifest, paths, owner, self._stopped)
        except NoRoom as error:
            keep = self._desk.stored() | {manifest.digest}
            if not await self._node.storekeeper.make_room(error.lacking, keep):
                raise
            await in_thread(store_files, self._node.store, manifest, paths, owner, self._stopped)


def _spec(wanted: NewJob, manifest: str) -> JobSpec:
    title = wanted.title or PurePosixPath(wanted.blend).name
    return JobSpec(
        job=wanted.job or uuid.uuid4().hex,
        title=title,
        manifest=manifest,
        scene=wanted.scene,
        frames=wanted.frames,
        group="",
        created=time.time(),
        draft=wanted.draft,
        order=wanted.order,
        current=wanted.current,
        split=wanted.split,
        priority=wanted.priority,
        engine=wanted.engine,
    )


def _number(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise RemoteProtocolError(f"The header {header} has to say a number of bytes.")
    return int(text)

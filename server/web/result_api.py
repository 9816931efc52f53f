# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been rendered: frames to look at, files to take home, and what Blender said meanwhile."""

import mimetypes
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse

from addon.protocol.messages import Output, Refusal

from .. import log_pieces
from ..background import in_thread
from ..errors import RequestRefused
from ..jobs import Job, TaskState
from .desk import Desk
from .news import LETTERS
from .routing import Operation, answer, visitor_of
from .views import FramesView, FrameView, OutputView

SHOWN = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
"""What every browser shows, and Blender writes."""

LOG_BYTES = 1 << 20
"""Of a log, its end."""

UNKNOWN_FRAME = RequestRefused(Refusal.UNKNOWN_JOB, "This job has no such frame.")
NO_PICTURE = RequestRefused(Refusal.UNKNOWN_JOB, "There is no picture of this frame (any more).")
UNKNOWN_OUTPUT = RequestRefused(Refusal.UNKNOWN_JOB, "This file is not on the node (any more).")

_FOR_A_DAY = {"cache-control": "private, max-age=86400"}
"""A frame that is rendered again is another output; the page asks for a preview with its version."""

_ASK_AGAIN = {"cache-control": "private, no-cache"}
"""A small picture is made again with its frame."""


class ResultApi:
    """Answers what is asked about frames."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._store = desk.node.books.store
        self._folders = desk.node.folders
        frame = "/api/jobs/{job}/frames/{frame:int}"
        self.operations = (
            Operation("GET", "/api/jobs/{job}/frames", self._frames, "How far every frame is", FramesView),
            Operation("GET", frame, self._frame, "One frame", FrameView),
            Operation("GET", f"{frame}/picture", self._picture, "A picture of it that browsers show", "image/*"),
            Operation("GET", f"{frame}/log", self._frame_log, "What Blender said meanwhile", "text/plain"),
            Operation("GET", "/api/jobs/{job}/log", self._log, "What Blender said", "text/plain"),
            Operation("GET", "/api/jobs/{job}/preview", self._preview, "Its newest small picture", "image/jpeg"),
            Operation("GET", "/api/jobs/{job}/zip", self._zip, "All its files", "application/zip"),
            Operation("GET", "/api/outputs/{output}", self._output, "One file", "application/octet-stream"),
        )

    def _job(self, request: Request) -> Job:
        return self._desk.job(visitor_of(request), request.path_params["job"])

    async def _frames(self, request: Request) -> Response:
        rows = self._store.frames(self._job(request).id)
        return answer(
            FramesView(
                tuple(row[0] for row in rows),
                "".join(LETTERS[row[1]] for row in rows),
                tuple(None if row[2] is None else round(row[2], 3) for row in rows),
            )
        )

    async def _frame(self, request: Request) -> Response:
        job, frame = self._job(request), request.path_params["frame"]
        state, seconds, attempts, reason = self._known(job, frame)
        views = tuple(_view(output) for output, _ in self._desk.results(job, frame))
        return answer(FrameView(frame, LETTERS[state], seconds, attempts, reason, views))

    async def _picture(self, request: Request) -> Response:
        job, frame = self._job(request), request.path_params["frame"]
        self._known(job, frame)
        shown = (path for _, path in self._desk.results(job, frame) if path.suffix.lower() in SHOWN)
        whole, small = next(shown, None), self._folders.gallery.find_small(job.id, frame)
        if whole is not None and (small is None or "small" not in request.query_params):
            return FileResponse(whole, media_type=SHOWN[whole.suffix.lower()], headers=_FOR_A_DAY)
        if small is not None:
            return FileResponse(small, media_type="image/jpeg", headers=_ASK_AGAIN)
        if job.preview is not None and job.preview[0] == frame:
            return Response(job.preview[1], media_type="image/jpeg", headers=_ASK_AGAIN)
        raise NO_PICTURE

    def _known(self, job: Job, frame: int) -> tuple[TaskState, float | None, int, str]:
        known = self._store.frame(job.id, frame)
        if known is None:
            raise UNKNOWN_FRAME
        return known

    async def _preview(self, request: Request) -> Response:
        job = self._job(request)
        if job.preview is None:
            raise NO_PICTURE
        return Response(job.preview[1], media_type="image/jpeg", headers=_FOR_A_DAY)

    async def _output(self, request: Request) -> Response:
        found = self._desk.result(request.path_params["output"])
        if found is None:
            raise UNKNOWN_OUTPUT
        output, path = found
        self._desk.job(visitor_of(request), output.job)
        kind = "attachment" if "download" in request.query_params else "inline"
        shown = SHOWN.get(Path(output.name).suffix.lower())
        return FileResponse(
            path,
            media_type=shown or mimetypes.guess_type(output.name)[0] or "application/octet-stream",
            filename=Path(output.name).name,
            content_disposition_type=kind if shown else "attachment",
        )

    async def _log(self, request: Request) -> Response:
        return PlainTextResponse(await in_thread(_end_of, self._folders.log(self._job(request).id)))

    async def _frame_log(self, request: Request) -> Response:
        log, frame = self._folders.log(self._job(request).id), request.path_params["frame"]
        _, _, text = await in_thread(log_pieces.read_frame, log, frame, 0, LOG_BYTES)
        return PlainTextResponse(text)

    async def _zip(self, request: Request) -> Response:
        job = self._job(request)
        files = [
            ((f"{each.directory}/{each.name}" if each.directory else each.name).lstrip("/"), path)
            for each, path in self._desk.results(job)
        ]
        name = quote(f"{Path(job.spec.title).stem}.zip")
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{name}"}
        return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)


class _Pipe:
    """A file that is only written to; what was written is taken out in between."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._written = 0

    def write(self, piece: bytes) -> int:
        """As files do."""
        self._pieces.append(bytes(piece))
        self._written += len(piece)
        return len(piece)

    def tell(self) -> int:
        """As files do."""
        return self._written

    def flush(self) -> None:
        """As files do."""

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(files: list[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a zip of (name, file), piece by piece; not compressed, since pictures are. What has gone is left out."""
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for name, path in files:
            try:
                source = path.open("rb")
            except OSError:
                continue
            with source, archive.open(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), "w", force_zip64=True) as entry:
                while piece := source.read(1 << 20):
                    entry.write(piece)
                    yield pipe.taken()
    yield pipe.taken()


def _view(output: Output) -> OutputView:
    suffix = Path(output.name).suffix.lower()
    kind = SHOWN.get(suffix) or mimetypes.guess_type(output.name)[0] or "application/octet-stream"
    return OutputView(output.output, output.name, output.directory, output.size, kind, suffix in SHOWN)


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - LOG_BYTES))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""

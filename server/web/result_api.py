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
from ..jobs import Job
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
                tuple(int(row[3]) for row in rows),
            )
        )

    async def _frame(self, request: Request) -> Response:
        frame = request.path_params["frame"]
        known = self._store.frame(self._job(request).id, frame)
        if known is None:
            raise UNKNOWN_FRAME
        state, seconds, attempts, reason, outputs = known
        views = tuple(map(_view, outputs))
        return answer(FrameView(frame, LETTERS[state], seconds, attempts, reason, views))

    async def _picture(self, request: Request) -> Response:
        job, frame = self._job(request), request.path_params["frame"]
        known = self._store.frame(job.id, frame)
        if known is None:
            raise UNKNOWN_FRAME
        found = self._shown(job, known[4])
        if found is None and job.preview is not None and job.preview[0] == frame:
            return Response(job.preview[1], media_type="image/jpeg")
        if found is None:
            raise NO_PICTURE
        return FileResponse(found, media_type=SHOWN[found.suffix.lower()], headers=_FOR_A_DAY)

    def _shown(self, job: Job, outputs: list[Output]) -> Path | None:
        for each in outputs:
            stored = self._store.stored_output(each.output)
            if stored is not None and Path(each.name).suffix.lower() in SHOWN:
                return self._folders.output(job.id, stored[1])
        return None

    async def _preview(self, request: Request) -> Response:
        job = self._job(request)
        if job.preview is None:
            raise NO_PICTURE
        return Response(job.preview[1], media_type="image/jpeg", headers=_FOR_A_DAY)

    async def _output(self, request: Request) -> Response:
        output = request.path_params["output"]
        stored, name = self._store.stored_output(output), self._store.output_name(output)
        if stored is None or name is None:
            raise UNKNOWN_OUTPUT
        job = self._desk.job(visitor_of(request), stored[0])
        kind = "attachment" if "download" in request.query_params else "inline"
        shown = SHOWN.get(Path(name).suffix.lower())
        return FileResponse(
            self._folders.output(job.id, stored[1]),
            media_type=shown or mimetypes.guess_type(name)[0] or "application/octet-stream",
            filename=Path(name).name,
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
        files = []
        for each in self._store.outputs(job.id):
            stored = self._store.stored_output(each.output)
            if stored is not None:
                name = f"{each.directory}/{each.name}" if each.directory else each.name
                files.append((name.lstrip("/"), self._folders.output(job.id, stored[1])))
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

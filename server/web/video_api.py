# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos to take home."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from ..jobs import Job
from ..video import CODECS, STILLS
from .desk import Desk
from .routing import Operation, answer, body_of, visitor_of
from .videos import UNKNOWN, Video, Videos

DEFAULT_FPS = 24.0
"""Of a job whose scene nobody has opened yet; Blender's own."""


@dataclass(frozen=True, slots=True)
class NewVideo:
    """What is wanted."""

    codec: str
    """h264 or prores."""
    fps: float | None = None
    """None: as the scene has it."""


@dataclass(frozen=True, slots=True)
class VideoList:
    """A job's videos."""

    videos: tuple[Video, ...]


class VideoApi:
    """Answers what is asked about videos."""

    def __init__(self, desk: Desk, videos: Videos) -> None:
        self._desk = desk
        self._videos = videos
        of_job = "/api/jobs/{job}/videos"
        self.operations = (
            Operation("GET", of_job, self._list, "A job's videos", VideoList),
            Operation("POST", of_job, self._make, "Make one of its frames", Video, NewVideo, 202),
            Operation("GET", "/api/videos/{video}", self._file, "A video", "video/*"),
            Operation("DELETE", "/api/videos/{video}", self._delete, "Delete a video", status=204),
        )

    def _job(self, request: Request) -> Job:
        return self._desk.job(visitor_of(request), request.path_params["job"])

    async def _list(self, request: Request) -> Response:
        return answer(VideoList(tuple(self._videos.of(self._job(request).id))))

    async def _make(self, request: Request) -> Response:
        job, wanted = self._job(request), await body_of(request, NewVideo)
        frames = list(self._frames(job))
        return answer(self._videos.make(job.id, frames, wanted.codec, wanted.fps or job.fps or DEFAULT_FPS), 202)

    def _frames(self, job: Job) -> list[Path]:
        """One file for each frame, in order: the scene's own, before those of File Output nodes."""
        chosen: dict[int, Path] = {}
        for each, path in sorted(
            self._desk.results(job), key=lambda found: (found[0].frame or 0, found[0].directory != "")
        ):
            if each.frame is not None and path.suffix.lower() in STILLS:
                chosen.setdefault(each.frame, path)
        return list(chosen.values())

    async def _file(self, request: Request) -> Response:
        name = request.path_params["video"]
        of, path = self._videos.file(name)
        job = self._desk.job(visitor_of(request), of)
        if not path.is_file():
            raise UNKNOWN
        title = f"{Path(job.spec.title).stem}{path.suffix}"
        kind = next(codec.media_type for codec in CODECS.values() if codec.suffix == path.suffix)
        return FileResponse(path, media_type=kind, filename=title)

    async def _delete(self, request: Request) -> Response:
        name = request.path_params["video"]
        self._desk.job(visitor_of(request), self._videos.file(name)[0])
        self._videos.delete(name)
        return Response(status_code=204)

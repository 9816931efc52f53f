# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's server: the API and the page's files, served by uvicorn on the node's own loop."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from addon.client.recipe_cache import RecipeCache

from ..errors import ServerError
from ..sandbox import Containment
from .access import Access, Visitor, domain_names, kept_token
from .asking import Asker
from .desk import Desk
from .gate import Gate
from .job_api import JobApi
from .openapi import describe
from .owner_api import OwnerApi
from .result_api import ResultApi
from .routing import Operation, routes
from .spool import Spool
from .upload_api import UploadApi
from .video_api import VideoApi
from .videos import Video, Videos

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"

PORT_OFFSET = 2
"""The page's port is behind the node's own two, unless it is chosen."""

END_S = 2
"""Answers that are under way when the node ends may take so long."""


class CannotServe(ServerError):
    """The page's address cannot be listened on."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How the page is served."""

    host: str = "127.0.0.1"
    port: int | None = None
    """None: the node's own and PORT_OFFSET, or any other if that is taken."""
    certificate: Path | None = None
    """PEM, with the key: HTTPS."""


class Site:
    """The page, from its socket to its end."""

    def __init__(
        self, options: PageOptions, node_port: int, desk: Desk, containment: Containment, data: Path, owner: str
    ) -> None:
        """`owner`: of jobs that come in through it. Raises CannotServe, access.BadToken, OSError."""
        self._socket = _listen(options, node_port)
        port = int(self._socket.getsockname()[1])
        self._desk = desk
        token = kept_token(data / "page.token")
        scheme = "http" if options.certificate is None else "https"
        host = "127.0.0.1" if options.host in ("0.0.0.0", "::") else options.host  # noqa: S104
        shown = f"[{host}]" if ":" in host else host
        self.link = f"{scheme}://{shown}:{port}/?token={token}"
        self._uploads = UploadApi(
            desk,
            Spool(data / "uploads"),
            Asker(containment, desk.node.blenders, data / "workers" / "asking"),
            RecipeCache(data / "recipes.sqlite3"),
        )
        self._videos = Videos(
            containment, data / "workers" / "videos", desk.node.folders.videos, lambda video: _tell_of(desk, video)
        )
        visitor = Visitor(owner, "the node's owner", manages=True)
        self._access = access = Access(token, visitor, port, desk.letting_in.find)
        desk.letting_in.watchers.append(lambda: desk.news.part(access.is_current))
        operations = (
            *JobApi(desk).operations,
            *ResultApi(desk).operations,
            *self._uploads.operations,
            *VideoApi(desk, self._videos).operations,
            *OwnerApi(desk, access.token_of).operations,
        )
        self._server = _Quiet(
            uvicorn.Config(
                Gate(_app(operations), access, ("/static/",), FileResponse(STATIC / "door.html", 401)),
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=END_S,
                ssl_certfile=options.certificate,
            )
        )
        self._serving: asyncio.Task[None] | None = None
        self._naming: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Serve from now on."""
        self._serving = asyncio.create_task(self._server.serve([self._socket]))
        self._naming = asyncio.create_task(self._learn_names())

    async def _learn_names(self) -> None:
        self._access.names |= await asyncio.to_thread(domain_names)

    async def close(self) -> None:
        """End all answers."""
        self._uploads.close()
        if self._naming is not None:
            self._naming.cancel()
        await self._videos.close()
        self._desk.news.close()
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        self._socket.close()


class _Quiet(uvicorn.Server):
    """The node has its own way to end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def _app(operations: tuple[Operation, ...]) -> Starlette:
    description = describe(operations)

    async def index(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    async def openapi(_: Request) -> Response:
        return JSONResponse(description)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/api/openapi.json", openapi),
            *routes(operations),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
    )


def _tell_of(desk: Desk, video: Video) -> None:
    if video.job in desk.node.books:
        desk.news.tell("video", asdict(video), desk.node.books.job(video.job).owner)


def _listen(options: PageOptions, node_port: int) -> socket.socket:
    host = "127.0.0.1" if options.host == "localhost" else options.host
    ports = [node_port + PORT_OFFSET, 0] if options.port is None else [options.port]
    for port in ports:
        try:
            return socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=256
            )
        except (OSError, OverflowError) as error:
            failure = error
    raise CannotServe(
        f"The page cannot listen on {options.host}:{ports[0]}: {getattr(failure, 'strerror', failure)}. Choose another "
        "address with --web HOST:PORT, or none with --web off."
    )

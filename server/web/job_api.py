# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs: how far they are, and what can be done with them."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from addon.protocol.messages.checks import check_priority

from ..jobs import Job
from .desk import Desk
from .routing import Conflict, Handler, Operation, answer, body_of, visitor_of
from .views import JobList, JobView, NodeView


@dataclass(frozen=True, slots=True)
class Priority:
    """Which jobs come first; 0 is what a job has by itself."""

    priority: int

    def __post_init__(self) -> None:
        check_priority(self.priority)


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a job belongs in the order of work."""

    before: str | None = None
    """The job that comes next; None: the job is the last."""


class JobApi:
    """Answers what is asked about jobs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        node = desk.node
        self.operations = (
            Operation("GET", "/api/node", self._node, "The node", NodeView),
            Operation("GET", "/api/events", self._events, "Everything, and then every change", "text/event-stream"),
            Operation("GET", "/api/jobs", self._list, "All jobs", JobList),
            Operation("GET", "/api/jobs/{job}", self._show, "One job", JobView),
            Operation("POST", "/api/jobs/{job}/cancel", self._does(node.cancel), "Stop a job now", JobView),
            Operation("POST", "/api/jobs/{job}/retry", self._does(node.retry), "Render what failed again", JobView),
            Operation("POST", "/api/jobs/{job}/pause", self._does(node.pause), "Begin no more of its frames", JobView),
            Operation("POST", "/api/jobs/{job}/resume", self._does(node.resume), "Go on with a paused job", JobView),
            Operation("PATCH", "/api/jobs/{job}", self._prioritize, "Change a job's priority", JobView, Priority),
            Operation("POST", "/api/jobs/{job}/move", self._move, "Change the order of work", JobView, Moved),
            Operation("DELETE", "/api/jobs/{job}", self._forget, "Forget a finished job and its frames", status=204),
        )

    def _job(self, request: Request) -> Job:
        return self._desk.job(visitor_of(request), request.path_params["job"])

    def _told(self, request: Request, job: Job) -> Response:
        return answer(self._desk.view(job, visitor_of(request)))

    async def _node(self, request: Request) -> Response:
        return answer(self._desk.about(visitor_of(request)))

    async def _events(self, request: Request) -> Response:
        events = self._desk.news.follow(visitor_of(request))
        return StreamingResponse(events, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _list(self, request: Request) -> Response:
        return answer(JobList(self._desk.jobs(visitor_of(request))))

    async def _show(self, request: Request) -> Response:
        return self._told(request, self._job(request))

    def _does(self, action: Callable[[Job], None]) -> Handler:
        async def act(request: Request) -> Response:
            job = self._job(request)
            action(job)
            return self._told(request, job)

        return act

    async def _prioritize(self, request: Request) -> Response:
        job, wanted = self._job(request), await body_of(request, Priority)
        self._desk.node.prioritize(job, wanted.priority, visitor_of(request).manages)
        return self._told(request, job)

    async def _move(self, request: Request) -> Response:
        job, wanted = self._job(request), await body_of(request, Moved)
        before = self._desk.job(visitor_of(request), wanted.before) if wanted.before is not None else None
        self._desk.node.move(job, before, visitor_of(request).manages)
        return self._told(request, job)

    async def _forget(self, request: Request) -> Response:
        job = self._job(request)
        if not job.finished:
            raise Conflict("This job is not finished: cancel it first.")
        self._desk.node.forget(job)
        return Response(status_code=204)

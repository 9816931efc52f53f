# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs: how far they are, and what can be done with them."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ..jobs import Job
from .desk import Desk
from .routing import Conflict, Handler, Operation, answer, visitor_of
from .views import JobList, JobView, NodeView


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

    async def _forget(self, request: Request) -> Response:
        job = self._job(request)
        if not job.finished:
            raise Conflict("This job is not finished: cancel it first.")
        self._desk.node.forget(job)
        return Response(status_code=204)

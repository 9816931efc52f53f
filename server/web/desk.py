# SPDX-License-Identifier: GPL-3.0-or-later
"""What the parts of the API work with."""

import contextlib
import platform
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from addon.protocol.messages import Output
from addon.protocol.version import VERSION

from ..errors import UNKNOWN_JOB
from ..job_store import JobStore
from ..jobs import Job
from ..letting_in import LettingIn
from ..node import Node
from .access import Visitor
from .news import News
from .views import ClientsView, JobView, Me, NodeView, job_view


@dataclass
class Desk:
    """The node, as the page sees it."""

    node: Node
    letting_in: LettingIn
    sandboxed: bool
    upload_limit: int | None
    brought: Callable[[], set[str]]
    """Manifests that came over the protocol, whose jobs may be on their way."""
    news: News = field(init=False)
    _arriving: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.news = News(self._hello)

    def job(self, visitor: Visitor, job: str) -> Job:
        """Return a job that a visitor may see. Raises RequestRefused: others do not exist for it."""
        found = self.node.books.job(job)
        if not visitor.may_see(found.owner):
            raise UNKNOWN_JOB
        return found

    def results(self, job: Job, frame: int | None = None) -> list[tuple[Output, Path]]:
        """Return results of a job, or of one of its frames, that are on the node (still), in the order of the shot."""
        known = self._store.results(job.id, frame)
        found = [(output, self.node.folders.still_here(job.id, stored)) for output, stored in known]
        return [(output, path) for output, path in found if path is not None]

    def result(self, output: str) -> tuple[Output, Path] | None:
        """Return one, if it is on the node (still)."""
        known = self._store.result(output)
        path = None if known is None else self.node.folders.still_here(known[0].job, known[1])
        return None if known is None or path is None else (known[0], path)

    @property
    def _store(self) -> JobStore:
        return self.node.books.store

    def view(self, job: Job, visitor: Visitor) -> JobView:
        """Return what there is to say about a job."""
        return job_view(job, time.monotonic(), self.news.preview_version(job.id), visitor)

    def jobs(self, visitor: Visitor) -> tuple[JobView, ...]:
        """Return all jobs that a visitor may see."""
        return tuple(self.view(job, visitor) for job in self.node.books if visitor.may_see(job.owner))

    def about(self, visitor: Visitor) -> NodeView:
        """Return what there is to say about the node."""
        return NodeView(
            name=platform.node(),
            version=VERSION,
            blenders=tuple(blender.name for blender in reversed(self.node.blenders)),
            sandboxed=self.sandboxed,
            slots=self.node.slots,
            ffmpeg=shutil.which("ffmpeg") is not None,
            upload_limit=self.upload_limit,
            me=Me(visitor.owner, visitor.name, visitor.manages),
        )

    def stored(self) -> set[str]:
        """Return the manifests whose jobs may be on their way."""
        return self.brought() | set(+self._arriving)

    @contextlib.contextmanager
    def arriving(self, manifest: str) -> Iterator[None]:
        """While a job for this manifest is on its way, its files are kept."""
        self._arriving[manifest] += 1
        try:
            yield
        finally:
            self._arriving[manifest] -= 1

    def clients_changed(self) -> None:
        """Somebody asks to be let in, or does not any more."""
        self.news.tell("clients", asdict(self.clients()))

    def clients(self) -> ClientsView:
        """Return who is let in, and who asks to be."""
        listed = self.letting_in.listed()
        return ClientsView(listed.clients, listed.requests)

    def _hello(self, visitor: Visitor) -> dict[str, Any]:
        said = {"node": asdict(self.about(visitor)), "jobs": [asdict(view) for view in self.jobs(visitor)]}
        return {**said, "clients": asdict(self.clients())} if visitor.manages else said

# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's side knows of the node and its jobs: built up from the client's events, read by the panel."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import PurePath
from typing import Any

FINISHED = frozenset({"done", "failed", "cancelled", "superseded"})
"""States that no further event leaves, except that a retry does."""

AT_NODE = frozenset({"queued", "rendering", "encoding"})
"""States of a job of which the node may have more to begin."""


@dataclass(frozen=True, slots=True)
class Connection:
    """How things stand with the node: the client's last "connection" event, or what is known before there is one."""

    state: str = "none"
    """none | connecting | connected | unpaired | refused | lost | offline (Blender's setting) | ended (client died)"""
    text: str = ""
    address: str = ""
    node: str = ""
    blenders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pairing:
    """How far this account has come in being let in by the node: the client's last "pairing" event."""

    state: str = ""
    """"" | asking | comparing | waiting | failed"""
    text: str = ""
    digits: str = ""
    """Six, as people read them; stay from comparing on."""


@dataclass(frozen=True, slots=True)
class Job:
    """One render job as its last "job" event told it. Unknown fields of the event are ignored."""

    job: str
    title: str = ""
    blend: str = ""
    state: str = "waiting"
    frames: str = ""
    total: int = 0
    done: int = 0
    delivered: int = 0
    failed: int = 0
    fraction: float = 0.0
    eta_s: float | None = None
    frame: int | None = None
    sample: int | None = None
    samples: int | None = None
    tile: int | None = None
    tiles: int | None = None
    sent_bytes: int = 0
    total_bytes: int = 0
    rate: float = 0.0
    """Upload, bytes/s."""
    text: str = ""
    notices: tuple[str, ...] = ()
    missing: tuple[Mapping[str, str], ...] = ()
    """Files that cannot be found on this machine: "owner", the data-block, "path", and "reason"."""
    blender: str | None = None
    device: str = ""
    folder: str = ""
    paused: bool = False
    """Nothing more of it is begun until it is to go on."""
    created: float = 0.0
    """Seconds since the epoch."""

    @property
    def finished(self) -> bool:
        """Whether nothing more happens to this job by itself."""
        return self.state in FINISHED

    @property
    def pausable(self) -> bool:
        """Whether the node has it, and more to begin of it."""
        return self.state in AT_NODE

    @property
    def retriable(self) -> bool:
        """Whether asking for the failed frames again makes sense."""
        return self.state == "failed"


@dataclass(frozen=True, slots=True)
class Node:
    """One render node that announces itself in the local network. Its name is a stranger's text, fit to show."""

    name: str = ""
    address: str = ""
    version: str = ""
    fits: bool = True
    """Whether this version of the extension can talk to it."""
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of one or more jobs, in a sentence."""

    text: str
    failed: bool = False


class Jobs:
    """The node's state as the artist may see it. Every method is cheap; none does I/O."""

    def __init__(self) -> None:
        self.connection = Connection()
        self.pairing = Pairing()
        self.problem = ""
        """The last sentence that belongs to no job; empty when there is none."""
        self.selected: str | None = None
        self.nodes: tuple[Node, ...] = ()
        """Found in the local network, while they are looked for."""
        self._notices: list[Notice] = []
        self._jobs: dict[str, Job] = {}
        self._problems: dict[str, str] = {}
        self._thumbnails: dict[str, str] = {}
        self._pictures: dict[str, str] = {}
        self._unacknowledged: dict[str, dict[str, Any]] = {}

    def rows(self) -> list[Job]:
        """Return the jobs to show, the newest first. A superseded job is its successor's business."""
        shown = [job for job in self._jobs.values() if job.state != "superseded"]
        return sorted(shown, key=lambda job: (-job.created, job.job))

    def selected_job(self) -> Job | None:
        """Return the job that the artist looks at: the chosen one, else the newest."""
        rows = self.rows()
        return next((job for job in rows if job.job == self.selected), rows[0] if rows else None)

    def problem_of(self, job: Job) -> str:
        """Return what stands in this job's way, or an empty string."""
        return self._problems.get(job.job, "")

    def thumbnail_of(self, job: Job) -> str:
        """Return the path of this job's newest small picture, or an empty string."""
        return self._thumbnails.get(job.job, "")

    def picture_of(self, job: Job) -> str:
        """Return the path of this job's newest delivered frame, or an empty string."""
        return self._pictures.get(job.job, "")

    def unacknowledged(self) -> list[dict[str, Any]]:
        """Return the render commands of which the client has not yet shown that it knows them, the oldest first."""
        return list(self._unacknowledged.values())

    def take_notices(self) -> list[Notice]:
        """Return what the artist has not been told yet, once."""
        taken, self._notices = self._notices, []
        return taken

    def submitted(self, command: dict[str, Any]) -> None:
        """Show a job from the moment it is handed over; the client's first event about it replaces this."""
        job = Job(
            job=command["job"],
            title=command["title"],
            blend=command["blend"],
            frames=command["frames"],
            folder=command["folder"],
            created=time.time(),
            text="Handing the file over.",
        )
        self._jobs[job.job] = job
        self._unacknowledged[job.job] = command
        self.selected = job.job
        self.problem = ""

    def cancelled(self, job_id: str) -> None:
        """Forget to hand over a job of which the client may not know yet."""
        if self._unacknowledged.pop(job_id, None):
            self._jobs[job_id] = replace(self._jobs[job_id], state="cancelled", text="Cancelled.")

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the client; one of an unknown kind (a newer client's) changes nothing."""
        match event.get("event"):
            case "connection":
                self._apply_connection(Connection(**_known(Connection, event)))
            case "pairing":
                self._apply_pairing(Pairing(**_known(Pairing, event)))
            case "job":
                self._apply_job(Job(**_known(Job, event)))
            case "thumbnail":
                self._thumbnails[event["job"]] = event["path"]
            case "delivered":
                self._apply_delivered(event["job"], event["path"])
            case "forgotten":
                self._forget(event["job"])
            case "nodes":
                self.nodes = tuple(Node(**_known(Node, node)) for node in event["nodes"])
            case "notice":
                self._notices.append(Notice(**_known(Notice, event)))
            case "problem":
                self._apply_problem(event.get("job"), event["text"])

    def _apply_connection(self, connection: Connection) -> None:
        self.connection = connection
        if connection.state == "connected":
            self.pairing = Pairing()

    def _apply_pairing(self, pairing: Pairing) -> None:
        if pairing.state == "waiting":
            pairing = replace(pairing, digits=self.pairing.digits)
        self.pairing = Pairing() if pairing.state == "paired" else pairing

    def _apply_job(self, job: Job) -> None:
        self._unacknowledged.pop(job.job, None)
        before = self._jobs.get(job.job)
        if before and before.state != job.state:
            self._problems.pop(job.job, None)
        self._jobs[job.job] = job

    def _apply_delivered(self, job_id: str, path: str) -> None:
        """The newest frame is what the artist wants to see, not the passes that came with it."""
        known, job = self._pictures.get(job_id), self._jobs.get(job_id)
        if known is None or job is None or PurePath(path).is_relative_to(job.folder):
            self._pictures[job_id] = path

    def _apply_problem(self, job_id: str | None, text: str) -> None:
        if job_id is None:
            self.problem = text
        else:
            self._problems[job_id] = text

    def _forget(self, job_id: str) -> None:
        for known in (self._jobs, self._problems, self._thumbnails, self._pictures, self._unacknowledged):
            known.pop(job_id, None)


def _known(kind: type[Connection | Pairing | Job | Node | Notice], event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event's values for the fields of `kind`, lists as tuples."""
    names = {field.name for field in fields(kind)}
    values = {name: value for name, value in event.items() if name in names}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}

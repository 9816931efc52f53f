# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API answers with, field by field; the same classes make its OpenAPI description. Pure."""

from dataclasses import dataclass, fields

from addon.client.contents import SceneInfo
from addon.protocol.messages import ClientStatus, JobStatus, PairingRequest, WorkerStatus

from ..jobs import Job
from ..progress import status_of
from .access import Visitor

_STATUS = tuple(field.name for field in fields(JobStatus))


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks."""

    owner: str
    name: str
    manages: bool


@dataclass(frozen=True, slots=True)
class NodeView:
    """The node."""

    name: str
    version: str
    blenders: tuple[str, ...]
    sandboxed: bool
    slots: int
    ffmpeg: bool
    """Whether videos can be made."""
    upload_limit: int | None
    """Bytes of one upload."""
    me: Me


@dataclass(frozen=True, slots=True)
class JobView(JobStatus):
    """A job, as far as it is."""

    scene: str | None
    engine: str | None
    """What renders instead of the scene's own."""
    group: str
    seconds: float
    """That its frames took so far, summed."""
    preview: int | None
    """Frame of its newest small picture."""
    preview_version: int
    fps: float | None
    """Of its scene, frames a second; null: it was not opened yet."""
    mine: bool


@dataclass(frozen=True, slots=True)
class JobList:
    """All jobs that the visitor may see, in order of arrival."""

    jobs: tuple[JobView, ...]


@dataclass(frozen=True, slots=True)
class FramesView:
    """Every frame of a job, in the order of the shot."""

    frames: tuple[int, ...]
    states: str
    """A letter each: queued, rendering, done, failed."""
    seconds: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class OutputView:
    """A file that a frame has come to."""

    output: str
    name: str
    directory: str
    size: int
    type: str
    """As MIME has it."""
    shown: bool
    """Whether browsers can show it."""


@dataclass(frozen=True, slots=True)
class FrameView:
    """One frame."""

    frame: int
    state: str
    seconds: float | None
    attempts: int
    reason: str
    outputs: tuple[OutputView, ...]
    """Those that are on the node: what is home stays in its gallery for a while."""


@dataclass(frozen=True, slots=True)
class UploadStarted:
    """A new upload."""

    upload: str


@dataclass(frozen=True, slots=True)
class FileView:
    """A file on its way."""

    path: str
    size: int
    length: int


@dataclass(frozen=True, slots=True)
class MissingView:
    """A file that the scene uses and the upload lacks."""

    owner: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class BlendView:
    """A .blend of an upload."""

    blend: str
    version: str
    scenes: tuple[SceneInfo, ...]
    missing: tuple[MissingView, ...]
    text: str
    """Why nothing is known of it, one sentence."""


@dataclass(frozen=True, slots=True)
class UploadView:
    """An upload."""

    upload: str
    complete: bool
    files: tuple[FileView, ...]
    blends: tuple[BlendView, ...]


@dataclass(frozen=True, slots=True)
class GpuView:
    """A graphics card, as its driver's tool has it."""

    name: str
    memory: int | None
    memory_used: int | None
    temperature_c: float | None
    load: float | None


@dataclass(frozen=True, slots=True)
class CpuView:
    """The processor; `load`: part of all cores that is busy."""

    cores: int
    load: float
    temperature_c: float | None


@dataclass(frozen=True, slots=True)
class MemoryView:
    """Bytes."""

    total: int
    used: int


@dataclass(frozen=True, slots=True)
class WorkersView:
    """The node's Blenders, and the machine that they run on."""

    slots: int
    workers: tuple[WorkerStatus, ...]
    gpus: tuple[GpuView, ...]
    cpu: CpuView
    memory: MemoryView


@dataclass(frozen=True, slots=True)
class ClientsView:
    """Who is let in, and who asks to be."""

    clients: tuple[ClientStatus, ...]
    requests: tuple[PairingRequest, ...]


@dataclass(frozen=True, slots=True)
class LinkView:
    """What lets a client in as itself: behind the page's address as `/?token=`, or as a bearer token."""

    client: str
    name: str
    token: str


def job_view(job: Job, now: float, preview_version: int, visitor: Visitor) -> JobView:
    """Return all there is to say about a job; `now`: as in progress.status_of."""
    status = status_of(job, now)
    return JobView(
        **{name: getattr(status, name) for name in _STATUS},
        scene=job.spec.scene,
        engine=job.spec.engine,
        group=job.spec.group,
        seconds=round(job.seconds, 3),
        preview=job.preview[0] if job.preview is not None else None,
        preview_version=preview_version,
        fps=job.fps,
        mine=job.owner == visitor.owner,
    )

# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message of the protocol as a frozen dataclass; docs/protocol.md says when each is sent.

`Hello` and `Refused` keep their fields for ever: they are how two versions tell each other apart.
"""

import enum
import re
from dataclasses import dataclass

from .frame_range import parse_frames
from .limits import MAX_CHUNK_BYTES, MAX_FILE_BYTES, MAX_MANIFEST_BYTES
from .paths import check_relative_name

_ID = re.compile(r"[0-9a-f]{32}\Z")
_MAX_TEXT = 1000


class JobState(enum.StrEnum):
    """Where a job stands on the node."""

    QUEUED = "queued"
    RENDERING = "rendering"
    ENCODING = "encoding"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


FINISHED = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.SUPERSEDED})
"""States in which the node does nothing more for a job by itself."""


class Scope(enum.StrEnum):
    """Which jobs a session hears of."""

    OWN = "own"
    ALL = "all"


class Codec(enum.StrEnum):
    """How bytes of a file are written on the wire; codecs.py has the algorithms."""

    RAW = "raw"
    ZSTD = "zstd"
    PATCH = "patch"
    """zstd with the bytes of `base` as its prefix."""
    SHUFFLE = "shuffle"
    """The bytes of 32-bit words sorted by their place in the word, then zstd."""
    DELTA_1 = "delta1"
    """32-bit words as differences from the word before, zigzag, shuffled, then zstd."""
    DELTA_2 = "delta2"
    DELTA_3 = "delta3"
    DELTA_4 = "delta4"


class Refusal(enum.StrEnum):
    """Why the node refused something; the client acts on these, people read the sentence beside it."""

    VERSION = "version"
    HELLO_FIRST = "hello-first"
    BASE_MISSING = "base-missing"
    FILE_MISSING = "file-missing"
    BAD_FILE = "bad-file"
    NO_BLENDER = "no-blender"
    UNKNOWN_JOB = "unknown-job"
    DISK_FULL = "disk-full"
    STORAGE = "storage"
    INTERNAL = "internal"


# Both ways


@dataclass(frozen=True, slots=True)
class Want:
    """The receiver of `transfer` asks for its bytes from `offset` on and allows them up to `limit`."""

    transfer: str
    offset: int
    limit: int

    def __post_init__(self) -> None:
        _check(0 <= self.offset <= self.limit <= MAX_FILE_BYTES, "offset and limit of a transfer")


@dataclass(frozen=True, slots=True)
class Grant:
    """The receiver of `transfer` has room for more: bytes may go on up to `limit`."""

    transfer: str
    limit: int

    def __post_init__(self) -> None:
        _check(0 < self.limit <= MAX_FILE_BYTES, "limit of a transfer")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of `transfer` from `offset` on; the payload carries them."""

    transfer: str
    offset: int

    def __post_init__(self) -> None:
        _check(0 <= self.offset <= MAX_FILE_BYTES, "offset of a piece")


# Client to node


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of every connection."""

    protocol: int
    version: str
    client: str
    """The installation, whose jobs these are; 32 hexadecimal digits."""
    process: str
    """The running program: of two connections of one process the older is dead; 32 hexadecimal digits."""
    host: str
    """The machine's name, for people."""
    scope: Scope = Scope.OWN
    digests: tuple[str, ...] = ("blake2b",)
    """Algorithms that it can name chunks by."""

    def __post_init__(self) -> None:
        _check_id(self.client)
        _check_id(self.process)
        _check_text(self.version, self.host)


@dataclass(frozen=True, slots=True)
class Ping:
    """The client is there."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The client has the files of a job; the payload is their manifest, encoded."""

    manifest: str
    """Digest of the packed manifest; names the transfer."""
    size: int
    """Of the packed manifest, bytes."""
    codec: Codec
    base: str = ""
    """With Codec.PATCH: the manifest that this one is a change of, by its digest."""

    def __post_init__(self) -> None:
        _check_id(self.manifest)
        _check(0 < self.size <= MAX_MANIFEST_BYTES, "size of a manifest")
        _check_base(self.codec, self.base)


@dataclass(frozen=True, slots=True)
class ChunkHead:
    """One chunk among the bytes of a `Chunks`."""

    number: int
    """Its place among the distinct chunks of the manifest, from 0, in order of first appearance."""
    size: int
    """Of its encoded bytes."""
    codec: Codec
    base: str = ""
    """With Codec.PATCH: the chunk that this one is a change of, by its digest."""

    def __post_init__(self) -> None:
        _check(self.number >= 0 and 0 < self.size <= 2 * MAX_CHUNK_BYTES, "place or size of a chunk")
        _check_base(self.codec, self.base)


@dataclass(frozen=True, slots=True)
class Chunks:
    """Chunks that the node lacks, one after the other in the payload."""

    manifest: str
    chunks: tuple[ChunkHead, ...]

    def __post_init__(self) -> None:
        _check_id(self.manifest)


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The client will not send the rest of what it offered."""

    manifest: str

    def __post_init__(self) -> None:
        _check_id(self.manifest)


@dataclass(frozen=True, slots=True)
class JobSpec:
    """What is to be rendered. The client makes `job` up, so that a submission said twice is one job."""

    job: str
    title: str
    """For people: the name of the .blend."""
    manifest: str
    """Digest of the manifest of its files."""
    scene: str | None
    """None: the scene that was active when the file was saved."""
    frames: str
    """As `frame_range.parse_frames` reads them."""
    group: str
    """A newer job of the same client and group supersedes this one; empty: nothing does."""
    created: float
    """Seconds since the epoch on the artist's clock, for people only."""

    def __post_init__(self) -> None:
        _check_id(self.job)
        _check_id(self.manifest)
        _check_text(self.title, self.scene or "", self.group)
        parse_frames(self.frames)


@dataclass(frozen=True, slots=True)
class Submit:
    """Queue this job as soon as its files are stored; they were offered before."""

    spec: JobSpec


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop this job now; frames already rendered still come back."""

    job: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Render the failed frames of this job again."""

    job: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Take this finished job off the list, with all the node holds of it."""

    job: str


@dataclass(frozen=True, slots=True)
class Collect:
    """This session takes the job's outputs: announce them to it."""

    job: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """The output lies complete on the artist's disk; the node may forget it."""

    output: str


@dataclass(frozen=True, slots=True)
class AskStore:
    """Say what the node keeps of artists' files, after evicting what no job needs until `shrink_to` bytes are left."""

    shrink_to: int | None = None
    """None: nothing is evicted."""

    def __post_init__(self) -> None:
        _check(self.shrink_to is None or self.shrink_to >= 0, "size of a store")


# Node to client


@dataclass(frozen=True, slots=True)
class Welcome:
    """The node's side of the hello."""

    protocol: int
    version: str
    id: str
    """The node for programs, whatever address it has; 32 hexadecimal digits."""
    node: str
    """The machine's name, for people."""
    blenders: tuple[str, ...]
    """Versions, newest first: ("5.2.2", "4.3.2")."""
    digest: str = "blake2b"
    """The algorithm to name chunks by on this connection."""
    codecs: tuple[Codec, ...] = (Codec.RAW,)
    """What the node can decode."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The node will not do what was asked. `about` is the job, digest or output concerned, or empty: the session."""

    reason: Refusal
    text: str
    about: str = ""
    protocol: int = 0
    version: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """The node is there."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the node lacks of an offered manifest: a bit for each chunk in the payload, the first in the lowest bit of
    the first byte.
    """

    manifest: str
    limit: int
    """Encoded bytes that may be sent so far, those sent along with the offer included."""


@dataclass(frozen=True, slots=True)
class Stored:
    """All files of the manifest lie verified on the node's disk."""

    manifest: str


@dataclass(frozen=True, slots=True)
class JobStatus:
    """All there is to say about a job; each one replaces the one before."""

    job: str
    owner: str
    title: str
    state: JobState
    frames: str
    total: int
    """Frames asked for."""
    done: int
    failed: int
    undelivered: int
    """Frames (and the movie) with outputs that the client has not acknowledged."""
    fraction: float
    """0 to 1, the running frames' parts included."""
    eta_s: float | None
    frame: int | None
    """The frame being rendered, the earliest when there are several."""
    sample: int | None
    samples: int | None
    tile: int | None
    tiles: int | None
    text: str
    """One sentence for the artist when something needs to be said, else empty."""
    notices: tuple[str, ...]
    blender: str | None
    """Version that renders, "5.2.2"."""
    created: float


@dataclass(frozen=True, slots=True)
class JobChanged:
    """News of a job; on a new session one for every job that it may see, finished ones included."""

    status: JobStatus


@dataclass(frozen=True, slots=True)
class JobGone:
    """The node holds nothing of this job (any more)."""

    job: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Closes the list of jobs that a new session is sent: what was not in it, the node does not know."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A small JPEG of a finished frame, in the payload."""

    job: str
    frame: int


@dataclass(frozen=True, slots=True)
class Output:
    """One file that a job has written. `output` names its transfer."""

    output: str
    job: str
    frame: int | None
    """None for what belongs to the whole job, a movie."""
    directory: str
    """Empty: the scene's own output folder. Else the directory of a File Output node as the .blend names it."""
    name: str
    """Below that directory, with slashes."""
    size: int
    digest: str

    def __post_init__(self) -> None:
        check_relative_name(self.name)
        _check_id(self.digest)
        _check(0 < self.size <= MAX_FILE_BYTES, "size of an output")


@dataclass(frozen=True, slots=True)
class Announce:
    """These outputs wait for the client."""

    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """What the node keeps of artists' files. Sizes in bytes on its disk."""

    files: int
    """Complete ones."""
    bytes: int
    """Of everything in the store."""
    needed: int
    """Of what jobs need: it is never evicted."""
    limit: int
    partial: int
    """Files that have not come whole."""
    partial_bytes: int
    spare: int
    """Copies of large .blends in wait for their next save."""
    spare_bytes: int
    evicted: int
    """Bytes that were evicted for this answer."""
    last_use: float | None
    """Seconds since the epoch."""


ClientMessage = (
    Hello
    | Ping
    | Offer
    | Chunks
    | Withdraw
    | Want
    | Grant
    | Submit
    | Cancel
    | Retry
    | Forget
    | Collect
    | Delivered
    | AskStore
)
NodeMessage = (
    Welcome
    | Refused
    | Pong
    | Need
    | Stored
    | Piece
    | Grant
    | JobChanged
    | JobGone
    | Ready
    | Preview
    | Announce
    | StoreStatus
)
Message = ClientMessage | NodeMessage


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(f"The {what} is out of bounds.")


def _check_id(text: str) -> None:
    if not _ID.match(text):
        raise ValueError(f"{text[:40]!r} is not an identifier of 32 hexadecimal digits.")


def _check_base(codec: Codec, base: str) -> None:
    _check((codec == Codec.PATCH) == bool(base), "base of a codec")
    if base:
        _check_id(base)


def _check_text(*texts: str) -> None:
    _check(all(len(text) <= _MAX_TEXT for text in texts), "length of a text")

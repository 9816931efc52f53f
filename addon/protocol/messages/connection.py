# SPDX-License-Identifier: GPL-3.0-or-later
"""Saying hello, and being there."""

import enum
from dataclasses import dataclass

from .checks import check_id, check_line
from .uploads import Codec


class Scope(enum.StrEnum):
    """Which jobs a session hears of."""

    OWN = "own"
    ALL = "all"


class Refusal(enum.StrEnum):
    """Why the node refused something; the client acts on these, people read the sentence beside it."""

    VERSION = "version"
    HELLO_FIRST = "hello-first"
    NOT_PAIRED = "not-paired"
    NOT_ALLOWED = "not-allowed"
    UNKNOWN_CODE = "unknown-code"
    UNKNOWN_CLIENT = "unknown-client"
    BAD_QUOTA = "bad-quota"
    QUOTA = "quota"
    BASE_MISSING = "base-missing"
    FILE_MISSING = "file-missing"
    BAD_FILE = "bad-file"
    NO_BLENDER = "no-blender"
    UNKNOWN_JOB = "unknown-job"
    DISK_FULL = "disk-full"
    STORAGE = "storage"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Hello:
    """First message of every connection."""

    protocol: int
    version: str
    process: str
    """The running program: of two connections of one process the older is dead; 32 hexadecimal digits."""
    host: str
    """The machine's name, for people."""
    scope: Scope = Scope.OWN
    digests: tuple[str, ...] = ("blake2b",)
    """Algorithms that it can name chunks by."""

    def __post_init__(self) -> None:
        check_id(self.process)
        check_line(self.version, self.host)


@dataclass(frozen=True, slots=True)
class Ping:
    """The client is there. Between two of these nothing may have been lost: see `sent`."""

    sent: int = 0
    """Frames of ZeroMQ that it has sent over this connection, this one included; 0: it does not count."""


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
    sandboxed: bool = False
    """Whether each of its Blenders is kept from the node's own files and the network."""


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

    sent: int = 0
    """As in Ping, of the node's frames; 0: the Ping did not count."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Closes the list of jobs that a new session is sent: what was not in it, the node does not know."""

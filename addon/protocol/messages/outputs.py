# SPDX-License-Identifier: GPL-3.0-or-later
"""What was rendered, on its way to the artist; Grant serves uploads, too."""

from dataclasses import dataclass

from ..limits import MAX_FILE_BYTES
from ..paths import check_relative_name
from .checks import check, check_id, check_transfer


@dataclass(frozen=True, slots=True)
class Want:
    """The receiver of `transfer` asks for its bytes from `offset` on and allows them up to `limit`."""

    transfer: str
    offset: int
    limit: int

    def __post_init__(self) -> None:
        check(0 <= self.offset <= self.limit <= MAX_FILE_BYTES, "offset and limit of a transfer")


@dataclass(frozen=True, slots=True)
class Grant:
    """The receiver of `transfer` has room for more: bytes may go on up to `limit`."""

    transfer: str
    limit: int
    taken: int = 0
    """Of an upload: bytes that the node has taken in."""

    def __post_init__(self) -> None:
        check(0 <= self.taken <= self.limit <= MAX_FILE_BYTES and self.limit > 0, "limit of a transfer")


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of `transfer` from `offset` on; the payload carries them."""

    transfer: str
    offset: int

    def __post_init__(self) -> None:
        check(0 <= self.offset <= MAX_FILE_BYTES, "offset of a piece")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The output lies complete on the artist's disk; the node may forget it."""

    output: str


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
        check_transfer(self.output)
        check_id(self.job)
        check_relative_name(self.name)
        check_id(self.digest)
        check(0 < self.size <= MAX_FILE_BYTES, "size of an output")


@dataclass(frozen=True, slots=True)
class Announce:
    """These outputs wait for the client."""

    outputs: tuple[Output, ...]

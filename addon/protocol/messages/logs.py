# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own words about a job."""

from dataclasses import dataclass

from ..frame_range import MAX_FRAME
from ..limits import MAX_FILE_BYTES
from .checks import check, check_id


@dataclass(frozen=True, slots=True)
class AskLog:
    """Say what Blender has said about a job."""

    job: str
    frame: int | None
    """Only what was printed while this frame was rendered; None: all of it."""
    after: int
    """Bytes that the client has already."""

    def __post_init__(self) -> None:
        check_id(self.job)
        check(self.frame is None or 0 <= self.frame <= MAX_FRAME, "frame")
        check(0 <= self.after <= MAX_FILE_BYTES, "offset of a log")


@dataclass(frozen=True, slots=True)
class Log:
    """A piece of a log; the payload carries its text in UTF-8."""

    job: str
    frame: int | None
    """The frame that it is about; None: the whole job, each line behind the number of its frame."""
    offset: int
    """Of the first byte of the payload. Less than what was asked for: the log has been begun anew."""
    size: int
    """Of the log at this moment, bytes; 0: there is none."""

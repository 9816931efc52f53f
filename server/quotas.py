# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a node one client may take. Pure.

What the owner writes is kept as it was written: ``jobs=20,frames=5000,stored=50GB,slots=2``. What is not named stays as
it is for everybody; ``none`` lifts a limit.
"""

from dataclasses import dataclass, fields, replace

from addon.protocol.messages import Refusal

from .errors import RequestRefused
from .sizes import parse_size, short_size

_EXAMPLE = "write something like jobs=20,frames=5000,stored=50GB,slots=2"


@dataclass(frozen=True, slots=True)
class Quota:
    """At most so much at a time; None: as much as there is."""

    jobs: int | None = None
    """Jobs that are not finished."""
    frames: int | None = None
    """Frames of theirs that are not rendered."""
    stored: int | None = None
    """Bytes of the files that unfinished or failed jobs need, and of those on their way; each file once."""
    slots: int | None = None
    """Frames rendered at once."""
    connections: int | None = None
    """Programs that are connected at once."""

    def changed(self, text: str) -> "Quota":
        """Return this with what `text` says. Raises ValueError with a sentence."""
        quota = self
        for part in filter(None, map(str.strip, text.split(","))):
            name, _, value = map(str.strip, part.partition("="))
            if name not in {field.name for field in fields(self)}:
                raise ValueError(f"{part} limits nothing: {_EXAMPLE}.")
            quota = replace(quota, **{name: _limit(name, value)})
        return quota

    def check_connections(self, connections: int) -> None:
        """Raise RequestRefused if a client that has so many connections may have no other."""
        if self.connections is not None and connections >= self.connections:
            have = "1 connection" if connections == 1 else f"{connections} connections"
            raise _refused(
                f"You have {have} to this node, and its owner allows {self.connections}: end a program that uses it."
            )

    def check_jobs(self, jobs: int) -> None:
        """Raise RequestRefused if a client that has so many unfinished jobs may have no other."""
        if self.jobs is not None and jobs >= self.jobs:
            raise _refused(
                f"You have {jobs} unfinished jobs on this node, and its owner allows {self.jobs}: cancel one, or wait "
                "until one is done."
            )

    def check_frames(self, waiting: int, more: int) -> None:
        """The same for `more` frames besides those that are `waiting`."""
        if self.frames is not None and waiting + more > self.frames:
            besides = f", {waiting} of your other jobs wait" if waiting else ""
            raise _refused(
                f"This job has {more} frames{besides}, and the node's owner allows {self.frames}: render fewer at once."
            )

    def check_stored(self, size: int) -> None:
        """The same for files of so many bytes in all."""
        if self.stored is not None and size > self.stored:
            raise _refused(
                f"With this job your files take {short_size(size)} on this node, and its owner allows "
                f"{short_size(self.stored)}: cancel a job that waits, or clear one that failed."
            )


def _limit(name: str, value: str) -> int | None:
    if value == "none":
        return None
    if name == "stored":
        return parse_size(value)
    if not (value.isascii() and value.isdigit() and int(value)):
        raise ValueError(f"{name}={value} is no limit: {_EXAMPLE}.")
    return int(value)


def _refused(sentence: str) -> RequestRefused:
    return RequestRefused(Refusal.QUOTA, sentence)

# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command's exit code says to a script. Pure."""

import enum

from addon.client.observer import Declined, NotLetIn, Unreachable
from addon.protocol.address import InvalidAddress
from addon.protocol.errors import InvalidFrames
from addon.protocol.messages import Refusal


class Exit(enum.IntEnum):
    """Exit codes; 2 is also what a wrong option gives, 130 what a shell makes of SIGINT."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    NO_JOB = 5
    FILES_MISSING = 6
    INTERRUPTED = 130


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "the job failed or was cancelled, or the node refused",
    Exit.USAGE: "the command was written wrongly",
    Exit.UNREACHABLE: "the node cannot be reached",
    Exit.NOT_ALLOWED: "not paired with the node, or not allowed to do this",
    Exit.NO_JOB: "there is no such job",
    Exit.FILES_MISSING: "files are missing on this machine",
    Exit.INTERRUPTED: "Ctrl+C; the job goes on",
}

_REFUSALS = {
    Refusal.NOT_PAIRED: Exit.NOT_ALLOWED,
    Refusal.NOT_ALLOWED: Exit.NOT_ALLOWED,
    Refusal.UNKNOWN_JOB: Exit.NO_JOB,
}

EPILOG = "Exit codes: " + "; ".join(f"{code:d} {meaning}" for code, meaning in MEANINGS.items())
"""What the help says of them."""


def exit_for(error: Exception) -> Exit:
    """Return the code for an error that ends a command."""
    match error:
        case Declined(reason=reason):
            return _REFUSALS.get(reason, Exit.FAILED)
        case NotLetIn():
            return Exit.NOT_ALLOWED
        case Unreachable():
            return Exit.UNREACHABLE
        case InvalidAddress() | InvalidFrames():
            return Exit.USAGE
        case _:
            return Exit.FAILED

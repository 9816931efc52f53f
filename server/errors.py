# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the node. Every message is a sentence for the artist or the node's owner."""

from addon.protocol.messages import Refusal


class ServerError(Exception):
    """The node cannot do this."""


class RequestRefused(ServerError):
    """The node will not do what a client asked; `reason` is for the client's program, the text for people."""

    def __init__(self, reason: Refusal, text: str) -> None:
        super().__init__(text)
        self.reason = reason


UNKNOWN_JOB = RequestRefused(Refusal.UNKNOWN_JOB, "The node does not know this job (any more).")
"""Also for a job that is somebody else's: to them it does not exist."""


class StoreTooNew(ServerError):
    """The data folder was written by a newer version of Relay Render: update this one, or choose another --data."""


class StoreInUse(ServerError):
    """Another node uses this data folder: end it, or choose another folder with --data."""


class StoreUnusable(ServerError):
    """The list of jobs cannot be read or written: the disk, or the rights to the data folder, do not allow it."""


class IllegalTransition(ServerError):
    """A job was about to take a step that its state does not allow: a bug."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the client. Every message is a sentence for the artist."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .gather import Missing


class ClientError(Exception):
    """The client cannot do this."""


class CannotRead(ClientError):
    """The file to render cannot be read."""


class JobRefused(ClientError):
    """The node will not render this."""


class SourceChanged(ClientError):
    """A file was changed while it was being sent."""


class FilesMissing(ClientError):
    """Files that the scene uses are not on this machine."""

    def __init__(self, missing: "tuple[Missing, ...]") -> None:
        super().__init__(f"{len(missing)} of the scene's files are missing.")
        self.missing = missing

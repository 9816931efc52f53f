# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors of the store."""

import errno
import os

from addon.protocol.messages import Refusal

from ..errors import RequestRefused, ServerError


class FileBusy(ServerError):
    """Another program of this artist is sending one of these files: wait until it has ended."""


class NoRoom(OSError):
    """The disk has not enough room for what is to come."""

    def __init__(self, lacking: int) -> None:
        """`lacking`: bytes."""
        super().__init__(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.lacking = lacking


class BaseMissing(RequestRefused):
    """A chunk came as the change of one that is not here."""

    def __init__(self) -> None:
        super().__init__(Refusal.BASE_MISSING, "The node does not have the earlier save any more.")

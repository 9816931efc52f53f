# SPDX-License-Identifier: GPL-3.0-or-later
"""Room on the disk for the books: when frames have filled it, it must be possible to write down that they failed."""

import logging
import os
import shutil
from pathlib import Path

log = logging.getLogger(__name__)

RESERVE_BYTES = 2 << 20
"""A job's failure costs some pages of 4 KiB; this is enough for hundreds of jobs."""

SCARCE_BYTES = 1 << 20
"""With less than this free the disk counts as full."""


FLOOR_BYTES = RESERVE_BYTES + SCARCE_BYTES
"""With more than this free there is room beside the reserve."""


class Reserve:
    """A file that takes up room, and is given up when there is no other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.held = path.exists() and path.stat().st_size == RESERVE_BYTES
        """Whether there is room beside the reserve; without it nothing new should be begun."""
        if not self.held:
            path.unlink(missing_ok=True)  # A kill may have come while it was written.
        self.balance()

    def balance(self) -> None:
        """Give the reserve up, or take it again, as the disk demands; asking the system costs some microseconds."""
        free = shutil.disk_usage(self._path.parent).free
        if self.held and free < SCARCE_BYTES:
            log.warning("the disk of %s is full", self._path.parent)
            self._path.unlink(missing_ok=True)
            self.held = False
        elif not self.held and free > FLOOR_BYTES:
            self._take()

    def _take(self) -> None:
        try:
            self._path.write_bytes(os.urandom(RESERVE_BYTES))  # Not zeros, which some file systems store as nothing.
        except OSError:
            self._path.unlink(missing_ok=True)
            return
        self.held = True

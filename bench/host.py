# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host of a virtual machine takes of its cores: gaps that no process on the machine is the cause of."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil


class Taken:
    """The share of the cores' time that the host gave to somebody else; Linux alone tells (`steal`, proc(5))."""

    def __init__(self) -> None:
        self._share: float | None = None
        self._from, self._began = _stolen_s(), time.perf_counter()

    def stop(self) -> None:
        """Take the share from the beginning until now."""
        passed = (time.perf_counter() - self._began) * (os.cpu_count() or 1)
        until = _stolen_s()
        if self._from is not None and until is not None:
            self._share = (until - self._from) / passed

    def says(self) -> str:
        """Return words for a measure's detail."""
        if self._share is None:
            return "what the host took is unknown"
        return f"the host took {self._share:.1%} of the cores"


@contextmanager
def taken_by_the_host() -> Iterator[Taken]:
    """What is taken within, known at the end."""
    taken = Taken()
    try:
        yield taken
    finally:
        taken.stop()


def _stolen_s() -> float | None:
    stolen: float | None = getattr(psutil.cpu_times(), "steal", None)
    return stolen

# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread that does one thing after the other, beside the node's loop, and holds up neither it nor the node's end."""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable

from . import JobEnd

log = logging.getLogger(__name__)

MOST_WAITING = 100
"""Ends of jobs that wait, such as for a server that is down; a hundred short jobs may end within a second."""


class Courier:
    """Hands ends of jobs to `deliver`, in their order. The thread begins with the first."""

    def __init__(self, name: str, deliver: Callable[[JobEnd], None], give_up: Callable[[], None]) -> None:
        """`deliver` may take its time; `give_up` is called from another thread, to have it end soon."""
        self._name = name
        self._deliver = deliver
        self._give_up = give_up
        self._waiting: queue.Queue[JobEnd | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def tell(self, end: JobEnd) -> None:
        """Hand it on soon; where too much waits, the log says that it is lost."""
        if self._thread is None:
            # A daemon: should something in it hang, the node's process ends nevertheless.
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait(end)
        except queue.Full:
            log.warning("%s: too much waits, job %s is not told of", self._name, end.job[:8], extra={"job": end.job})

    def close(self, deadline: float) -> None:
        """See Hook."""
        if self._thread is None:
            return
        with contextlib.suppress(queue.Full):  # Then what waits is given up.
            self._waiting.put_nowait(None)
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            log.warning("%s: the node ends, and %d are not told of", self._name, self._left())
            self._give_up()

    def _left(self) -> int:
        """What waits, and what is under way."""
        return sum(each is not None for each in list(self._waiting.queue)) + 1

    def _run(self) -> None:
        while (end := self._waiting.get()) is not None:
            try:
                self._deliver(end)
            except Exception:  # whatever it was, the next one may go well
                log.exception("%s: unexpected", self._name)

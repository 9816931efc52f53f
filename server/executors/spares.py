# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders that wait, started and warm, for the next save: a cold start is 0.6 to 1 s that nobody has to wait for."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psutil

from ..blenders import Blender
from .watch import Limits
from .worker import Worker
from .workplace import Workshop

log = logging.getLogger(__name__)

REFILL_S = 2.0
"""A spare that was taken is replaced this much later: starting one computes for half a second, which should not be the
first half second of the frame that somebody waits for.
"""

LOW_MEMORY = 0.1
"""With less than this part of the machine's memory free there are no spares."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What makes one spare as good as another."""

    blender: Blender
    gpu: str | None


def wanted(used: Mapping[Kind, float], now: float, limits: Limits) -> list[Kind]:
    """Return of which kinds there should be a spare: for each GPU the kinds used last, if that is not too long ago.

    `used`: when each kind was used last, seconds on the clock of `now`. Pure.
    """
    chosen: list[Kind] = []
    of_gpu: dict[str | None, int] = {}
    for kind, moment in sorted(used.items(), key=lambda item: -item[1]):
        of_gpu[kind.gpu] = of_gpu.get(kind.gpu, 0) + 1
        if now - moment < limits.idle_s and of_gpu[kind.gpu] <= limits.spares:
            chosen.append(kind)
    return chosen


class Spares:
    """The Blenders that wait. `idle` says whether no slot renders: only then are engines warmed up."""

    def __init__(
        self, limits: Limits, workshop: Workshop, idle: Callable[[], bool], on_ready: Callable[[Worker], None]
    ) -> None:
        self._limits = limits
        self._workshop = workshop
        self._idle = idle
        self._on_ready = on_ready
        self._used: dict[Kind, float] = {}
        self._engines: dict[Blender, set[str]] = {}
        self._waiting: dict[Kind, Worker] = {}
        self._ending: list[Worker] = []
        """Were ended by us, and are not gone yet."""
        self._broken: set[Kind] = set()
        """Ended by themselves: not started again until a slot has had use of that kind."""
        self._refill: asyncio.TimerHandle | None = None

    @property
    def workers(self) -> list[Worker]:
        """Those that wait now."""
        return list(self._waiting.values())

    def take(self, kind: Kind) -> Worker | None:
        """Return a spare of this kind, if there is one; another takes its place soon."""
        self._used[kind] = asyncio.get_running_loop().time()
        self._plan_refill(REFILL_S)
        return self._waiting.pop(kind, None)

    def use(self, kind: Kind, engine: str | None = None) -> None:
        """A Blender of this kind is of use, and renders with `engine`."""
        self._used[kind] = asyncio.get_running_loop().time()
        self._broken.discard(kind)
        if engine is not None:
            self._engines.setdefault(kind.blender, set()).add(engine)

    def expect(self, kind: Kind | None = None) -> None:
        """A job is on its way: have a spare of the kind, or of that used last, even after a long pause."""
        if kind is None and self._used:
            kind = max(self._used, key=self._used.__getitem__)
        if kind is not None:
            self._used[kind] = asyncio.get_running_loop().time()
            self.tend()

    def tend(self) -> None:
        """Start what is missing, end what nobody has asked for, warm up what is cold."""
        now = asyncio.get_running_loop().time()
        memory = psutil.virtual_memory()
        enough = memory.available > LOW_MEMORY * memory.total
        kinds = wanted(self._used, now, self._limits) if enough else []
        for kind in [kind for kind in self._waiting if kind not in kinds]:
            self._end(kind)
        for kind in kinds:
            if kind not in self._waiting and kind not in self._broken:
                self._start(kind)
        if self._idle():
            for kind, worker in self._waiting.items():
                for engine in self._engines.get(kind.blender, set()) - worker.warm:
                    worker.warm_up(engine)

    def forget(self, kind: Kind) -> None:
        """There will be no use of this kind any more."""
        self._used.pop(kind, None)
        if kind in self._waiting:
            self._end(kind)

    def drop(self, worker: Worker) -> None:
        """End a spare that is of no use any more; in time another takes its place."""
        for kind in [kind for kind, waiting in self._waiting.items() if waiting is worker]:
            self._end(kind)

    def close(self) -> list[Worker]:
        """End all; returns them, so that their end can be waited for."""
        if self._refill is not None:
            self._refill.cancel()
        for kind in list(self._waiting):
            self._end(kind)
        return list(self._ending)

    def _plan_refill(self, delay_s: float) -> None:
        if self._refill is not None:
            self._refill.cancel()
        self._refill = asyncio.get_running_loop().call_later(delay_s, self.tend)

    def _start(self, kind: Kind) -> None:
        try:
            worker = Worker(kind.blender, kind.gpu, self._workshop)
        except OSError as error:  # A slot will say so to the artist.
            log.warning("%s cannot be started: %s", kind.blender.source, error.strerror)
            self._broken.add(kind)
            return
        self._waiting[kind] = worker
        worker.on_line = lambda line: self._on_ready(worker) if line["event"] == "ready" else None
        worker.on_exit = lambda: self._on_exit(kind, worker)

    def _end(self, kind: Kind) -> None:
        worker = self._waiting.pop(kind)
        self._ending.append(worker)
        worker.kill()

    def _on_exit(self, kind: Kind, worker: Worker) -> None:
        if worker in self._ending:
            self._ending.remove(worker)
        else:
            log.warning("a spare Blender %s ended by itself: %s", kind.blender.name, worker.last_words[-300:])
            del self._waiting[kind]
            self._broken.add(kind)

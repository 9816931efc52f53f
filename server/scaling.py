# SPDX-License-Identifier: GPL-3.0-or-later
"""How many frames of a job are rendered side by side on the processor: as many as measurably make it faster. Pure.

Cycles uses all cores while it samples; before and after, Blender evaluates the scene, writes the picture and makes its
preview on one. A job whose frames leave most of the machine idle is tried with several Blenders, and goes back to one
if that brings less than it should.
"""

from dataclasses import dataclass, field

SAMPLE = 3
"""Frames that are looked at before anything is tried."""

ROUNDING = 0.25
"""Blenders that leave this much of one of them without cores still gain: their busy moments are not the same ones."""

START_S = 1.0
"""Starting another Blender, seconds; opening the file comes on top and is measured."""

WORTH = 2.0
"""What is gained must be so many times what starting and opening costs."""

GAIN = 1.1
"""Frames a second must rise by this factor, or it was not worth the memory."""


@dataclass(slots=True)
class Scaling:
    """The number of frames at once for one job, learnt from its frames as they are done."""

    proven: int = 1
    """What an earlier save of the same file has come to: used, and not tried again, once the first frame is done."""
    slots: int = 1
    """Frames at once, as far as known."""
    settled: bool = False
    """Whether it is not changed any more."""
    _before: float = 0.0
    """Seconds of a frame with one slot."""
    _skip: int = 0
    """Frames still to be passed over: begun before the last change, or the first that their Blender rendered."""
    _seconds: list[float] = field(default_factory=list)
    _loads: list[float] = field(default_factory=list)

    def add(self, seconds: float, load: float, *, left_s: float, ready_s: float, most: int) -> None:
        """A frame is done that had nothing to prepare for others.

        `load`: part of the machine's cores that it used, 0 to 1. `left_s`: what the frames not done yet would take one
        after the other, and `ready_s` what a Blender takes to open the file, in seconds. `most`: for so many frames at
        once there are slots and memory.
        """
        self.slots = min(self.slots, most)
        if self.settled or most == 1:
            return
        if self._skip:
            self._skip -= 1
            return
        self._seconds.append(seconds)
        self._loads.append(load)
        if self.slots > 1:
            self._judge()
        elif self.proven > 1:
            self.slots, self.settled = min(self.proven, most), True
        elif len(self._seconds) >= SAMPLE:
            self._try(left_s, ready_s, most)

    def _try(self, left_s: float, ready_s: float, most: int) -> None:
        load = sum(self._loads) / len(self._loads)
        slots = most if load <= 0 else min(most, int(1 / load + ROUNDING))
        gain_s = left_s * (1 - 1 / slots) if slots > 1 else 0.0
        if gain_s > WORTH * (START_S + ready_s):
            self._before = sum(self._seconds) / len(self._seconds)
            self.slots = slots
            self._skip = 2 * slots
            self._seconds, self._loads = [], []
        else:
            del self._seconds[0], self._loads[0]

    def _judge(self) -> None:
        if len(self._seconds) < 2 * self.slots:
            return
        now = sum(self._seconds) / len(self._seconds) / self.slots
        if now * GAIN > self._before:
            self.slots = 1
        self.settled = True

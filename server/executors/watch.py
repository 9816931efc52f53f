# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a Blender is still of use: it answers or at least computes, and has not grown out of its memory. Pure."""

from dataclasses import dataclass

LOOK_S = 5.0
"""Between two looks at a Blender's process; each costs the node some milliseconds for all of them."""

COST_LOOK_S = 1.0
"""Between two looks at what a frame has cost so far: a disk takes some GB in that time, at most."""

SILENT_LOOKS = 6
"""A Blender that says nothing and computes nothing for so many looks, half a minute, hangs. One that opens a large file
says nothing either, for minutes, but computes, or waits for a disk for less than this.
"""

BUSY_SHARE = 0.01
"""Of one core: who uses less does not compute."""

LEAK = 1.5
"""A Blender whose memory has grown to so many times of what it was after its first frame of a file leaks, if ..."""

LEAK_SHARE = 0.5
"""... it is beyond this part of what it may have; there is no harm before."""


SPARES = 2
"""Blenders that wait for each slot unless the owner says otherwise: who moves to a new version has two in use."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a Blender may cost; the node's owner decides."""

    memory: int
    """Bytes of one Blender."""
    frames: int = 1000
    """After so many it is replaced between two frames: what no measurement shows leaks, too."""
    spares: int = SPARES
    """Blenders kept ready for each slot, of the versions used last."""
    idle_s: float = 1800.0
    """Seconds after which a Blender that nobody uses is ended."""
    disk: int | None = None
    """Bytes that one may write, all its files together; None: as many as there is room for."""
    frame_s: float | None = None
    """Seconds for a frame, or for a part of one; None: as many as it takes."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the system says of a Blender and its children."""

    cpu_s: float
    """Computed so far, all threads together."""
    memory: int
    """Resident bytes."""


def too_costly(frame_s: float, written: int, limits: Limits) -> str | None:
    """Return why a frame that has taken so many seconds, and bytes of the disk, must end, in a sentence, or None."""
    if limits.frame_s is not None and frame_s > limits.frame_s:
        return f"It took longer than the {limits.frame_s:g} s that the node gives to a frame."
    if limits.disk is not None and written > limits.disk:
        return f"It wrote more than the {limits.disk / 1e9:.1f} GB that the node gives to one Blender."
    return None


class Watch:
    """What has been seen of one Blender."""

    def __init__(self) -> None:
        self.memory = 0
        """Bytes, at the last look."""
        self._cpu_s = 0.0
        self._silent = 0
        self._framed = False
        """Whether a frame of the file that is open is done."""
        self._first: int | None = None
        """Memory at the first look after it."""

    def heard(self) -> None:
        """It said something."""
        self._silent = 0

    def opened(self) -> None:
        """It has another file open, whose memory is its own."""
        self._framed, self._first = False, None

    def look(self, look: Look, limits: Limits) -> str | None:
        """Take one look; return why it must be ended at once, in a sentence, or None."""
        computed, self._cpu_s = look.cpu_s - self._cpu_s, look.cpu_s
        self.memory = look.memory
        if self._framed and self._first is None:
            self._first = look.memory
        self._silent = 0 if computed >= BUSY_SHARE * LOOK_S else self._silent + 1
        if look.memory > limits.memory:
            return f"It needed more memory than the {limits.memory / 1e9:.1f} GB that the node gives to one Blender."
        if self._silent >= SILENT_LOOKS:
            return f"It hung: for {SILENT_LOOKS * LOOK_S:g} s it neither answered nor computed."
        return None

    def worn_out(self, frames: int, limits: Limits) -> bool:
        """Whether it should be replaced now that a frame is done; `frames`: rendered by it so far."""
        self._framed = True
        grown = self._first is not None and self.memory > LEAK * self._first
        leaks = grown and self.memory > LEAK_SHARE * limits.memory
        return leaks or frames >= limits.frames

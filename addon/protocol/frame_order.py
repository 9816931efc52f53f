# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order the frames of a job are rendered."""

import enum
from collections import deque
from collections.abc import Sequence


class FrameOrder(enum.StrEnum):
    """What the artist wants to see first."""

    SEQUENCE = "sequence"
    """One after the other."""
    SPREAD = "spread"
    """The frame nearest to the current one, the first, the last, the middle, the middles of the halves, and so on."""


def in_order(frames: Sequence[int], order: FrameOrder, current: int | None = None) -> list[int]:
    """Return `frames`, which ascend, in the order to render them in; each once, in time proportional to their number.

    >>> in_order(range(1, 10), FrameOrder.SPREAD, current=4)
    [4, 1, 9, 5, 3, 7, 2, 6, 8]
    """
    if order == FrameOrder.SEQUENCE:
        return list(frames)
    first = [] if current is None else [min(frames, key=lambda frame: abs(frame - current))]
    return list(dict.fromkeys(first + _spread(frames)))


def _spread(frames: Sequence[int]) -> list[int]:
    """First, last, then the middle of each gap, the widest gaps first."""
    last = len(frames) - 1
    spread = [0] if last == 0 else [0, last]
    gaps = deque([(0, last)])
    while gaps:
        low, high = gaps.popleft()
        if high - low > 1:
            middle = (low + high) // 2
            spread.append(middle)
            gaps += ((low, middle), (middle, high))
    return [frames[place] for place in spread]

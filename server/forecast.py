# SPDX-License-Identifier: GPL-3.0-or-later
"""What frames cost, and what those that are still to come will. Pure.

Frames of a shot cost what their neighbours cost. Between frames that are done the cost is interpolated; behind the last
one it follows the trend, if there is a clear one, at half its slope; and where an earlier save of the same file has
been rendered, its costs are the shape of this one's. Chosen by simulation, which `python -m bench render` repeats.
"""

from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median

BINS = 64
"""A job's frames are told apart in so many stretches: costs vary slowly, and a status must stay cheap."""

TREND_BINS = 4
"""Stretches that must be known before a trend is believed."""

CLEAR = 0.8
"""Kendall's tau from which on a trend is clear: the share of pairs that agree with it, less those that do not."""

DAMPING = 0.5
"""Part of a trend's slope that is believed in what is to come: most ramps end."""

MOST = 2.0
"""And costs are not believed to rise or fall by more than this factor."""

DEAR = 2.0
"""A first frame of more than so many times the others' median had something to prepare: it says nothing of the rest."""


class Costs:
    """Seconds of a job's finished frames, by stretches of its frame numbers."""

    def __init__(self, frames: Sequence[int]) -> None:
        """`frames`: all of the job, in any order."""
        self._low = min(frames)
        self._span = max(frames) - self._low + 1
        self._bins = min(BINS, self._span)
        self._left = [0] * self._bins
        """Frames that are not done, by stretch."""
        for frame in frames:
            self._left[self._bin(frame)] += 1
        self._done = [0] * self._bins
        self._seconds = [0.0] * self._bins
        self._first: tuple[int, float] | None = None
        """Stretch and seconds of the frame that was done first."""
        self._version = 0
        """Counts what has been learnt."""
        self._made: tuple[tuple[Costs | None, int, int], list[float]] | None = None
        """The newest forecast, and from what it was made; making one costs 2 ms, and each status asks for several."""

    def add(self, frame: int, seconds: float) -> None:
        """A frame is done."""
        self._version += 1
        at = self._bin(frame)
        if self._first is None:
            self._first = at, seconds
        self._done[at] += 1
        self._seconds[at] += seconds
        self._left[at] -= 1

    def give_up(self, frame: int) -> None:
        """A frame has failed: nobody waits for it."""
        self._version += 1
        self._left[self._bin(frame)] -= 1

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self._first is not None

    def expect(self, frame: int, shape: "Costs | None" = None) -> float:
        """Return the seconds that a frame is expected to cost. There must be something to go by.

        `shape`: the costs of an earlier save's frames, if there are any.
        """
        return self._forecast(shape)[self._bin(frame)]

    def left(self, shape: "Costs | None" = None) -> float:
        """Return the seconds that all frames which are not done are expected to cost, one after the other."""
        return sum(count * cost for count, cost in zip(self._left, self._forecast(shape), strict=True))

    def _bin(self, frame: int) -> int:
        return (frame - self._low) * self._bins // self._span

    def _means(self) -> dict[int, float]:
        """Mean cost of each stretch that is known, without a dear first frame."""
        done, seconds = self._done, list(self._seconds)
        means = {at: seconds[at] / done[at] for at in range(self._bins) if done[at]}
        if self._first is None:
            return means
        at, first = self._first
        others = [mean for other, mean in means.items() if other != at]
        if done[at] > 1:
            others.append((seconds[at] - first) / (done[at] - 1))
        if others and first > DEAR * median(others):
            if done[at] > 1:
                means[at] = others[-1]
            else:
                del means[at]
        return means

    def _forecast(self, shape: "Costs | None") -> list[float]:
        made_from = shape, self._version, shape._version if shape is not None else 0
        if self._made is None or self._made[0] != made_from:
            self._made = made_from, self._make_forecast(shape)
        return self._made[1]

    def _make_forecast(self, shape: "Costs | None") -> list[float]:
        means = self._means()
        if shape is not None and (shaped := self._shaped(means, shape)) is not None:
            return shaped
        at = sorted(means)
        trend = _trend(at, [means[each] for each in at])
        return [self._between(at, means, each) if each <= at[-1] else trend(each) for each in range(self._bins)]

    @staticmethod
    def _between(at: Sequence[int], means: dict[int, float], wanted: int) -> float:
        after = bisect(at, wanted)
        if after == 0:
            return means[at[0]]
        low, high = at[after - 1], at[min(after, len(at) - 1)]
        if low == high:
            return means[low]
        return means[low] + (means[high] - means[low]) * (wanted - low) / (high - low)

    def _shaped(self, means: dict[int, float], shape: "Costs") -> list[float] | None:
        """What the earlier job cost, scaled by what both have done; None where it does not cover what is left."""
        theirs = shape._means()
        both = means.keys() & theirs.keys()
        needed = {at for at in range(self._bins) if self._left[at]}
        if (shape._low, shape._span) != (self._low, self._span) or not both or not needed <= theirs.keys():
            return None
        weights = {at: self._done[at] for at in both}
        ours_s = sum(means[at] * weights[at] for at in both)
        theirs_s = sum(theirs[at] * weights[at] for at in both)
        scale = ours_s / theirs_s if theirs_s else 1.0
        return [scale * theirs.get(at, 0.0) for at in range(self._bins)]


class _Line:
    """Costs behind the last known stretch."""

    def __init__(self, last: int, level: float, slope: float) -> None:
        self._last, self._level, self._slope = last, level, slope

    def __call__(self, at: int) -> float:
        cost = self._level + DAMPING * self._slope * (at - self._last)
        return min(max(cost, self._level / MOST), self._level * MOST)


def _trend(at: Sequence[int], costs: Sequence[float]) -> _Line:
    """Where the known costs lead: Theil and Sen's slope if it is clear, else between the mean and the newer half's."""
    last = at[-1]
    newer = slice(len(at) // 2, None)
    if len(at) >= TREND_BINS:
        slopes = [(costs[j] - costs[i]) / (at[j] - at[i]) for i, j in combinations(range(len(at)), 2)]
        tau = _sum_of_signs(slopes) / len(slopes)
        if abs(tau) >= CLEAR:
            slope = median(slopes)
            level = median(cost + slope * (last - x) for x, cost in zip(at[newer], costs[newer], strict=True))
            return _Line(last, max(level, min(costs[newer])), slope)
    mean = sum(costs) / len(costs)
    return _Line(last, (mean + sum(costs[newer]) / len(costs[newer])) / 2, 0.0)


def _sum_of_signs(numbers: Iterable[float]) -> int:
    return sum((number > 0) - (number < 0) for number in numbers)

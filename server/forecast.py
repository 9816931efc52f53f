# SPDX-License-Identifier: GPL-3.0-or-later
"""What frames cost, and what those that are still to come will. Pure.

Frames of a shot cost what their neighbours cost. Between frames that are done the cost is interpolated; behind the last
one it follows the trend, as far as that is sure; and where an earlier save of the same file has
been rendered, its costs are the shape of this one's. Chosen by simulation, which bench/eta.py repeats.
"""

import math
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from statistics import median

BINS = 64
"""A job's frames are told apart in so many stretches: costs vary slowly, and a status must stay cheap."""

TREND_BINS = 3
"""Stretches that must be known before a trend or a step is believed."""

DOUBT = 6.0
"""A slope counts in full when it is far larger than its own error, and half when its square is so many of the error's:
noise makes slopes too.
"""

RECENT = 0.5
"""The newest known cost counts e to the power of this times as much as the oldest: many ramps begin gently."""

MOST = 2.0
"""And costs are not believed to rise or fall by more than this factor."""

STEP = 3.0
"""Costs have made a step if two levels leave so many times less unexplained than one straight line."""

EXTREME = 4.0
"""A cost so many times above or below the median counts as if it were just that."""

NOTHING = 1e-6
"""Part of the squared costs below which what is unexplained is only rounding."""

DEAR = 2.0
"""A frame begun first that took so many times the others' median had to prepare things: it says nothing of the rest."""


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
        self._changes = 0
        """Frames added so far."""
        self._newest: tuple[tuple[int, Costs | None, int], list[float]] | None = None
        """The last forecast, and what it was made from: asked for often, and new only with another frame."""
        self._first: list[tuple[int, float]] = []
        """Stretch and seconds of the frames that were begun before any was done: one in each slot."""

    def add(self, frame: int, seconds: float, *, first: bool = False) -> None:
        """A frame is done. `first`: when it was begun none was, so that it may have had to prepare something."""
        at = self._bin(frame)
        self._left[at] -= 1
        self._changes += 1
        if first:
            self._first.append((at, seconds))
        else:
            self._done[at] += 1
            self._seconds[at] += seconds

    def give_up(self, frame: int) -> None:
        """A frame has failed: nobody waits for it."""
        self._left[self._bin(frame)] -= 1
        self._newest = None

    @property
    def known(self) -> bool:
        """Whether there is anything to go by."""
        return self._changes > 0

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

    def _counted(self) -> tuple[list[int], list[float]]:
        """Finished frames and their seconds by stretch, without dear first frames."""
        done, seconds = list(self._done), list(self._seconds)
        later = [total / count for total, count in zip(seconds, done, strict=True) if count]
        most = DEAR * median(later) if later else math.inf
        for at, cost in self._first:
            if cost <= most:
                done[at] += 1
                seconds[at] += cost
        return done, seconds

    def _means(self) -> dict[int, float]:
        """Mean cost of each stretch that is known."""
        done, seconds = self._counted()
        return {at: seconds[at] / done[at] for at in range(self._bins) if done[at]}

    def _forecast(self, shape: "Costs | None") -> list[float]:
        made_from = (self._changes, shape, shape._changes if shape is not None else 0)
        if self._newest is None or self._newest[0] != made_from:
            self._newest = made_from, self._make_forecast(shape)
        return self._newest[1]

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
        weights, _ = self._counted()
        ours_s = sum(means[at] * weights[at] for at in both)
        theirs_s = sum(theirs[at] * weights[at] for at in both)
        scale = ours_s / theirs_s if theirs_s else 1.0
        return [scale * theirs.get(at, 0.0) for at in range(self._bins)]


class _Line:
    """Costs behind the last known stretch."""

    def __init__(self, last: int, level: float, slope: float) -> None:
        self._last, self._level, self._slope = last, level, slope

    def __call__(self, at: int) -> float:
        cost = self._level + self._slope * (at - self._last)
        return min(max(cost, self._level / MOST), self._level * MOST)


def _trend(at: Sequence[int], costs: Sequence[float]) -> _Line:
    """Where the known costs lead: a straight line through those behind the last step, its slope as far as sure."""
    middle = median(costs)
    costs = [min(max(cost, middle / EXTREME), middle * EXTREME) for cost in costs]
    start = _behind_step(at, costs)
    at, costs = at[start:], costs[start:]
    if len(at) < TREND_BINS:
        return _Line(at[-1], sum(costs) / len(costs), 0.0)
    weights = [math.exp(RECENT * (each - at[-1]) / (at[-1] - at[0])) for each in at]
    centre, mean, slope, spread, unexplained = _fit(at, costs, weights)
    known = sum(weights) ** 2 / sum(weight**2 for weight in weights)
    doubt = DOUBT * unexplained / max(1.0, known - 2)
    slope *= slope**2 * spread / (slope**2 * spread + doubt) if slope else 0.0
    level = mean + slope * (at[-1] - centre)
    return _Line(at[-1], max(level, min(costs) / MOST), slope)


def _fit(
    at: Sequence[int], costs: Sequence[float], weights: Sequence[float]
) -> tuple[float, float, float, float, float]:
    """Weighted least squares: the centre of `at`, the mean of `costs`, the slope, and the squares of `at` around the
    centre and of what is left.
    """
    points = list(zip(weights, at, costs, strict=True))
    total = sum(weights)
    centre = sum(weight * x for weight, x, _ in points) / total
    mean = sum(weight * cost for weight, _, cost in points) / total
    spread = sum(weight * (x - centre) ** 2 for weight, x, _ in points)
    slope = sum(weight * (x - centre) * (cost - mean) for weight, x, cost in points) / spread
    unexplained = sum(weight * (cost - mean - slope * (x - centre)) ** 2 for weight, x, cost in points)
    return centre, mean, slope, spread, unexplained


def _behind_step(at: Sequence[int], costs: Sequence[float]) -> int:
    """Return the number of the first stretch behind a step, 0 if there is none.

    The step itself lies within a stretch, which is passed over where others are known.
    """
    count, total = len(costs), sum(costs)
    squares = sum(cost**2 for cost in costs)
    if count < 2 * TREND_BINS:
        return 0
    sums = list(accumulate(costs))
    within, start = min(
        (squares - sums[k - 1] ** 2 / k - (total - sums[k - 1]) ** 2 / (count - k), k)
        for k in range(TREND_BINS, count - TREND_BINS + 1)
    )
    *_, unexplained = _fit(at, costs, [1.0] * count)
    if unexplained < NOTHING * squares or STEP * within > unexplained:
        return 0
    return start + 1 if count - start > TREND_BINS else start

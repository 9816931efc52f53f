# SPDX-License-Identifier: GPL-3.0-or-later
"""What frames will cost, from what others have cost; and how far one is while Blender says nothing."""

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.forecast import Costs
from server.jobs import Running, Task

SHAPES: dict[str, Callable[[float], float]] = {
    "constant": lambda _: 2.0,
    "rising": lambda x: 1 + 2 * x,
    "falling": lambda x: 3 - 2 * x,
    "hump": lambda x: 1 + 2 * math.sin(math.pi * x),
    "wave": lambda x: 2 + math.sin(4 * math.pi * x),
}
"""Seconds of a frame, by where in the shot it is, 0 to 1."""


def costs_of(seconds: Sequence[float], done: Sequence[int], slots: int = 1) -> Costs:
    """Of a job of frames 0, 1, ..., after some of them, in that order; the first one in each slot is told as such."""
    costs = Costs(range(len(seconds)))
    for number, frame in enumerate(done):
        costs.add(frame, seconds[frame], first=number < slots)
    return costs


def shot(name: str, frames: int = 90) -> list[float]:
    return [SHAPES[name](frame / (frames - 1)) for frame in range(frames)]


@pytest.mark.parametrize("name", ["constant", "rising", "falling"])
def test_what_can_be_foreseen_is(name: str) -> None:
    seconds = shot(name)
    for done in range(30, 90):
        left = sum(seconds[done:])
        assert costs_of(seconds, range(done)).left() == pytest.approx(left, rel=0.15)


@pytest.mark.parametrize("name", ["rising", "falling"])
def test_a_ramp_is_seen_through_noise(name: str) -> None:
    # GIVEN frames that cost up to a tenth more or less than their place in the shot says, half of them done
    for seed in range(20):
        noise = random.Random(seed)
        seconds = [cost * noise.uniform(0.9, 1.1) for cost in shot(name)]
        # THEN the rest is foreseen, though it costs far more or less than what is done
        left = sum(seconds[45:])
        assert costs_of(seconds, range(45)).left() == pytest.approx(left, rel=0.2)
        assert sum(seconds[:45]) != pytest.approx(left, rel=0.3)


@pytest.mark.parametrize("name", SHAPES)
def test_an_earlier_save_says_what_this_one_will_cost(name: str) -> None:
    # GIVEN a shot that was rendered before, and costs half of that now
    before = shot(name)
    now = [cost / 2 for cost in before]
    shape = costs_of(before, range(90))
    # WHEN a few frames are done THEN the rest is foreseen, whatever its shape
    for done in range(4, 90):
        assert costs_of(now, range(done)).left(shape) == pytest.approx(sum(now[done:]), rel=0.05)


@pytest.mark.parametrize("name", SHAPES)
def test_frames_from_all_of_the_shot_say_what_lies_between(name: str) -> None:
    seconds = shot(name)
    done = range(0, 90, 4)
    left = sum(cost for frame, cost in enumerate(seconds) if frame not in done)
    assert costs_of(seconds, done).left() == pytest.approx(left, rel=0.05)


def test_an_earlier_save_of_other_frames_says_nothing() -> None:
    shape = Costs(range(5))
    shape.add(0, 100.0)
    costs = costs_of(shot("constant"), range(30))
    assert costs.left(shape) == costs.left()


def test_a_dear_first_frame_says_nothing_of_the_rest() -> None:
    seconds = [20.0] + [1.0] * 89
    assert costs_of(seconds, range(3)).left() == pytest.approx(87.0)


def test_with_several_slots_each_has_a_dear_first_frame_and_it_is_not_done_first() -> None:
    seconds = [20.0, 20.0] + [1.0] * 88
    costs = Costs(range(90))
    for frame in (*range(2, 10), 0, 1):
        costs.add(frame, seconds[frame], first=frame < 2)
    assert costs.left() == pytest.approx(80.0)


def test_a_step_is_forgotten_soon() -> None:
    for before, after in ((1.0, 4.0), (4.0, 1.0)):
        seconds = [before] * 30 + [after] * 60
        for done in range(36, 90):
            assert costs_of(seconds, range(done)).left() == pytest.approx(after * (90 - done), rel=0.05)


def test_failed_frames_are_not_waited_for() -> None:
    costs = costs_of([1.0] * 10, range(4))
    costs.give_up(9)
    assert costs.left() == pytest.approx(5.0)


@given(st.dictionaries(st.integers(0, 10**6), st.floats(0.001, 1e5), min_size=2, max_size=200), st.data())
def test_every_forecast_is_a_number_of_seconds(frames: dict[int, float], data: st.DataObject) -> None:
    costs = Costs(list(frames))
    count = data.draw(st.integers(1, len(frames)))
    for frame in data.draw(st.permutations(list(frames)))[:count]:
        costs.add(frame, frames[frame])
    assert math.isfinite(costs.left())
    assert costs.left() >= 0
    assert all(costs.expect(frame) > 0 for frame in frames)
    assert count < len(frames) or costs.left() == 0


def running(**said: Any) -> Running:
    return Running(Task("1" * 32, 0, 1), started=100.0, **said)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.floats(0.1, 100)), max_size=30))
def test_a_forecast_is_of_all_that_is_known(steps: list[tuple[bool, int, float]]) -> None:
    # GIVEN a job and an earlier save of it that was rendered, and of both become known more frames
    asked, shape = Costs(range(10)), Costs(range(10))
    known = [(asked, 0, 1.0), *((shape, frame, 1.0) for frame in range(10))]
    for costs, frame, seconds in known:
        costs.add(frame, seconds)
    for of_shape, frame, seconds in steps:
        known.append((shape if of_shape else asked, frame, seconds))
        known[-1][0].add(frame, seconds)
        # WHEN what is left is asked for after each
        left = asked.left(shape)
        # THEN it is what somebody would say who is asked for the first time
        fresh = {id(asked): Costs(range(10)), id(shape): Costs(range(10))}
        for costs, at, cost in known:
            fresh[id(costs)].add(at, cost)
        assert left == fresh[id(asked)].left(fresh[id(shape)])


def test_a_frame_goes_on_while_blender_says_nothing() -> None:
    frame = running(sample=1, samples=256)
    frame.report(110.0, remaining_s=90.0)
    seen = [frame.fraction(110.0 + second) for second in range(300)]
    assert seen[0] == pytest.approx(1 / 256)
    assert seen[45] == pytest.approx(0.5, abs=0.01)
    assert all(now > before for before, now in itertools.pairwise(seen))
    assert seen[-1] < 1


def test_it_never_goes_back() -> None:
    frame = running(sample=100, samples=200)
    frame.report(101.0, remaining_s=1.0)
    ahead = frame.fraction(101.9)
    frame.sample = 110
    frame.report(101.9, remaining_s=50.0)
    assert frame.fraction(101.9) == pytest.approx(ahead)
    assert frame.fraction(102.0) > ahead


def test_before_blender_says_anything_other_frames_do() -> None:
    frame = running()
    assert frame.fraction(105.0) == 0.0
    frame.expect(20.0)
    assert frame.fraction(105.0) == pytest.approx(0.25)
    assert frame.left_s(105.0) == pytest.approx(15.0)

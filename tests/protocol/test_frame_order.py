# SPDX-License-Identifier: GPL-3.0-or-later
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.frame_order import FrameOrder, in_order

FRAMES = st.lists(st.integers(0, 10**6), unique=True, min_size=1).map(sorted)


@given(FRAMES, st.sampled_from(FrameOrder), st.none() | st.integers(0, 10**6))
def test_every_frame_is_rendered_once(frames: list[int], order: FrameOrder, current: int | None) -> None:
    assert sorted(in_order(frames, order, current)) == frames


@given(FRAMES)
def test_a_sequence_is_one(frames: list[int]) -> None:
    assert in_order(frames, FrameOrder.SEQUENCE, frames[-1]) == frames


@pytest.mark.parametrize(
    ("count", "current", "order"),
    [
        (1, None, [1]),
        (2, 2, [2, 1]),
        (9, 4, [4, 1, 9, 5, 3, 7, 2, 6, 8]),
        (9, None, [1, 9, 5, 3, 7, 2, 4, 6, 8]),
        (9, 77, [9, 1, 5, 3, 7, 2, 4, 6, 8]),
    ],
)
def test_what_helps_to_judge_comes_first(count: int, current: int | None, order: list[int]) -> None:
    assert in_order(range(1, count + 1), FrameOrder.SPREAD, current) == order


@given(st.integers(3, 300))
def test_no_part_of_the_shot_waits_for_another(count: int) -> None:
    order = in_order(range(count), FrameOrder.SPREAD)
    for done in range(2, count):
        rendered = sorted(order[:done])
        gaps = [after - before for before, after in itertools.pairwise(rendered)]
        assert max(gaps) <= 4 * count / done

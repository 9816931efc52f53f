# SPDX-License-Identifier: GPL-3.0-or-later
"""How the time left is judged."""

import pytest

from bench import eta


@pytest.mark.parametrize("slots", [1, 3])
def test_nothing_is_wrong_where_all_frames_cost_the_same(slots: int) -> None:
    # GIVEN frames that all cost the same, rendered by a clock that is set
    seconds = [2.0] * 30
    told = eta.simulate(seconds, eta.in_sequence(30), slots)
    # THEN the last thing told is the end, when the slots have shared the frames, and nothing before it was wrong
    assert told[-1] == eta.Told(60.0 / slots, 30, 0.0)
    wrong = eta.errors(seconds, told)
    assert wrong == pytest.approx([0.0] * len(wrong))
    assert len(wrong) > 10


def test_it_is_judged_from_a_third_of_the_frames_until_a_tenth_of_the_time() -> None:
    begin, middle, end = eta.Told(1.0, 9, 99.0), eta.Told(10.0, 10, 15.0), eta.Told(19.0, 29, 99.0)
    assert eta.errors(30, [begin, middle, end, eta.Told(20.0, 30, 0.0)]) == [0.5]


def test_frames_that_are_spread_out_come_once_each() -> None:
    assert sorted(eta.spread_out(100)) == eta.in_sequence(100)

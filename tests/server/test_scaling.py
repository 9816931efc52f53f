# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from server.scaling import SAMPLE, Scaling


def render(scaling: Scaling, count: int, seconds: float, load: float, *, left_s: float = 100.0, most: int = 8) -> None:
    for _ in range(count):
        scaling.add(seconds, load, left_s=left_s, ready_s=0.5, most=most)


def settle(scaling: Scaling, seconds: float) -> None:
    """As many frames as it takes to be judged."""
    render(scaling, 4 * scaling.slots, seconds, 0.9)


@pytest.mark.parametrize(("load", "slots"), [(1.0, 1), (0.7, 1), (0.55, 2), (0.5, 2), (0.25, 4), (0.12, 8), (0.01, 8)])
def test_as_many_frames_run_at_once_as_the_cores_have_room_for(load: float, slots: int) -> None:
    scaling = Scaling()
    render(scaling, SAMPLE, 1.0, load)
    assert scaling.slots == slots


def test_no_more_than_there_is_memory_for() -> None:
    scaling = Scaling()
    render(scaling, SAMPLE, 1.0, 0.1, most=3)
    assert scaling.slots == 3
    render(scaling, 1, 1.0, 0.1, most=2)
    assert scaling.slots == 2


def test_what_is_soon_over_is_left_alone() -> None:
    scaling = Scaling()
    render(scaling, 20, 0.1, 0.2, left_s=2.0)
    assert scaling.slots == 1


def test_what_gains_stays() -> None:
    scaling = Scaling()
    render(scaling, SAMPLE, 1.0, 0.5)
    settle(scaling, 1.2)
    assert (scaling.slots, scaling.settled) == (2, True)


def test_what_does_not_gain_goes_back_for_good() -> None:
    scaling = Scaling()
    render(scaling, SAMPLE, 1.0, 0.5)
    settle(scaling, 1.9)
    assert (scaling.slots, scaling.settled) == (1, True)
    render(scaling, 20, 1.0, 0.2)
    assert scaling.slots == 1


def test_the_first_frames_after_the_change_do_not_count() -> None:
    # GIVEN a second Blender that opens the file meanwhile, and prepares its first frame
    scaling = Scaling()
    render(scaling, SAMPLE, 1.0, 0.5)
    render(scaling, 4, 5.0, 0.9)
    # WHEN the frames behind these are quick THEN it was worth it
    render(scaling, 4, 1.2, 0.9)
    assert (scaling.slots, scaling.settled) == (2, True)


def test_an_earlier_save_has_tried_it() -> None:
    scaling = Scaling(proven=4)
    assert scaling.slots == 1  # The first picture comes first.
    render(scaling, 1, 1.0, 0.9)
    assert (scaling.slots, scaling.settled) == (4, True)

# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long nodes are looked for."""

from addon.blender.browsing import AGAIN_S, GONE_S, Browsing


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nobody_looks_before_a_list_is_seen() -> None:
    browsing = Browsing(Clock())
    assert (browsing.wanted, browsing.wants_drawing()) == (False, False)


def test_a_list_that_is_seen_is_drawn_again_from_time_to_time_and_looked_for_as_long() -> None:
    clock = Clock()
    browsing = Browsing(clock)
    browsing.drawn()
    for _ in range(5):
        # GIVEN a list that was drawn just now
        assert (browsing.wanted, browsing.wants_drawing()) == (True, False)
        # WHEN its time has come THEN it is to be drawn, once
        clock.now += AGAIN_S
        assert browsing.wants_drawing()
        assert not browsing.wants_drawing()
        browsing.drawn()


def test_a_list_that_is_not_drawn_any_more_is_not_seen() -> None:
    clock = Clock()
    browsing = Browsing(clock)
    browsing.drawn()
    asked = 0
    for _ in range(100):
        clock.now += GONE_S / 50
        asked += browsing.wants_drawing()
    assert not browsing.wanted
    assert asked == GONE_S // AGAIN_S
    browsing.drawn()
    assert browsing.wanted

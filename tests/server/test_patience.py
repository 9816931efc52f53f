# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that send what breaks the protocol, over and over."""

from server.patience import HOLD_S, MISTAKES, REMIND_S, SPAN_S, Patience


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_makes_too_many_mistakes_is_held_off_for_a_while() -> None:
    clock = Clock()
    patience = Patience(clock)
    # WHEN one makes mistakes without end, and another one less than too many
    assert [patience.ends("flood") for _ in range(MISTAKES)] == [False] * (MISTAKES - 1) + [True]
    assert not any(patience.ends("slip") for _ in range(MISTAKES - 1))
    # THEN only the first is held off
    assert patience.holds_off("flood")
    assert not patience.holds_off("slip")
    # AND not for ever, and not for the next mistake
    clock.now += HOLD_S
    assert not patience.holds_off("flood")
    assert not patience.ends("flood")
    assert not patience.holds_off("flood")


def test_mistakes_now_and_then_are_suffered() -> None:
    clock = Clock()
    patience = Patience(clock)
    for _ in range(10 * MISTAKES):
        assert not patience.ends("slip")
        clock.now += SPAN_S / (MISTAKES - 1)
    assert not patience.holds_off("slip")


def test_who_is_held_off_is_reminded_now_and_then() -> None:
    clock = Clock()
    patience = Patience(clock)
    for _ in range(MISTAKES):
        patience.ends("flood")
    assert not patience.reminds("flood")  # It has just been told.
    clock.now += REMIND_S
    assert [patience.reminds("flood") for _ in range(3)] == [True, False, False]

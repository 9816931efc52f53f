# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be on its way, told from what the node has taken in."""

import asyncio

import pytest

from addon.client import flow
from addon.client.flow import LARGEST_BATCH, LEAST_ALLOWED, SMALLEST_BATCH, Flow
from addon.protocol.limits import WINDOW_BYTES

MIB = 1 << 20


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(flow, "time", clock)
    return clock


class Link:
    """A flow whose node takes in so many bytes a second."""

    def __init__(self, clock: Clock, rate: int) -> None:
        self.flow = Flow()
        self.taken = self._sent = 0
        self.flow.grant(WINDOW_BYTES, 0)
        self._clock = clock
        self._rate = rate

    def carry(self, seconds: float, on_its_way: int) -> None:
        """Let time pass, ten grants a second, and leave so many bytes on their way."""
        for _ in range(round(seconds * 10)):
            self._clock.now += 0.1
            self.taken += self._rate // 10
            self.flow.sent(self.taken + on_its_way - self._sent, 0)
            self._sent = self.taken + on_its_way
            self.flow.grant(self.taken + WINDOW_BYTES, self.taken)


def has_room(flow: Flow, size: int) -> bool:
    """Whether it may be sent at once."""

    async def ask() -> bool:
        asking = asyncio.ensure_future(flow.room(size))
        await asyncio.sleep(0)  # One step, which is all that it takes if there is room.
        found = asking.done()
        asking.cancel()
        return found

    return asyncio.run(ask())


def test_at_first_little_may_be_on_its_way(clock: Clock) -> None:
    link = Link(clock, 0)
    assert link.flow.batch_bytes == SMALLEST_BATCH
    link.flow.sent(LEAST_ALLOWED, 0)
    assert not has_room(link.flow, 1)


@pytest.mark.parametrize(
    ("rate", "batch", "allowed"),
    [
        (MIB // 10, SMALLEST_BATCH, LEAST_ALLOWED),
        (4 * MIB, MIB, 8 * MIB),
        (100 * MIB, LARGEST_BATCH, WINDOW_BYTES),
    ],
)
def test_messages_take_a_quarter_of_a_second_and_two_seconds_are_on_their_way(
    clock: Clock, rate: int, batch: int, allowed: int
) -> None:
    link = Link(clock, rate)
    link.carry(3, 0)
    assert link.flow.batch_bytes == pytest.approx(batch, rel=0.01)
    link.flow.sent(int(allowed * 0.97), 0)
    assert has_room(link.flow, int(allowed * 0.01))
    assert not has_room(link.flow, int(allowed * 0.05))


def test_a_message_that_is_larger_than_what_is_allowed_goes_alone(clock: Clock) -> None:
    link = Link(clock, 0)
    assert has_room(link.flow, 2 * LEAST_ALLOWED)
    link.flow.sent(1, 0)
    assert not has_room(link.flow, 2 * LEAST_ALLOWED)


@pytest.mark.parametrize(("rate", "enough"), [(12 * MIB, 2.2), (30 * MIB, 4.0), (100 * MIB, 6.0)])
def test_a_link_waits_when_less_is_on_its_way_than_it_takes_in_a_moment(clock: Clock, rate: int, enough: float) -> None:
    link = Link(clock, rate)
    link.carry(3, int((enough + 0.1) * MIB))
    assert not link.flow.starving
    link.carry(1, int((enough - 0.1) * MIB))
    assert link.flow.starving


def test_nobody_starves_before_some_megabytes_have_gone(clock: Clock) -> None:
    link = Link(clock, MIB)
    link.carry(3, 0)
    assert not link.flow.starving


def test_the_time_in_which_the_node_took_nothing_in_does_not_count(clock: Clock) -> None:
    # GIVEN a node that looks things up for ten seconds
    links = Link(clock, 8 * MIB), Link(clock, 8 * MIB)
    clock.now += 10
    # WHEN one measures from its answer on
    links[0].flow.restart()
    for link in links:
        before = clock.now
        link.carry(1, 0)
        clock.now = before
    # THEN it knows the link after a second
    assert links[0].flow.batch_bytes == pytest.approx(2 * MIB, rel=0.01)
    assert links[1].flow.batch_bytes < MIB


def test_what_has_arrived_is_what_was_granted_anew(clock: Clock) -> None:
    arrived = Link(clock, 0).flow
    arrived.sent(100, 400)
    arrived.sent(100, 300)
    arrived.grant(WINDOW_BYTES + 150, 150)
    assert arrived.arrived == 400
    arrived.grant(WINDOW_BYTES + 200, 200)
    assert arrived.arrived == 700

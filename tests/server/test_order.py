# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose turn it is."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from server.order import in_order, moved, swapped


@dataclass(eq=False)
class Waiting:
    name: int
    owner: int
    priority: int
    place: float


QUEUES = st.lists(st.tuples(st.integers(0, 2), st.integers(-2, 2), st.floats(-1e6, 1e6)), min_size=1, max_size=8).map(
    lambda rows: in_order(Waiting(number, *row) for number, row in enumerate(rows))
)


def names(queue: list[Waiting]) -> list[int]:
    return [each.name for each in queue]


@given(QUEUES, st.data())
def test_a_job_comes_right_before_the_one_that_was_named(queue: list[Waiting], data: st.DataObject) -> None:
    # GIVEN jobs that wait, with turns of their own
    places = {each.place for each in queue}
    if len(places) < len(queue):  # As the books give them, no two are the same.
        for number, each in enumerate(queue):
            each.place = float(number)
    job = data.draw(st.sampled_from(queue))
    before = data.draw(st.sampled_from([None, *(each for each in queue if each is not job)]))
    others = [each.name for each in in_order(queue) if each is not job]
    # WHEN one is put before another
    for each, turn in moved(job, before, in_order(queue)):
        each.priority, each.place = turn
    assert len({each.place for each in queue}) == len(queue)
    # THEN it is there, and the others are as they were
    now = names(in_order(queue))
    assert [name for name in now if name != job.name] == others
    assert now.index(job.name) == (len(now) - 1 if before is None else now.index(before.name) - 1)


def test_places_do_not_run_out() -> None:
    queue = [Waiting(number, 0, 0, float(number)) for number in range(3)]
    for step in range(200):
        last = in_order(queue)[-1]
        second = in_order(queue)[1]
        for each, turn in moved(last, second, in_order(queue)):
            each.priority, each.place = turn
        assert in_order(queue)[1] is last, step


@given(QUEUES, st.data())
def test_an_artists_jobs_only_change_places_with_each_other(queue: list[Waiting], data: st.DataObject) -> None:
    for number, each in enumerate(queue):
        each.place = float(number)
    queue = in_order(queue)
    job = data.draw(st.sampled_from(queue))
    own = [each for each in queue if each.owner == job.owner]
    before = data.draw(st.sampled_from([None, *(each for each in own if each is not job)]))
    owners = [each.owner for each in queue]
    for each, turn in swapped(job, before, own):
        each.priority, each.place = turn
    now = in_order(queue)
    assert [each.owner for each in now] == owners
    mine = [each for each in now if each.owner == job.owner]
    assert mine.index(job) == (len(mine) - 1 if before is None else mine.index(before) - 1)


def test_no_two_jobs_ever_have_one_place() -> None:
    # GIVEN a job of a higher priority, whose place a move could take
    high, first, second = Waiting(0, 0, 5, 1.0), Waiting(1, 0, 0, 2.0), Waiting(2, 0, 0, 3.0)
    for each, turn in moved(second, first, [high, first, second]):
        each.priority, each.place = turn
    # WHEN it becomes like the others
    high.priority = 0
    # THEN they can still change places
    waiting = in_order([high, first, second])
    for each, turn in swapped(waiting[1], waiting[0], waiting):
        each.priority, each.place = turn
    assert in_order([high, first, second])[0] is waiting[1]

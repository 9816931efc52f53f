# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from server.jobs import Task
from server.scheduler import IdleSlot, plan


def test_a_task_takes_the_slot_that_has_its_file_open() -> None:
    idle = [IdleSlot(0, None), IdleSlot(1, "b"), IdleSlot(2, "a")]
    assert plan(idle, [Task("a", 0, 1), Task("b", 0, 1)]) == [(2, Task("a", 0, 1)), (1, Task("b", 0, 1))]


def test_a_task_leaves_a_slot_alone_that_another_has_open() -> None:
    assert plan([IdleSlot(0, "b"), IdleSlot(1, None)], [Task("a", 0, 1), Task("b", 0, 1)]) == [
        (1, Task("a", 0, 1)),
        (0, Task("b", 0, 1)),
    ]


@given(
    st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=5),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9)), max_size=8, unique=True),
)
def test_the_first_tasks_start_each_on_a_slot_of_its_own(
    opened: list[str | None], wanted: list[tuple[str, int]]
) -> None:
    idle = [IdleSlot(slot, job) for slot, job in enumerate(opened)]
    tasks = [Task(job, position, position) for job, position in wanted]
    pairs = plan(idle, tasks)
    assert [task for _, task in pairs] == tasks[: len(idle)]
    assert len({slot for slot, _ in pairs}) == len(pairs)


@given(st.integers(0, 5))
def test_no_more_tasks_are_looked_up_than_there_is_room_for(slots: int) -> None:
    # GIVEN a node with many jobs, each of which costs a question to the database
    looked_up = []

    def candidates() -> Iterator[Task]:
        for number in range(1000):
            looked_up.append(number)
            yield Task(str(number), 0, 1)

    # WHEN a few slots are free
    plan([IdleSlot(slot, None) for slot in range(slots)], candidates())
    # THEN as many jobs were asked
    assert len(looked_up) == slots

# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Blenders are of no use any more, which wait, and which jobs begin with a draft."""

import pytest

from addon.protocol.messages import JobSpec
from server.blenders import Blender
from server.drafts import Drafts
from server.executors.spares import Kind, wanted
from server.executors.watch import LOOK_S, SILENT_LOOKS, Limits, Look, Watch
from server.jobs import Job

GB = 1 << 30
LIMITS = Limits(memory=10 * GB, frames=100)
NEW, OLD, OLDER = (Blender((5, minor, 0), (f"blender-{minor}",), f"/opt/{minor}") for minor in (2, 1, 0))


def looks(watch: Watch, *seen: tuple[float, int]) -> list[str | None]:
    return [watch.look(Look(cpu_s, memory), LIMITS) for cpu_s, memory in seen]


def test_a_blender_that_neither_says_nor_computes_anything_hangs() -> None:
    watch = Watch()
    assert looks(watch, (9.0, GB)) == [None]
    *before, reason = looks(watch, *[(9.0, GB)] * SILENT_LOOKS)
    assert before == [None] * (SILENT_LOOKS - 1)
    assert reason is not None and "hung" in reason


@pytest.mark.parametrize("sign", ["it computes", "it says something"])
def test_one_that_does_either_does_not_hang(sign: str) -> None:
    watch = Watch()
    for number in range(5 * SILENT_LOOKS):
        if sign == "it says something":
            watch.heard()
            assert looks(watch, (9.0, GB)) == [None]
        else:
            assert looks(watch, (9.0 + number * LOOK_S * 0.02, GB)) == [None]


def test_what_it_computed_in_one_look_does_not_excuse_it_for_ever() -> None:
    watch = Watch()
    looks(watch, (0.0, GB), (50.0, GB))
    assert looks(watch, *[(50.0, GB)] * SILENT_LOOKS)[-1] is not None


def test_more_memory_than_it_may_have_ends_a_blender() -> None:
    (reason,) = looks(Watch(), (1.0, 11 * GB))
    assert reason is not None and "10.7 GB" in reason


def frames(watch: Watch, *memory: int) -> list[bool]:
    """Whether it is worn out after each of several frames, the memory of which is seen during and after them."""
    found = []
    for number, size in enumerate(memory):
        watch.look(Look(float(number), size), LIMITS)
        found.append(watch.worn_out(number + 1, LIMITS))
        watch.look(Look(float(number), size), LIMITS)
    return found


@pytest.mark.parametrize(
    ("memory", "worn"),
    [
        ((8, 8, 8, 8), False),  # A heavy scene is none that leaks.
        ((1, 2, 3, 4), False),  # It may leak, and there is room.
        ((3, 4, 5, 6), True),
        ((5, 6, 7, 7), False),  # Grown, but not by half.
    ],
)
def test_a_blender_wears_out_by_growing_far_beyond_its_first_frame(memory: tuple[int, ...], worn: bool) -> None:
    assert any(frames(Watch(), *(size * GB for size in memory))) == worn


def test_another_file_has_a_first_frame_of_its_own() -> None:
    watch = Watch()
    frames(watch, GB)
    watch.opened()
    assert not any(frames(watch, 7 * GB, 7 * GB))


def test_a_blender_is_worn_out_after_so_many_frames() -> None:
    watch = Watch()
    assert not watch.worn_out(LIMITS.frames - 1, LIMITS)
    assert watch.worn_out(LIMITS.frames, LIMITS)


def test_spares_are_of_the_versions_used_last_for_each_gpu() -> None:
    used = {Kind(OLDER, "a"): 10.0, Kind(OLD, "a"): 20.0, Kind(NEW, "a"): 30.0, Kind(NEW, "b"): 5.0}
    assert wanted(used, 40.0, LIMITS) == [Kind(NEW, "a"), Kind(OLD, "a"), Kind(NEW, "b")]
    assert wanted(used, 40.0, Limits(GB, spares=1)) == [Kind(NEW, "a"), Kind(NEW, "b")]
    assert wanted(used, 40.0, Limits(GB, spares=0)) == []


def test_no_spare_waits_for_a_version_that_nobody_uses() -> None:
    used = {Kind(NEW, None): 100.0, Kind(OLD, None): 99.0}
    assert wanted(used, 99.0 + LIMITS.idle_s, LIMITS) == [Kind(NEW, None)]
    assert wanted(used, 100.0 + LIMITS.idle_s, LIMITS) == []


def job(number: int, group: str = "shot", draft: bool = True) -> Job:
    return Job(JobSpec(f"{number:032x}", "shot", "0" * 32, None, "1", group, 0.0, draft), "artist", 1)


def test_a_job_begins_with_one_draft() -> None:
    drafts, first = Drafts(), job(1)
    assert drafts.wanted(first)
    first.drafted = True
    assert not drafts.wanted(first)
    assert not drafts.wanted(job(2, draft=False))


def test_the_next_save_has_none_if_it_cost_too_much() -> None:
    drafts = Drafts()
    drafts.learn(job(1), 0.06, 1.0)
    assert not drafts.wanted(job(2))
    assert drafts.wanted(job(3, group="another shot"))


def test_and_has_one_again_when_frames_cost_more() -> None:
    drafts = Drafts()
    drafts.learn(job(1), 0.06, 1.0)
    drafts.learn(job(2), None, 1.3)
    assert drafts.wanted(job(3))

# SPDX-License-Identifier: GPL-3.0-or-later
"""A still in parts: how a picture is cut, what cannot be, and the books that are kept of it."""

import struct
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol.messages import JobState
from server.blender_scripts.relay_worker.bands import bands, border
from server.blender_scripts.relay_worker.splitting import why_whole, worth_parts
from server.books import Books
from server.forecast import Costs
from server.job_store import PART, RESULT, NewOutput
from server.jobs import MAX_ATTEMPTS, Job, Running, Task, TaskState
from server.progress import eta_of, fraction_of
from server.scheduler import MOST_PARTS, PARTS_PER_SLOT, is_ready, parts_of
from tests.server.test_books import books_in
from tests.server.test_jobs import job_of

PARTS = 4

# Cutting


@given(st.integers(1, 70_000), st.integers(1, MOST_PARTS))
def test_bands_cover_every_row_once_and_differ_by_a_row_at_most(height: int, count: int) -> None:
    cut = bands(height, count, margin=8)
    assert [row for band in cut for row in range(band.first, band.last)] == list(range(height))
    assert len({band.last - band.first for band in cut} | {height // count}) <= 2


@given(st.integers(1, 70_000), st.integers(1, MOST_PARTS), st.integers(0, 16))
def test_a_bands_border_makes_blender_render_it_with_its_margins(height: int, count: int, margin: int) -> None:
    for band in bands(height, count, margin):
        assert (band.low, band.high) == (max(0, band.first - margin), min(height, band.last + margin))
        lower, upper = border(band, height)
        assert (truncated(lower, height), truncated(upper, height)) == (band.low, band.high)


def truncated(share: float, height: int) -> int:
    """What Blender makes of a border: a 32-bit product, cut off."""
    return int(single(single(share) * height))


def single(number: float) -> float:
    return float(struct.unpack("f", struct.pack("f", number))[0])


# Deciding


def scene_of(change: Callable[[Any], None] = lambda _: None) -> Any:
    """A scene that can be split, but for one change."""
    layer = SimpleNamespace(
        cycles=SimpleNamespace(use_denoising=True), use_pass_cryptomatte_object=False,
        use_pass_cryptomatte_asset=False, use_pass_cryptomatte_material=False,
    )  # fmt: skip
    scene = SimpleNamespace(
        render=SimpleNamespace(
            engine="CYCLES", use_border=False, use_multiview=False, use_sequencer=True, use_freestyle=False
        ),
        cycles=SimpleNamespace(use_denoising=False, use_guiding=False, time_limit=0.0),
        view_layers=[layer], sequence_editor=None, objects=[SimpleNamespace(type="MESH", hide_render=False)],
    )  # fmt: skip
    change(scene)
    return scene


def set_on(path: str, value: object) -> Callable[[Any], None]:
    def change(scene: Any) -> None:
        owner = scene
        *way, name = path.split(".")
        for step in way:
            owner = owner[0] if step == "0" else getattr(owner, step)
        setattr(owner, name, value)

    return change


OBSTACLES = {
    "only Cycles": set_on("render.engine", "BLENDER_EEVEE"),
    "denoising": set_on("cycles.use_denoising", True),
    "render region": set_on("render.use_border", True),
    "several views": set_on("render.use_multiview", True),
    "the sequencer": set_on("sequence_editor", SimpleNamespace(strips=["strip"])),
    "Freestyle": set_on("render.use_freestyle", True),
    "Grease Pencil": set_on("objects", [SimpleNamespace(type="GREASEPENCIL", hide_render=False)]),
    "path guiding": set_on("cycles.use_guiding", True),
    "time limit": set_on("cycles.time_limit", 60.0),
    "Cryptomatte": set_on("view_layers.0.use_pass_cryptomatte_material", True),
}


@pytest.mark.parametrize("words", OBSTACLES)
def test_what_stands_in_the_way_is_told_in_one_sentence(words: str) -> None:
    reason = why_whole(scene_of(OBSTACLES[words]))
    assert reason is not None
    assert words in reason
    assert reason.count(".") == 1


@pytest.mark.parametrize(
    "change",
    [
        set_on("render.use_sequencer", False),
        set_on("sequence_editor", SimpleNamespace(sequences=[])),
        set_on("objects", [SimpleNamespace(type="GREASEPENCIL", hide_render=True)]),
        set_on("view_layers.0.cycles.use_denoising", False),
    ],
)
def test_what_is_off_stands_in_no_way(change: Callable[[Any], None]) -> None:
    assert why_whole(scene_of(change)) is None


def test_a_picture_needs_enough_rows() -> None:
    assert worth_parts(256, 8)
    assert not worth_parts(255, 8)


@pytest.mark.parametrize(
    ("wanted", "frames", "slots", "parts"),
    [
        (True, 1, 2, 2 * PARTS_PER_SLOT),
        (True, 1, 64, MOST_PARTS),
        (True, 1, 1, 0),
        (True, 2, 2, 0),
        (False, 1, 2, 0),
    ],
)
def test_only_a_single_frame_on_several_slots_is_split(wanted: bool, frames: int, slots: int, parts: int) -> None:
    assert parts_of(wanted, frames, slots) == parts


# Booking


@pytest.fixture
def books(tmp_path: Path) -> Any:
    books = books_in(tmp_path)
    yield books
    books.store.close()


def split_job(books: Books) -> Job:
    job = job_of(frames="7", total=1)
    books.add(job, (7,), PARTS)
    return job


def ready(books: Books, job: Job) -> list[Task]:
    return [task for task in books.store.pending(job.id, 100) if is_ready(job, task)]


def finish_part(books: Books, job: Job, task: Task) -> None:
    books.begin(job, task)
    name = f"{task.position}-0.exr"
    books.finish(job, task, 2.0, [NewOutput("", "part0007.exr", 1, "1" * 32, name, PART)])


def test_a_frame_is_put_together_when_all_parts_are_there(books: Books) -> None:
    # GIVEN a split frame: parts alone can run
    job = split_job(books)
    parts = ready(books, job)
    assert sorted(task.part for task in parts if task.part is not None) == list(range(PARTS))
    assert {task.frame for task in parts} == {7}
    # WHEN they are done, in any order
    for task in (parts[2], parts[0], parts[3], parts[1]):
        assert all(task.part is not None for task in ready(books, job))
        finish_part(books, job, task)
    # THEN nothing of it is for the artist, and the frame's own task is next, with the parts from the lowest up
    assert (job.undelivered, job.frames[TaskState.DONE], job.state) == (0, 0, JobState.RENDERING)
    assert ready(books, job) == [Task(job.id, 0, 7)]
    assert books.store.parts(job.id) == ["-1-0.exr", "-2-0.exr", "-3-0.exr", "-4-0.exr"]
    # AND with it the job is done
    books.begin(job, Task(job.id, 0, 7))
    books.finish(job, Task(job.id, 0, 7), 0.1, [NewOutput("", "7.png", 1, "1" * 32, "0-0.png", RESULT)])
    assert (job.state, job.frames[TaskState.DONE], job.undelivered) == (JobState.DONE, 1, 1)


def test_parts_survive_a_restart(books: Books, tmp_path: Path) -> None:
    # GIVEN a kill with one part done and one under way
    job = split_job(books)
    first, second, *_ = ready(books, job)
    finish_part(books, job, first)
    books.begin(job, second)
    books.store.close()
    # WHEN the node starts again
    again = books_in(tmp_path)
    (found,) = again
    # THEN the other parts are left to do
    assert (found.state, found.parts) == (JobState.QUEUED, {TaskState.DONE: 1, TaskState.PENDING: PARTS - 1})
    assert second in ready(again, found)
    assert first not in ready(again, found)
    again.store.close()


def test_a_frame_that_cannot_be_split_is_one_task_again(books: Books) -> None:
    # GIVEN two parts under way
    job = split_job(books)
    first, second, *_ = ready(books, job)
    books.begin(job, first)
    books.begin(job, second)
    # WHEN one of them says that it cannot be
    books.make_whole(job, "Because.")
    # THEN the frame is left to do, the artist is told, and the other one counts no more
    assert ready(books, job) == [Task(job.id, 0, 7)]
    assert (job.notices, job.running, job.parts) == (("Because.",), {}, {})
    assert books.is_over(job, second)
    assert not books.is_over(job, Task(job.id, 0, 7))
    (stored,) = books.store.load()
    assert (stored.notices, stored.frames) == (("Because.",), {TaskState.PENDING: 1})


def test_a_part_that_is_given_up_is_tried_again_with_the_job(books: Books) -> None:
    job = split_job(books)
    first, second, *_ = ready(books, job)
    finish_part(books, job, first)
    books.begin(job, second)
    books.fail(job, Task(job.id, second.position, 7, MAX_ATTEMPTS), "Blender ended.")
    books.move(job, JobState.FAILED, "Blender ended.")
    books.retry(job)
    assert job.parts == {TaskState.DONE: 1, TaskState.PENDING: PARTS - 1}
    assert second in ready(books, job)


# Telling


def test_a_split_frame_goes_on_with_its_parts() -> None:
    job = job_of(frames="7", total=1)
    job.parts.update({TaskState.DONE: 1, TaskState.RENDERING: 1, TaskState.PENDING: 2})
    job.costs = Costs(range(4))
    job.costs.add(0, 10.0)
    running = job.running[-2] = Running(Task(job.id, -2, 7), started=98.0, sample=64, samples=128)
    running.report(now=104.0, remaining_s=None)
    assert fraction_of(job, now=104.0) == pytest.approx(0.98 * 1.5 / 4)
    assert eta_of(job, now=104.0) == pytest.approx(6.0 + 2 * 10.0)


def test_a_frame_that_is_put_together_is_nearly_done() -> None:
    job = job_of(frames="7", total=1)
    job.parts.update({TaskState.DONE: 4})
    job.costs = Costs(range(4))
    job.running[0] = Running(Task(job.id, 0, 7), started=100.0)
    assert fraction_of(job, now=104.0) == pytest.approx(0.98)
    assert eta_of(job, now=104.0) is None

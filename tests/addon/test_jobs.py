# SPDX-License-Identifier: GPL-3.0-or-later
from typing import Any

import pytest

from addon.blender.jobs import Jobs, Node, Notice

RENDER = {
    "command": "render", "job": "a", "blend": "/p/x.blend", "title": "x.blend", "frames": "1-3", "folder": "/p/out",
}  # fmt: skip


def event(job: str, state: str, **more: Any) -> dict[str, Any]:
    return {"event": "job", "job": job, "state": state, "title": "x.blend", "folder": "/p/out", **more}


def test_a_submitted_job_shows_before_the_client_answers() -> None:
    jobs = Jobs()
    jobs.problem = "something old"
    jobs.submitted(RENDER)
    selected = jobs.selected_job()
    assert selected is not None
    assert (selected.job, selected.state, selected.frames) == ("a", "waiting", "1-3")
    assert jobs.unacknowledged() == [RENDER]
    assert jobs.problem == ""


def test_the_clients_first_word_about_a_job_acknowledges_it() -> None:
    # GIVEN two jobs handed over
    jobs = Jobs()
    jobs.submitted(RENDER)
    jobs.submitted({**RENDER, "job": "b"})
    # WHEN the client speaks of the first
    jobs.apply(event("a", "queued"))
    # THEN only the second is to be handed over again
    assert [command["job"] for command in jobs.unacknowledged()] == ["b"]


def test_the_newest_stands_first_and_a_superseded_job_is_gone() -> None:
    jobs = Jobs()
    for job, state, created in (("a", "superseded", 1.0), ("b", "queued", 2.0), ("c", "done", 3.0)):
        jobs.apply(event(job, state, created=created))
    assert [job.job for job in jobs.rows()] == ["c", "b"]


def test_the_selection_stays_on_its_job_when_others_come_and_goes_to_the_newest_when_it_is_forgotten() -> None:
    jobs = Jobs()
    jobs.apply(event("a", "rendering", created=1.0))
    jobs.selected = "a"
    jobs.apply(event("b", "queued", created=2.0))
    assert (selected := jobs.selected_job()) and selected.job == "a"
    jobs.apply({"event": "forgotten", "job": "a"})
    assert (selected := jobs.selected_job()) and selected.job == "b"
    jobs.apply({"event": "forgotten", "job": "b"})
    assert jobs.selected_job() is None


def test_fields_of_a_newer_client_are_ignored_and_missing_ones_have_defaults() -> None:
    jobs = Jobs()
    jobs.apply({"event": "job", "job": "a", "mood": "good"})
    jobs.apply({"event": "weather", "text": "rain"})
    (job,) = jobs.rows()
    assert (job.total, job.eta_s, job.notices) == (0, None, ())


def test_the_newest_frame_wins_over_the_passes_beside_it() -> None:
    # GIVEN a job whose frame and pass arrive
    jobs = Jobs()
    jobs.apply(event("a", "rendering"))
    jobs.apply({"event": "delivered", "job": "a", "frame": 1, "path": "/p/passes/depth_0001.exr"})
    (job,) = jobs.rows()
    assert jobs.picture_of(job) == "/p/passes/depth_0001.exr"
    # WHEN its picture comes, and another pass
    jobs.apply({"event": "delivered", "job": "a", "frame": 1, "path": "/p/out/x_0001.png"})
    jobs.apply({"event": "delivered", "job": "a", "frame": 2, "path": "/p/passes/depth_0002.exr"})
    # THEN the picture is what View shows
    assert jobs.picture_of(job) == "/p/out/x_0001.png"


def test_a_jobs_problem_lasts_until_its_state_changes() -> None:
    jobs = Jobs()
    jobs.apply(event("a", "returning"))
    jobs.apply({"event": "problem", "job": "a", "text": "The disk is full."})
    jobs.apply(event("a", "returning", delivered=1))
    (job,) = jobs.rows()
    assert jobs.problem_of(job) == "The disk is full."
    jobs.apply(event("a", "done"))
    assert jobs.problem_of(job) == ""


def test_a_problem_of_no_job_belongs_to_the_panel() -> None:
    jobs = Jobs()
    jobs.apply({"event": "problem", "job": None, "text": "The ledger cannot be written."})
    assert jobs.problem == "The ledger cannot be written."


def test_a_job_cancelled_before_the_client_knew_it_is_not_handed_over_again() -> None:
    jobs = Jobs()
    jobs.submitted(RENDER)
    jobs.cancelled("a")
    (job,) = jobs.rows()
    assert job.state == "cancelled"
    assert jobs.unacknowledged() == []


@pytest.mark.parametrize(
    ("state", "failed", "retriable"), [("failed", 0, True), ("cancelled", 2, False), ("done", 0, False)]
)
def test_what_can_be_retried(state: str, failed: int, retriable: bool) -> None:
    jobs = Jobs()
    jobs.apply(event("a", state, failed=failed))
    (job,) = jobs.rows()
    assert job.retriable is retriable


def test_nodes_of_the_network_and_notices_are_taken_in() -> None:
    jobs = Jobs()
    box = {"name": "box", "address": "box-1.local", "version": "0.1.0", "fits": False, "answers": True, "more": 1}
    jobs.apply({"event": "nodes", "nodes": [box]})
    assert list(jobs.nodes) == [Node("box", "box-1.local", "0.1.0", fits=False, answers=True)]
    jobs.apply({"event": "nodes", "nodes": []})
    assert list(jobs.nodes) == []
    # A notice is handed on once.
    jobs.apply({"event": "notice", "text": "a.blend is rendered: 1 frame.", "failed": False})
    taken = [jobs.take_notices() for _ in range(2)]
    assert taken == [[Notice("a.blend is rendered: 1 frame.")], []]

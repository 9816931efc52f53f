# SPDX-License-Identifier: GPL-3.0-or-later
"""Telling the artist what has become of jobs."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from addon.client import notices
from addon.client.notices import Ended, Herald, Watched, sentence


def line(job: str, state: str, **more: Any) -> dict[str, Any]:
    return {"event": "job", "job": job, "state": state, "title": f"{job}.blend", "total": 3, "text": "", **more}


def ends(watched: Watched, job: str, *states: str) -> list[str]:
    heard = [watched.hear(line(job, state)) for state in states]
    return ["failed" if each.failed else "done" for each in heard if each]


def test_a_job_is_told_of_when_it_ends_and_again_when_it_is_tried_again() -> None:
    watched = Watched()
    assert ends(watched, "a", "waiting", "uploading", "queued", "rendering", "returning", "done", "done") == ["done"]
    assert ends(watched, "b", "uploading", "failed", "failed", "queued", "rendering", "done") == ["failed", "done"]


def test_what_was_done_before_is_no_news_unless_frames_come_home_now() -> None:
    watched = Watched()
    assert ends(watched, "old", "waiting", "done") == []
    assert ends(watched, "away", "waiting", "returning", "done") == ["done"]


def test_a_job_so_small_that_it_is_done_when_it_is_first_heard_of_is_told_of() -> None:
    watched = Watched()
    watched.expect("tiny")
    assert ends(watched, "tiny", "waiting", "done") == ["done"]


@pytest.mark.parametrize("state", ["cancelled", "superseded"])
def test_what_the_artist_ended_is_not_told_of(state: str) -> None:
    watched = Watched()
    assert ends(watched, "a", "rendering", state, "done") == []
    watched.expect("b")
    watched.forget("b")
    assert ends(watched, "b", "done") == []


def test_sentences() -> None:
    done, failed = Ended("a.blend", False, 1, ""), Ended("b.blend", True, 9, "No camera.")
    assert sentence([done]) == "a.blend is rendered: 1 frame."
    assert sentence([failed]) == "b.blend failed: No camera."
    assert sentence([done, done]) == "2 jobs are rendered."
    assert sentence([done, failed]) == "1 job is rendered, 1 failed, the last of them b.blend."
    assert sentence([failed] * 100) == "100 failed, the last of them b.blend."
    # Other people's texts stay in their line, and short.
    hostile = Ended("x\x1b[2J\n\u202ey", True, 1, "long\x07 " * 500)
    assert sentence([hostile]).isprintable()
    assert len(sentence([hostile])) < 300


@pytest.mark.parametrize("desktop", [False, True])
def test_a_hundred_jobs_are_a_few_sentences(monkeypatch: pytest.MonkeyPatch, desktop: bool) -> None:
    # GIVEN a hundred jobs that end while time stands still
    told: list[dict[str, Any]] = []
    shown: list[str] = []
    delays: list[float] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        calls: list[Callable[[], None]] = []

        def call_later(delay: float, call: Callable[[], None]) -> asyncio.Handle:
            delays.append(delay)
            calls.append(call)
            return asyncio.Handle(call, (), loop)

        monkeypatch.setattr(loop, "call_later", call_later)
        herald = Herald(told.append, shown.append)
        herald.desktop = desktop
        for number in range(100):
            herald.expect(str(number))
            herald.hear(line(str(number), "done"))
            if number == 0:
                calls.pop()()  # The first time is over: it is told of alone.
        calls.pop()()  # And the second, much later.
        calls.pop()()  # Nothing has ended since: no more words, no more timers.
        assert calls == []
        herald.expect("last")
        herald.hear(line("last", "failed", text="No camera."))
        calls.pop()()
        herald.close()

    asyncio.run(play())
    # THEN they are told of in three events, and on the desktop only if that is wanted
    assert [event["text"] for event in told] == [
        "0.blend is rendered: 3 frames.", "99 jobs are rendered.", "last.blend failed: No camera.",
    ]  # fmt: skip
    assert [event["failed"] for event in told] == [False, False, True]
    assert shown == ([event["text"] for event in told] if desktop else [])
    assert delays == [notices.FIRST_S, notices.GAP_S, notices.GAP_S, notices.FIRST_S, notices.GAP_S]

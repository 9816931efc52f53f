# SPDX-License-Identifier: GPL-3.0-or-later
"""When nothing is left to fetch."""

import dataclasses

import pytest

from addon.client.fetcher import is_home
from addon.protocol.messages import JobState, JobStatus

STATUS = JobStatus(
    "0" * 32, "1" * 32, "shot.blend", JobState.RENDERING, "1-4", 4, 2, 0, 1, 0.5, None, None, None, None, None, None,
    "", (), None, "", 0.0, False, 0, 1.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("state", "done", "undelivered", "rendered", "home"),
    [
        ("rendering", 2, 0, None, False),  # More will come.
        ("done", 4, 1, None, False),
        ("done", 4, 0, None, True),
        ("failed", 3, 0, None, True),
        ("rendering", 2, 0, 2, True),
        ("rendering", 3, 1, 2, True),  # What was there at first is here; another came meanwhile.
        ("rendering", 3, 2, 2, False),
    ],
)
def test_what_is_left(state: str, done: int, undelivered: int, rendered: int | None, home: bool) -> None:
    status = dataclasses.replace(STATUS, state=JobState(state), done=done, undelivered=undelivered)
    assert is_home(status, rendered=rendered) is home

# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Callable

import pytest

from addon.protocol.messages import Refusal
from server.errors import RequestRefused
from server.quotas import Quota


def test_a_quota_says_what_differs() -> None:
    everybodys = Quota(jobs=10, stored=1000)
    assert everybodys.changed("") == everybodys
    assert everybodys.changed(" jobs = 3, slots=2,") == Quota(jobs=3, stored=1000, slots=2)
    assert everybodys.changed("jobs=none,frames=5,stored=2.5GB") == Quota(frames=5, stored=2_500_000_000)


@pytest.mark.parametrize(
    "text", ["jobs", "jobs=", "jobs=0", "jobs=-1", "jobs=²", "stored=much", "cores=3", "=", "jobs=1;"]
)
def test_what_limits_nothing_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="write something like"):
        Quota().changed(text)


def test_up_to_the_limit_and_no_further() -> None:
    free, quota = Quota(), Quota(jobs=2, frames=10, stored=1000, connections=3)
    free.check_jobs(10**9)
    free.check_frames(10**9, 10**9)
    free.check_stored(10**15)
    free.check_connections(10**9)
    quota.check_jobs(1)
    quota.check_connections(2)
    quota.check_frames(4, 6)
    quota.check_stored(1000)
    beyond: list[tuple[Callable[[], None], str]] = [
        (lambda: quota.check_jobs(2), "You have 2 unfinished jobs on this node, and its owner allows 2"),
        (lambda: quota.check_frames(4, 7), "7 frames, 4 of your other jobs wait, and the node's owner allows 10"),
        (lambda: quota.check_frames(0, 11), "11 frames, and the node's owner allows 10"),
        (lambda: quota.check_connections(3), "You have 3 connections to this node, and its owner allows 3"),
        (lambda: quota.check_stored(1001), "your files take 1.0 KB on this node, and its owner allows 1.0 KB"),
    ]
    for check, sentence in beyond:
        with pytest.raises(RequestRefused, match=sentence) as refused:
            check()
        assert refused.value.reason == Refusal.QUOTA

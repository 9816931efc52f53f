# SPDX-License-Identifier: GPL-3.0-or-later
import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from addon.client import service
from addon.client.ledger import Trigger
from addon.client.submission import Submission
from tests.client.test_ledger import order


def test_a_clock_that_is_set_back_makes_no_save_older_than_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an artist who saves twice, and renders another file, while the clock is set back by an hour
    moments = iter([7200.0, 3600.0, 3601.0])
    monkeypatch.setattr("addon.client.service.time", SimpleNamespace(time=lambda: next(moments)))

    async def save() -> None:
        (tmp_path / "client").mkdir()
        client = service.Client(tmp_path / "client", lambda _: None)
        for number, blend in ((1, "a.blend"), (2, "a.blend"), (3, "b.blend")):
            client.render(order(number, blend=str(tmp_path / blend), trigger=Trigger.SAVE))
        running = asyncio.create_task(client.run(adopt=False))
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(save())
    # THEN the second save is the newer one, and the other file has the clock's own time
    entries = [
        json.loads((tmp_path / "client" / "jobs" / f"{order(number).job}.json").read_text()) for number in (1, 2, 3)
    ]
    assert [entry["created"] for entry in entries] == [7200.0, 7200.001, 3601.0]


def test_jobs_reach_the_node_in_the_order_in_which_they_were_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN files of which the first takes longest to get hold of
    turns = {order(1).job: 50, order(2).job: 5, order(3).job: 0}
    sent: list[str] = []

    async def take_snapshot(submission: Submission) -> None:
        for _ in range(turns[submission.entry.job]):
            await asyncio.sleep(0)

    async def run(submission: Submission) -> None:
        sent.append(submission.entry.job)

    monkeypatch.setattr(Submission, "take_snapshot", take_snapshot)
    monkeypatch.setattr(Submission, "run", run)

    async def save() -> None:
        (tmp_path / "client").mkdir()
        client = service.Client(tmp_path / "client", lambda _: None)
        for number in (1, 2, 3):
            client.render(order(number, blend=str(tmp_path / f"{number}.blend")))
        running = asyncio.create_task(client.run(adopt=False))
        while len(sent) < len(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(save())
    assert sent == list(turns)

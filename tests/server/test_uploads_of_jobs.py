# SPDX-License-Identifier: GPL-3.0-or-later
"""The job that an upload is for; and the end of the node in the midst of one."""

from typing import Any

import pytest

from addon.protocol import zstd
from addon.protocol.messages import (
    Codec,
    JobChanged,
    JobState,
    Offer,
    Refusal,
    Stored,
    Submit,
    Withdraw,
)
from server.store import Receipt, Store
from tests.needs import NEEDS_ZSTD
from tests.server.uploads_kit import PATIENCE_S, Gate, Live, shot, spec


def test_a_job_is_taken_in_when_its_files_are_stored(node: Live) -> None:
    # GIVEN a job that is submitted right after its files were offered
    save = shot(1, 2)
    program = node.connect(1)
    program.offer(save)
    program.send(Submit(spec(save)))
    asked = program.is_asked_for(save)
    # WHEN nearly everything is there, THEN nothing has happened
    program.send_chunks(save, asked[:-1])
    program.waits()
    # WHEN the rest is, THEN the job is queued
    program.send_chunks(save, asked[-1:])
    assert program.receive() == Stored(save.digest)
    changed = program.receive()
    assert isinstance(changed, JobChanged)
    assert (changed.status.job, changed.status.state) == ("e" * 32, JobState.QUEUED)


def test_a_job_whose_files_are_here_is_taken_in_at_once(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.bring(save)
    other = node.connect(2)
    other.send(Submit(spec(save)))
    assert isinstance(other.receive(), JobChanged)


def test_a_job_whose_files_were_not_offered_is_refused(node: Live) -> None:
    program = node.connect(1)
    program.send(Submit(spec(shot(1))))
    program.is_refused(Refusal.FILE_MISSING, "e" * 32)


def test_a_job_is_dropped_with_an_offer_that_is_withdrawn(node: Live) -> None:
    save = shot(1)
    program = node.connect(1)
    program.offer(save)
    program.send(Submit(spec(save)))
    asked = program.is_asked_for(save)
    program.send(Withdraw(save.digest))
    program.waits()
    # THEN it does not come back when the files do
    program.offer(save)
    assert program.bring(save) == asked
    while not node.idle:
        program.waits()
    program.waits()


@NEEDS_ZSTD
def test_a_job_is_dropped_with_an_offer_that_is_refused(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a job that the node has heard of before it refuses its offer
    save, missing = shot(1), shot(2)
    change = zstd.compress(save.manifest.packed, prefix=missing.manifest.packed)
    looked = Gate(monkeypatch, Store, "manifest")
    program = node.connect(1)
    program.send(Offer(save.digest, len(save.manifest.packed), Codec.PATCH, missing.digest), change)
    program.send(Submit(spec(save)))
    program.waits()
    # WHEN it does, THEN that is all it says
    looked.open()
    program.is_refused(Refusal.BASE_MISSING, save.digest)
    while not node.idle:
        program.waits()
    program.waits()


def test_a_node_that_ends_lets_a_thread_finish_its_chunk(node: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a thread that writes a chunk
    save = shot(1)
    written = Gate(monkeypatch, Receipt, "put")
    steps: list[str] = []
    put, close = Receipt.put, Receipt.close

    def noted_put(*arguments: Any) -> None:
        put(*arguments)
        steps.append("put")

    def noted_close(receipt: Receipt) -> None:
        steps.append("close")
        close(receipt)

    monkeypatch.setattr(Receipt, "put", noted_put)
    monkeypatch.setattr(Receipt, "close", noted_close)
    program = node.connect(1)
    program.offer(save)
    program.send_chunks(save, program.is_asked_for(save)[:1])
    written.wait()
    (session,) = node.handlers.endpoint.sessions()
    task = session.uploads[save.digest].task
    assert task is not None
    # WHEN the node ends, which ends the session and then all work, THEN what the thread writes to is closed after it
    node.close()
    while node.do(task.cancelling) < 2:
        pass
    node.do(lambda: None)
    written.open()
    node.ended.result(PATIENCE_S)
    assert steps == ["put", "close"]

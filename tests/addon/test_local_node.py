# SPDX-License-Identifier: GPL-3.0-or-later
"""The node that Blender runs, played by a script in a process of its own."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.blender.backoff import FIRST_DELAY_S, STEADY_S, Backoff
from addon.blender.line_process import LineProcess
from addon.blender.local_node import Asking, LocalNode
from tests.addon.scripted_client import wait_for

PLAYED = """
import json, sys
print(json.dumps({"event": "ready", "port": 7460, "name": "box", "page": "http://127.0.0.1:7462/"}), flush=True)
request = {"code": "482913", "name": "anna", "host": "10.0.0.2"}
print(json.dumps({"event": "requests", "requests": [request]}), flush=True)
for line in sys.stdin:
    open(sys.argv[1], "a").write(line)
    print(json.dumps({"event": "requests", "requests": []}), flush=True)
open(sys.argv[1], "a").write("over")
"""

FAILING = "import sys; sys.exit('Cannot listen on 0.0.0.0:7460: another program listens there.')"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Callable[[str], LocalNode]:
    log = tmp_path / "node.log"

    def make_one(script: str) -> LocalNode:
        command = [sys.executable, "-c", script, str(tmp_path / "heard")]
        return LocalNode(lambda: LineProcess(command, os.environ, log), log, clock)

    return make_one


def describe(node: LocalNode) -> tuple[str, str, str, int]:
    return node.state, node.text, node.page, len(node.asking)


def until(node: LocalNode, holds: Callable[[], bool], what: str) -> None:
    wait_for(lambda: node.poll(wanted=True) is not None and holds(), what)


def test_it_is_started_heard_and_told_and_ends_with_its_input(make: Callable[[str], LocalNode], tmp_path: Path) -> None:
    # GIVEN a node that is not wanted yet
    node = make(PLAYED)
    assert not node.poll(wanted=False)
    assert node.pid is None
    # WHEN it is THEN it is started, and what it says is known
    assert node.poll(wanted=True)
    assert node.state == "starting"
    until(node, lambda: bool(node.asking), "the request")
    assert (node.state, node.page) == ("running", "http://127.0.0.1:7462/")
    assert "box" in node.text
    assert "7460" in node.text
    assert node.asking == (Asking("482913", "anna", "10.0.0.2"),)
    # AND the owner's word reaches it
    node.decide("482913", allowed=True)
    until(node, lambda: not node.asking, "the answer")
    assert (tmp_path / "heard").read_text() == '{"command": "allow", "code": "482913"}\n'
    # AND WHEN it is not wanted any more THEN its input closes
    assert node.poll(wanted=False)
    assert describe(node) == ("off", "", "", 0)
    wait_for(lambda: (tmp_path / "heard").read_text().endswith("over"), "its end")
    wait_for(lambda: not node.poll(wanted=False) and not node._leaving, "it to be gone")


def test_one_that_ends_by_itself_says_why_and_is_started_again(make: Callable[[str], LocalNode], clock: Clock) -> None:
    # GIVEN one that cannot listen
    node = make(FAILING)
    until(node, lambda: node.state == "ended", "its end")
    # THEN its last line is what the owner reads
    assert node.text.startswith("Cannot listen on 0.0.0.0:7460: another program listens there.")
    assert node.text.endswith("It is started again in 1 s.")
    # AND nothing happens before that time
    assert not node.poll(wanted=True)
    clock.now += FIRST_DELAY_S
    assert node.poll(wanted=True)
    until(node, lambda: node.text.endswith("in 2 s."), "its next end")


def test_one_that_cannot_be_started_is_said_so(tmp_path: Path, clock: Clock) -> None:
    log = tmp_path / "node.log"
    node = LocalNode(lambda: LineProcess([str(tmp_path / "no-python")], {}, log), log, clock)
    assert node.poll(wanted=True)
    assert node.state == "ended"
    assert "no-python" in node.text


def test_the_pause_grows_until_a_run_was_steady() -> None:
    clock = Clock()
    backoff = Backoff(clock)
    assert backoff.is_due
    delays = []
    for _ in range(7):
        backoff.started()
        delays.append(backoff.ended())
    assert delays == [1, 2, 4, 8, 16, 30, 30]
    clock.now += 30
    backoff.started()
    clock.now += STEADY_S + 1
    assert backoff.ended() == FIRST_DELAY_S

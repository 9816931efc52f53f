# SPDX-License-Identifier: GPL-3.0-or-later
"""The client process and its link, on real processes whose part the test plays."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from addon.blender.client_link import ClientLink
from addon.blender.interpreter import module_command, module_environment
from addon.blender.jobs import Jobs
from addon.blender.line_process import LineProcess
from tests.addon.scripted_client import Play, wait_for

RENDER = {
    "command": "render", "job": "a", "blend": "/p/x.blend", "title": "x.blend", "frames": "1-3", "folder": "/p/out",
}  # fmt: skip


class Clock:
    """Time that passes when the test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path / "play")


@pytest.fixture
def link(tmp_path: Path, clock: Clock, play: Play) -> Iterator[ClientLink]:
    def launch() -> LineProcess:
        return LineProcess(play.command(tmp_path / "play"), os.environ, tmp_path / "client.log")

    link = ClientLink(launch, Jobs(), clock)
    yield link
    link.close()


def _same(process: LineProcess) -> LineProcess:
    return process


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start(link: ClientLink, play: Play, runs: int = 1) -> int:
    link.poll(1.0)
    return wait_for(lambda: play.pids()[runs - 1 :], "the client to start")[0]


def event(job: str, state: str, **more: Any) -> dict[str, Any]:
    return {"event": "job", "job": job, "state": state, **more}


@pytest.mark.parametrize(("address", "online"), [("", True), ("box", False), ("", False)])
def test_nothing_runs_without_a_node_or_without_the_network(
    link: ClientLink, play: Play, address: str, online: bool
) -> None:
    link.configure(address, online=online)
    assert not link.poll(1.0)
    assert link.pid is None
    assert play.heard() == []


def test_commands_go_out_in_order_and_events_come_in(link: ClientLink, play: Play) -> None:
    # GIVEN a running client
    link.configure("box", online=True)
    start(link, play)
    # WHEN a render and a cancel are given and the client speaks
    link.submit(RENDER)
    link.send({"command": "cancel", "job": "a"})
    wait_for(lambda: len(play.heard()) == 4, "the commands")
    play.say(event("a", "queued"))
    # THEN it hears them after its configuration, and the jobs know its words
    assert [line.get("command") for line in play.heard()[1:]] == ["configure", "render", "cancel"]
    assert play.commands("configure") == [{"command": "configure", "address": "box"}]
    wait_for(lambda: link.poll(1.0), "the event")
    assert [job.state for job in link.jobs.rows()] == ["queued"]


def test_a_client_that_is_killed_is_started_again_and_handed_what_it_had_not_taken(
    link: ClientLink, play: Play, clock: Clock
) -> None:
    # GIVEN a client that has acknowledged one job of two
    link.configure("box", online=True)
    pid = start(link, play)
    link.submit(RENDER)
    play.say(event("a", "uploading"))
    wait_for(lambda: link.poll(1.0), "the event")
    link.submit({**RENDER, "job": "b"})
    wait_for(lambda: len(play.commands("render")) == 2, "both jobs")

    # WHEN it is killed
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: link.poll(1.0), "the link to notice")

    # THEN the panel says so, a second passes, and a new one gets the node and the second job
    assert link.jobs.connection.state == "ended"
    assert "again in 1 s" in link.jobs.connection.text
    assert not link.poll(1.0)
    clock.now += 1.0
    second = start(link, play, runs=2)
    assert second != pid
    wait_for(lambda: len(play.heard()) == 7, "its commands")
    assert [line.get("job") for line in play.heard()[5:]] == [None, "b"]


def test_the_delay_grows_while_it_keeps_dying_and_is_short_again_after_a_steady_run(
    link: ClientLink, play: Play, clock: Clock
) -> None:
    link.configure("box", online=True)
    delays = []
    for run in range(1, 8):
        os.kill(start(link, play, run), signal.SIGKILL)
        wait_for(lambda: link.poll(1.0), "the link to notice")
        delays.append(int(link.jobs.connection.text.split()[-2]))
        clock.now += delays[-1]
    assert delays == [1, 2, 4, 8, 16, 30, 30]

    pid = start(link, play, 8)
    clock.now += 61
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: link.poll(1.0), "the link to notice")
    assert "again in 1 s" in link.jobs.connection.text


def test_its_last_words_are_heard(link: ClientLink, play: Play) -> None:
    # GIVEN a client that says something and dies at once
    link.configure("box", online=True)
    start(link, play)
    play.say(*(event(f"{number}", "done") for number in range(500)), {"exit": 3})
    # WHEN its death is noticed
    wait_for(lambda: link.poll(1.0) and link.pid is None, "its end")
    # THEN nothing of it is lost
    assert len(link.jobs.rows()) == 500
    assert "code 3" in link.jobs.connection.text


def test_commands_given_while_no_client_runs_reach_the_next(link: ClientLink, play: Play) -> None:
    link.configure("box", online=True)
    link.submit(RENDER)
    link.send({"command": "clear_finished"})
    start(link, play)
    wait_for(lambda: len(play.heard()) == 4, "the commands")
    assert {line.get("command") for line in play.heard()} == {None, "configure", "clear_finished", "render"}


def test_a_poll_keeps_to_its_budget_and_leaves_the_rest_to_the_next(tmp_path: Path, play: Play) -> None:
    # GIVEN a client that has said a great deal, and the real time
    process = LineProcess(play.command(tmp_path / "play"), os.environ, tmp_path / "client.log")
    link = ClientLink(partial(_same, process), Jobs())
    link.configure("box", online=True)
    start(link, play)
    play.say(*(event("a", "rendering", done=number) for number in range(30_000)))
    wait_for(lambda: process._incoming.qsize() == 30_000, "everything to have arrived")
    # WHEN it is polled
    began = time.perf_counter()
    link.poll(0.002)
    took = time.perf_counter() - began
    # THEN that takes about its budget, and polling on reaches the end
    assert took < 0.02
    assert 0 < process._incoming.qsize() < 30_000
    while link.poll(0.05):
        pass
    (job,) = link.jobs.rows()
    assert job.done == 29_999
    link.close()


def test_going_offline_or_closing_ends_the_process(link: ClientLink, play: Play) -> None:
    link.configure("box", online=True)
    pid = start(link, play)
    link.configure("box", online=False)
    assert not alive(pid)
    assert link.jobs.connection.state == "offline"


def test_a_new_address_is_told_to_the_running_client(link: ClientLink, play: Play) -> None:
    link.configure("box", online=True)
    start(link, play)
    link.configure("other:7461", online=True)
    wait_for(lambda: len(play.commands("configure")) == 2, "the second address")
    assert play.commands("configure")[-1]["address"] == "other:7461"
    assert len(play.pids()) == 1


def test_a_client_that_does_not_end_by_itself_is_killed(tmp_path: Path) -> None:
    # GIVEN a process that does not care about its input
    command = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
    process = LineProcess(command, os.environ, tmp_path / "client.log")
    wait_for(process._incoming.qsize, "it to run")
    # WHEN it is closed
    process.close(timeout_s=0.1)
    # THEN it is gone, and its chatter was no event
    assert process.exit_code == -signal.SIGKILL
    assert list(process.events()) == []


def test_a_client_that_cannot_be_started_is_said_and_tried_again(clock: Clock, tmp_path: Path) -> None:
    # GIVEN a program that does not exist
    jobs = Jobs()
    missing = str(tmp_path / "no-python")
    link = ClientLink(lambda: LineProcess([missing], {}, tmp_path / "client.log"), jobs, clock)
    link.configure("box", online=True)
    # WHEN it is to be started
    assert link.poll(1.0)
    # THEN the panel says why, and nothing happens before its time
    assert jobs.connection.state == "ended"
    assert "no-python" in jobs.connection.text
    assert not link.poll(1.0)


def test_the_log_is_kept_and_starts_anew_when_it_is_long(tmp_path: Path) -> None:
    log = tmp_path / "client.log"
    command = [sys.executable, "-c", "import sys; sys.stderr.write('hello')"]
    for _ in range(2):
        LineProcess(command, os.environ, log).close()
    assert log.read_text() == "hellohello"
    log.write_bytes(b"x" * 2_000_000)
    LineProcess(command, os.environ, log).close()
    assert log.read_text() == "hello"


def test_the_client_runs_with_this_python_and_finds_the_extension_and_zmq(tmp_path: Path) -> None:
    pytest.importorskip("zmq")
    environment = module_environment(Path("/extension"))
    path = environment["PYTHONPATH"].split(os.pathsep)
    assert path[0] == "/extension"
    assert (Path(path[1]) / "zmq").is_dir()
    assert module_command("addon.client", "--data", str(tmp_path))[1:] == [
        "-m",
        "addon.client",
        "--data",
        str(tmp_path),
    ]


def test_a_client_is_started_to_look_for_nodes_and_keeps_what_holds_through_its_own_death(
    link: ClientLink, play: Play, clock: Clock
) -> None:
    # GIVEN no node's address, and an artist who looks at the list of nodes
    link.configure("", online=True)
    assert link.wish({"command": "browse", "wanted": True})
    assert not link.wish({"command": "browse", "wanted": True})
    pid = start(link, play)
    wait_for(lambda: play.commands("browse"), "the command")
    assert play.commands("configure") == [{"command": "configure", "address": ""}]
    assert link.jobs.connection.state == "none"
    # WHEN it finds one
    play.say({"event": "nodes", "nodes": [{"name": "box", "address": "box-1.local", "new": "field"}]})
    wait_for(lambda: link.poll(1.0), "the event")
    assert [node.address for node in link.jobs.nodes] == ["box-1.local"]
    # AND is killed THEN the next one looks as well
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: link.poll(1.0), "the link to notice")
    clock.now += 1.0
    start(link, play, runs=2)
    wait_for(lambda: len(play.commands("browse")) == 2, "the command again")
    # AND when nobody looks any more, it is told
    link.wish({"command": "browse", "wanted": False})
    wait_for(lambda: play.commands("browse")[-1] == {"command": "browse", "wanted": False}, "its end")


def test_without_the_network_nobody_looks_for_nodes(link: ClientLink, play: Play) -> None:
    link.configure("", online=False)
    link.wish({"command": "browse", "wanted": True})
    assert not link.poll(1.0)
    assert (link.pid, play.heard()) == (None, [])


def test_going_offline_forgets_the_nodes_that_were_found(link: ClientLink, play: Play) -> None:
    link.configure("box", online=True)
    link.wish({"command": "browse", "wanted": True})
    start(link, play)
    play.say({"event": "nodes", "nodes": [{"name": "box", "address": "box-1.local"}]})
    wait_for(lambda: link.poll(1.0), "the event")
    link.configure("box", online=False)
    assert (link.pid, link.jobs.nodes) == (None, ())

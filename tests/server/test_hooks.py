# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node's owner has done when a job ends: real servers on loopback, real commands."""

import http.server
import json
import logging
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from addon.protocol.messages import JobState
from server.hooks import Hooks, JobEnd
from server.hooks.command import BadCommand, CommandHook, split_command
from server.hooks.courier import MOST_WAITING
from server.hooks.webhook import PAUSES_S, BadWebhook, Webhook
from server.jobs import TaskState
from tests.addon.scripted_client import wait_for
from tests.server.test_jobs import job_of

END = JobEnd("failed", "1" * 32, "shot.blend", "ann on studio", 48, 47, 1, "No camera.", 12.5, "render-box")
HOSTILE = "$(touch pwned); `touch pwned` '\" | & %PATH% -rf \u202e \U0001f600"
PATIENCE_S = 60.0


def soon() -> float:
    """A deadline that nothing here reaches."""
    return time.monotonic() + PATIENCE_S


class Recorder:
    """A hook that remembers."""

    def __init__(self) -> None:
        self.told: list[JobEnd] = []

    def tell(self, end: JobEnd) -> None:
        self.told.append(end)

    def close(self, deadline: float) -> None: ...


# Which ends are told of


def test_each_end_is_told_of_once_with_what_became_of_the_job() -> None:
    # GIVEN a job of four frames of which one fails
    recorder = Recorder()
    hooks = Hooks([recorder], "render-box", {"2" * 32: "ann"}.__getitem__)
    job = job_of()
    hooks.job_changed(job)
    job.move(JobState.RENDERING)
    job.frames.update({TaskState.PENDING: -4, TaskState.DONE: 3, TaskState.FAILED: 1})
    job.seconds = 1.23456
    hooks.job_changed(job)
    assert recorder.told == []
    # WHEN it has failed, and more is said of it then
    job.move(JobState.FAILED, "No camera.\nReally")
    for _ in range(3):
        hooks.job_changed(job)
    # THEN that is told once, fit for a line
    end = JobEnd("failed", job.id, "shot.blend", "ann", 4, 3, 1, "No camera.?Really", 1.235, "render-box")
    assert recorder.told == [end]
    # AND a job that is tried again may end again
    job.move(JobState.QUEUED)
    hooks.job_changed(job)
    job.move(JobState.DONE)
    hooks.job_changed(job)
    assert [end.event for end in recorder.told] == ["failed", "finished"]


@pytest.mark.parametrize(
    ("state", "events"),
    [(JobState.DONE, ["finished"]), (JobState.CANCELLED, ["cancelled"]), (JobState.SUPERSEDED, [])],
)
def test_a_cancelled_job_has_ended_one_that_was_replaced_has_not(state: JobState, events: list[str]) -> None:
    recorder = Recorder()
    hooks = Hooks([recorder], "render-box", str)
    job = job_of()
    job.move(state)
    hooks.job_changed(job)
    assert [end.event for end in recorder.told] == events


def test_what_had_ended_before_the_nodes_start_is_no_news() -> None:
    # GIVEN a node that starts with a job that is done, and one that is not
    recorder = Recorder()
    hooks = Hooks([recorder], "render-box", str)
    old, open_ = job_of(1), job_of(2)
    old.move(JobState.DONE)
    hooks.know([old, open_])
    # WHEN the one is fetched and the other ends
    hooks.job_changed(old)
    open_.move(JobState.CANCELLED)
    hooks.job_changed(open_)
    # THEN only that is told
    assert [end.job for end in recorder.told] == [open_.id]


# A web address


class Server:
    """A web server whose answers the test gives; remembers requests."""

    def __init__(self, *answers: int, secure: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.peers: list[int] = []
        script = iter(answers)
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, dict(self.headers), body))
                self.send_response(next(script, 204))
                self.send_header("Location", f"{server.url}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that does not trust it
        self.scheme = "http"
        if secure is not None:
            self._http.socket = secure.wrap_socket(self._http.socket, server_side=True)
            self.scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[Server] = []

    def start(*answers: int, secure: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(*answers, secure=secure))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def deliver(url: str, **options: Any) -> list[float]:
    """Have one end posted; returns for how long was waited between the tries."""
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    webhook = Webhook(url, pause, **options)
    webhook.tell(END)
    webhook.close(soon())
    return pauses


def test_a_jobs_end_is_posted_as_json(serve: Serve) -> None:
    server = serve()
    assert deliver(f"{server.url}/hooks/render?key=1%20x") == []
    ((path, headers, body),) = server.requests
    assert path == "/hooks/render?key=1%20x"
    assert headers["Content-Type"] == "application/json"
    assert body == {
        "event": "failed", "job": "1" * 32, "title": "shot.blend", "owner": "ann on studio", "frames": 48, "done": 47,
        "failed": 1, "text": "No camera.", "seconds": 12.5, "node": "render-box",
    }  # fmt: skip


def test_a_server_that_is_busy_is_tried_three_times(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN one that takes it at the third, and one that never does
    late, never = serve(503, 429), serve(500, 500, 500, 500)
    assert deliver(late.url) == list(PAUSES_S)
    assert len(late.requests) == 3
    assert deliver(f"{never.url}/secret-token") == list(PAUSES_S)
    assert len(never.requests) == 3
    # THEN the log says so, without the address, which is often a secret
    assert "it answers 500" in caplog.text
    assert "secret-token" not in caplog.text


def test_who_refuses_is_not_asked_again_and_nobody_is_led_elsewhere(serve: Serve) -> None:
    for answer in (404, 401, 301, 302, 307):
        server = serve(answer)
        assert deliver(server.url) == []
        assert [path for path, _, _ in server.requests] == ["/"]


def test_a_server_that_is_not_there_is_tried_three_times(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    assert deliver(f"http://127.0.0.1:{port}") == list(PAUSES_S)
    assert caplog.text.count("refused") == 3


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_a_server_that_does_not_come_to_its_end_is_cut_off(drip: bytes, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN servers that take the request and say nothing, or a header that goes on for ever
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection:
            while not over.wait(0.01):
                try:
                    connection.send(drip)
                except OSError:
                    return

    def accept() -> None:
        for _ in range(3):
            threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        # WHEN an end is posted THEN each try is over after its time
        assert deliver(f"http://127.0.0.1:{listener.getsockname()[1]}", limit_s=0.2) == list(PAUSES_S)
        accepting.join()
        over.set()
    assert caplog.text.count("webhook at 127.0.0.1") == 3


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl for a certificate")
def test_a_certificate_that_nobody_vouches_for_is_refused(
    serve: Serve, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a server with a certificate of its own making
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = serve(secure=context)
    # WHEN an end is to be posted THEN nothing of it arrives
    assert deliver(server.url) == list(PAUSES_S)
    assert server.requests == []
    assert "its certificate does not hold" in caplog.text


def test_one_that_is_vouched_for_is_taken(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("openssl"):
        pytest.skip("needs openssl for a certificate")
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(make, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server = serve(secure=context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert deliver(server.url) == []
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.org",
        "ftp://example.org",
        "https://",
        "http://a:b@example.org",
        "http://h:99999",
        "http://h/ä",
        "http://h/a b",
    ],
)
def test_what_is_no_web_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(BadWebhook, match=r"--webhook takes"):
        Webhook(url)


def test_the_nodes_end_waits_for_no_server(caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN a server that takes connections and never answers, and more ends than can wait
    with socket.create_server(("127.0.0.1", 0)) as listener:
        webhook = Webhook(f"http://127.0.0.1:{listener.getsockname()[1]}")
        began = time.monotonic()
        for _ in range(MOST_WAITING + 10):
            webhook.tell(END)
        # WHEN the node ends
        webhook.close(time.monotonic() + 0.1)
        # THEN nobody has waited for the server's ten seconds, and the log says what is lost
        assert time.monotonic() - began < 5
    (left,) = re.findall(r"the node ends, and (\d+) are not told of", caplog.text)
    assert caplog.text.count("too much waits") + int(left) == MOST_WAITING + 10


# A command

RECORD = """
import json, os, sys
told = {name: value for name, value in os.environ.items() if name.startswith("RELAY_")}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    json.dump({"argv": sys.argv[2:], "environment": told, "stdin": json.load(sys.stdin)}, file)
print("done\\x1b[2J with it")
"""


def run_hook(words: list[str], end: JobEnd = END, **options: Any) -> None:
    hook = CommandHook(words, **options)
    hook.tell(end)
    hook.close(soon())


def test_a_command_gets_the_jobs_end_in_its_input_and_variables_never_in_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a job that an artist has called so that a shell would act on it
    monkeypatch.setenv("PYTHONUTF8", "1")
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    script = tmp_path / "record.py"
    script.write_text(RECORD, encoding="utf-8")
    end = replace(END, title=HOSTILE, text="a\x00b")
    # WHEN the command runs
    run_hook([sys.executable, str(script), str(tmp_path / "said.json"), "mine"], end)
    # THEN its words are the owner's, and nothing has acted on the artist's
    said = json.loads((tmp_path / "said.json").read_text("utf-8"))
    assert said["argv"] == ["mine"]
    assert said["stdin"]["title"] == HOSTILE
    assert said["stdin"]["seconds"] == 12.5
    assert said["environment"].items() >= {
        "RELAY_EVENT": "failed", "RELAY_JOB": "1" * 32, "RELAY_TITLE": HOSTILE, "RELAY_OWNER": "ann on studio",
        "RELAY_FRAMES": "48", "RELAY_DONE": "47", "RELAY_FAILED": "1", "RELAY_TEXT": "a?b", "RELAY_SECONDS": "12.5",
        "RELAY_NODE": "render-box",
    }.items()  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["record.py", "said.json"]
    # AND what it says is in the log, fit for a line
    assert "on-finish: done?[2J with it" in caplog.messages


def test_a_command_that_fails_is_said_and_the_next_one_runs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hook = CommandHook(
        [sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)", str(tmp_path / "n")]
    )
    hook.tell(END)
    hook.tell(END)
    hook.close(soon())
    assert (tmp_path / "n").read_text() == "xx"
    assert caplog.text.count("ended with 3") == 2


# It starts a child, which starts another, and says who they are.
FAMILY = """
import os, subprocess, sys, time
if sys.argv[1] == "grandchild":
    time.sleep(600)
generation = {"parent": "child", "child": "grandchild"}[sys.argv[1]]
child = subprocess.Popen([sys.executable, sys.argv[0], generation, sys.argv[2]])
with open(sys.argv[2], "a") as file:
    file.write(f"{child.pid} ")
time.sleep(600)
"""


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_command_that_takes_too_long_is_ended_with_its_children(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a command that starts others and waits, and is given up by the test when they are there
    script, told = tmp_path / "family.py", tmp_path / "pids"
    script.write_text(FAMILY)
    told.touch()
    hook = CommandHook([sys.executable, str(script), "parent", str(told)])
    hook.tell(END)
    wait_for(lambda: told.read_text().count(" ") == 2, "the family")
    pids = [int(pid) for pid in told.read_text().split()]
    assert not any(map(gone, pids))
    # WHEN the node ends
    hook.close(time.monotonic())
    # THEN all of them are gone
    wait_for(lambda: all(map(gone, pids)), "their end")
    # AND one that is beyond its time is ended without that
    run_hook([sys.executable, "-c", "import time; time.sleep(600)"], limit_s=0.2)
    assert "takes too long" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="a shell that leaves something behind")
def test_what_a_command_leaves_running_holds_up_nothing(tmp_path: Path) -> None:
    # GIVEN a command that leaves a process behind, which has its output still open
    leave = ["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/pid; echo over"]
    # WHEN it runs THEN the hook is done when it is
    run_hook(leave)
    left = psutil.Process(int((tmp_path / "pid").read_text()))
    assert left.is_running()
    left.kill()


def test_a_commands_words_are_split_as_a_shell_would() -> None:
    assert split_command("notify 'a b' --x=\"c d\" $HOME", windows=False) == ["notify", "a b", "--x=c d", "$HOME"]
    windows = r'"C:\Program Files\notify.exe" C:\temp\x "a b"'
    assert split_command(windows, windows=True) == [r"C:\Program Files\notify.exe", r"C:\temp\x", "a b"]
    for bad in ("", "   ", "a 'b"):
        with pytest.raises(BadCommand, match="--on-finish"):
            split_command(bad)
    with pytest.raises(BadCommand, match="there is no program"):
        CommandHook(["no-such-program-here"])

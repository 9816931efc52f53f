# SPDX-License-Identifier: GPL-3.0-or-later
"""A real node, real clients and a link between them that can be slow or cut; every process is ended by its id."""

import contextlib
import json
import os
import queue
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
import zmq

from addon.keyring import HOME_VARIABLE, KeyPair, Keyring
from addon.protocol import codec
from addon.protocol.address import Address, parse_address
from addon.protocol.digest import Buffer
from addon.protocol.messages import (
    ClientMessage,
    Grant,
    Hello,
    JobChanged,
    JobGone,
    NodeMessage,
    Ping,
    Pong,
    Preview,
    Ready,
    Welcome,
)
from server.blenders import Blender
from server.pictures import verify

ROOT = Path(__file__).parents[2]
PATIENCE_S = 120.0
"""Nothing here takes a tenth of this on an idle machine."""

SILENCE_MS = 20_000
"""A node that says nothing for this long will not answer."""

TERMINAL = os.environ | {"COLUMNS": "240", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUNBUFFERED": "1"}
"""A wide terminal without colours."""

FRAMES = [f"shot_{number:03}.png" for number in range(1, 13)]
"""What the scenes of the tests render to, unless they are told otherwise."""

Line = dict[str, Any]


class NodeProcess:
    """`python -m server` on a port of its own, over one data folder; can be killed and started again."""

    def __init__(
        self,
        data: Path,
        blender: Blender | None,
        *options: str,
        home: Path | None = None,
        within: Sequence[str] = (),
        log: Path | None = None,
        listen: str = "127.0.0.1",
    ) -> None:
        """`home`: keys of an account other than the tests' own. `within`: the program that runs it, and its arguments.
        By default `log` lies beside the data.
        """
        self.data = data
        self.port = free_port()
        self._listen = f"{listen}:{self.port}"
        self.environment = os.environ | ({HOME_VARIABLE: str(home)} if home else {})
        self.log = log or data.parent / f"{data.name}.log"
        self._within = within
        installed = blender is not None and Path(blender.source).exists()
        own = ["--blender", blender.source] if blender and installed else []
        # Without spares: most tests are about something else, and look for the one Blender that renders.
        self._options = [*own, "--slots=1", "--spares=0", *options]
        self.process: subprocess.Popen[str] | None = None
        self.said = ""
        """On its console, behind the first line."""
        self._said_more = threading.Condition()
        self.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        program = [*self._within, sys.executable, "-m", "server"]
        command = [*program, "--listen", self._listen, "--data", self.data, *self._options]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, stderr=log, text=True, env=self.environment
            )
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        threading.Thread(target=self._hear, args=(self.process.stdout,), daemon=True).start()
        assert "listens on" in first, f"{first}\n{self.log.read_text()}"

    def until_said(self, pattern: str) -> re.Match[str]:
        """Wait for words on its console."""
        with self._said_more:
            assert self._said_more.wait_for(lambda: re.search(pattern, self.said), PATIENCE_S), self.said
            match = re.search(pattern, self.said)
        assert match is not None
        return match

    def until_logged(self, text: str, times: int = 1) -> None:
        """Wait for words in its log, which nobody tells of."""
        deadline = time.monotonic() + PATIENCE_S
        while self.log.read_text().count(text) < times:
            assert time.monotonic() < deadline, self.log.read_text()[-2000:]
            time.sleep(0.05)

    def _hear(self, pipe: IO[str]) -> None:
        """Read to its end, so that it never waits."""
        with contextlib.suppress(ValueError):  # Closed under us.
            for line in pipe:
                with self._said_more:
                    self.said += line
                    self._said_more.notify_all()

    def blenders(self) -> list[psutil.Process]:
        """The Blenders that render now; where they are in a sandbox, each is the innermost of a few processes."""
        assert self.process is not None
        family = psutil.Process(self.process.pid).children(recursive=True)
        parents = {process.ppid() for process in family}
        return [process for process in family if process.pid not in parents]

    def kill(self) -> None:
        """kill -9, this one process only: its Blenders must end by themselves."""
        assert self.process is not None and self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.process = None

    def lose_jobs(self) -> None:
        """Have a node that does not run forget all jobs."""
        with contextlib.closing(sqlite3.connect(self.data / "node.sqlite3")) as database:
            database.execute("PRAGMA foreign_keys=ON")
            database.execute("DELETE FROM jobs")
            database.commit()

    def close(self) -> None:
        if self.process is None:
            return
        output = self.process.stdout
        assert output is not None
        blenders = self.blenders() if self.process.poll() is None else []
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            self.process.kill()
            for blender in blenders:
                if blender.is_running():
                    blender.kill()
            output.close()
            self.process = None
        said = self.log.read_text() if self.log.exists() else ""  # A test's disk may be gone, and the log with it.
        assert "Traceback" not in said, said[-3000:]


class ClientProcess:
    """`python -m addon.client` as Blender starts it."""

    def __init__(self, data: Path, lines: "queue.SimpleQueue[Any] | None" = None, within: Sequence[str] = ()) -> None:
        """`lines`: where what it says goes, and None at its end, if not to those who wait here. `within`: the program
        that runs it, and its arguments.
        """
        self.log = data.parent / f"{data.name}.log"
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "addon.client", "--data", str(data)], cwd=ROOT, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.seen: list[Line] = []
        self.states: dict[str, str] = {}
        self._lines: queue.SimpleQueue[Line | None] = lines or queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, **command: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def render(self, blend: Path, folder: Path, frames: str = "1", **more: object) -> str:
        job = uuid.uuid4().hex
        fields: dict[str, object] = {
            "job": job, "blend": str(blend), "title": blend.name, "scene": None, "frames": frames, "trigger": "now",
            "folder": str(folder),
        }  # fmt: skip
        self.send(command="render", **{**fields, **more})
        return job

    def until(self, holds: Callable[[Line], bool], patience: float = PATIENCE_S) -> Line:
        """The next line for which `holds` is true."""
        deadline = time.monotonic() + patience
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"waited in vain; the last lines were {self.seen[-4:]}\n{self.log.read_text()[-2000:]}")
            assert line is not None, f"the client ended; the last lines were {self.seen[-4:]}\n{self.log.read_text()}"
            self.seen.append(line)
            if line["event"] == "job":
                self.states[line["job"]] = line["state"]
            if holds(line):
                return line

    def until_connected(self) -> Line:
        return self.until(lambda line: line["event"] == "connection" and line["state"] == "connected")

    def until_lost(self) -> Line:
        return self.until(lambda line: line["event"] == "connection" and line["state"] == "lost")

    def until_state(self, job: str, *states: str) -> Line:
        return self.until(lambda line: line["event"] == "job" and line["job"] == job and line["state"] in states)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(json.loads(line))
        self._lines.put(None)


class Peer:
    """A client made of a bare socket."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", address: str, keys: KeyPair | None = None) -> None:
        keys = keys or Keyring().own
        self.socket = context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.public)
        self.socket.setsockopt(zmq.CURVE_SECRETKEY, keys.secret)
        self.socket.setsockopt(zmq.CURVE_SERVERKEY, Keyring().node_keys(parse_address(address))[0])
        self.socket.connect(f"tcp://{address}")

    def send(self, message: ClientMessage, payload: bytes | None = None) -> None:
        self.socket.send_multipart(codec.encode(message, payload))

    def receive(self) -> NodeMessage:
        return self.receive_all()[0]

    def receive_all(self) -> tuple[NodeMessage, Buffer]:
        """The next message and its payload; credit that nothing here waits for is passed over."""
        while True:
            assert self.socket.poll(SILENCE_MS), "the node does not answer"
            message, payload = codec.decode_from_node(self.socket.recv_multipart())
            if not isinstance(message, Grant):
                return message, payload

    def hello(self, hello: Hello) -> Welcome:
        self.send(hello)
        welcome = self.receive()
        assert isinstance(welcome, Welcome)
        while not isinstance(self.receive(), Ready):
            pass
        return welcome

    def is_served(self) -> bool:
        """Whether it is answered, and told nothing before but what is new of this account's jobs."""
        self.send(Ping())
        while isinstance(answer := self.receive(), JobChanged | JobGone | Preview):
            pass
        return answer == Pong()


class Link:
    """A TCP relay in front of a node: `rate` bytes a second towards it; knows what has passed, and can be cut."""

    def __init__(self, port: int, rate: float) -> None:
        self._target = port
        self._rate = rate
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        introduce(port, self.port)
        self.passed = 0
        self.towards, self.back = bytearray(), bytearray()
        """What came from the client, and from the node, over all connections."""
        self._moved = threading.Condition()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def wait_for(self, passed: int) -> None:
        with self._moved:
            assert self._moved.wait_for(lambda: self.passed >= passed, PATIENCE_S)

    def cut(self) -> None:
        """End every connection; new ones are taken."""
        for end in self._sockets:
            with contextlib.suppress(OSError):  # It has ended by itself.
                end.shutdown(socket.SHUT_RDWR)
        self._sockets.clear()

    def close(self) -> None:
        self._listener.close()
        with self._moved:
            for end in self._sockets:
                end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            self._sockets += [near, far]
            threading.Thread(target=self._copy, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._copy, args=(far, near, False), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, towards: bool) -> None:
        """Of one connection one direction: towards the node, or back."""
        try:
            while block := source.recv(65536):
                if not towards:
                    self.back += block
                    target.sendall(block)
                    continue
                self.towards += block
                target.sendall(block)
                time.sleep(len(block) / self._rate)  # The link's own slowness.
                with self._moved:
                    self.passed += len(block)
                    self._moved.notify_all()
        except OSError:
            return
        finally:
            for end in (source, target):
                if end.fileno() >= 0:
                    end.close()


def introduce(port: int, relay: int) -> None:
    """Have clients expect the node that listens on a port behind another one, too."""
    (key,) = Keyring().node_keys(Address("127.0.0.1", port))
    Keyring().pair(Address("127.0.0.1", relay), key)


def bind_securely(router: "zmq.Socket[bytes]") -> int:
    """Have a bare socket be a node with a key that clients of this account expect; return its port."""
    public, secret = zmq.curve_keypair()
    router.setsockopt(zmq.CURVE_SERVER, 1)
    router.setsockopt(zmq.CURVE_SECRETKEY, secret)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    Keyring().announce(port, public)
    return port


def free_port() -> int:
    """A port for a node; the one behind it, where it is paired with, is free as well."""
    while True:
        with socket.socket() as probe, socket.socket() as behind:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            try:
                behind.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


def cli(
    *arguments: object, data: Path, timeout: float = PATIENCE_S, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`python -m server ...` as a person runs it, in a wide terminal without colours."""
    command = [sys.executable, "-m", "server", *map(str, arguments)]
    if arguments[0] in ("submit", "watch"):
        command += ["--data", str(data)]
    environment = TERMINAL | ({HOME_VARIABLE: str(home)} if home else {})
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=True, timeout=timeout, check=False
    )


def evict_all(node: NodeProcess) -> list[Path]:
    """Have a node evict what no job needs; returns the artists' files that are left."""
    done = cli("store", "--shrink-to", "0", "--to", node.address, data=node.data)
    assert done.returncode == 0, done.stderr
    return [*(node.data / "store" / "files").iterdir(), *(node.data / "store" / "incoming").iterdir()]


def plain(text: str) -> str:
    """One line of what a terminal program said."""
    return re.sub(r"\s+", " ", text)


def start_cli(*arguments: str) -> "subprocess.Popen[str]":
    """`python -m server ...`, left running."""
    return subprocess.Popen(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env=TERMINAL,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=_heed_ctrl_c if os.name == "posix" else None,  # noqa: PLW1509 - it takes no lock
    )


def read_until(process: "subprocess.Popen[str]", text: str) -> None:
    """Read a program's output up to the line that has `text` in it."""
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"{text} was never said; stderr: {process.stderr.read() if process.stderr else ''}")


def _heed_ctrl_c() -> None:
    """A shell that runs the tests in the background has its children ignore Ctrl+C, and theirs inherit it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def check_frames(folder: Path, names: Sequence[str] = FRAMES) -> None:
    """These frames lie in the folder, whole, and nothing else does."""
    assert sorted(path.name for path in folder.iterdir()) == list(names)
    for path in folder.iterdir():
        verify(path)


# What the fixtures of conftest.py are to a test that asks for them.
StartNode = Callable[..., NodeProcess]
StartClient = Callable[[str], ClientProcess]
StartLink = Callable[[float], Link]
MakeScene = Callable[..., Path]
Scene = Callable[..., Path]

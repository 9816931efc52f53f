# SPDX-License-Identifier: GPL-3.0-or-later
"""What brings files to another machine today: rsync's daemon, a whole-file HTTP POST, scp; all on this machine.

`python -m bench.rivals FOLDER` is the POST's receiver: it says its port, keeps what comes in FOLDER, and ends with its
stdin.
"""

import getpass
import http.client
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from abc import ABC, abstractmethod
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]
PATIENCE_S = 20.0
BLOCK_BYTES = 1 << 20
HERE = "127.0.0.1"


class Rival(ABC):
    """A receiver that keeps files in a folder of its own, and the program that sends to it."""

    name: str
    port: int
    """Where the receiver listens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.received = folder / "received"
        self.received.mkdir()
        self._process = self._start(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.terminate()
        self._process.communicate()

    @staticmethod
    def why_not() -> str:
        """Return why it cannot run here, or an empty string."""
        return ""

    @abstractmethod
    def send(self, path: Path, port: int) -> None:
        """Bring a file to whoever listens on `port`; it lies there when this returns."""

    def seconds(self, path: Path, port: int) -> float:
        """Return how long that takes."""
        began = time.perf_counter()
        self.send(path, port)
        return time.perf_counter() - began

    @abstractmethod
    def _start(self, folder: Path) -> subprocess.Popen[str]: ...


class Rsync(Rival):
    """`rsync -a --compress` to a daemon, which keeps the older save and is sent the differences."""

    name = "rsync daemon"

    @staticmethod
    def why_not() -> str:
        return _missing("rsync", "the Debian package rsync")

    def send(self, path: Path, port: int) -> None:
        # By default it takes files of one size and one second for the same.
        command = ["rsync", "--archive", "--compress", "--ignore-times", os.fspath(path)]
        _run([*command, f"rsync://{HERE}:{port}/received/"])

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        self.port = _free_port()
        lines = ["use chroot = no", "reverse lookup = no", f"log file = {folder / 'log'}"]
        module = ["[received]", f"path = {self.received}", "read only = no"]
        owner = [f"uid = {os.getuid()}", f"gid = {os.getgid()}"]
        settings = folder / "rsyncd.conf"
        settings.write_text("\n".join([*lines, *module, *owner]) + "\n", encoding="utf-8")
        command = ["rsync", "--daemon", "--no-detach", f"--config={settings}", f"--port={self.port}"]
        return _started([*command, f"--address={HERE}"], self.port)


class Post(Rival):
    """The whole file as the body of one HTTP request; the standard library on both sides."""

    name = "whole-file HTTP POST"

    def send(self, path: Path, port: int) -> None:
        connection = http.client.HTTPConnection(HERE, port, timeout=600, blocksize=BLOCK_BYTES)
        with path.open("rb") as file:
            connection.request("POST", f"/{path.name}", file, {"Content-Length": str(path.stat().st_size)})
        response = connection.getresponse()
        assert response.status == HTTPStatus.NO_CONTENT, response.reason
        connection.close()

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bench.rivals", os.fspath(folder / "received")]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        return process


class Scp(Rival):
    """`scp` with the ciphers that OpenSSH agrees on by itself, to an sshd of our own with a key of our own."""

    name = "scp"

    @staticmethod
    def why_not() -> str:
        missing = _missing("scp", "the Debian package openssh-client")
        return missing or _missing(_sshd(), "the Debian package openssh-server")

    def send(self, path: Path, port: int) -> None:
        options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        command = ["scp", "-q", "-P", str(port), "-i", os.fspath(self._key)]
        for option in options:
            command += ["-o", option]
        _run([*command, os.fspath(path), f"{getpass.getuser()}@{HERE}:{self.received}/"])

    def _start(self, folder: Path) -> subprocess.Popen[str]:
        self.port = _free_port()
        self._key, host_key = folder / "key", folder / "host_key"
        for key in (self._key, host_key):
            _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.fspath(key)])
        settings = folder / "sshd_config"
        lines = [
            f"HostKey {host_key}", f"AuthorizedKeysFile {self._key.with_suffix('.pub')}", "StrictModes no", "UsePAM no",
            "PidFile none", "PasswordAuthentication no", f"ListenAddress {HERE}:{self.port}",
            "Subsystem sftp internal-sftp",
        ]  # fmt: skip
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not os.geteuid():
            Path("/run/sshd").mkdir(
                exist_ok=True
            )  # sshd as root wants this empty folder; its start-up script makes it.
        return _started([_sshd(), "-D", "-e", "-f", os.fspath(settings)], self.port)


def _missing(program: str, package: str) -> str:
    return "" if shutil.which(program) else f"no {Path(program).name} here: install {package}"


def _sshd() -> str:
    """Return its path: it is in no user's PATH, and does not start by its name alone."""
    return shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])) or "sshd"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")


def _started(command: list[str], port: int) -> subprocess.Popen[str]:
    """Start a server; return when it takes connections."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((HERE, port)).close()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(f"{command[0]} did not start: {process.communicate()[1].strip()}") from None
            time.sleep(0.05)
        else:
            return process


def _free_port() -> int:
    with socket.create_server((HERE, 0)) as probe:
        return int(probe.getsockname()[1])


class _Receiver(http.server.BaseHTTPRequestHandler):
    """Writes a request's body to the disk."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        with (self.folder / Path(self.path).name).open("wb") as file:
            while left and (block := self.rfile.read(min(left, BLOCK_BYTES))):
                file.write(block)
                left -= len(block)
        self.send_response(HTTPStatus.NO_CONTENT)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


def main() -> None:
    """Receive until stdin ends."""
    _Receiver.folder = Path(sys.argv[1])
    server = http.server.ThreadingHTTPServer((HERE, 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

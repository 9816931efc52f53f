# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of a given rate and round trip on loopback: `python -m bench.links --rate BYTES/S --delay S --to PORT`.

A relay in a process of its own takes connections on a port, which is the first line it says, and passes on what comes,
both ways, no faster than the link would and as much later. Each further line on its stdin is answered with the bytes
that have entered it so far, {"up": ..., "down": ...}; it ends with its stdin. There is no loss and no slow start: every
transport finds the network that suits it best.
"""

import argparse
import contextlib
import json
import queue
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[1]

QUEUE_BYTES = 256 << 10
"""What may wait at a link's entry beyond what fills it, as in a router."""

BLOCK_S = 0.001
"""A block that is passed on as one takes the link no longer than this; as late its first byte arrives."""

MAX_BLOCK_BYTES = 64 << 10

PROBES = 20
PROBE_S = 0.5
"""How long the bytes take that a link's rate is checked with."""


@dataclass(frozen=True)
class Link:
    """A network between two machines."""

    rate: float
    """Bytes a second, each way."""
    round_trip_s: float

    def __str__(self) -> str:
        return f"{self.rate / 1e6:g} MB/s {self.round_trip_s * 1000:g} ms"


LINKS = (Link(118e6, 0.001), Link(30e6, 0.006), Link(12e6, 0.040))
"""A cable, a good and a poor wireless network or line."""


class Lane:
    """One direction of a link in virtual time: says when bytes arrive. Pure."""

    def __init__(self, rate: float, delay_s: float) -> None:
        self._rate = rate
        self._delay_s = delay_s
        self._free_at = 0.0

    def arrival(self, now: float, size: int) -> float:
        """Return when the last of `size` bytes that enter at `now` leaves at the other end: after those before it."""
        self._free_at = max(self._free_at, now) + size / self._rate
        return self._free_at + self._delay_s


@dataclass(frozen=True)
class Traffic:
    """Bytes on the wire; `up` leads away from the artist."""

    up: int
    down: int

    @property
    def both(self) -> int:
        """Ways together."""
        return self.up + self.down

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(self.up - earlier.up, self.down - earlier.down)


class Relay:
    """A link to `port` of this machine, in a process of its own."""

    def __init__(self, link: Link, port: int) -> None:
        command = [sys.executable, "-m", "bench.links", "--rate", link.rate, "--delay", link.round_trip_s / 2]
        self._process = subprocess.Popen(
            [*map(str, command), "--to", str(port)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.port = int(self._answers.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._process.communicate()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def traffic(self) -> Traffic:
        """Return what has entered it so far."""
        self._questions.write("\n")
        self._questions.flush()
        return Traffic(**json.loads(self._answers.readline()))


def probe(link: Link) -> Link:
    """Return what a plain socket makes of an emulated link."""
    size = int(link.rate * PROBE_S)
    with (
        _echo(size) as port,
        Relay(link, port) as relay,
        socket.create_connection(("127.0.0.1", relay.port)) as end,
    ):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        round_trip_s = statistics.median(_exchange(end, b"?") for _ in range(PROBES))
        seconds = _exchange(end, bytes(size))
    return Link(size / (seconds - round_trip_s), round_trip_s)


def _exchange(end: socket.socket, said: bytes) -> float:
    began = time.perf_counter()
    end.sendall(said)
    assert end.recv(1), "the other end has gone"
    return time.perf_counter() - began


@contextlib.contextmanager
def _echo(size: int) -> Iterator[int]:
    """A port that answers the first PROBES bytes one by one, and then `size` of them with one byte."""

    def answer() -> None:
        end, _ = listener.accept()
        with end:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(PROBES):
                end.sendall(end.recv(1))
            left = size
            while left:
                left -= len(end.recv(min(left, 1 << 20)))
            end.sendall(b"!")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


# The relay's own process


class _Way:
    """One direction of the link, which all its connections share."""

    def __init__(self, link: Link) -> None:
        self.passed = 0
        self.block_bytes = min(MAX_BLOCK_BYTES, int(link.rate * BLOCK_S))
        self.capacity = int(link.rate * link.round_trip_s / 2) + QUEUE_BYTES
        self._lane = Lane(link.rate, link.round_trip_s / 2)
        self._lock = threading.Lock()

    def enter(self, block: bytes) -> float:
        """Count a block that enters now; return when it arrives."""
        with self._lock:
            self.passed += len(block)
            return self._lane.arrival(time.monotonic(), len(block))


class _Stream:
    """What one side of one connection says to the other."""

    def __init__(self, way: _Way, source: socket.socket, target: socket.socket) -> None:
        self._way = way
        self._source = source
        self._target = target
        self._under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._room = way.capacity
        self._arrived = threading.Condition()
        self.threads = [threading.Thread(target=run, daemon=True) for run in (self._take_in, self._hand_out)]

    def _take_in(self) -> None:
        """Read until it has said all, or has gone."""
        block = b"?"
        while block:
            try:
                block = self._source.recv(self._way.block_bytes)
            except OSError:
                block = b""
            self._under_way.put((self._way.enter(block), block))
            with self._arrived:
                self._room -= len(block)
                self._arrived.wait_for(lambda: self._room > 0)

    def _hand_out(self) -> None:
        block = b"?"
        while block:
            arrival, block = self._under_way.get()
            time.sleep(max(0.0, arrival - time.monotonic()))
            with contextlib.suppress(OSError):  # Whoever has gone needs nothing more; the rest is only counted.
                self._say(block)
            with self._arrived:
                self._room += len(block)
                self._arrived.notify()

    def _say(self, block: bytes) -> None:
        if block:
            self._target.sendall(block)
        else:
            self._target.shutdown(socket.SHUT_WR)


class _Server:
    """Takes connections for `port`. Threads wait for each: their sleep is exact, asyncio's rounds to milliseconds."""

    def __init__(self, link: Link, port: int) -> None:
        self.up, self.down = _Way(link), _Way(link)
        self._port = port

    def run(self, listener: socket.socket) -> None:
        """Serve for ever."""
        while True:
            near, _ = listener.accept()
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with (
            near,
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", self._port)) as far,
        ):
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threads = [*_Stream(self.up, near, far).threads, *_Stream(self.down, far, near).threads]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()


def main() -> None:
    """Relay until stdin ends."""
    parser = argparse.ArgumentParser(prog="python -m bench.links")
    parser.add_argument("--rate", type=float, required=True, help="bytes a second, each way")
    parser.add_argument("--delay", type=float, required=True, help="seconds, one way")
    parser.add_argument("--to", type=int, required=True, help="port of this machine")
    options = parser.parse_args()
    server = _Server(Link(options.rate, 2 * options.delay), options.to)
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=server.run, args=(listener,), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        print(json.dumps({"up": server.up.passed, "down": server.down.passed}), flush=True)


if __name__ == "__main__":
    main()

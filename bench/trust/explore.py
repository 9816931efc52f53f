# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs that reach what no input before reached, for the code that reads what others wrote.

A loop after AFL's: what reaches a new line of the protocol is kept, and what is kept is mutated. It runs in a process
of its own with bounded memory; a reader may raise its own errors, and nothing else, and in time.
"""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from addon.protocol import codec
from addon.protocol.blendfile import check_source, read_header
from addon.protocol.blocks import Memory, NotABlend, TruncatedBlend
from addon.protocol.cutting import parts
from addon.protocol.errors import InvalidFrames, RemoteProtocolError
from addon.protocol.frame_range import parse_frames
from addon.protocol.manifest import Manifest
from addon.protocol.zstd import compress
from tests.protocol import blends

from ..measures import Measure
from .mutation import manifest_of, mutate, right_messages

if sys.platform != "win32":
    import resource

ROOT = Path(__file__).parents[2]
MEMORY_BYTES = 1 << 30
"""Address space of the process, Python and numpy included."""

HANG_S = 2.0
FAILED = Measure("Inputs that the protocol's readers did not refuse properly", "inputs", "a limit", limit=0)
REACHED = Measure(
    "Lines of the protocol's code that these inputs reached", "lines", "the right inputs that they began with"
)
FIGURES = (FAILED, REACHED)

Read = Callable[[list[bytes]], object]


@dataclass
class Reader:
    """Something that reads bytes of others, and what it may raise."""

    read: Read
    allowed: tuple[type[Exception], ...]
    corpus: list[list[bytes]]
    inputs: int = 0


@dataclass
class Found:
    """What came of it."""

    inputs: int = 0
    lines: set[tuple[str, int]] = field(default_factory=set)
    at_first: int = 0
    kept: int = 0
    failures: list[str] = field(default_factory=list)


def run(inputs: int, seed: int) -> Iterator[Measure]:
    """Try so many."""
    if sys.platform == "win32":
        yield from (figure.missing("no bounds for a process's memory and time here") for figure in FIGURES)
        return
    command = [sys.executable, "-m", "bench.trust.explore", str(inputs), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        yield FAILED.measured(1, f"the process ended with {done.returncode}: {done.stderr[-500:]}")
        return
    found = json.loads(done.stdout)
    failures = found["failures"]
    detail = f"{found['inputs']} inputs, seed {seed}, {found['kept']} kept, {found['seconds']:.0f} s"
    yield FAILED.measured(len(failures), "; ".join([detail, *failures[:3]]))
    yield REACHED.measured(found["lines"], f"{found['at_first']} with the right ones")


def explore(inputs: int, seed: int) -> Found:
    """Try so many inputs, in turn on each reader."""
    chance = random.Random(f"explore {seed}")  # noqa: S311 - repeatable is the point
    readers = _readers(chance)
    found = Found()
    for reader in readers:
        for known in reader.corpus:
            _try(reader, known, found)
    found.at_first = len(found.lines)
    while found.inputs < inputs:
        reader = chance.choice(readers)
        tried = mutate(chance, chance.choice(reader.corpus), reader.corpus)
        if _try(reader, tried, found):
            reader.corpus.append(tried)
            found.kept += 1
    return found


def _try(reader: Reader, tried: list[bytes], found: Found) -> bool:
    """Whether it reached anything new."""
    before = len(found.lines)
    found.inputs += 1
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    sys.settrace(_tracer(found.lines))
    try:
        reader.read(tried)
    except reader.allowed:
        pass
    except Exception as error:  # noqa: BLE001 - any other is what is looked for
        sys.settrace(None)
        found.failures.append(f"{type(error).__name__}: {error} for {tried!r:.2000}")
    finally:
        sys.settrace(None)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return len(found.lines) > before


def _tracer(lines: set[tuple[str, int]]) -> Callable[[FrameType, str, Any], Any]:
    def on_line(frame: FrameType, _: str, __: Any) -> Any:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, _: str, __: Any) -> Any:
        return on_line if "/addon/protocol/" in frame.f_code.co_filename else None

    return on_call


def _readers(chance: random.Random) -> list[Reader]:
    messages = right_messages(chance)
    manifests = [[manifest_of(chance.randbytes(size)).packed] for size in (1, 100_000)]
    heads = [blends.Block(b"DATA", bytes(8), address) for address in range(40)]
    short = [blends.data_block("OBcube", 60), blends.data(5000), blends.data_block("MEcube", 20), blends.data(9000)]
    files = [
        blends.blend(each, header) for each in (heads, short, short * 3) for header in (blends.LEGACY, blends.LARGE)
    ]
    broken = (NotABlend, TruncatedBlend)
    return [
        Reader(codec.decode_from_client, (RemoteProtocolError,), list(messages)),
        Reader(codec.decode_from_node, (RemoteProtocolError,), list(messages)),
        Reader(lambda frames: Manifest.unpack(b"".join(frames)), (RemoteProtocolError,), manifests),
        Reader(_frames, (InvalidFrames,), [[b"1-48"], [b"1-10,20"], [b"1-100x2"]]),
        Reader(_blend, broken, [[each] for each in (*files, *map(compress, files))]),
    ]


def _frames(frames: list[bytes]) -> object:
    return parse_frames(b"".join(frames).decode("utf-8", "replace"))


def _blend(frames: list[bytes]) -> None:
    """What the client and the node do with a file: look at its head, walk its blocks, and cut it."""
    content = b"".join(frames)
    read_header(content)
    check_source(Memory(content))
    for _ in parts(Memory(content)):
        pass


def _hang(_: int, __: object) -> None:
    raise TimeoutError(f"it takes more than {HANG_S:g} s")


def main() -> None:
    """Say what was found as JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _hang)
    began = time.monotonic()
    found = explore(int(sys.argv[1]), int(sys.argv[2]))
    print(json.dumps({
        "inputs": found.inputs, "lines": len(found.lines), "at_first": found.at_first, "kept": found.kept,
        "failures": found.failures, "seconds": time.monotonic() - began,
    }))  # fmt: skip


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: GPL-3.0-or-later
"""A render node of one's own, for as long as a `with` block lasts."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[1]

START_TIMEOUT_S = 60.0
"""A node is ready within a second or two; a virus scanner that meets its programs for the first time makes it many."""

END_TIMEOUT_S = 15.0
"""For a node to put its books away and its Blenders to end; after that they are killed."""


class NoNode(Exception):
    """The node could not be started."""


@contextmanager
def own_node(data: Path) -> Iterator[str]:
    """Run `python -m server` on a free loopback port, with its files in the folder `data`, and yield its address.

    After the block nothing of it runs any more. Raises NoNode with the node's own sentence.
    """
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--data", str(data)]
    log = data.with_suffix(".log")
    with log.open("wb") as errors:
        # Out of reach of the terminal's Ctrl+C: it is ended here, in order. One line must stay one line.
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "COLUMNS": "1000"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=errors, text=True, start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
    with process:
        try:
            yield _address(process, log)
        finally:
            _end(process)


def _address(process: "subprocess.Popen[str]", log: Path) -> str:
    assert process.stdout
    patience = threading.Timer(START_TIMEOUT_S, process.kill)
    patience.start()
    try:
        first = process.stdout.readline()
    finally:
        patience.cancel()
    if match := re.search(r"listens on (\S+)", first):
        return match[1]
    words = log.read_text(encoding="utf-8", errors="replace").strip() or f"It said nothing in {START_TIMEOUT_S:.0f} s."
    raise NoNode(f"The node did not start. {words.splitlines()[-1]}")


def _end(process: "subprocess.Popen[str]") -> None:
    """End a node; return when it and all that it started are gone."""
    if process.poll() is not None:
        return
    node = psutil.Process(process.pid)
    family = [node, *node.children(recursive=True)]
    process.terminate()
    _, alive = psutil.wait_procs(family, timeout=END_TIMEOUT_S)
    for each in alive:
        each.kill()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders that a killed node has left behind."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from server.blenders import Blender
from server.executors.workplace import Workshop

PARENT = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(child.pid, flush=True)
child.wait()
"""
PATIENCE_S = 20.0
BLENDER = Blender((5, 2, 0), ("no program",), "none")


@pytest.fixture
def hung() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A program that nobody ends, and its child."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    yield process, child
    with contextlib.suppress(psutil.NoSuchProcess):
        child.kill()
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_start_ends_what_a_killed_node_has_left_running(
    hung: tuple[subprocess.Popen[str], psutil.Process], tmp_path: Path
) -> None:
    process, child = hung
    place = Workshop(tmp_path / "workers").new(BLENDER)
    place.belongs_to(process.pid)
    # WHEN a node starts over the same folder THEN neither is there any more, nor what they had
    Workshop(tmp_path / "workers")
    assert process.wait(PATIENCE_S)
    child.wait(PATIENCE_S)
    assert list((tmp_path / "workers").iterdir()) == []


def test_who_has_the_same_number_by_chance_is_left_alone(
    hung: tuple[subprocess.Popen[str], psutil.Process], tmp_path: Path
) -> None:
    process, _ = hung
    place = Workshop(tmp_path / "workers").new(BLENDER)
    place.belongs_to(process.pid)
    (record,) = (tmp_path / "workers").glob("*/process")
    record.write_text(f"{process.pid} {psutil.Process(process.pid).create_time() - 60}")
    Workshop(tmp_path / "workers")
    assert process.poll() is None

# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker says when it cannot, or can only in part: one sentence that tells what to do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def assert_sentence(text: str) -> None:
    assert text.endswith((".", ")"))
    assert "\n" not in text
    assert "Error:" not in text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=False, capture_output=True
    )
    if mount.returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("name", ["text", "empty", "truncated", "damaged", "absent"])
def test_unreadable_file(worker: Any, scenes: Path, tmp_path: Path, name: str) -> None:
    # GIVEN a file that Blender cannot read
    whole = (scenes / "workbench_png" / "workbench_png.blend").read_bytes()
    middle = len(whole) // 2
    contents = {
        "text": b"hello, world\n" * 100,
        "empty": b"",
        "truncated": whole[: middle + 1000],
        "damaged": whole[:middle] + bytes(2000) + whole[middle + 2000 :],
    }
    path = tmp_path / f"{name}.blend"
    if name in contents:
        path.write_bytes(contents[name])
    # WHEN it is opened
    failed = worker.open(path)
    # THEN the job fails with a sentence, a frame fails with one too, and the worker goes on
    assert (failed["event"], failed["fatal"]) == ("failed", True)
    assert_sentence(failed["reason"])
    assert worker.render(1, tmp_path / "1")[-1]["event"] == "failed"
    assert worker.open(scenes / "workbench_png" / "workbench_png.blend")["event"] == "opened"


def test_file_of_a_newer_blender(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a file whose header says Blender 9.9 (uncompressed, in the headers of Blender 4 and of Blender 5)
    path = tmp_path / "newer.blend"
    header = b"BLENDER17-01v0909" if worker.blender.version >= (5,) else b"BLENDER-v909"
    path.write_bytes(header + b"REND" + bytes(200))
    # WHEN it is opened
    failed = worker.open(path)
    # THEN the job fails
    assert (failed["event"], failed["fatal"]) == ("failed", True)
    assert_sentence(failed["reason"])


def test_large_headers_are_newer_than_blender_4(worker: Any, tmp_path: Path) -> None:
    if worker.blender.version >= (4, 5):
        pytest.skip("Blender reads these since 4.5")
    # GIVEN a file with the header of Blender 5
    path = tmp_path / "newer.blend"
    path.write_bytes(b"BLENDER17-01v0502REND" + bytes(200))
    # WHEN it is opened THEN the sentence asks for a newer Blender
    assert "newer Blender" in worker.open(path)["reason"]


def test_no_camera(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a scene without a camera
    worker.open(scenes / "no_camera" / "no_camera.blend")
    # WHEN a frame is rendered
    *_, failed = worker.render(1, tmp_path / "1")
    # THEN every frame would fail so
    assert failed == {
        "event": "failed",
        "frame": 1,
        "fatal": True,
        "disk_full": False,
        "reason": 'The scene "Scene" has no camera: add one, make it active, and save again.',
    }


def test_engine_of_an_addon(worker: Any, scenes: Path) -> None:
    # GIVEN a scene that renders with an engine this Blender does not have; Blender itself would take EEVEE
    # WHEN it is opened
    failed = worker.open(scenes / "other_engine" / "other_engine.blend")
    # THEN that is fatal, and the engine is named
    assert (failed["event"], failed["fatal"]) == ("failed", True)
    assert "LUXCORE" in failed["reason"]
    # BUT with one that it has it opens
    assert worker.open(scenes / "other_engine" / "other_engine.blend", engine="cycles")["engine"] == "CYCLES"


@pytest.mark.parametrize("engine", ["eevee", "workbench"])
def test_another_engine_than_the_scenes(worker: Any, scenes: Path, tmp_path: Path, engine: str) -> None:
    # GIVEN a scene of Cycles
    path = scenes / "cycles_png" / "cycles_png.blend"
    assert worker.open(path)["engine"] == "CYCLES"
    own = worker.render(1, tmp_path / "own")[-2]
    # WHEN another engine is asked for THEN that renders, and the picture is another one
    assert worker.open(path, engine=engine)["engine"].removesuffix("_NEXT") == f"BLENDER_{engine.upper()}"
    other = worker.render(1, tmp_path / "other")[-2]
    pictures = [Path(written["outputs"][0]["path"]).read_bytes() for written in (own, other)]
    assert pictures[0] != pictures[1]
    # AND the next file is rendered as it is again
    assert worker.open(path)["engine"] == "CYCLES"


def test_scenes(worker: Any, scenes: Path) -> None:
    # GIVEN a file with two scenes
    path = scenes / "two_scenes" / "two_scenes.blend"
    # WHEN it is opened with no name, a name, a wrong name THEN the active scene, that scene, and a sentence come
    assert worker.open(path)["scene"] == "Scene"
    assert worker.open(path, "Second")["scene"] == "Second"
    failed = worker.open(path, "Third")
    assert failed["fatal"]
    assert '"Third"' in failed["reason"]


def test_the_named_scene_renders(worker: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN the second scene of a file, which is 48 pixels wide
    worker.open(scenes / "two_scenes" / "two_scenes.blend", "Second")
    # WHEN it renders
    *_, written, _ = worker.render(1, tmp_path / "1")
    # THEN the picture is its (bytes 16 to 20 of a PNG)
    assert int.from_bytes(Path(written["outputs"][0]["path"]).read_bytes()[16:20], "big") == 48


@pytest.mark.parametrize("frame", [-1, 1_048_575])
def test_frame_that_does_not_exist(worker: Any, scenes: Path, tmp_path: Path, frame: int) -> None:
    # GIVEN a frame number beyond Blender's
    worker.open(scenes / "workbench_png" / "workbench_png.blend")
    # WHEN it is asked for
    *_, failed = worker.render(frame, tmp_path / "1")
    # THEN only it fails
    assert (failed["event"], failed["fatal"]) == ("failed", False)
    assert_sentence(failed["reason"])


def test_full_disk(small_disk: Path, start_worker: Callable[[], Any], scenes: Path, tmp_path: Path) -> None:
    # GIVEN no room for what the frame writes (and a worker that was started when the disk was there)
    worker = start_worker()
    worker.open(scenes / "full_disk" / "full_disk.blend")
    # WHEN it is rendered
    *_, failed = worker.render(1, small_disk / "1")
    # THEN the sentence says so, and with room it would go on
    assert (failed["event"], failed["disk_full"]) == ("failed", True)
    assert "disk is full" in failed["reason"]
    assert worker.render(1, tmp_path / "1")[-1]["event"] == "preview"


def test_missing_files_are_told(worker: Any, scenes: Path) -> None:
    # GIVEN a scene with four pictures that are not there
    # WHEN it is opened
    opened = worker.open(scenes / "missing" / "missing.blend")
    # THEN it renders, with a notice
    told = 'Files that the scene uses did not reach the node: Image "a.png", Image "b.png", Image "c.png" and 1 more.'
    assert opened["notices"] == [told]


def test_gpu_that_is_not_there(worker: Any, scenes: Path) -> None:
    if worker.ready["devices"]:
        pytest.skip("this machine has a GPU")
    # GIVEN a scene that asks for a GPU
    # WHEN it is opened
    opened = worker.open(scenes / "gpu" / "gpu.blend")
    # THEN it is said that the CPU renders
    assert opened["device"] == "CPU"
    assert opened["notices"] == ["This scene asks for a GPU; this node has none, so it renders on the CPU."]


def test_nothing_to_say(worker: Any, scenes: Path) -> None:
    # GIVEN a scene with all its files that renders on the CPU WHEN it is opened THEN there are no notices
    opened = worker.open(scenes / "cycles_png" / "cycles_png.blend")
    assert opened == {
        "event": "opened", "scene": "Scene", "engine": "CYCLES", "movie": False, "fps": 24.0, "frame_start": 1,
        "frame_end": 250, "frame_step": 1, "frame_current": 1, "device": "CPU", "notices": [],
    }  # fmt: skip


PARENT = """
import json, subprocess, sys
worker = subprocess.Popen(sys.argv[1:-1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
blend, folder = sys.argv[-1].split("|")
open_it = {"command": "open", "path": blend, "scene": None, "tree": "", "roots": [], "gpu": None, "scripts": False,
           "engine": None}
for command in [open_it, {"command": "render", "frame": 1, "folder": folder, "draft": False}]:
    worker.stdin.write(json.dumps(command) + "\\n")
    worker.stdin.flush()
for line in worker.stdout:
    if '"progress"' in line:
        print(worker.pid, flush=True)
        worker.wait()
"""


def test_a_killed_parent_takes_the_worker_along(blender: Any, scenes: Path, tmp_path: Path) -> None:
    # GIVEN a worker in the middle of a frame that takes hours
    worker_script = str(Path(__file__).parents[2] / "server" / "blender_scripts" / "worker.py")
    (tmp_path / "1").mkdir()
    task = f"{scenes / 'long_render' / 'long_render.blend'}|{tmp_path / '1'}"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, *blender.command, worker_script, task],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
    )  # fmt: skip
    assert parent.stdout
    worker = int(parent.stdout.readline())
    # WHEN its parent is killed
    os.kill(parent.pid, signal.SIGKILL)
    killed = time.monotonic()
    # THEN it is gone within a second: the stderr that it had from its parent has no writer any more
    try:
        parent.communicate(timeout=5)
    except subprocess.TimeoutExpired:
        os.kill(worker, signal.SIGKILL)
        raise
    assert time.monotonic() - killed < 1


def test_quit(start_worker: Callable[[], Any], scenes: Path) -> None:
    # GIVEN a worker with an open file
    worker = start_worker()
    worker.open(scenes / "workbench_png" / "workbench_png.blend")
    # WHEN it is told to quit THEN it does
    worker.send(command="quit")
    assert worker.process.wait(timeout=5) == 0

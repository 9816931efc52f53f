# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker inside a real Blender, the scenes it renders, and what that Blender writes without any worker."""

import functools
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from server.blenders import WHEEL, Blender
from tests.blender.looks import MEAN, Looks

HERE = Path(__file__).parent
WORKER = HERE.parents[1] / "server" / "blender_scripts" / "worker.py"

ANSWER_S = 60.0
"""A worker that says nothing for this long is stuck: EEVEE compiles its shaders in 40 s on two busy cores."""

Event = dict[str, Any]
RunInBlender = Callable[..., subprocess.CompletedProcess[str]]

RENDER_WITH_WHEEL = """
import os, bpy
bpy.ops.wm.open_mainfile(filepath=os.environ["BLEND"], load_ui=False, use_scripts=False)
frame = os.environ["FRAME"]
bpy.ops.render.render(animation=True, **({"frame_start": int(frame), "frame_end": int(frame)} if frame else {}))
"""
"""The wheel has no command line: this is what `blender -b FILE -f N` (or -a) does in it, since 5.0."""


class Worker:
    """A worker process and its two pipes."""

    def __init__(self, blender: Blender, log: Path) -> None:
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [*blender.command, WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self.blender = blender
        self.log = log
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()
        self.ready = self.until("ready")[-1]

    def send(self, **command: object) -> None:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def until(self, *names: str) -> list[Event]:
        """The events up to the first that has one of these names."""
        events: list[Event] = []
        while not events or events[-1]["event"] not in names:
            event = self._events.get(timeout=ANSWER_S)
            assert event, f"the worker ended after {events}:\n{self.log.read_text(errors='replace')[-3000:]}"
            if event["event"] != "alive":
                events.append(event)
        return events

    def open(self, path: Path, scene: str | None = None, scripts: bool = False, engine: str | None = None) -> Event:
        self.send(
            command="open", path=str(path), scene=scene, tree="", roots=[], gpu=None, scripts=scripts, engine=engine
        )
        return self.until("opened", "failed")[-1]

    def render(self, frame: int, folder: Path, draft: bool = False) -> list[Event]:
        """All events of a frame, up to the last before "closed"."""
        folder.mkdir(parents=True)
        self.send(command="render", frame=frame, folder=str(folder), draft=draft)
        return self.until("closed")[:-1]

    def parts(self, frame: int, count: int, folder: Path) -> list[Event]:
        """All events of a frame in parts but the "closed" ones: those of each part, then those of the merge."""
        events: list[Event] = []
        for part in range(count):
            (place := folder / str(part)).mkdir(parents=True)
            self.send(
                command="part", frame=frame, part=part, parts=count, on_cpu=True, folder=str(place), draft=part == 0
            )
            events += self.until("closed")[:-1]
        (place := folder / "whole").mkdir()
        pictures = [event["outputs"][0]["path"] for event in events if event["event"] == "written"]
        if len(pictures) == count:
            self.send(command="merge", frame=frame, pictures=pictures, folder=str(place))
            events += self.until("closed")[:-1]
        return events

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout
        with self.process.stdout as lines:
            for line in lines:
                if line.startswith("{"):  # Before the worker has stdout, Blender greets there.
                    self._events.put(json.loads(line))
        self._events.put(None)


@pytest.fixture
def start_worker(blender: Blender, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Starts workers of a test's own."""
    workers: list[Worker] = []

    def start() -> Worker:
        workers.append(Worker(blender, tmp_path / f"worker-{len(workers)}.log"))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


@pytest.fixture(scope="session")
def worker(blender: Blender, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for all tests with this Blender: what a job left behind in it would show in the next."""
    worker = Worker(blender, tmp_path_factory.mktemp("worker") / "worker.log")
    yield worker
    worker.stop()


@pytest.fixture(scope="session")
def scenes(blender: Blender, run_in_blender: RunInBlender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with <name>/<name>.blend for every scene of make_scenes.py, made by this Blender."""
    folder = tmp_path_factory.mktemp("scenes")
    run_in_blender(blender, (HERE / "make_scenes.py").read_text(encoding="utf-8"), SCENES=str(folder))
    return folder


@pytest.fixture(scope="session")
def plain_render(
    blender: Blender, scenes: Path, run_in_blender: RunInBlender, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Path]:
    """Renders a scene's frame (None: its animation) as a person would, with `blender -b FILE -f N`, each but once.

    Returns a folder with a copy of the .blend and everything Blender wrote beside it.
    """

    @functools.cache
    def render(name: str, frame: int | None) -> Path:
        folder = tmp_path_factory.mktemp("plain") / name
        shutil.copytree(scenes / name, folder)
        blend = folder / f"{name}.blend"
        if blender.source == WHEEL:
            run_in_blender(blender, RENDER_WITH_WHEEL, BLEND=str(blend), FRAME=str(frame or ""))
        else:
            what = ["-a"] if frame is None else ["-f", str(frame)]
            flags = ["-b", "--factory-startup", "-Y", "--offline-mode"]
            subprocess.run([blender.source, *flags, blend, *what], cwd=folder, check=True, capture_output=True)
        blend.unlink()
        return folder

    return render


@pytest.fixture
def looks(blender: Blender, run_in_blender: RunInBlender) -> Looks:
    def look(pictures: list[Path]) -> list[Any]:
        printed = run_in_blender(blender, MEAN, PICTURES=json.dumps([str(path) for path in pictures])).stdout
        means: list[Any] = json.loads(printed.split("MEANS ")[1].splitlines()[0])
        return means

    return look

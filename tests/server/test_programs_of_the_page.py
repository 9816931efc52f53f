# SPDX-License-Identifier: GPL-3.0-or-later
"""ffmpeg and the Blenders that are asked for the page: stand-ins that hang, and that mean ill."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from server.blenders import Blender
from server.sandbox import Containment
from server.web.asking import Asker, CannotTell
from server.web.videos import Video, Videos

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are scripts with a #! line")

HANG = """
import os, pathlib, time
pathlib.Path({pid!r}).write_text(str(os.getpid()))
time.sleep(1000)
"""

LINK = """
import os, sys
os.symlink({secret!r}, {target})
"""

Says = Callable[[str], None]


@pytest.fixture
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Says:
    """Puts a program called ffmpeg first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def write(code: str) -> None:
        program = folder / "ffmpeg"
        program.write_text(f"#!{sys.executable}\n{code}")
        program.chmod(0o755)

    return write


def videos_in(folder: Path, told: list[Video]) -> Videos:
    return Videos(Containment(), folder / "work", lambda job: folder / "jobs" / job, told.append)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def frame_in(folder: Path) -> Path:
    frame = folder / "frame_1.png"
    frame.write_bytes(b"\x89PNG\r\n\x1a\n")
    return frame


def test_a_node_that_ends_waits_for_no_video(tmp_path: Path, ffmpeg: Says) -> None:
    pid = tmp_path / "pid"
    ffmpeg(HANG.format(pid=str(pid)))

    async def end() -> None:
        videos = videos_in(tmp_path, [])
        videos.make("0" * 32, [frame_in(tmp_path)], "h264", 24)
        await until(lambda: pid.exists() and pid.read_text() != "")
        async with asyncio.timeout(20):
            await videos.close()

    asyncio.run(end())
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_link_is_no_video(tmp_path: Path, ffmpeg: Says) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the node")
    ffmpeg(LINK.format(secret=str(secret), target="sys.argv[-1]"))
    told: list[Video] = []
    (tmp_path / "jobs").mkdir()

    async def make() -> None:
        videos = videos_in(tmp_path, told)
        videos.make("0" * 32, [frame_in(tmp_path)], "h264", 24)
        await until(lambda: told[-1].state != "making")
        await videos.close()

    asyncio.run(make())
    assert (told[-1].state, told[-1].size) == ("failed", 0)
    assert not [path for path in (tmp_path / "jobs").rglob("*") if path.is_file()]


def asker_with(folder: Path, code: str) -> tuple[Asker, Path]:
    blend = folder / "files" / "shot.blend"
    blend.parent.mkdir()
    blend.write_bytes(b"BLENDER17-01v0502" + b"ENDB" + bytes(28))
    blender = Blender((5, 2, 0), (sys.executable, "-c", code), "none")
    return Asker(Containment(), [blender], folder / "asking"), blend.parent


def test_a_node_that_ends_waits_for_no_blender_that_is_asked(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    async def end() -> None:
        asker, files = asker_with(tmp_path, HANG.format(pid=str(pid)))
        asking = asyncio.create_task(asker.ask(files, "shot.blend"))
        await until(lambda: pid.exists() and pid.read_text() != "")
        asker.close()
        with pytest.raises(CannotTell):
            await asyncio.wait_for(asking, 20)
        with pytest.raises(CannotTell):
            await asker.ask(files, "shot.blend")

    asyncio.run(end())
    assert not psutil.pid_exists(int(pid.read_text()))


def test_a_link_is_no_answer(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"version": "5.2", "scenes": [], "files": []}')

    async def ask() -> None:
        asker, files = asker_with(tmp_path, LINK.format(secret=str(secret), target="sys.argv[-1]"))
        with pytest.raises(CannotTell, match="is it whole"):
            await asker.ask(files, "shot.blend")

    asyncio.run(ask())

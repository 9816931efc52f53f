# SPDX-License-Identifier: GPL-3.0-or-later
"""Videos of jobs, made one at a time, within the same walls as the Blenders: frames are what an artist's file made."""

import asyncio
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from addon.protocol.messages import Refusal

from .. import video
from ..background import Background, in_thread
from ..errors import RequestRefused
from ..executors import takeover
from ..program import OnLine, Program
from ..sandbox import Containment, NoSandbox, Sandbox, make_folders
from ..video import CODECS, CannotEncode

log = logging.getLogger(__name__)

UNKNOWN = RequestRefused(Refusal.UNKNOWN_JOB, "The node does not have this video (any more).")


@dataclass(frozen=True, slots=True)
class Video:
    """A video of a job."""

    video: str
    job: str
    codec: str
    fps: float
    state: str
    """making, done or failed."""
    fraction: float
    text: str
    """Why it failed, or what to know about it."""
    size: int


class Videos:
    """All videos of the node; they lie beside their job's frames, and go with these."""

    def __init__(
        self, containment: Containment, work: Path, folder: Callable[[str], Path], tell: Callable[[Video], None]
    ) -> None:
        """`work`: for what ffmpeg gets to see, emptied now; `folder`: where a job's videos lie; `tell`: of changes."""
        cells = list(containment.cells.values())
        self._sandbox: Sandbox = cells[0].sandbox if cells else NoSandbox("nobody asked for one.")
        self._work = work
        self._folder = folder
        self._tell = tell
        self._videos: dict[str, Video] = {}
        self._background = Background()
        self._turn = asyncio.Lock()
        self._program = Program()
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)

    async def close(self) -> None:
        """Break off what is under way: first the program, since whoever waits for it waits to its end."""
        self._program.end()
        await self._background.close()

    def of(self, job: str) -> list[Video]:
        """Return a job's videos."""
        known = {each.video: each for each in self._videos.values() if each.job == job}
        for path in sorted(self._folder(job).glob("*")):
            name = f"{job}-{path.name}"
            if name not in known and (codec := _codec_of(path)):
                fps = float(path.stem.partition("-")[2])
                known[name] = Video(name, job, codec, fps, "done", 1.0, "", path.stat().st_size)
        return list(known.values())

    def file(self, name: str) -> tuple[str, Path]:
        """Return the job and the file of a video. Raises RequestRefused."""
        job, dash, file = name.partition("-")
        if not (dash and re.fullmatch("[0-9a-f]{32}", job) and re.fullmatch(r"[a-z0-9]+-[0-9.]+\.m(ov|p4)", file)):
            raise UNKNOWN
        return job, self._folder(job) / file

    def delete(self, name: str) -> None:
        """Raises RequestRefused."""
        _, path = self.file(name)
        path.unlink(missing_ok=True)
        self._videos.pop(name, None)

    def make(self, job: str, frames: Sequence[Path], codec: str, fps: float) -> Video:
        """Begin to make a video. Raises NoFfmpeg, CannotEncode."""
        program = video.find_ffmpeg()
        if codec not in CODECS:
            raise CannotEncode(f"The node makes videos as {' or '.join(CODECS)}.")
        if not 0.1 <= fps <= 240:
            raise CannotEncode("A video has from 0.1 to 240 frames a second.")
        suffix = video.usable(path.name for path in frames)
        chosen = [path for path in frames if path.suffix.lower() == suffix]
        name = f"{job}-{codec}-{fps:.6g}{CODECS[codec].suffix}"
        known = self._videos.get(name)
        if known is None or known.state != "making":
            text = "Colours without the scene's view transform." if suffix in video.LINEAR else ""
            known = self._keep(Video(name, job, codec, fps, "making", 0.0, text, 0))
            self._background.start(self._make(known, program, chosen))
        return known

    def _keep(self, known: Video) -> Video:
        self._videos[known.video] = known
        self._tell(known)
        return known

    async def _make(self, known: Video, program: str, frames: Sequence[Path]) -> None:
        async with self._turn:
            loop = asyncio.get_running_loop()

            def on_line(line: str) -> None:
                for done in video.progress([line]):
                    loop.call_soon_threadsafe(self._advance, known, done / len(frames))

            try:
                size = await in_thread(self._encode, known, program, frames, on_line)
                self._keep(replace(known, state="done", fraction=1.0, size=size))
            except (CannotEncode, takeover.NotTaken, OSError) as error:
                self._keep(replace(known, state="failed", text=str(error)))

    def _advance(self, known: Video, fraction: float) -> None:
        if self._videos.get(known.video, known).state == "making":
            self._keep(replace(known, fraction=min(0.99, fraction)))

    def _encode(self, known: Video, program: str, frames: Sequence[Path], on_line: OnLine) -> int:
        """In a thread; returns the video's size in bytes."""
        codec = CODECS[known.codec]
        target = self.file(known.video)[1]
        with tempfile.TemporaryDirectory(dir=self._work, ignore_cleanup_errors=True) as folder:
            readable, writable = make_folders(Path(folder))
            pattern = video.lay_out(frames, readable / "frames")
            made = writable / f"video{codec.suffix}"
            argv = video.command(program, pattern, known.fps, codec, made, alpha=any(map(video.has_alpha, frames)))
            wrong = self._program.run(self._sandbox.wrap(argv, (), readable, writable), writable, on_line=on_line)
            if wrong:
                raise CannotEncode(f"ffmpeg could not make the video: {wrong}")
            target.parent.mkdir(parents=True, exist_ok=True)  # The job may be home.
            fresh = target.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            takeover.take(str(made), writable, fresh)
            fresh.replace(target)
            return target.stat().st_size


def _codec_of(path: Path) -> str | None:
    codec = path.stem.partition("-")[0]
    return codec if codec in CODECS and path.suffix == CODECS[codec].suffix else None

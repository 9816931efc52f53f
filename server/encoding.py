# SPDX-License-Identifier: GPL-3.0-or-later
"""Running ffmpeg until a video is made."""

import contextlib
import subprocess
import tempfile
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

from . import video


def encode(frames: Sequence[Path], fps: float, codec: video.Codec, output: Path) -> Generator[int, None, None]:
    """Make a video of pictures; yield how many are done. `output` is there when all are, and not before.

    A caller who stops ends ffmpeg. Raises NoFfmpeg, CannotEncode with ffmpeg's own words, OSError.
    """
    program = video.find_ffmpeg()
    part = output.with_name(f".{output.stem}.part{output.suffix}")  # ffmpeg goes by the suffix.
    with tempfile.TemporaryDirectory(prefix="relay-render-") as folder:
        pattern = video.lay_out(frames, Path(folder))
        alpha = any(map(video.has_alpha, frames))
        try:
            yield from _run(video.command(program, pattern, fps, codec, part, alpha=alpha))
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)


def _run(command: list[str]) -> Iterator[int]:
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True, errors="replace"
        )
        try:
            assert process.stdout is not None
            with process.stdout:
                yield from video.progress(process.stdout)
            code = process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()
        if code:
            said.seek(0)
            last = said.read().strip().splitlines()[-1:]
            raise video.CannotEncode(f"ffmpeg could not make the video: {''.join(last) or f'it ended with {code}'}.")

# SPDX-License-Identifier: GPL-3.0-or-later
"""A video of a job's frames, made by ffmpeg."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import ServerError

STILLS = frozenset({".png", ".jpg", ".jpeg", ".exr", ".tif", ".tiff", ".webp", ".bmp", ".tga", ".dpx"})
"""Formats of frames that ffmpeg reads and Blender writes."""

LINEAR = frozenset({".exr"})
"""Formats without a view transform: what is dark there looks too dark in a video, if it is taken as it is."""


class CannotEncode(ServerError):
    """The video cannot be made."""


class NoFfmpeg(CannotEncode):
    """For videos this machine needs ffmpeg: apt install ffmpeg, brew install ffmpeg or winget install ffmpeg."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A kind of video."""

    suffix: str
    media_type: str
    options: tuple[str, ...]
    """For pictures without alpha."""
    with_alpha: tuple[str, ...] = ()
    """For pictures that have it; empty: it is left out."""


_COLOURS = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709")
"""What is in the file is said in it: players guess otherwise, and by the picture's size."""

_EVEN = "pad=ceil(iw/2)*2:ceil(ih/2)*2,scale=out_color_matrix=bt709:out_range=tv"
"""4:2:0 has a colour for every two by two pixels: an odd picture gets a black line rather than be scaled."""

CODECS = {
    # CRF 18 is taken for visually lossless; faststart: a browser begins before it has all of it.
    "h264": Codec(
        ".mp4", "video/mp4",
        ("-vf", _EVEN, "-c:v", "libx264", "-preset", "medium", "-crf", "18", "-pix_fmt", "yuv420p", *_COLOURS,
         "-movflags", "+faststart"),
    ),
    # Profiles 3, 422 HQ, and 4, 4444, which has alpha: what editing programs expect.
    "prores": Codec(
        ".mov", "video/quicktime",
        ("-vf", _EVEN, "-c:v", "prores_ks", "-profile:v", "3", "-pix_fmt", "yuv422p10le", *_COLOURS),
        ("-vf", _EVEN, "-c:v", "prores_ks", "-profile:v", "4", "-pix_fmt", "yuva444p10le", *_COLOURS),
    ),
}  # fmt: skip


def find_ffmpeg() -> str:
    """Return the program. Raises NoFfmpeg."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise NoFfmpeg(str(NoFfmpeg.__doc__))
    return program


def usable(names: Iterable[str]) -> str:
    """Return the suffix that a video can be made of: that of most frames. Raises CannotEncode."""
    suffixes = [suffix for name in names if (suffix := PurePosixPath(name).suffix.lower()) in STILLS]
    if not suffixes:
        raise CannotEncode("There are no frames that a video can be made of.")
    return max(dict.fromkeys(suffixes), key=suffixes.count)


def lay_out(frames: Sequence[Path], folder: Path) -> str:
    """Link frames into a folder, numbered without gaps, as ffmpeg wants them; return the pattern of their names."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = frames[0].suffix.lower()
    for number, frame in enumerate(frames):
        target = folder / f"{number:08d}{suffix}"
        try:
            target.hardlink_to(frame)
        except OSError:
            shutil.copyfile(frame, target)
    return str(folder / f"%08d{suffix}")


def command(program: str, pattern: str, fps: float, codec: Codec, output: Path, *, alpha: bool) -> list[str]:
    """Return how to make a video of pictures that `lay_out` has numbered; it tells on stdout how far it is."""
    linear = ["-apply_trc", "iec61966_2_1"] if Path(pattern).suffix in LINEAR else []
    options = codec.with_alpha if alpha and codec.with_alpha else codec.options
    return [
        program, "-nostdin", "-loglevel", "error", "-progress", "pipe:1", *linear,
        "-framerate", f"{fps:.6f}".rstrip("0").rstrip("."), "-i", pattern, *options, "-y", str(output),
    ]  # fmt: skip


def progress(lines: Iterable[str]) -> Iterator[int]:
    """Yield how many frames are done, of what ffmpeg says with -progress."""
    for line in lines:
        name, _, value = line.strip().partition("=")
        if name == "frame" and value.isdecimal():
            yield int(value)


def has_alpha(picture: Path) -> bool:
    """Whether a PNG says that it has an alpha channel (its header's colour type, 4 or 6); others are not asked."""
    try:
        with picture.open("rb") as file:
            head = file.read(26)
    except OSError:
        return False
    return head.startswith(b"\x89PNG\r\n\x1a\n") and head[25:26] in (b"\x04", b"\x06")

# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a file that Blender wrote is whole. Frames are not atomic: a kill or a full disk leaves part of one.

Looks at the places where a format says how far it goes; decodes nothing and reads at most 1 MB at a time. HDR, FLV,
MPEG and DV say nothing about their length and pass when they hold anything at all.
"""

from collections.abc import Callable
from pathlib import Path

from ..errors import ServerError
from . import containers, exr, jpeg, png, stills
from .source import Damage, Source

Check = Callable[[Source], None]

SMALLEST_BYTES = 16
"""No format's header alone is shorter."""

_BY_MAGIC: tuple[tuple[bytes, int, Check], ...] = (
    (png.MAGIC, 0, png.check),
    (jpeg.MAGIC, 0, jpeg.check),
    (exr.MAGIC, 0, exr.check),
    *((magic, 0, jpeg.check_2000) for magic in jpeg.MAGIC_2000),
    *((magic, 0, stills.check_tiff) for magic in stills.TIFF_MAGIC),
    *((magic, 0, stills.check_dpx) for magic in stills.DPX_MAGIC),
    *((magic, 0, stills.check_cineon) for magic in stills.CINEON_MAGIC),
    (stills.SGI_MAGIC, 0, stills.check_sgi),
    (b"BM", 0, stills.check_bmp),
    (b"RIFF", 0, containers.check_riff),
    (b"ftyp", 4, containers.check_iso),
    (containers.MATROSKA_MAGIC, 0, containers.check_matroska),
    (b"OggS", 0, containers.check_ogg),
)
"""First bytes, their offset, and the check. Contents before names: Blender writes what the scene says, whatever
extension the artist typed."""

_BY_SUFFIX: dict[str, Check] = {
    ".png": png.check,
    ".jpg": jpeg.check,
    ".jpeg": jpeg.check,
    ".exr": exr.check,
    ".tga": stills.check_targa,
}
"""For a file that does not begin as any format does: Targa has no magic, and a lost beginning must not pass."""


class IncompletePicture(ServerError):
    """This picture is not whole: render the frame again."""


def verify(path: Path) -> None:
    """Raise IncompletePicture, with a sentence that names the file, unless all of `path` is there."""
    try:
        with path.open("rb") as file:
            _check(Source(file), path.suffix.lower())
    except Damage as damage:
        raise IncompletePicture(f"{path.name} is incomplete ({damage}): render this frame again.") from None
    except OSError as error:
        raise IncompletePicture(f"{path.name} cannot be read ({error.strerror}): render this frame again.") from None


def _check(source: Source, suffix: str) -> None:
    if source.size < SMALLEST_BYTES:
        raise Damage(f"it has {source.size} bytes")
    head = source.head(SMALLEST_BYTES)
    for magic, offset, check in _BY_MAGIC:
        if head.startswith(magic, offset):
            return check(source)
    if check_by_name := _BY_SUFFIX.get(suffix):
        check_by_name(source)
    return None

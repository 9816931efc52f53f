# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings changed for the length of one frame and put back: the next frame finds the file as it was opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def override(owner: Any, **values: object) -> Iterator[None]:  # noqa: ANN401 - any bpy_struct
    """Set attributes of `owner` and restore them in reverse order. One that this Blender does not have is left out."""
    present = {name: value for name, value in values.items() if hasattr(owner, name)}
    former = {name: getattr(owner, name) for name in present}
    try:
        for name, value in present.items():
            setattr(owner, name, value)
        yield
    finally:
        for name in reversed(former):
            setattr(owner, name, former[name])


@contextmanager
def image_format(settings: Any, file_format: str, depth: str) -> Iterator[None]:  # noqa: ANN401 - bpy_struct
    """Let image settings be those of one picture in `file_format`, channels as they are where that format has them.

    Blender changes channels and depth by itself when the format does not have them, so all four are put back, the ones
    that the others depend on first.
    """
    names = [name for name in ("media_type", "file_format", "color_mode", "color_depth") if hasattr(settings, name)]
    former = [(name, getattr(settings, name)) for name in names]
    try:
        if hasattr(settings, "media_type"):
            settings.media_type = "IMAGE"
        settings.file_format = file_format
        settings.color_depth = depth
        yield
    finally:
        for name, value in former:
            setattr(settings, name, value)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings changed for the length of one frame and put back: the next frame finds the file as it was opened."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def override(owner: Any, **values: object) -> Iterator[None]:
    """Set attributes of `owner`, a struct of Blender's, in the order given, and restore them in reverse."""
    former = {name: getattr(owner, name) for name in values}
    try:
        for name, value in values.items():
            setattr(owner, name, value)
        yield
    finally:
        for name in reversed(former):
            setattr(owner, name, former[name])


@contextmanager
def image_format(settings: Any, file_format: str, depth: str) -> Iterator[None]:
    """Let image settings be those of pictures in `file_format`, with the channels it shares with the former one.

    A format limits channels, depth and arrangement of views to what it has, so these are put back after it.
    """
    names = ("media_type", "file_format", "color_mode", "color_depth", "views_format")
    former = {name: getattr(settings, name) for name in names if hasattr(settings, name)}
    try:
        if "media_type" in former:  # since 5.0
            settings.media_type = "MULTI_LAYER_IMAGE" if file_format == "OPEN_EXR_MULTILAYER" else "IMAGE"
        settings.file_format = file_format
        settings.color_depth = depth
        if former["views_format"] == "MULTIVIEW":
            settings.views_format = "INDIVIDUAL"
        yield
    finally:
        for name, value in former.items():
            setattr(settings, name, value)

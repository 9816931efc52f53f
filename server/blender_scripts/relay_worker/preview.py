# SPDX-License-Identifier: GPL-3.0-or-later
"""A small JPEG of a frame, made by Blender from the picture it wrote."""

import os
import shutil
from pathlib import Path

import bpy

from .overrides import image_format

LONG_SIDE_PX = 320
"""What the sidebar shows."""

QUALITY = 80
"""In percent: a preview is 5-15 KB."""

SCENE_LINEAR = frozenset({"OPEN_EXR", "OPEN_EXR_MULTILAYER", "HDR"})
"""Formats whose pixels are shown through the scene's view transform; the others hold what is seen."""


def keep(picture: Path, folder: Path) -> Path:
    """Return a second name for a written picture: as soon as the node knows of a file, it moves it away."""
    kept = folder / f"preview-source{picture.suffix}"
    try:
        os.link(picture, kept)
    except OSError:  # exFAT, some network drives
        shutil.copyfile(picture, kept)
    return kept


def make_preview(picture: Path, scene: bpy.types.Scene, target: Path) -> tuple[int, int] | None:
    """Write the picture to `target`, at most LONG_SIDE_PX on the long side; return its size, None if it cannot be read.

    Loading the file costs less than asking for the render result again: 2.5 against 3.6 ms at 64x64, 150 against 400 ms
    for a 4K OpenEXR.
    """
    image = bpy.data.images.load(str(picture))
    try:
        width, height = image.size
        if not width or not height:
            return None
        scale = min(1.0, LONG_SIDE_PX / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1.0:
            image.scale(*size)
        _save(image, scene, str(target))
        return size
    finally:
        bpy.data.images.remove(image)


def _save(image: bpy.types.Image, scene: bpy.types.Scene, target: str) -> None:
    settings = scene.render.image_settings
    if settings.file_format in SCENE_LINEAR:
        with image_format(settings, "JPEG", "8"):
            image.save_render(target, scene=scene, quality=QUALITY)
    else:
        image.file_format = "JPEG"
        image.save(filepath=target, quality=QUALITY)

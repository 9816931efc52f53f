# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows a delivered frame in an Image Editor."""

import bpy

from .names import Context


def show(context: Context, path: str) -> None:
    """Show the picture at `path`: in this Image Editor, else in one that shows a frame already, else in a new window.

    Raises RuntimeError if Blender cannot read it.
    """
    image = _load(path)
    area = context.area if context.area and context.area.type == "IMAGE_EDITOR" else _viewing_area(context)
    if area:
        _space(area).image = image
    else:
        _show_in_new_window(context, image)


def _load(path: str) -> bpy.types.Image:
    """Load it apart from the artist's own images, such that it is never saved with the file."""
    known = next((image for image in bpy.data.images if image.is_runtime_data and image.filepath == path), None)
    if known:
        known.reload()
        return known
    image = bpy.data.images.load(path)
    image.is_runtime_data = True
    return image


def _viewing_area(context: Context) -> bpy.types.Area | None:
    areas = (area for window in context.window_manager.windows for area in window.screen.areas)
    return next((area for area in areas if area.type == "IMAGE_EDITOR" and _shows_frame(area)), None)


def _shows_frame(area: bpy.types.Area) -> bool:
    image = _space(area).image
    return image is not None and image.is_runtime_data


def _show_in_new_window(context: Context, image: bpy.types.Image) -> None:
    bpy.ops.wm.window_new()
    window = context.window_manager.windows[-1]
    area = window.screen.areas[0]
    area.ui_type = "IMAGE_EDITOR"
    _space(area).image = image
    region = next(region for region in area.regions if region.type == "WINDOW")
    with context.temp_override(window=window, area=area, region=region):
        bpy.ops.image.view_all()


def _space(area: bpy.types.Area) -> bpy.types.SpaceImageEditor:
    space = area.spaces.active
    assert isinstance(space, bpy.types.SpaceImageEditor)
    return space

# SPDX-License-Identifier: GPL-3.0-or-later
"""A frame in parts: each is rendered with all its passes, and Blender makes the frame of them as if it had rendered it.

What a pixel's samples are depends on its place in the whole picture alone, so that a part holds the very pixels that
the picture would. To merge them, Cycles' own `render` is replaced by one that reads them: compositor, colours, dither,
passes, formats and names are Blender's, and the scene is as the artist left it. Only what Cycles tells about itself in
an image's metadata (samples and seconds of each view layer) is not there.
"""

import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import bpy

from .bands import ADAPTIVE_MARGIN_ROWS, Band, bands, border
from .draft import worth_a_draft
from .failures import Failure, RenderWhole
from .frame import render_frame
from .outputs import Output
from .overrides import image_format, override
from .splitting import why_whole, worth_parts


def check_splittable(scene: Any, count: int) -> None:
    """Raise RenderWhole if the scene's frame is not to be rendered in `count` parts.

    A frame that is there before its draft would be is there before a second Blender has the file open.
    """
    if (reason := why_whole(scene)) is not None:
        raise RenderWhole(reason)
    if not (worth_a_draft(scene) and worth_parts(_height(scene.render), count)):
        raise RenderWhole("")


def render_part(scene: Any, frame: int, number: int, count: int, folder: Path) -> list[Output]:
    """Render part `number` of `count`, from 0 for the lowest, below `folder`: an OpenEXR of full floats and all passes.

    Raises Failure.
    """
    render = scene.render
    height = _height(render)
    lower, upper = border(_bands(scene, height, count)[number], height)
    with ExitStack() as stack:
        stack.enter_context(
            override(
                render, filepath="part", use_file_extension=True, use_compositing=False, use_sequencer=False,
                use_stamp=False, use_border=True, use_crop_to_border=True, border_min_x=0.0, border_max_x=1.0,
                border_min_y=lower, border_max_y=upper,
            )
        )  # fmt: skip
        settings = render.image_settings
        stack.enter_context(image_format(settings, "OPEN_EXR_MULTILAYER", "32"))
        stack.enter_context(override(settings, exr_codec="ZIP", color_management="FOLLOW_SCENE"))
        return render_frame(scene, frame, folder)


def merge_parts(scene: Any, frame: int, parts: Sequence[Path], folder: Path) -> list[Output]:
    """Write the frame that these parts make up, the lowest first, as `render_frame` would; raises Failure."""
    with _merging(scene, parts):
        return render_frame(scene, frame, folder)


@contextmanager
def _merging(scene: Any, parts: Sequence[Path]) -> Iterator[None]:
    """Within, to render the scene is to put the parts together."""
    engine = _cycles()
    rendered = engine.render
    errors: list[Exception] = []

    def merge(self: Any, depsgraph: Any) -> None:
        if depsgraph.scene.name != scene.name:  # Another one, whose layers this one's compositor uses.
            rendered(self, depsgraph)
            return
        try:
            for band, part in zip(_bands(scene, self.resolution_y, len(parts)), parts, strict=True):
                _put(self, depsgraph.view_layer.name, band, part)
        except Exception as error:  # noqa: BLE001 - Blender would print it and go on; it is raised below
            errors.append(error)

    engine.render = merge
    try:
        yield
    finally:
        engine.render = rendered
    if errors:
        raise Failure(f"The parts of the frame do not fit together ({errors[0]}): render it again.")


def _put(engine: Any, layer: str, band: Band, part: Path) -> None:
    """Copy a view layer's own rows of a part into the picture."""
    width = engine.resolution_x
    drawn = engine.begin_result(0, band.low, width, band.high - band.low, layer=layer)
    drawn.load_from_file(str(part))
    rows = {each.fullname: _rows(each, width, band) for each in drawn.layers[0].passes}
    engine.end_result(drawn, cancel=True, do_merge_results=False)
    kept = engine.begin_result(0, band.first, width, band.last - band.first, layer=layer)
    for each in kept.layers[0].passes:
        each.rect.foreach_set(rows[each.fullname])
    engine.end_result(kept)


def _rows(each: Any, width: int, band: Band) -> "array.array[float]":
    """The rows of a pass that belong to the band."""
    row = width * each.channels
    pixels = array.array("f", bytes(4 * row * (band.high - band.low)))
    each.rect.foreach_get(pixels)
    return pixels[(band.first - band.low) * row : (band.last - band.low) * row]


def _bands(scene: Any, height: int, count: int) -> list[Band]:
    return bands(height, count, ADAPTIVE_MARGIN_ROWS if scene.cycles.use_adaptive_sampling else 0)


def _height(render: Any) -> int:
    """Rows of the whole picture, as BKE_render_resolution in Blender's scene.cc counts them."""
    return max(1, int(render.resolution_y) * int(render.resolution_percentage) // 100)


def _cycles() -> Any:
    """The class that Blender asks to render with Cycles."""
    return next(each for each in bpy.types.RenderEngine.__subclasses__() if getattr(each, "bl_idname", "") == "CYCLES")

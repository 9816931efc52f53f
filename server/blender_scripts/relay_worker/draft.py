# SPDX-License-Identifier: GPL-3.0-or-later
"""The first look at a frame: a small picture of few samples, made before the frame itself is rendered."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bpy

from .failures import Failure
from .frame import render_frame
from .outputs import OWN
from .overrides import image_format, override
from .preview import make_preview

SHARE = 4
"""Of each side one in so many pixels is rendered: of the picture one in 16."""

LEAST_SIDE_PX = 160
"""The long side has at least this many, or as many as the frame: less says nothing."""

SAMPLES = 16
"""At most, and at most one in 16 of the frame's: with the pixels this leaves 1/256 of its work."""

WORTH_SAMPLES = 4_000_000
"""Pixels times samples from which on a frame is worth a draft: half a second's work for two cores, at least. What is
rendered sooner is its own first look.
"""

_SAMPLES: dict[str, tuple[str, str]] = {
    "CYCLES": ("cycles", "samples"),
    "BLENDER_EEVEE": ("eevee", "taa_render_samples"),
    "BLENDER_EEVEE_NEXT": ("eevee", "taa_render_samples"),
}
"""By engine: the group of settings, and the name there, that says how many samples a pixel gets."""


def worth_a_draft(scene: bpy.types.Scene) -> bool:
    """Whether a draft would be there well before the frame. Of engines that are not known here nobody can say."""
    samples = _samples(scene)
    width, height = _size(scene.render)
    return samples is not None and width * height * samples >= WORTH_SAMPLES


def make_draft(scene: bpy.types.Scene, frame: int, folder: Path, target: Path) -> tuple[int, int] | None:
    """Render the draft of a frame below `folder` and leave it in `target`, a JPEG; return its size in pixels.

    None if that fails: the frame itself will say why.
    """
    group, name = _SAMPLES[scene.render.engine]
    samples = max(1, min(SAMPLES, (_samples(scene) or 1) // 16))
    percentage = max(1, round(scene.render.resolution_percentage * _scale(scene.render)))
    with ExitStack() as stack:
        stack.enter_context(override(scene.render, resolution_percentage=percentage))
        stack.enter_context(override(getattr(scene, group), **{name: samples}))
        stack.enter_context(image_format(scene.render.image_settings, "JPEG", "8"))
        try:
            outputs = render_frame(scene, frame, folder)
        except Failure:
            return None
        picture = next((Path(output["path"]) for output in outputs if output["directory"] == OWN), None)
        return None if picture is None else make_preview(picture, scene, target)


def _samples(scene: bpy.types.Scene) -> int | None:
    group, name = _SAMPLES.get(scene.render.engine, ("", ""))
    return int(getattr(getattr(scene, group), name)) if group else None


def _scale(render: Any) -> float:
    long_side = max(_size(render))
    return max(1 / SHARE, min(1.0, LEAST_SIDE_PX / long_side))


def _size(render: Any) -> tuple[int, int]:
    share = render.resolution_percentage / 100
    return max(1, round(render.resolution_x * share)), max(1, round(render.resolution_y * share))

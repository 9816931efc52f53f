# SPDX-License-Identifier: GPL-3.0-or-later
"""Which frames can be rendered in parts and put together to the same picture, and why the others cannot. Pure."""

from collections.abc import Callable
from typing import Any

LEAST_ROWS = 32
"""Rows that a part has at least; the margins of a smaller one would cost as much as itself."""

_STROKES = frozenset({"GPENCIL", "GREASEPENCIL"})

_OBSTACLES: tuple[tuple[Callable[[Any], bool], str], ...] = (
    (lambda scene: scene.render.engine != "CYCLES", "only Cycles can do that, choose it as render engine"),
    (
        lambda scene: scene.cycles.use_denoising and any(layer.cycles.use_denoising for layer in scene.view_layers),
        "denoising needs the whole picture, switch it off",
    ),
    (lambda scene: scene.render.use_border, "it has a render region, switch that off"),
    (lambda scene: scene.render.use_multiview, "it has several views, switch stereoscopy off"),
    (
        lambda scene: scene.render.use_sequencer and _has_strips(scene.sequence_editor),
        "the sequencer makes the picture, switch Sequencer off in the output's Post Processing",
    ),
    (lambda scene: scene.render.use_freestyle, "Freestyle needs the whole picture, switch it off"),
    (
        lambda scene: any(each.type in _STROKES and not each.hide_render for each in scene.objects),
        "Grease Pencil needs the whole picture, hide it in renders",
    ),
    (lambda scene: scene.cycles.use_guiding, "path guiding learns from the whole picture, switch it off"),
    (lambda scene: scene.cycles.time_limit > 0, "it has a time limit, set that to 0"),
    (
        lambda scene: any(_has_cryptomatte(layer) for layer in scene.view_layers),
        "Cryptomatte needs the whole picture, switch its passes off",
    ),
)
"""What stands in the way, and how the sentence about it ends. A compositor does not: it sees the merged picture."""


def why_whole(scene: Any) -> str | None:
    """Return one sentence about why this scene's frames cannot be split, or None where they can."""
    for stands, words in _OBSTACLES:
        if stands(scene):
            return f"This frame is not split over the node's slots: {words} to have it sooner."
    return None


def worth_parts(height: int, count: int) -> bool:
    """Whether a picture of `height` rows is large enough for `count` parts."""
    return height >= count * LEAST_ROWS


def _has_strips(editor: Any) -> bool:
    return editor is not None and len(editor.strips if hasattr(editor, "strips") else editor.sequences) > 0  # since 4.4


def _has_cryptomatte(layer: Any) -> bool:
    return bool(
        layer.use_pass_cryptomatte_object or layer.use_pass_cryptomatte_asset or layer.use_pass_cryptomatte_material
    )

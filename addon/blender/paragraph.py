# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in a sidebar: Blender's labels do not wrap, so they are broken where the font says the region ends."""

import blf

from . import wording
from .names import Context, Layout

_UNIT_PX = 20
"""Blender's interface unit at scale 1."""

_MARGIN_UNITS = 3.2
"""What a sidebar takes from its region's width: the tabs at its edge, the panel's padding, a label's own."""

_BOX_UNITS = 0.6
"""What a box around it takes of that."""

_FONT = 0
"""Blender's interface font."""


def draw(
    layout: Layout,
    context: Context,
    text: str,
    *,
    icon: str = "NONE",
    alert: bool = False,
    faint: bool = False,
    boxed: bool = False,
) -> None:
    """Draw `text` in as many lines as it needs, an icon before the first; `boxed`: whether `layout` is a box."""
    column = layout.column(align=True)
    column.scale_y = 0.8
    column.alert = alert
    column.active = not faint
    indent_units = (icon != "NONE") + _BOX_UNITS * boxed
    for line in _lines(context, text, indent_units):
        column.label(text=line, icon=icon)
        icon = "NONE" if icon == "NONE" else "BLANK1"


def _lines(context: Context, text: str, indent_units: float) -> list[str]:
    scale = context.preferences.system.ui_scale
    width = context.region.width - (_MARGIN_UNITS + indent_units) * _UNIT_PX * scale
    blf.size(_FONT, context.preferences.ui_styles[0].widget.points * scale)
    return wording.wrap(text, max(width, 4 * _UNIT_PX * scale), lambda part: float(blf.dimensions(_FONT, part)[0]))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the open file does not run because scripts are switched off."""

from collections.abc import Iterator
from typing import Any

import bpy

NAMED = 3
"""So many data-blocks are named; the others are counted."""


def blocked_scripts() -> str | None:
    """One sentence about drivers and texts that would need Python, or None.

    Blender itself says so only in its window's status bar, of the first, and when it comes to evaluate it
    (bpy.app.autoexec_fail_message). Expressions of numbers and variables do without Python.
    """
    owners = sorted({f'{block.bl_rna.name.lower()} "{block.name}"' for block in _blocks() if _needs_python(block)})
    owners += [f'text "{text.name}"' for text in bpy.data.texts if text.use_module]
    if not owners:
        return None
    more = f" and {len(owners) - NAMED} more" if len(owners) > NAMED else ""
    return (
        "The node runs no Python of your files, so drivers and texts that are made of it have no effect: "
        f"{', '.join(owners[:NAMED])}{more}. Bake them, or ask the node's owner to let your scripts run."
    )


def _blocks() -> Iterator[Any]:
    for name in dir(bpy.data):
        collection = getattr(bpy.data, name)
        if isinstance(collection, bpy.types.bpy_prop_collection):
            yield from collection


def _needs_python(block: Any) -> bool:
    owners = (block, getattr(block, "node_tree", None))
    return any(
        curve.driver.type == "SCRIPTED" and not curve.driver.is_simple_expression
        for owner in owners
        if owner is not None and (animation := getattr(owner, "animation_data", None)) is not None
        for curve in animation.drivers
    )

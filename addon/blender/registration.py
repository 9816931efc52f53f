# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds the extension to Blender and takes it out again, any number of times."""

import bpy

from . import handlers, live, notices, operators, panels, preferences

_CLASSES = (preferences.RelayRenderPreferences, live.JobRow, *operators.CLASSES, *notices.CLASSES, *panels.CLASSES)


def register() -> None:
    """Register the classes, then begin."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    live.start()
    bpy.app.handlers.save_post.append(handlers.on_save_post)


def unregister() -> None:
    """Undo `register` in reverse."""
    bpy.app.handlers.save_post.remove(handlers.on_save_post)
    live.stop()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)

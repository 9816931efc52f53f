# SPDX-License-Identifier: GPL-3.0-or-later
"""Adds the extension to Blender and takes it out again, any number of times."""

import bpy

from . import command, handlers, live, notices, operators, panels, preferences, this_machine

_CLASSES = (
    preferences.RelayRenderPreferences,
    live.JobRow,
    *operators.CLASSES,
    *notices.CLASSES,
    *panels.CLASSES,
    *this_machine.CLASSES,
)


def register() -> None:
    """Register the classes, then begin."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    live.start()
    command.register()
    bpy.app.handlers.save_post.append(handlers.on_save_post)


def unregister() -> None:
    """Undo `register` in reverse."""
    bpy.app.handlers.save_post.remove(handlers.on_save_post)
    command.unregister()
    live.stop()
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)

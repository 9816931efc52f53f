# SPDX-License-Identifier: GPL-3.0-or-later
"""Relay Render's extension. Only registering imports what needs bpy, so that the node can import this package too."""


def register() -> None:
    """Add the extension to the running Blender."""
    from .blender.registration import register as register_in_blender

    register_in_blender()


def unregister() -> None:
    """Take the extension out of the running Blender and end its client process."""
    from .blender.registration import unregister as unregister_in_blender

    unregister_in_blender()

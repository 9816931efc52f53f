# SPDX-License-Identifier: GPL-3.0-or-later
"""Ctrl+S."""

import bpy
from bpy.app.handlers import persistent

from .collect import obstacle
from .live import live
from .names import Context
from .preferences import preferences
from .shot import NotReady


@persistent  # type: ignore[untyped-decorator]  # the stubs give it no types
def on_save_post(filepath: str, _unused: object = None) -> None:
    """Hand the saved file to the node.

    Only the open file's own save counts. The path is empty when the startup file was saved. It is another one than the
    open file's when a copy was saved: a backup or a hand-over to somebody, while the shot stays the file one works in.
    A save that failed does not come here (that would be save_post_fail).
    """
    extension, settings = live(), preferences(bpy.context)
    own_save = filepath and filepath == bpy.data.filepath and not extension.saves_quietly
    if not (own_save and settings.render_on_save and settings.node_address and bpy.app.online_access):
        return
    context: Context = bpy.context
    if obstacle(context.scene):  # the panel says it as long as it stands
        return
    try:
        extension.submit(context, animation=settings.save_renders == "ANIMATION", trigger="save")
    except NotReady as sentence:
        extension.jobs.problem = str(sentence)
        extension.refresh()

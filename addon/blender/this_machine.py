# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# Blender declares properties by calls in annotations.
"""This machine as a render node, in the preferences: the switch, how the node is, who asks to be let in."""

import shlex
import webbrowser
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, StringProperty

from . import command, paragraph
from .live import live
from .local_node import Asking
from .login_item import LoginItem
from .names import Context, Layout
from .preferences import RelayRenderPreferences, preferences

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import OperatorReturnItems


class Decide(bpy.types.Operator):
    """Let this machine in, if its screen shows the same digits; or do not"""

    bl_idname = "relay_render.decide"
    bl_label = "Decide About a Machine"

    code: StringProperty(options={"SKIP_SAVE"})
    allowed: BoolProperty(options={"SKIP_SAVE"})

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        """Say which of the two."""
        return "Let this machine in: its screen shows the same digits" if properties.allowed else "Do not let it in"

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the node."""
        live().local_node.decide(self.code, allowed=self.allowed)
        return {"FINISHED"}


class OpenPage(bpy.types.Operator):
    """Open the page of the node on this machine in a browser: its jobs and pictures, who is let in, its disk"""

    bl_idname = "relay_render.open_page"
    bl_label = "Open the Node's Page"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a node that has one."""
        return bool(live().local_node.page)

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Leave it to the system's browser."""
        webbrowser.open(live().local_node.page)
        return {"FINISHED"}


class StartAtLogin(bpy.types.Operator):
    """Start the node whenever this account logs in, without Blender's window. Click again to have it no more"""

    bl_idname = "relay_render.start_at_login"
    bl_label = "Start the Node at Login"

    def execute(self, context: Context) -> "set[OperatorReturnItems]":
        """Write the file that does it, or take it away."""
        item = LoginItem()
        try:
            if item.is_set:
                item.clear()
            else:
                item.set(command.login_command(shlex.split(preferences(context).node_options)))
        except (OSError, ValueError) as error:
            self.report({"ERROR"}, f"Not changed: {error}")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (Decide, OpenPage, StartAtLogin)


def draw(layout: Layout, context: Context, settings: RelayRenderPreferences) -> None:
    """Draw all of it."""
    box = layout.box()
    box.prop(settings, "is_node")
    node = live().local_node
    if settings.is_node and not bpy.app.online_access:
        paragraph.draw(box, context, "Blender's online access is off, so there is no node.", icon="INTERNET_OFFLINE")
    elif node.text:
        icon = "ERROR" if node.state == "ended" else "CHECKMARK" if node.state == "running" else "SORTTIME"
        paragraph.draw(box, context, node.text, icon=icon, alert=node.state == "ended")
    for asking in node.asking:
        _draw_asking(box, context, asking)
    row = box.row()
    item = LoginItem().is_set
    row.operator("relay_render.start_at_login", icon="CHECKBOX_HLT" if item else "CHECKBOX_DEHLT", depress=item)
    row.operator("relay_render.open_page", icon="URL")
    column = box.column()
    column.use_property_split = True
    column.prop(settings, "node_options")


def _draw_asking(layout: Layout, context: Context, asking: Asking) -> None:
    box = layout.box()
    text = f"{asking.name} ({asking.host}) asks to be let in. Its screen should show"
    paragraph.draw(box, context, text, icon="QUESTION", boxed=True)
    row = box.row(align=True)
    row.label(text=f"{asking.code[:3]} {asking.code[3:]}")
    for allowed, label in ((True, "Allow"), (False, "Do Not Allow")):
        chosen = row.operator("relay_render.decide", text=label)
        chosen.code, chosen.allowed = asking.code, allowed

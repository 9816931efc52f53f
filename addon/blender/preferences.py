# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# Blender declares properties by calls in annotations.
"""What the artist sets once. Everything about the picture itself is the scene's business."""

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from .names import ROOT_PACKAGE, Context, Layout

_FOLDER_OPTIONS = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


class RelayRenderPreferences(bpy.types.AddonPreferences):
    """The extension's preferences."""

    bl_idname = ROOT_PACKAGE

    node_address: StringProperty(
        name="Render Node",
        description="Name or IP address of the machine that renders, with :port if it listens on another one than 7460",
    )
    output_folder: StringProperty(
        name="Output Folder",
        description="Where the frames go; // is the file's folder. Empty: where the scene's own output path says",
        subtype="DIR_PATH",
        options=_FOLDER_OPTIONS,
    )
    render_on_save: BoolProperty(
        name="Render on Save",
        description="Saving the file (Ctrl+S) renders it on the node. Saving a copy does not",
        default=True,
    )
    save_renders: EnumProperty(
        name="A Save Renders",
        items=[
            ("FRAME", "Frame", "A save renders the current frame", "RENDER_STILL", 0),
            ("ANIMATION", "Animation", "A save renders the scene's frame range", "RENDER_ANIMATION", 1),
        ],
    )
    keep_older: BoolProperty(
        name="Keep Jobs of Earlier Saves",
        description="A save leaves the unfinished jobs of earlier saves of this file running instead of replacing them",
    )
    frame_order: EnumProperty(
        name="Order of Frames",
        items=[
            ("SEQUENCE", "In Sequence", "One frame after the other"),
            (
                "SPREAD",
                "Spread Out",
                (
                    "The current frame, the first, the last, the middle, and so on between these: "
                    "the whole shot can be judged early"
                ),
            ),
        ],
    )
    draft_first: BoolProperty(
        name="Draft First",
        description="Show a small picture of few samples before the first frame is rendered, where that costs at most "
        "a twentieth of the frame's time",
        default=True,
    )
    split_stills: BoolProperty(
        name="Split Stills",
        description="Render a single Cycles frame in parts on all slots of the node, where that gives the same picture",
        default=True,
    )

    notify: EnumProperty(
        name="When a Job Ends",
        items=[
            ("OFF", "Off", "The panel alone shows it"),
            ("STATUS_BAR", "Status Bar", "Say in Blender's status bar that jobs are rendered or have failed"),
            ("DESKTOP", "Desktop", "Show a notification on the desktop, also while Blender is behind other windows"),
        ],
        default="STATUS_BAR",
    )

    is_node: BoolProperty(
        name="Use This Machine as a Render Node",
        description="Render here what other machines send, with the Blenders that are installed here, as long as this "
        "Blender is open. Nobody is let in whom you have not allowed",
    )
    node_options: StringProperty(
        name="Its Options",
        description='As on the command line, such as --slots 2 or --store-limit 50GB; "blender --command relay_render '
        'serve --help" lists them. They hold from the next start of the node',
    )

    def draw(self, context: Context) -> None:
        """Draw them in Blender's preferences, in the panel's own words."""
        layout: Layout = self.layout
        column = layout.column()
        column.use_property_split = True
        from . import this_machine  # noqa: PLC0415 - it and the panels know the preferences
        from .panels import draw_nodes, draw_pairing  # noqa: PLC0415

        column.prop(self, "node_address")
        draw_nodes(column, self)
        draw_settings(column, self)
        draw_pairing(column, context)
        row = column.row(align=True, heading="A Save Renders")
        row.prop(self, "render_on_save", text="")
        choice = row.row(align=True)
        choice.active = self.render_on_save
        choice.prop(self, "save_renders", expand=True)
        this_machine.draw(layout, context, self)


def preferences(context: Context) -> RelayRenderPreferences:
    """Return the extension's preferences."""
    settings: RelayRenderPreferences = context.preferences.addons[ROOT_PACKAGE].preferences
    return settings


def draw_settings(layout: Layout, settings: RelayRenderPreferences) -> None:
    """Draw what is set once a studio, but for the node."""
    layout.prop(settings, "output_folder")
    layout.prop(settings, "keep_older")
    layout.prop(settings, "draft_first")
    layout.prop(settings, "frame_order")
    layout.prop(settings, "split_stills")
    layout.prop(settings, "notify")


def draw_save_switch(row: Layout, settings: RelayRenderPreferences) -> None:
    """Draw the switch for Ctrl+S, beside it still or animation."""
    row.prop(settings, "render_on_save", icon="FILE_TICK", toggle=True)
    choice = row.row(align=True)
    choice.active = settings.render_on_save
    choice.prop(settings, "save_renders", expand=True, icon_only=True)

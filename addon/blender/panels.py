# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Render" in the sidebars of the 3D viewport and the Image Editor."""

from typing import Any, ClassVar

import bpy

from . import paragraph, wording
from .collect import obstacle
from .jobs import Job
from .live import live
from .names import CATEGORY
from .preferences import RelayRenderPreferences, draw_save_switch, draw_settings, preferences

THUMBNAIL_SCALE = 9.0
"""In interface units: fills the sidebar's default width."""


class RELAY_RENDER_UL_jobs(bpy.types.UIList):
    """The jobs, the newest first."""

    def draw_item(  # noqa: PLR0913 - Blender counts the arguments
        self, _context: Any, layout: Any, _data: Any, item: Any, _icon: Any, _active_data: Any, _active_property: Any
    ) -> None:
        """Draw state, title and how far it is."""
        job = next((job for job in live().jobs.rows() if job.job == item.name), None)
        if job is None:
            return  # gone since the rows were made; the next redraw comes without it
        split = layout.split(factor=0.66)
        split.label(text=job.title, icon=wording.state_icon(job))
        factor, text = wording.short_progress(job)
        if factor is not None:
            split.progress(factor=factor, text=text)
            return
        word = split.row()
        word.alignment = "RIGHT"
        word.active = job.state == "failed"
        word.label(text=text)


class _SidebarPanel:
    bl_region_type = "UI"
    bl_category = CATEGORY


class _JobsPanel(_SidebarPanel):
    bl_label = "Relay Render"

    def draw(self: "_JobsPanel | bpy.types.Panel", context: bpy.types.Context) -> None:
        """Draw what there is to see; for somebody who starts, what to do."""
        layout: bpy.types.UILayout = self.layout
        settings = preferences(context)
        if not bpy.app.online_access:
            _draw_offline(layout, context)
        elif not settings.node_address:
            _draw_welcome(layout, context, settings)
        else:
            _draw_node(layout, context, settings)
            _draw_jobs(layout, context)


class _SettingsPanel(_SidebarPanel):
    bl_label = "Settings"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self: "_SettingsPanel | bpy.types.Panel", context: bpy.types.Context) -> None:
        """Draw the preferences, for whom the panel is nearer."""
        column = self.layout.column()
        draw_settings(column, preferences(context))


class RELAY_RENDER_PT_view3d(_JobsPanel, bpy.types.Panel):
    """In the 3D viewport."""

    bl_space_type = "VIEW_3D"


class RELAY_RENDER_PT_view3d_settings(_SettingsPanel, bpy.types.Panel):
    """In the 3D viewport."""

    bl_space_type = "VIEW_3D"
    bl_parent_id = "RELAY_RENDER_PT_view3d"


class RELAY_RENDER_PT_image(_JobsPanel, bpy.types.Panel):
    """In the Image Editor."""

    bl_space_type = "IMAGE_EDITOR"


class RELAY_RENDER_PT_image_settings(_SettingsPanel, bpy.types.Panel):
    """In the Image Editor."""

    bl_space_type = "IMAGE_EDITOR"
    bl_parent_id = "RELAY_RENDER_PT_image"


def _draw_offline(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    box = layout.box()
    text = "Blender's online access is off, so nothing is sent to the render node."
    if bpy.app.online_access_override:
        text += " It was started so (--offline-mode): start it without."
    paragraph.draw(box, context, text, icon="INTERNET_OFFLINE")
    if not bpy.app.online_access_override:
        box.prop(context.preferences.system, "use_online_access", text="Allow Online Access")


def _draw_welcome(layout: bpy.types.UILayout, context: bpy.types.Context, settings: RelayRenderPreferences) -> None:
    box = layout.box()
    box.label(text="Which machine renders?", icon="UNLINKED")
    box.prop(settings, "node_address", text="", placeholder="render-box or 192.168.1.20")
    paragraph.draw(
        box,
        context,
        "Start the node there; it shows its address. Type it here: from then on Ctrl+S renders on it.",
        faint=True,
    )


def _draw_node(layout: bpy.types.UILayout, context: bpy.types.Context, settings: RelayRenderPreferences) -> None:
    connection = live().jobs.connection
    paragraph.draw(layout, context, connection.text, icon=wording.connection_icon(connection))
    column = layout.column(align=True)
    row = column.row(align=True)
    row.scale_y = 1.2
    draw_save_switch(row, settings)
    row = column.row(align=True)
    row.operator("relay_render.render", text="Render Frame").scope = "FRAME"
    row.operator("relay_render.render", text="Animation").scope = "ANIMATION"
    for sentence in (obstacle(context.scene), live().jobs.problem):
        if sentence:
            paragraph.draw(layout, context, sentence, icon="ERROR", alert=True)


def _draw_jobs(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    job = live().jobs.selected_job()
    if job is None:
        text = "No jobs yet. Press Ctrl+S, or one of the buttons above."
        paragraph.draw(layout, context, text, faint=True)
        return
    manager = context.window_manager
    layout.template_list(
        "RELAY_RENDER_UL_jobs", "", manager, "relay_render_jobs", manager, "relay_render_selected", rows=3, maxrows=6
    )
    _draw_selected(layout, context, job)


def _draw_selected(layout: bpy.types.UILayout, context: bpy.types.Context, job: Job) -> None:
    column = layout.column(align=True)
    factor, text = wording.bar(job)
    column.progress(factor=factor, text=text)
    if line := wording.detail(job):
        below = column.row()
        below.active = False
        below.label(text=line)
    if job.text:
        paragraph.draw(layout, context, job.text, alert=job.state == "failed")
    for sentence in filter(None, (live().jobs.problem_of(job), *job.notices)):
        paragraph.draw(layout, context, sentence, icon="INFO")
    if path := live().jobs.thumbnail_of(job):
        layout.template_icon(icon_value=live().thumbnails.icon(job.job, path), scale=THUMBNAIL_SCALE)
    _draw_buttons(layout.row(align=True), job)


def _draw_buttons(row: bpy.types.UILayout, job: Job) -> None:
    row.operator("relay_render.show_frame", text="View", icon="IMAGE_DATA")
    row.operator("relay_render.open_folder", text="Folder", icon="FILE_FOLDER")
    if not job.finished:
        row.operator("relay_render.cancel", icon="CANCEL")
    elif job.retriable:
        row.operator("relay_render.retry", text="Retry", icon="FILE_REFRESH")
    row.operator("relay_render.clear_finished", text="", icon="TRASH")


CLASSES = (
    RELAY_RENDER_UL_jobs,
    RELAY_RENDER_PT_view3d,
    RELAY_RENDER_PT_view3d_settings,
    RELAY_RENDER_PT_image,
    RELAY_RENDER_PT_image_settings,
)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The tab "Render" in the sidebars of the 3D viewport and the Image Editor."""

from typing import Any

import bpy

from . import paragraph, wording
from .collect import obstacle
from .jobs import Job
from .live import live
from .names import CATEGORY, Context, Layout
from .preferences import RelayRenderPreferences, draw_save_switch, draw_settings, preferences

THUMBNAIL_SCALE = 10.0
"""In interface units: as wide as the sidebar's default width allows. Blender draws every icon into a square."""


class JobList(bpy.types.UIList):
    """The jobs, the newest first."""

    bl_idname = "RELAY_RENDER_UL_jobs"

    def draw_item(  # type: ignore[override]  # Blender counts the arguments; the stubs know only the longest form
        self, _context: Any, layout: Layout, _data: Any, item: Any, _icon: Any, _active_data: Any, _active_property: Any
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


class View3dPanel(bpy.types.Panel):
    """In the 3D viewport."""

    bl_idname = "RELAY_RENDER_PT_view3d"
    bl_label = "Relay Render"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY

    def draw(self, context: Context) -> None:
        """Draw it."""
        _draw_panel(self.layout, context)


class View3dSettingsPanel(bpy.types.Panel):
    """Below that."""

    bl_idname = "RELAY_RENDER_PT_view3d_settings"
    bl_parent_id = View3dPanel.bl_idname
    bl_label = "Settings"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - as Blender wants it

    def draw(self, context: Context) -> None:
        """Draw it."""
        self.layout.prop(preferences(context), "node_address")
        draw_settings(self.layout, preferences(context))


class ImagePanel(bpy.types.Panel):
    """In the Image Editor."""

    bl_idname = "RELAY_RENDER_PT_image"
    bl_label = "Relay Render"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY

    def draw(self, context: Context) -> None:
        """Draw it."""
        _draw_panel(self.layout, context)


class ImageSettingsPanel(bpy.types.Panel):
    """Below that."""

    bl_idname = "RELAY_RENDER_PT_image_settings"
    bl_parent_id = ImagePanel.bl_idname
    bl_label = "Settings"
    bl_space_type = "IMAGE_EDITOR"
    bl_region_type = "UI"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - as Blender wants it

    def draw(self, context: Context) -> None:
        """Draw it."""
        self.layout.prop(preferences(context), "node_address")
        draw_settings(self.layout, preferences(context))


def _draw_panel(layout: Layout, context: Context) -> None:
    """Draw what there is to see; for somebody who starts, what to do."""
    settings = preferences(context)
    if not bpy.app.online_access:
        _draw_offline(layout, context)
    elif not settings.node_address:
        _draw_welcome(layout, context, settings)
    else:
        _draw_node(layout, context, settings)
        _draw_jobs(layout, context)


def _draw_offline(layout: Layout, context: Context) -> None:
    box = layout.box()
    text = "Blender's online access is off, so nothing is sent to the render node."
    if bpy.app.online_access_override:
        text += " It was started so (--offline-mode): start it without."
    paragraph.draw(box, context, text, icon="INTERNET_OFFLINE", boxed=True)
    if not bpy.app.online_access_override:
        box.prop(context.preferences.system, "use_online_access", text="Allow Online Access")


def _draw_welcome(layout: Layout, context: Context, settings: RelayRenderPreferences) -> None:
    box = layout.box()
    box.label(text="Which machine renders?", icon="UNLINKED")
    box.prop(settings, "node_address", text="", placeholder="render-box or 192.168.1.20")
    paragraph.draw(
        box,
        context,
        "On it, this extension's preferences have the switch Use This Machine as a Render Node (or run python -m "
        "server there). With its address typed here, every Ctrl+S renders there.",
        faint=True,
        boxed=True,
    )
    draw_nodes(layout, settings)


def draw_nodes(layout: Layout, settings: RelayRenderPreferences) -> None:
    """Draw the nodes that announce themselves in the local network, as buttons that choose them."""
    if not bpy.app.online_access:
        return
    live().browsing.drawn()
    if not (nodes := live().jobs.nodes):
        return
    box = layout.box()
    box.label(text="In this network:", icon="NETWORK_DRIVE")
    column = box.column(align=True)
    for node in nodes:
        row = column.row(align=True)
        row.active = wording.is_usable(node)
        chosen = node.address == settings.node_address.strip()
        icon = "RADIOBUT_ON" if chosen else "RADIOBUT_OFF"
        row.operator("relay_render.choose_node", text=wording.node_label(node), icon=icon).address = node.address


def _draw_node(layout: Layout, context: Context, settings: RelayRenderPreferences) -> None:
    connection = live().jobs.connection
    alert = connection.state in {"refused", "ended"}
    paragraph.draw(layout, context, connection.text, icon=wording.connection_icon(connection), alert=alert)
    draw_pairing(layout, context)
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


def draw_pairing(layout: Layout, context: Context) -> None:
    """Draw what lets this account in at the node, where it is not yet."""
    pairing = live().jobs.pairing
    if live().jobs.connection.state != "unpaired" and pairing.state in {"", "failed"}:
        return
    box = layout.box()
    if pairing.digits:
        row = box.row()
        row.alignment = "CENTER"
        row.scale_y = 1.6
        row.label(text=pairing.digits, icon="KEYINGSET")
    if pairing.text:
        paragraph.draw(box, context, pairing.text, alert=pairing.state == "failed", boxed=True)
    if pairing.state == "comparing":
        row = box.row(align=True)
        row.operator("relay_render.compared", text="Yes, the Same", icon="CHECKMARK").same = True
        row.operator("relay_render.compared", text="No", icon="X").same = False
    elif pairing.state in {"", "failed"}:
        box.operator("relay_render.pair", text="Pair", icon="LINKED")


def _draw_jobs(layout: Layout, context: Context) -> None:
    job = live().jobs.selected_job()
    if job is None:
        text = "No jobs yet. Press Ctrl+S, or one of the buttons above."
        paragraph.draw(layout, context, text, faint=True)
        return
    manager = context.window_manager
    layout.template_list(
        JobList.bl_idname, "", manager, "relay_render_jobs", manager, "relay_render_selected", rows=3, maxrows=6
    )
    _draw_selected(layout, context, job)


def _draw_selected(layout: Layout, context: Context, job: Job) -> None:
    column = layout.column(align=True)
    factor, text = wording.bar(job)
    column.progress(factor=factor, text=text)
    if line := wording.detail(job):
        below = column.row()
        below.active = False
        below.label(text=line)
    if sentence := wording.sentence(job):
        paragraph.draw(layout, context, sentence, alert=job.state == "failed")
    if job.missing:
        _draw_missing(layout.box(), context, job)
    for notice in filter(None, (live().jobs.problem_of(job), *job.notices)):
        paragraph.draw(layout, context, notice, icon="INFO")
    if path := live().jobs.thumbnail_of(job):
        layout.box().template_icon(icon_value=live().thumbnails.icon(job.job, path), scale=THUMBNAIL_SCALE)
    _draw_buttons(layout.row(align=True), job)


def _draw_missing(box: Layout, context: Context, job: Job) -> None:
    for line in wording.missing_files(job):
        paragraph.draw(box, context, line, icon="LIBRARY_DATA_BROKEN", boxed=True)
    box.operator("relay_render.go_on", text="Render Without", icon="PLAY")


def _draw_buttons(row: Layout, job: Job) -> None:
    row.operator("relay_render.show_frame", text="View", icon="IMAGE_DATA")
    row.operator("relay_render.open_folder", text="Folder", icon="FILE_FOLDER")
    if not job.finished:
        if job.pausable:
            row.operator("relay_render.pause", text="", icon="PLAY" if job.paused else "PAUSE", depress=job.paused)
        row.operator("relay_render.cancel", text="Cancel", icon="CANCEL")
    elif job.retriable:
        row.operator("relay_render.retry", text="Retry", icon="FILE_REFRESH")
    row.operator("relay_render.clear_finished", text="", icon="TRASH")


CLASSES = (JobList, View3dPanel, View3dSettingsPanel, ImagePanel, ImageSettingsPanel)

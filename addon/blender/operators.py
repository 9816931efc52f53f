# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# Blender declares properties by calls in annotations.
"""The panel's buttons: each collects, tells the client and reports."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty

from . import viewer
from .live import live
from .names import Context
from .preferences import preferences
from .shot import NotReady

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import OperatorReturnItems


class RenderNow(bpy.types.Operator):
    """Render on the node now. Unsaved changes are saved first, as Ctrl+S does: the node renders what is on disk"""

    bl_idname = "relay_render.render"
    bl_label = "Render on Node"

    scope: EnumProperty(items=[("FRAME", "Frame", "The current frame"), ("ANIMATION", "Animation", "The frame range")])

    @classmethod
    def description(cls, _context: Context, properties: Any) -> str:
        """Say what of the scene is rendered."""
        what = "current frame" if properties.scope == "FRAME" else "scene's frame range"
        return f"Render the {what} on the node now. Unsaved changes are saved first, as Ctrl+S does"

    @classmethod
    def poll(cls, context: Context) -> bool:
        """Wants a file on disk, a node and the network."""
        if not (preferences(context).node_address and bpy.app.online_access):
            cls.poll_message_set("Set the render node's address and allow online access first")
        elif not bpy.data.filepath:
            cls.poll_message_set("Save the file once: the node renders what is on disk")
        else:
            return True
        return False

    def execute(self, context: Context) -> "set[OperatorReturnItems]":
        """Save what has changed, then hand the file over."""
        try:
            if not _save_changes():
                self.report({"WARNING"}, "Not rendered: the file was not saved")
                return {"CANCELLED"}
            live().submit(context, animation=self.scope == "ANIMATION", trigger="now")
        except (NotReady, RuntimeError) as reason:  # RuntimeError: Blender could not save
            self.report({"ERROR"}, str(reason))
            return {"CANCELLED"}
        return {"FINISHED"}


class CancelJob(bpy.types.Operator):
    """Stop this job on the node. Frames that are finished stay"""

    bl_idname = "relay_render.cancel"
    bl_label = "Cancel Render Job"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a job that is not finished."""
        job = live().jobs.selected_job()
        return job is not None and not job.finished

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        live().command("cancel", live().jobs.selected_job())
        return {"FINISHED"}


class PauseJob(bpy.types.Operator):
    """Begin nothing more of this job; frames that are being rendered come to their end. Click again to go on"""

    bl_idname = "relay_render.pause"
    bl_label = "Pause Render Job"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a job that the node has, with more to begin."""
        job = live().jobs.selected_job()
        return job is not None and job.pausable

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        job = live().jobs.selected_job()
        live().command("resume" if job and job.paused else "pause", job)
        return {"FINISHED"}


class RenderWithoutMissing(bpy.types.Operator):
    """Render although files are missing; what uses them will look as it does in Blender now"""

    bl_idname = "relay_render.go_on"
    bl_label = "Render Without Missing Files"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a job that waits for this."""
        job = live().jobs.selected_job()
        return job is not None and bool(job.missing)

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        live().command("go_on", live().jobs.selected_job())
        return {"FINISHED"}


class RetryFailedFrames(bpy.types.Operator):
    """Render again what failed of this job. A file that never reached the node is sent as it is now"""

    bl_idname = "relay_render.retry"
    bl_label = "Retry Failed Frames"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a job with failed frames."""
        job = live().jobs.selected_job()
        return job is not None and job.retriable

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        live().command("retry", live().jobs.selected_job())
        return {"FINISHED"}


class OpenFolder(bpy.types.Operator):
    """Open the folder that this job's frames go to"""

    bl_idname = "relay_render.open_folder"
    bl_label = "Open Folder of Render Job"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a job. Whether its folder exists is asked on a click only: a network drive may take its time."""
        return live().jobs.selected_job() is not None

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Leave it to the system's file browser."""
        job = live().jobs.selected_job()
        if not job or not Path(job.folder).is_dir():
            self.report({"INFO"}, "The folder is created when the first frame arrives")
            return {"CANCELLED"}
        bpy.ops.wm.path_open(filepath=job.folder)
        return {"FINISHED"}


class ShowFrame(bpy.types.Operator):
    """Show this job's newest frame in an Image Editor. It is not saved with the file"""

    bl_idname = "relay_render.show_frame"
    bl_label = "Show Newest Frame of Render Job"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a frame that has arrived."""
        job = live().jobs.selected_job()
        return job is not None and bool(live().jobs.picture_of(job))

    def execute(self, context: Context) -> "set[OperatorReturnItems]":
        """Load it, show it."""
        job = live().jobs.selected_job()
        try:
            viewer.show(context, live().jobs.picture_of(job) if job else "")
        except RuntimeError as reason:  # the file is gone, or no picture that Blender reads
            self.report({"ERROR"}, str(reason))
            return {"CANCELLED"}
        return {"FINISHED"}


class ChooseNode(bpy.types.Operator):
    """Render on this node. It lets nobody in who is not paired with it"""

    bl_idname = "relay_render.choose_node"
    bl_label = "Choose Render Node"

    address: StringProperty(options={"SKIP_SAVE"})

    def execute(self, context: Context) -> "set[OperatorReturnItems]":
        """Take its address over, as if it were typed."""
        preferences(context).node_address = self.address
        return {"FINISHED"}


class Pair(bpy.types.Operator):
    """Ask the render node to let this account in. Both screens then show six digits to compare"""

    bl_idname = "relay_render.pair"
    bl_label = "Pair with Render Node"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants a node that is there."""
        return live().jobs.connection.state == "unpaired"

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        live().command("pair")
        return {"FINISHED"}


class Compared(bpy.types.Operator):
    """Say whether the render node shows the same six digits"""

    bl_idname = "relay_render.compared"
    bl_label = "Digits Compared"

    same: BoolProperty(options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants digits."""
        return live().jobs.pairing.state == "comparing"

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client."""
        live().send({"command": "compared", "same": self.same})
        return {"FINISHED"}


class ClearFinished(bpy.types.Operator):
    """Take finished, failed and cancelled jobs off the list. Their frames stay"""

    bl_idname = "relay_render.clear_finished"
    bl_label = "Clear Finished Render Jobs"

    @classmethod
    def poll(cls, _context: Context) -> bool:
        """Wants something to clear."""
        return any(job.finished for job in live().jobs.rows())

    def execute(self, _context: Context) -> "set[OperatorReturnItems]":
        """Tell the client; it answers with what it has forgotten."""
        live().command("clear_finished")
        return {"FINISHED"}


def _save_changes() -> bool:
    """Save the open file if it has changes, as Ctrl+S does (which may ask), and return whether it is saved now."""
    if not bpy.data.is_dirty:
        return True
    with live().quiet_save():
        return bool(bpy.ops.wm.save_mainfile("INVOKE_DEFAULT") == {"FINISHED"})


CLASSES = (
    RenderNow,
    CancelJob,
    PauseJob,
    RenderWithoutMissing,
    RetryFailedFrames,
    OpenFolder,
    ShowFrame,
    ChooseNode,
    Pair,
    Compared,
    ClearFinished,
)

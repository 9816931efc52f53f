# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# Blender declares properties by calls in annotations.
"""Says in Blender's status bar what has become of jobs."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import bpy
from bpy.props import BoolProperty, StringProperty

from .jobs import Notice
from .names import Context

if TYPE_CHECKING:
    from bpy.stub_internal.rna_enums import OperatorReturnItems

SOON_S = 0.01


class ReportNotice(bpy.types.Operator):
    """Say in the status bar what has become of render jobs"""

    bl_idname = "relay_render.notice"
    bl_label = "Relay Render"
    bl_options = {"INTERNAL"}  # noqa: RUF012 - as Blender wants it

    text: StringProperty(options={"SKIP_SAVE"})
    failed: BoolProperty(options={"SKIP_SAVE"})

    _timer: Any = None

    def invoke(self, context: Context, _event: Any) -> "set[OperatorReturnItems]":
        """Wait for the window's next event: what an operator that Python has called reports goes to the console alone.

        What one reports that handles an event of the window goes to the status bar.
        """
        self._timer = context.window_manager.event_timer_add(SOON_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: Any) -> "set[OperatorReturnItems]":
        """Report; what the artist does meanwhile goes where it would."""
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        self.report({"WARNING" if self.failed else "INFO"}, self.text)
        return {"FINISHED"}


def report(notice: Notice) -> None:
    """Show it in the status bar; called from a timer, where no window is the current one."""
    operators: Any = bpy.ops
    for window in bpy.context.window_manager.windows[:1]:  # One is enough: every status bar shows the newest report.
        # RuntimeError: Blender lets no operator run just now. The panel shows it anyway.
        with bpy.context.temp_override(window=window), suppress(RuntimeError):
            operators.relay_render.notice("INVOKE_DEFAULT", text=notice.text, failed=notice.failed)


CLASSES = (ReportNotice,)

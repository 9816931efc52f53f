# SPDX-License-Identifier: GPL-3.0-or-later
# mypy: disable-error-code="valid-type"
# Blender declares properties by calls in annotations.
"""What lives as long as the extension is registered: the client's link, the jobs, the timer that shows their news."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, IntProperty

from . import command, notices
from .browsing import Browsing
from .client_link import ClientLink
from .collect import collect
from .interpreter import module_command, module_environment
from .jobs import Job, Jobs
from .line_process import LineProcess
from .local_node import LocalNode
from .names import CATEGORY, ROOT_PACKAGE, Context
from .preferences import preferences
from .shot import render_command
from .thumbnails import Thumbnails

POLL_INTERVAL_S = 0.1
POLL_BUDGET_S = 0.002
"""An eighth of a frame at 60 Hz; what is left waits for the next poll."""

NODE_LOG = "node.log"


class JobRow(bpy.types.PropertyGroup):
    """A row of the job list; its name is the job's id. Blender's lists show collections, so there has to be one."""


class Live:
    """The running extension."""

    def __init__(self) -> None:
        self.jobs = Jobs()
        self.link = ClientLink(_launch, self.jobs)
        self.local_node = LocalNode(_launch_node, _own_folder("node") / NODE_LOG)
        self.thumbnails = Thumbnails()
        self.browsing = Browsing()
        self.saves_quietly = False

    def submit(self, context: Context, *, animation: bool, trigger: str) -> None:
        """Hand the open file to the node. Raises NotReady if that could not work."""
        settings = preferences(context)
        shot = collect(context.scene, settings, animation=animation)
        command = render_command(
            shot,
            trigger=trigger,
            keep_older=settings.keep_older,
            draft=settings.draft_first,
            order=settings.frame_order.lower(),
            split=settings.split_stills,
        )
        self.link.submit(command)
        self.jobs.problem = shot.warning
        self.refresh()

    def command(self, name: str, job: Job | None = None) -> None:
        """Give the client a command, about one job or none."""
        self.send({"command": name, **({"job": job.job} if job else {})})

    def send(self, command: dict[str, Any]) -> None:
        """The same, with more to it."""
        self.link.send(command)
        self.refresh()

    @contextmanager
    def quiet_save(self) -> Iterator[None]:
        """Within this, a save renders nothing by itself."""
        self.saves_quietly = True
        try:
            yield
        finally:
            self.saves_quietly = False

    def poll(self) -> None:
        """Take in the client's news and show them."""
        settings = preferences(bpy.context)
        configured = self.link.configure(settings.node_address.strip(), online=bpy.app.online_access)
        self.link.wish({"command": "browse", "wanted": self.browsing.wanted})
        self.link.wish({"command": "notify", "desktop": settings.notify == "DESKTOP"})
        if self.link.poll(POLL_BUDGET_S) or configured or self.browsing.wants_drawing():
            self.refresh()
        if self.local_node.poll(wanted=settings.is_node and bpy.app.online_access):
            _redraw_preferences(bpy.context.window_manager)
        for notice in self.jobs.take_notices():
            if settings.notify == "STATUS_BAR":
                notices.report(notice)

    def refresh(self) -> None:
        """Bring the list's rows up to date and have the panel drawn again."""
        manager: Any = bpy.context.window_manager
        wanted = [job.job for job in self.jobs.rows()]
        if wanted != [row.name for row in manager.relay_render_jobs]:
            manager.relay_render_jobs.clear()
            for job in wanted:
                manager.relay_render_jobs.add().name = job
            self.thumbnails.keep(wanted)
        _redraw_sidebars(manager)
        if self.browsing.wanted:
            _redraw_preferences(manager)

    def close(self) -> None:
        """End the client and the node, free the pictures."""
        self.link.close()
        self.local_node.close()
        self.thumbnails.close()


_live: Live | None = None


def live() -> Live:
    """Return the running extension. Only code that Blender calls while it is registered may ask."""
    assert _live, "Relay Render is not registered"
    return _live


def start() -> None:
    """Begin to live. The client itself starts with the first poll, if there is a node and the network may be used."""
    global _live  # noqa: PLW0603 - Blender creates panels and operators itself: there is no other way to hand it to them
    manager: Any = bpy.types.WindowManager
    # Measured: a window manager's properties are never written to a .blend, so the artist's file stays as it is.
    manager.relay_render_jobs = CollectionProperty(type=JobRow)
    manager.relay_render_selected = IntProperty(get=_selected_index, set=_select_index, options={"SKIP_SAVE"})
    _live = Live()
    bpy.app.timers.register(_tick, first_interval=POLL_INTERVAL_S, persistent=True)


def stop() -> None:
    """End everything that `start` began."""
    global _live  # noqa: PLW0603
    bpy.app.timers.unregister(_tick)
    if _live:
        _live.close()
    _live = None
    manager: Any = bpy.types.WindowManager
    del manager.relay_render_jobs
    del manager.relay_render_selected


def _tick() -> float:
    live().poll()
    return POLL_INTERVAL_S


def client_command(data: Path) -> list[str]:
    """Return how the client is started."""
    return module_command("addon.client", "--data", str(data))


def _launch() -> LineProcess:
    data = _own_folder("client")
    return LineProcess(client_command(data), module_environment(), data / "client.log")


def _launch_node() -> LineProcess:
    """Raises ValueError for options in which a quotation mark is lacking."""
    try:
        options = shlex.split(preferences(bpy.context).node_options)
    except ValueError as error:
        raise ValueError(f"its options cannot be read ({error})") from None
    log = _own_folder("node") / NODE_LOG
    log.write_bytes(b"")  # Its last line says why this run ended.
    environment = module_environment() | {"COLUMNS": "1000", "NO_COLOR": "1"}  # One line for one sentence.
    return LineProcess(module_command("server", *command.node_arguments(["--supervised", *options])), environment, log)


def _own_folder(name: str) -> Path:
    return Path(bpy.utils.extension_path_user(ROOT_PACKAGE, path=name, create=True))


def _selected_index(_manager: Any) -> int:
    rows, selected = live().jobs.rows(), live().jobs.selected_job()
    return rows.index(selected) if selected else 0


def _select_index(_manager: Any, index: int) -> None:
    rows = live().jobs.rows()
    live().jobs.selected = rows[index].job if index < len(rows) else None


def _redraw_preferences(manager: Any) -> None:
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type == "PREFERENCES":
                area.tag_redraw()


def _redraw_sidebars(manager: Any) -> None:
    """Ask for the sidebars alone: drawing a whole viewport ten times a second would cost a core."""
    for window in manager.windows:
        for area in window.screen.areas:
            if area.type in {"VIEW_3D", "IMAGE_EDITOR"}:
                for region in area.regions:
                    if region.type == "UI" and getattr(region, "active_panel_category", CATEGORY) == CATEGORY:
                        region.tag_redraw()

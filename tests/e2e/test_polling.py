# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension costs a window that is not worked in: how often it polls, and what it has drawn when."""

from itertools import pairwise
from pathlib import Path

from tests.addon.scripted_client import Play, wait_for
from tests.e2e.panel import ADDON, CONNECTED, job_event, save, show_tab, state
from tests.e2e.window import SCREEN, BlenderWindow

POLLS = 20

CLOCKS_APART = 0.01
"""Blender's timers may go by the wall clock, which is slewed; the test goes by one that is not."""

_WATCH = f"""
import builtins, functools, time
from {ADDON}.addon.blender import live
seen = builtins.seen = {{"beat": None, "polls": [], "sidebar": 0, "viewport": 0}}

def beat():
    seen["beat"] = time.monotonic()
    return 0.0

def polled(*arguments, poll=live.live().link.poll):
    if seen["beat"]:
        seen["polls"].append((seen["beat"], time.monotonic()))
    return poll(*arguments)

def drawn(what):
    seen[what] += 1

bpy.app.timers.register(beat)
live.live().link.poll = polled
for what, region in (("sidebar", "UI"), ("viewport", "WINDOW")):
    bpy.types.SpaceView3D.draw_handler_add(functools.partial(drawn, what), (), region, "POST_PIXEL")
"""

_SHOW_OTHER_TAB = """
area = next(area for area in bpy.context.screen.areas if area.type == "VIEW_3D")
region = next(region for region in area.regions if region.type == "UI")
region.active_panel_category = "View"
region.tag_redraw()
"""


def polls(window: BlenderWindow) -> list[tuple[float, float]]:
    """When the client was polled, each time after a moment in Blender's pass over its timers before that one."""
    return [(before, at) for before, at in window.run("import builtins; answer = builtins.seen['polls']")]


def draws(window: BlenderWindow, after_polls: int = 0) -> tuple[int, int]:
    """How often sidebar and viewport were drawn, once there were so many polls more."""
    enough = len(polls(window)) + after_polls
    wait_for(lambda: len(polls(window)) >= enough, f"{after_polls} polls")
    sidebar, viewport = window.run("import builtins; answer = [builtins.seen[n] for n in ('sidebar', 'viewport')]")
    return sidebar, viewport


def rest(window: BlenderWindow, folder: Path) -> None:
    """Leave the window alone: the pointer in a corner, nothing that still glides to its place."""
    window.xdotool("mousemove", str(SCREEN[0] - 1), str(SCREEN[1] - 1))
    window.screenshot(folder / "at-rest.png")


def test_only_news_are_drawn_and_only_where_the_panel_shows(played: BlenderWindow, play: Play, tmp_path: Path) -> None:
    # GIVEN a window with the panel and a job in it, at rest
    show_tab(played)
    play.say(CONNECTED)
    save(played)
    (command,) = wait_for(lambda: play.commands("render"), "the job")
    play.say(job_event(command, "rendering"))
    wait_for(lambda: "rendering" in state(played)["jobs"].values(), "its first news")
    rest(played, tmp_path)
    played.run(_WATCH)
    # WHEN the client is polled and has nothing to say
    # THEN nothing is drawn
    assert draws(played, after_polls=POLLS) == (0, 0)

    # AND what it has to say is drawn in the sidebar, without the viewport that costs so much more
    play.say(job_event(command, "rendering", done=1))
    wait_for(lambda: draws(played)[0], "the news to be drawn")
    sidebar, viewport = draws(played, after_polls=POLLS)
    assert viewport == 0
    # AND once only: that was over before the polls that followed
    assert draws(played, after_polls=POLLS) == (sidebar, 0)

    # AND in a sidebar that shows something else, not at all
    played.run(_SHOW_OTHER_TAB)
    rest(played, tmp_path)
    before = draws(played)
    assert before > (sidebar, 0)  # the counters do count: the other tab was drawn
    play.say(job_event(command, "done", done=3))
    wait_for(lambda: "done" in state(played)["jobs"].values(), "the job's end")
    assert draws(played, after_polls=POLLS) == before


def test_the_client_is_polled_ten_times_a_second_at_most(window: BlenderWindow) -> None:
    # GIVEN an extension that was switched off and on again, twice, and has seen another file opened
    for _ in range(2):
        window.run(f"bpy.ops.preferences.addon_disable(module={ADDON!r})")
        window.run(f"bpy.ops.preferences.addon_enable(module={ADDON!r})")
    window.run("bpy.app.timers.register(lambda: bpy.ops.wm.read_homefile(app_template='') and None)")
    wait_for(lambda: state(window)["file"] == "", "the new file")
    # WHEN it polls for a while
    window.run(_WATCH)
    wait_for(lambda: len(polls(window)) > POLLS, "the polls")
    # THEN always 0.1 s after the last time. Blender counts them from the beginning of its pass over the timers, so that
    # slowness in that pass brings two polls nearer to each other; counted from the pass before, nothing can.
    gaps = [later - before for (before, _), (_, later) in pairwise(polls(window))]
    assert min(gaps) > 0.1 * (1 - CLOCKS_APART)

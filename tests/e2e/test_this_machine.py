# SPDX-License-Identifier: GPL-3.0-or-later
"""One install for both ends: the extension's own node, in Blender's Python, renders for a second Blender."""

import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from addon.keyring import HOME_VARIABLE
from server.blenders import Blender
from server.pictures import verify
from tests.addon.scripted_client import wait_for
from tests.e2e.panel import ADDON, PREFERENCES, state
from tests.e2e.window import BlenderWindow, blender_window
from tests.system.harness import free_port

RENDER_TIMEOUT_S = 120.0

LOCAL_NODE = f"""
from {ADDON}.addon.blender.live import live
node = live().local_node
answer = {{
    "state": node.state,
    "text": node.text,
    "page": node.page,
    "pid": node.pid,
    "asking": [each.code for each in node.asking],
}}
"""

SHOW_PREFERENCES = f"""
bpy.ops.screen.userpref_show(section='ADDONS')
bpy.context.window_manager.addon_search = "Relay Render"
if not bpy.context.preferences.addons[{ADDON!r}].preferences.is_node:
    raise AssertionError("the switch is off")
bpy.ops.preferences.addon_expand(module={ADDON!r})
"""


def local_node(window: BlenderWindow) -> dict[str, Any]:
    answer: dict[str, Any] = window.run(LOCAL_NODE)
    return answer


def until_running(window: BlenderWindow) -> dict[str, Any]:
    def running() -> dict[str, Any]:
        now = local_node(window)
        assert now["state"] != "ended", now["text"]
        return now if now["state"] == "running" else {}

    return wait_for(running, "the node to run", RENDER_TIMEOUT_S)


def options(port: int, data: Path, program: Blender) -> list[str]:
    """Of a node that nobody else hears of."""
    own = ["--listen", f"127.0.0.1:{port}", "--no-announce", "--data", str(data), "--blender", program.source]
    return [*own, "--slots", "1", "--spares", "0"]


def test_a_blender_is_the_node_and_another_one_gets_its_frame(
    program: Blender,
    environment: dict[str, str],
    installed: Path,
    shot: Path,
    tmp_path: Path,
    artefact: Callable[[str], Path],
) -> None:
    # GIVEN a Blender with nothing but the extension, and one of another account
    port = free_port()
    own = environment | {HOME_VARIABLE: str(tmp_path / "owner"), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    theirs = environment | {
        HOME_VARIABLE: str(tmp_path / "artist"),
        "BLENDER_USER_RESOURCES": str(shutil.copytree(installed, tmp_path / "theirs")),
    }
    with (
        blender_window(program.source, tmp_path / "node-probe", own, "--online-mode") as node,
        blender_window(program.source, tmp_path / "artist-probe", theirs, "--online-mode", str(shot)) as artist,
    ):
        # WHEN the switch is turned on in the one
        arguments = " ".join(options(port, tmp_path / "node", program))
        node.run(f"{PREFERENCES}.node_options = {arguments!r}; {PREFERENCES}.is_node = True")
        running = until_running(node)
        assert str(port) in running["text"]
        # AND the other asks to be let in THEN the digits of both are the same
        artist.run(f"{PREFERENCES}.node_address = '127.0.0.1:{port}'")
        wait_for(lambda: state(artist)["connection"] == "unpaired", "the artist to be turned away")
        artist.run("bpy.ops.relay_render.pair()")
        (code,) = wait_for(lambda: local_node(node)["asking"], "the node to hear of it")
        wait_for(lambda: state(artist)["pairing"][1].replace(" ", "") == code, "the artist's digits")
        node.run(SHOW_PREFERENCES)
        node.screenshot(artefact("this-machine"))
        # AND WHEN they are compared THEN Ctrl+S there brings the frame home
        artist.run("bpy.ops.relay_render.compared(same=True)")
        node.run(f"bpy.ops.relay_render.decide(code={code!r}, allowed=True)")
        wait_for(lambda: state(artist)["connection"] == "connected", "the artist to be let in")
        assert local_node(node)["asking"] == []
        artist.run("bpy.ops.wm.save_mainfile()")
        wait_for(lambda: list(state(artist)["jobs"].values()) == ["done"], "the frame", RENDER_TIMEOUT_S)
        verify(shot.parent / "frames" / "shot_020_0001.png")
        # AND WHEN it is killed THEN it is started again
        psutil.Process(running["pid"]).kill()
        wait_for(lambda: local_node(node)["pid"] not in {None, running["pid"]}, "another node")
        process = psutil.Process(until_running(node)["pid"])
        # AND WHEN it is switched off THEN it ends in its own time
        node.run(f"{PREFERENCES}.is_node = False")
        wait_for(lambda: local_node(node)["state"] == "off", "it to be off")
        process.wait(20)
        # AND it can be had at login, and no more
        login = tmp_path / "config" / "autostart" / "relay-render-node.desktop"
        node.run("bpy.ops.relay_render.start_at_login()")
        assert "--command" in login.read_text()
        node.run("bpy.ops.relay_render.start_at_login()")
        assert not login.exists()


@contextmanager
def running_node(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
        )
    assert process.stdout is not None
    try:
        wait_for(lambda: "listens on" in next(iter(process.stdout or ()), "listens on nothing"), "it to listen")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        finally:
            process.kill()
            process.stdout.close()


def test_the_command_line_of_blender_serves_and_submits(
    program: Blender, environment: dict[str, str], shot: Path, tmp_path: Path
) -> None:
    # GIVEN nothing but Blender with the extension, started as a login does
    port = free_port()
    own = environment | {HOME_VARIABLE: str(tmp_path / "owner")}
    relay = [program.source, "--background", "--online-mode", "--command", "relay_render"]
    with running_node([*relay, "serve", *options(port, tmp_path / "node", program)], own, tmp_path) as node:
        # WHEN a file is submitted in the same way, and waited for
        folders = ["--data", str(tmp_path / "client"), "--output", str(tmp_path / "frames")]
        submit = [*relay, "submit", str(shot), "--to", f"127.0.0.1:{port}", *folders, "--json"]
        done = subprocess.run(submit, env=own, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
        # THEN it says so, and the frame is there
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["state"] == "done"
        verify(tmp_path / "frames" / "shot_020_0001.png")
    # AND it has ended by Ctrl+C, as the node does and not as Blender
    assert node.returncode == 0, (tmp_path / "node.log").read_text()
    # AND without the network it says what to do
    offline = [program.source, "--background", "--offline-mode", "--command", "relay_render", "status"]
    refused = subprocess.run(offline, env=own, capture_output=True, text=True, timeout=60, check=False)
    assert (refused.returncode, "online access is off" in refused.stderr) == (1, True), refused.stderr

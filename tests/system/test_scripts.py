# SPDX-License-Identifier: GPL-3.0-or-later
"""Python in an artist's file, which runs only where the node's owner wants it to."""

from pathlib import Path

import psutil
import pytest

from addon.keyring import Keyring
from server.blenders import Blender
from server.clients import client_id
from tests.conftest import RunInBlender
from tests.system.harness import ClientProcess, NodeProcess, StartClient, cli

MAKE = """
import os, bpy
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.render.resolution_x = scene.render.resolution_y = 16
text = bpy.data.texts.new("setup.py")
text.use_module = True
text.write("import bpy\\nbpy.context.scene.render.resolution_x = 48")
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


@pytest.fixture
def scripted(any_blender: Blender, run_in_blender: RunInBlender, tmp_path: Path) -> Path:
    """A file whose Python makes its picture three times as wide."""
    blend = tmp_path / "scripted.blend"
    run_in_blender(any_blender, MAKE, BLEND=str(blend))
    return blend


def render(client: ClientProcess, blend: Path, folder: Path) -> tuple[int, list[str]]:
    """Its picture's width, and what the artist was told."""
    job = client.render(blend, folder)
    done = client.until_state(job, "done", "failed")
    assert done["state"] == "done", done["text"]
    (frame,) = folder.iterdir()
    return int.from_bytes(frame.read_bytes()[16:20], "big"), done["notices"]


def test_scripts_run_for_whom_the_owner_lets_them(
    owned: NodeProcess, start_client: StartClient, scripted: Path, tmp_path: Path
) -> None:
    def change(option: str) -> str:
        artist = client_id(Keyring().own.public.decode())
        done = cli("clients", option, artist[:8], "--to", owned.address, data=tmp_path, home=tmp_path / "owner")
        assert done.returncode == 0, done.stderr
        return done.stdout

    client = start_client(owned.address)
    # WHEN an artist's file has Python in it THEN it does not run, and the artist is told
    width, notices = render(client, scripted, tmp_path / "first")
    assert width == 16
    assert 'text "setup.py"' in notices[0]
    # WHEN the owner lets it THEN it does
    assert "scripts" in change("--scripts")
    assert render(client, scripted, tmp_path / "second") == (48, [])
    (scripted_blender,) = owned.blenders()
    # AND the Blender that it ran in renders nothing else
    assert render(client, scripted, tmp_path / "third") == (48, [])
    assert not still_runs(scripted_blender)
    # WHEN the owner takes that back THEN it does not run any more
    assert "scripts" not in change("--no-scripts")
    width, notices = render(client, scripted, tmp_path / "fourth")
    assert (width, len(notices)) == (16, 1)


def still_runs(blender: psutil.Process) -> bool:
    return blender.is_running() and blender.status() != psutil.STATUS_ZOMBIE

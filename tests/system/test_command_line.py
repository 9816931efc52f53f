# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server submit`, `status`, `watch` and `cancel`, as a person runs them."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from addon.client.observer import Observer
from addon.protocol.address import parse_address
from addon.protocol.messages import JobStatus
from server.blenders import Blender
from server.cli import run
from server.cli.exits import Exit
from tests.conftest import RunInBlender
from tests.system.harness import (
    FRAMES,
    PATIENCE_S,
    ROOT,
    TERMINAL,
    ClientProcess,
    NodeProcess,
    Scene,
    check_frames,
    cli,
    plain,
    read_until,
    start_cli,
)

Leave = Callable[[NodeProcess, Callable[[], None]], None]
"""Has a node go away, and come back when the callable returns."""


def test_the_command_line_submits_and_shows(
    any_blender: Blender, node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    done = cli(
        "submit", scene(), "--to", node.address, "--frames", "1-3,12", "--output", tmp_path / "out",
        data=tmp_path / "client",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    check_frames(tmp_path / "out", [*FRAMES[:3], FRAMES[11]])
    status = cli("status", "--to", node.address, data=tmp_path)
    is_sandboxed = "Its Blenders are sandboxed." in status.stdout
    assert is_sandboxed == ("sandbox" not in node.log.read_text())  # Where one is not, the node has warned.
    assert "shot.blend" in status.stdout
    assert "4/4 100%" in plain(status.stdout)
    assert any_blender.name in status.stdout


SKY = """
import os, bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
scene.render.resolution_x, scene.render.resolution_y = 16, 16
scene.render.filepath = "//frames/shot_###"
scene.view_settings.view_transform = "Standard"
bpy.data.objects.remove(bpy.data.objects["Cube"])
tree = scene.world.node_tree
sky = tree.nodes.new("ShaderNodeTexEnvironment")
sky.image = bpy.data.images.new("sky", 8, 8)
sky.image.pixels = [1.0, 0.0, 0.0, 1.0] * 64
sky.image.filepath_raw, sky.image.file_format = os.environ["SKY"], "PNG"
sky.image.save()
background = next(node for node in tree.nodes if node.type == "BACKGROUND")
tree.links.new(sky.outputs["Color"], background.inputs["Color"])
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""

COLOUR = """
import os, bpy
print("COLOUR", [round(value) for value in bpy.data.images.load(os.environ["FRAME"]).pixels[:3]])
"""


def test_submit_sends_what_the_scene_uses(
    any_blender: Blender, node: NodeProcess, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN a scene with a texture in another folder
    blend, sky = tmp_path / "film" / "shot.blend", tmp_path / "library" / "sky.png"
    blend.parent.mkdir()
    run_in_blender(any_blender, SKY, BLEND=str(blend), SKY=str(sky))
    order = ["submit", blend, "--to", node.address, "--blender", any_blender.source]

    def colour(folder: str) -> str:
        frame = tmp_path / folder / "shot_001.png"
        return run_in_blender(any_blender, COLOUR, FRAME=str(frame)).stdout.partition("COLOUR ")[2].splitlines()[0]

    # WHEN it is submitted THEN the node has it
    done = cli(*order, "--output", tmp_path / "with", data=tmp_path / "client")
    assert done.returncode == 0, done.stdout + done.stderr
    assert colour("with") == "[1, 0, 0]"

    # WHEN it is gone THEN nothing is rendered, and the artist reads which one
    sky.unlink()
    done = cli(*order, "--output", tmp_path / "without", data=tmp_path / "client")
    assert done.returncode == Exit.FILES_MISSING
    assert f'Image "sky" is not there: {sky}' in plain(done.stdout)
    assert "--without-missing" in plain(done.stderr)
    assert list((tmp_path / "client" / "jobs").iterdir()) == []

    # UNLESS it is to be rendered without
    done = cli(*order, "--output", tmp_path / "without", "--without-missing", data=tmp_path / "client")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f'Image "sky" is not there: {sky}' in plain(done.stdout)
    assert colour("without") == "[1, 0, 1]"


def test_without_a_blender_here_the_file_goes_alone(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a machine without Blender: one on which none is found
    code = "import server.cli.needs as needs; needs.find_blenders = lambda extra: [];from server.cli import app; app()"
    order = ["submit", str(scene()), "--to", node.address, "--output", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-c", code, *order, "--data", str(tmp_path / "client")],
        cwd=ROOT, env=TERMINAL, text=True, capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    # THEN the frames come, and it is said what may be missing
    assert done.returncode == 0, done.stdout + done.stderr
    assert "There is no Blender on this machine: shot.blend is sent without the files" in plain(done.stderr)
    check_frames(tmp_path / "out", FRAMES[:1])


def test_the_command_line_cancels_by_the_first_digits(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(SAMPLES="4096"), tmp_path / "frames", "1-12")
    client.until_state(job, "rendering")
    assert "No job begins with" in cli("cancel", "zzz", "--to", node.address, data=tmp_path).stderr
    cancelled = cli("cancel", job[:8], "--to", node.address, data=tmp_path)
    assert cancelled.returncode == 0, cancelled.stderr
    assert client.until_state(job, "cancelled")["text"] == "Cancelled."
    again = cli("cancel", job[:8], "--to", node.address, data=tmp_path)
    assert again.returncode == 1
    assert "ended already" in plain(again.stderr)


def test_ctrl_c_leaves_the_job_running_and_watch_brings_its_frames(
    node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a submission of which the first frame has come
    records = ["--to", node.address, "--data", str(tmp_path / "records")]
    blend, out = scene(SAMPLES="256"), tmp_path / "frames"
    with start_cli("submit", str(blend), "--frames", "1-12", "--output", str(out), *records) as submit:
        read_until(submit, "shot_001.png")
        # WHEN the artist presses Ctrl+C
        submit.send_signal(signal.SIGINT)
        rest, errors = submit.communicate(timeout=20)
    # THEN it says how to get the frames
    assert submit.returncode == Exit.INTERRUPTED, rest + errors
    assert re.search(rf"python -m server submit --resume [0-9a-f]{{8}} --to {node.address} --data", plain(errors))
    # AND `watch` brings them, too
    with start_cli("watch", *records) as watch:
        read_until(watch, "shot_012.png")
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=20)
    assert watch.returncode == Exit.INTERRUPTED, rest + errors
    check_frames(out)


def kill_and_start(node: NodeProcess, away: Callable[[], None]) -> None:
    node.kill()
    away()
    node.start()


def stop_and_continue(node: NodeProcess, away: Callable[[], None]) -> None:
    assert node.process is not None
    node.process.send_signal(signal.SIGSTOP)
    away()
    node.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("leave", [kill_and_start, stop_and_continue])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGSTOP, and no Ctrl+C for one process alone")
def test_watch_outlives_a_node_that_is_silent_for_a_while(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path, leave: Leave
) -> None:
    # GIVEN an animation of which some frames have arrived, and whose client has ended
    client.render(scene(SAMPLES="1024"), tmp_path / "frames", "1-12")
    client.until(lambda line: line["event"] == "delivered")
    client.close()
    with start_cli("watch", "--to", node.address, "--data", str(tmp_path / "client")) as watch:
        read_until(watch, "shot_002.png")
        # WHEN the node is silent until `watch` says that it is, and comes back
        leave(node, lambda: read_until(watch, f"port {node.port}"))
        # THEN `watch` goes on, and brings all frames
        read_until(watch, "shot_012.png")
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=20)
    assert watch.returncode == Exit.INTERRUPTED, rest + errors
    check_frames(tmp_path / "frames")


def test_a_submission_that_is_cancelled_elsewhere_brings_what_was_rendered(
    node: NodeProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN a submission with frames that are rendered and cannot be written yet
    out = tmp_path / "frames"
    out.write_text("not a folder")
    order = ["--frames", "1-12", "--output", str(out), "--to", node.address, "--data", str(tmp_path / "records")]
    with start_cli("submit", str(scene(SAMPLES="1024")), *order) as submit:
        job = job_when(node, lambda status: status.done >= 2).job
        # WHEN the job is cancelled from another terminal, and they can be written
        cancelled = cli("cancel", job[:8], "--to", node.address, data=tmp_path)
        assert cancelled.returncode == 0, cancelled.stderr
        assert submit.poll() is None
        out.unlink()
        printed, errors = submit.communicate(timeout=PATIENCE_S)
    # THEN the submission brings them, says what happened, and a script can tell it from success
    assert submit.returncode == 1, printed + errors
    assert errors.splitlines()[-1] == "Cancelled."
    done = job_when(node, lambda status: not status.undelivered).done
    assert 2 <= done < 12
    check_frames(out, FRAMES[:done])
    assert {str(path) for path in out.iterdir()} <= set(printed.splitlines())
    # AND it keeps no record of the job
    assert list((tmp_path / "records" / "jobs").iterdir()) == []


def test_a_job_that_the_node_has_lost_meanwhile_is_not_shown_on(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN somebody who looks at a node with a job
    client.until_state(client.render(scene(), tmp_path / "frames", "1"), "done")

    async def look() -> None:
        async with Observer.at(parse_address(node.address)) as observer:
            await observer.until(lambda: bool(observer.jobs))
            # WHEN the node comes back without it, THEN it is not seen any more
            node.kill()
            node.lose_jobs()
            node.start()
            await observer.until(lambda: not observer.jobs)

    run(look())


def job_when(node: NodeProcess, holds: Callable[[JobStatus], bool]) -> JobStatus:
    """The only job of a node, as soon as `holds` is true of it."""
    found: list[JobStatus] = []

    async def look() -> None:
        async with Observer.at(parse_address(node.address)) as observer:
            await observer.until(lambda: any(map(holds, observer.jobs.values())))
            found.extend(observer.jobs.values())

    run(look())
    (status,) = found
    return status


def test_titles_that_look_like_markup_are_shown_as_they_are(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    client.until_state(client.render(scene(), tmp_path / "[final]", "1", title="shot[/b] [wip]"), "done")
    assert "shot[/b] [wip]" in cli("status", "--to", node.address, data=tmp_path).stdout
    done = cli("submit", scene(), "--to", node.address, "--output", tmp_path / "[out]", data=tmp_path / "cli")
    assert "[out]" in done.stdout

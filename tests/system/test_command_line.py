# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m server submit`, `status`, `watch` and `cancel`, as a person runs them."""

import signal
from pathlib import Path

from server.blenders import Blender
from tests.system.harness import (
    FRAMES,
    ClientProcess,
    NodeProcess,
    Scene,
    check_frames,
    cli,
    plain,
    read_until,
    start_cli,
)


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
    assert "shot.blend" in status.stdout
    assert "4/4 100%" in plain(status.stdout)
    assert any_blender.name in status.stdout


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
    assert submit.returncode == 130, rest + errors
    assert f"python -m server watch --to {node.address}" in plain(errors)
    # AND that brings them
    with start_cli("watch", *records) as watch:
        read_until(watch, "shot_012.png")
        watch.send_signal(signal.SIGINT)
        rest, errors = watch.communicate(timeout=20)
    assert watch.returncode == 0, rest + errors
    check_frames(out)


def test_titles_that_look_like_markup_are_shown_as_they_are(
    node: NodeProcess, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    client.until_state(client.render(scene(), tmp_path / "[final]", "1", title="shot[/b] [wip]"), "done")
    assert "shot[/b] [wip]" in cli("status", "--to", node.address, data=tmp_path).stdout
    done = cli("submit", scene(), "--to", node.address, "--output", tmp_path / "[out]", data=tmp_path / "cli")
    assert "[out]" in done.stdout

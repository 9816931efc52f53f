# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line as a script uses it: exit codes, JSON, jobs that are gone on with, frames that are fetched."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from addon.protocol.messages import ClientList, JobStatus, StoreStatus
from server.cli.exits import Exit
from tests.system.harness import (
    FRAMES,
    PATIENCE_S,
    ROOT,
    TERMINAL,
    NodeProcess,
    Scene,
    check_frames,
    cli,
    free_port,
    plain,
    read_until,
    start_cli,
)


def names(kind: type) -> set[str]:
    return {field.name for field in fields(kind)}


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def submitted(node: NodeProcess, blend: Path, records: Path, *more: object) -> str:
    """The ID of a job that the node has; nobody waits for it."""
    done = cli("submit", blend, "--to", node.address, "--no-wait", *more, data=records)
    assert done.returncode == 0, done.stderr
    (job,) = done.stdout.split()
    return job


def test_each_reason_has_its_own_exit_code(owned: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    def code(*words: object, home: Path | None = None) -> int:
        return cli(*words, data=tmp_path / "records", home=home).returncode

    at = ("--to", owned.address)
    blend = scene()
    assert code("submit", blend, *at, "--output", tmp_path / "out") == Exit.DONE
    assert code("submit", blend, *at, "--frames", "1-21", "--output", tmp_path / "out") == Exit.FAILED  # The quota.
    assert code("submit", blend, *at, "--frames", "milk") == Exit.USAGE
    assert code("submit", *at) == Exit.USAGE
    assert code("submit", blend, "--animation", "--frames", "1") == Exit.USAGE
    assert code("submit", "--sideways") == Exit.USAGE
    assert code("submit", blend, "--to", f"127.0.0.1:{free_port()}") == Exit.UNREACHABLE
    assert code("store", *at) == Exit.NOT_ALLOWED
    assert code("submit", blend, *at, home=tmp_path / "nobody") == Exit.NOT_ALLOWED
    assert code("submit", tmp_path / "none.blend", *at) == Exit.FILES_MISSING
    for words in (
        ("cancel", "none"),
        ("status", "none"),
        ("fetch", "none"),
        ("logs", "none"),
        ("watch", "--job", "none"),
    ):
        assert code(*words, *at) == Exit.NO_JOB
    assert code("submit", "--resume", *at) == Exit.NO_JOB  # What could not be sent is not kept.


def test_json_has_the_fields_of_the_protocol(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a job that was submitted for a program to look on
    at = ("--to", node.address)
    done = cli("submit", scene(), "--animation", *at, "--json", "--output", tmp_path / "out", data=tmp_path / "records")
    assert done.returncode == 0, done.stderr
    said = lines(done.stdout)
    assert {each["event"] for each in said} <= {"job", "delivered", "thumbnail", "forgotten"}
    assert [each["state"] for each in said if each["event"] == "job"][-1] == "done"
    delivered = sorted(each["path"] for each in said if each["event"] == "delivered")
    assert delivered == [str(tmp_path / "out" / name) for name in FRAMES]  # The scene's own range.

    # THEN everything that there is to say of it and of the node is one document
    def document(*words: object) -> Any:
        done = cli(*words, *at, "--json", data=tmp_path)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    (status,) = document("status")["jobs"]
    assert set(status) == names(JobStatus)
    assert document("status", status["job"][:6]) == status
    assert (status["state"], status["done"]) == ("done", 12)
    assert set(document("store")) == names(StoreStatus)
    assert set(document("clients")) == names(ClientList)
    # AND who watches it alone hears how it has ended
    watched = cli("watch", "--job", status["job"][:8], *at, "--json", data=tmp_path / "records")
    assert (watched.returncode, lines(watched.stdout)) == (0, [{"event": "status", **status}])


def test_doctor_speaks_json(tmp_path: Path) -> None:
    done = cli("doctor", "--json", "--listen", "127.0.0.1:0", "--data", tmp_path / "node", data=tmp_path)
    found = json.loads(done.stdout)["findings"]
    assert all(set(each) == {"name", "state", "text", "remedy"} for each in found)
    assert done.returncode == (Exit.FAILED if "missing" in {each["state"] for each in found} else Exit.DONE)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Ctrl+C for one process alone")
@pytest.mark.parametrize("end", ["ctrl+c", "kill"])
def test_an_interrupted_submission_goes_on_as_the_same_job(
    node: NodeProcess, scene: Scene, tmp_path: Path, end: str
) -> None:
    # GIVEN a submission that ends after its first frame
    records = ["--to", node.address, "--data", str(tmp_path / "records")]
    out = tmp_path / "frames"
    with start_cli("submit", str(scene(SAMPLES="1024")), "--frames", "1-12", "--output", str(out), *records) as submit:
        read_until(submit, "shot_001.png")
        submit.send_signal(signal.SIGINT if end == "ctrl+c" else signal.SIGKILL)
        _, errors = submit.communicate(timeout=20)
    # WHEN the command that it names is run; who was killed could not name it
    again = ["submit", "--resume"]
    if end == "ctrl+c":
        assert submit.returncode == Exit.INTERRUPTED
        again = plain(errors).partition("python -m server ")[2].split()[:3]
    done = cli(*again, "--to", node.address, data=tmp_path / "records")
    # THEN it is the same job, and all of it is here
    assert done.returncode == 0, done.stdout + done.stderr
    check_frames(out)
    status = json.loads(cli("status", "--json", "--to", node.address, data=tmp_path).stdout)
    assert [each["state"] for each in status["jobs"]] == ["done"]
    assert cli("submit", "--resume", "--to", node.address, data=tmp_path / "records").returncode == Exit.NO_JOB


def test_frames_come_home_without_any_record(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a job that nobody waits for, and of which this machine has lost its record
    job = submitted(node, scene(), tmp_path / "records", "--frames", "1-3,12", "--output", tmp_path / "never")
    shutil.rmtree(tmp_path / "records")
    # WHEN its frames are fetched THEN they have the names that the artist's Blender would have given them
    done = cli("fetch", job[:8], "--to", node.address, "--output", tmp_path / "out", data=tmp_path)
    assert done.returncode == 0, done.stderr
    expected = [*FRAMES[:3], FRAMES[11]]
    check_frames(tmp_path / "out", expected)
    assert {str(tmp_path / "out" / name) for name in expected} <= set(done.stdout.splitlines())
    assert not (tmp_path / "never").exists()
    # AND there is nothing more to bring
    done = cli("fetch", job, "--to", node.address, "--output", tmp_path / "more", "--json", data=tmp_path)
    assert (done.returncode, done.stdout, (tmp_path / "more").exists()) == (0, "", False)


def test_fetch_brings_what_is_there_now(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a job that takes long
    job = submitted(node, scene(SAMPLES="4096"), tmp_path / "records", "--frames", "1-12", "--output", tmp_path / "x")
    with start_cli("watch", "--to", node.address, "--job", job, "--json", "--data", str(tmp_path / "none")) as watch:
        assert watch.stdout is not None
        assert any(json.loads(line).get("done", 0) >= 1 for line in watch.stdout)  # Two at once are one line.
        # WHEN what is there now is fetched THEN it comes, and nobody waits for the rest
        done = cli("fetch", job, "--no-wait", "--to", node.address, "--output", tmp_path / "out", data=tmp_path)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "out" / FRAMES[0]).exists()
        # AND who watches it hears that it ended otherwise than wished
        assert cli("cancel", job, "--to", node.address, data=tmp_path).returncode == 0
        _, errors = watch.communicate(timeout=PATIENCE_S)
    assert (watch.returncode, "Cancelled." in errors) == (Exit.FAILED, True)


def test_what_blender_says_can_be_read(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    job = submitted(node, scene(), tmp_path / "records", "--frames", "1-3", "--output", tmp_path / "x")
    followed = cli("logs", job, "--follow", "--to", node.address, data=tmp_path)
    assert followed.returncode == 0, followed.stderr
    kept = (node.data / "jobs" / job / "blender.log").read_text()
    assert kept.startswith(followed.stdout)
    again = cli("logs", job, "--frame", "2", "--to", node.address, data=tmp_path)
    assert "shot_002.png" in again.stdout
    assert not any(other in again.stdout for other in ("Read blend", "shot_001.png", "shot_003.png"))
    assert all(f"       2| {line}\n" in kept for line in again.stdout.splitlines())
    none = cli("logs", job, "--frame", "9", "--to", node.address, data=tmp_path)
    assert (none.returncode, "no log of frame 9" in plain(none.stderr)) == (Exit.FAILED, True)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_job_becomes_a_video(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    job = submitted(node, scene(), tmp_path / "records", "--frames", "1-12x3", "--output", tmp_path / "x")
    folder, file = tmp_path / "frames", tmp_path / "shot.mp4"
    done = cli("video", job, "--to", node.address, "--folder", folder, "--output", file, "--fps", "12", data=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(file)
    check_frames(folder, [FRAMES[number] for number in (0, 3, 6, 9)])
    assert probe(file) == {"codec_name": "h264", "pix_fmt": "yuv420p", "r_frame_rate": "12/1", "nb_read_frames": "4"}
    # AND where its frames do not come any more, that is said
    again = cli("video", job, "--to", node.address, "--folder", tmp_path / "none", data=tmp_path)
    assert (again.returncode, "no numbered frames" in plain(again.stderr)) == (Exit.FILES_MISSING, True)


def probe(file: Path) -> dict[str, str]:
    asked = "stream=codec_name,pix_fmt,r_frame_rate,nb_read_frames"
    said = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_entries", asked, "-of", "json", file],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(said.stdout)["streams"][0]
    return found


def as_the_shell_asks(asked: dict[str, str]) -> str:
    """What the installed program answers a shell."""
    code = "import sys; sys.argv[0] = 'relay-render'; from server.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=TERMINAL | asked, text=True, capture_output=True,
        timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def test_a_shell_completes_commands_and_jobs(node: NodeProcess, scene: Scene, tmp_path: Path) -> None:
    job = submitted(node, scene(), tmp_path / "records", "--output", tmp_path / "x")

    def complete(words: str) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_RELAY_RENDER_COMPLETE": "complete_bash"}
        return as_the_shell_asks(asked).split()

    assert complete("relay-render fe") == ["fetch"]
    assert complete(f"relay-render cancel --to {node.address} {job[:3]}") == [job[:8]]
    assert complete(f"relay-render watch --to {node.address} --job ") == [job[:8]]
    assert complete(f"relay-render cancel --to 127.0.0.1:{free_port()} ") == []


@pytest.mark.skipif(os.name == "nt" or shutil.which("bash") is None, reason="needs bash")
def test_bash_takes_the_completion() -> None:
    script = as_the_shell_asks({"_RELAY_RENDER_COMPLETE": "source_bash"})
    done = subprocess.run(
        ["bash", "-c", f"{script}\ncomplete -p relay-render"], text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "relay-render" in done.stdout

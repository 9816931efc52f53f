# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import importlib.metadata
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import blenders
from server.blender_places import NAMES, Machine, candidates
from server.blenders import (
    WHEEL,
    Blender,
    BrokenBlender,
    NoBlender,
    ask_version,
    choose_blender,
    find_blenders,
    survey_blenders,
)

posix_only = pytest.mark.skipif(os.name == "nt", reason="stands in for a Blender with a shell script")


def program(path: Path, answer: str = "") -> Path:
    """An executable that prints `answer`, whatever it is asked; or runs it, where it begins with a line of script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = answer if answer.startswith("#!") else f"#!/bin/sh\necho '{answer}'\n"
    path.write_text(script)
    path.chmod(0o755)
    return path


def machine(tmp_path: Path, system: str = "Linux", **environment: str) -> Machine:
    return Machine(system, environment, home=tmp_path / "home", root=tmp_path)


def a_blender(*version: int, source: str = "/usr/bin/blender") -> Blender:
    major, minor, patch = version
    return Blender((major, minor, patch), (source,), source)


# Finding


LINUX = [
    "opt/blender/blender",
    "opt/blender-4.2.3-linux-x64/blender",
    "opt/blender/5.2/blender",
    "opt/blenders/bin/blender-4.3",
    "usr/local/blender-4.5/blender",
    "usr/bin/blender",
    "home/blender-5.2.0-linux-x64/blender",
    "home/Downloads/blender-5.0.1-linux-x64/blender",
    "home/.local/bin/blender-4.2",
    "snap/bin/blender",
    "var/lib/snapd/snap/bin/blender",
    "var/lib/flatpak/exports/bin/org.blender.Blender",
    "home/.local/share/flatpak/exports/bin/org.blender.Blender",
    "home/.local/share/Steam/steamapps/common/Blender/blender",
]
MACOS = [
    "Applications/Blender.app/Contents/MacOS/Blender",
    "Applications/Blender 4.5.app/Contents/MacOS/Blender",
    "Applications/Blender/blender-5.2.app/Contents/MacOS/Blender",
    "home/Applications/Blender.app/Contents/MacOS/Blender",
    "home/Library/Application Support/Steam/steamapps/common/Blender/Blender.app/Contents/MacOS/Blender",
]
WINDOWS = [
    "Program Files/Blender Foundation/Blender 5.2/blender.exe",
    "Program Files (x86)/Steam/steamapps/common/Blender/blender.exe",
    "AppData/Local/Microsoft/WindowsApps/blender.exe",
    "AppData/Local/Programs/Blender 4.5/blender.exe",
    "home/scoop/apps/blender/current/blender.exe",
    "home/Downloads/blender-5.0.1-windows-x64/blender-5.0.1-windows-x64/blender.exe",
]


@pytest.mark.parametrize(
    ("system", "place"),
    [
        (system, place)
        for system, places in [("Linux", LINUX), ("Darwin", MACOS), ("Windows", WINDOWS)]
        for place in places
    ],
)
def test_knows_the_usual_places(system: str, place: str, tmp_path: Path) -> None:
    # GIVEN a machine with one Blender, in one of the places where people of that system have it
    installed = program(tmp_path / place)
    if "Steam" in place:
        steam = tmp_path / place.partition("/steamapps")[0]
        (steam / "steamapps/libraryfolders.vdf").write_text('"libraryfolders" { "0" { "path" "/elsewhere" } }')
    windows = {
        "ProgramFiles": str(tmp_path / "Program Files"),
        "ProgramFiles(x86)": str(tmp_path / "Program Files (x86)"),
        "LOCALAPPDATA": str(tmp_path / "AppData/Local"),
    }

    # WHEN it is searched THEN that one is found
    assert installed in candidates(machine(tmp_path, system, **windows))


def test_finds_blender_in_any_steam_library(tmp_path: Path) -> None:
    # GIVEN Steam with a second library on another disk
    steam, disk = tmp_path / "home/.steam/steam", tmp_path / "disk"
    (steam / "steamapps").mkdir(parents=True)
    (steam / "steamapps/libraryfolders.vdf").write_text(
        f'"libraryfolders"\n{{\n\t"1"\n\t{{\n\t\t"path"\t\t"{disk}"\n\t}}\n}}'
    )
    installed = program(disk / "steamapps/common/Blender/blender")

    # WHEN the machine is searched THEN Blender is found there
    assert list(candidates(machine(tmp_path))) == [installed]


@pytest.mark.parametrize(
    ("name", "is_blender"),
    [
        *[(name, True) for name in ["blender", "Blender", "blender.exe", "blender-4.3", "blender4.2", "blender-5.2-lts",
                                    "blender_42", "blender-5.2.0-linux-x64", "org.blender.Blender"]],
        *[(name, False) for name in ["blender-thumbnailer", "blender-launcher.exe", "blender-softwaregl",
                                     "blenderplayer", "blender.desktop", "blender-4.2.tar.xz", "blenderproc",
                                     "blend", "xblender"]],
    ],
)  # fmt: skip
def test_tells_blender_by_its_name(name: str, is_blender: bool) -> None:
    assert bool(NAMES.fullmatch(name)) is is_blender


def test_path_is_searched_first_and_only_what_runs(tmp_path: Path) -> None:
    # GIVEN two folders on PATH, one of them missing, with a Blender and things that only look like one
    first = program(tmp_path / "bin/blender-4.3")
    (tmp_path / "bin/blender-5.2").write_text("not executable")
    (tmp_path / "bin/blender").mkdir()
    second = program(tmp_path / "opt/blender/blender")

    # WHEN the machine is searched
    found = list(candidates(machine(tmp_path, PATH=f"{tmp_path}/none:{tmp_path}/bin:")))

    # THEN PATH comes before the usual places
    assert found == [first, second]


def test_windows_runs_only_programs(tmp_path: Path) -> None:
    program(tmp_path / "bin/blender")
    found = program(tmp_path / "bin/blender.exe")
    assert list(candidates(machine(tmp_path, "Windows", PATH=f'{tmp_path}\\none;"{tmp_path}/bin"'))) == [found]


@posix_only
def test_lists_each_program_and_each_version_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # GIVEN one Blender under three names, another of the same version, an old one, and a broken one
    real = program(tmp_path / "opt/blender-4.3/blender", "Blender 4.3.2")
    for link in (tmp_path / "bin/blender", tmp_path / "bin/blender-4.3"):
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(real)
    program(tmp_path / "usr/bin/blender", "Blender 4.3.2")
    newer = program(tmp_path / "home/blender-5.2/blender", "a warning\nBlender 5.2.0 Alpha\n\tbuild date: today")
    program(tmp_path / "snap/bin/blender", "Blender 2.79 (sub 0)")
    program(tmp_path / "opt/blender-9/blender", "#!/bin/sh\necho 'no libGL' >&2\nexit 127\n")

    # WHEN the machine is surveyed
    survey = survey_blenders(machine=machine(tmp_path, PATH=str(tmp_path / "bin")))

    # THEN there are two, the first found of each, and a reason for each of those left out
    installed = [blender for blender in survey.blenders if blender.source != WHEEL]
    assert [(blender.version, blender.source) for blender in installed] == [
        ((4, 3, 2), str(tmp_path / "bin/blender")),
        ((5, 2, 0), str(newer)),
    ]
    assert sorted(str(broken) for broken in survey.broken) == [
        f"{tmp_path}/opt/blender-9/blender does not start: no libGL",
        f"{tmp_path}/snap/bin/blender is Blender 2.79.0: the oldest that can render here is 4.2.",
    ]


@posix_only
def test_snaps_that_share_one_launcher_stay_apart(tmp_path: Path) -> None:
    # GIVEN two snaps, both links to the one program that starts any snap by the name it is called by
    launcher = "#!/bin/sh\ncase $0 in *_42) echo Blender 4.2.1;; *) echo Blender 5.2.0;; esac\n"
    program(tmp_path / "usr/bin/snap", launcher)
    (tmp_path / "snap/bin").mkdir(parents=True)
    for name in ("blender", "blender_42"):
        (tmp_path / "snap/bin" / name).symlink_to(tmp_path / "usr/bin/snap")

    # WHEN the machine is surveyed THEN both are found, under their own names
    found = {blender.version: blender.source for blender in survey_blenders(machine=machine(tmp_path)).blenders}
    assert found[4, 2, 1] == f"{tmp_path}/snap/bin/blender_42"
    assert found[5, 2, 0] == f"{tmp_path}/snap/bin/blender"


@posix_only
def test_takes_the_one_a_person_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # GIVEN a Blender of an unusual name, a folder that holds one, and a folder that does not
    monkeypatch.setattr(blenders, "Machine", lambda: machine(tmp_path / "empty"))
    own = program(tmp_path / "tools/b3d", "Blender 4.2.0")
    program(tmp_path / "build/bin/blender", "Blender 5.3.0")

    # WHEN they are named
    with caplog.at_level(logging.WARNING):
        found = find_blenders([own, tmp_path / "build/bin", tmp_path / "nothing"])

    # THEN those that are Blenders are used, and the other is reported
    assert [b.version for b in found if b.source != WHEEL] == [(4, 2, 0), (5, 3, 0)]
    assert f"{tmp_path}/nothing is no Blender: name its program or the folder that holds it." in caplog.text


@posix_only
def test_a_blender_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    # GIVEN a wrapper whose program never answers
    pid = tmp_path / "pid"
    hangs = program(tmp_path / "blender", f"#!/bin/sh\nsleep 600 & echo $! > {pid}\nwait\n")

    # WHEN it is asked for its version
    began = time.monotonic()
    with pytest.raises(BrokenBlender, match=r"blender did not tell its version within 0\.5 s\.$"):
        ask_version(hangs, timeout_s=0.5)

    # THEN the answer does not wait for it, and nothing of it runs any longer
    assert time.monotonic() - began < 5
    with contextlib.suppress(psutil.NoSuchProcess):
        sleeper = psutil.Process(int(pid.read_text()))
        with contextlib.suppress(psutil.TimeoutExpired):  # an orphan that nobody collects stays as a zombie
            sleeper.wait(timeout=2)
        assert sleeper.status() == psutil.STATUS_ZOMBIE


@posix_only
def test_a_blender_gets_no_display_and_no_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    says = (
        '#!/bin/sh\ncat\necho "Blender 5.2.0 ${DISPLAY-}${WAYLAND_DISPLAY-}"\n[ -z "${DISPLAY-}${WAYLAND_DISPLAY-}" ]\n'
    )
    assert ask_version(program(tmp_path / "blender", says)) == (5, 2, 0)


@posix_only
def test_all_are_asked_at_once(tmp_path: Path) -> None:
    # GIVEN Blenders that answer only when all have been asked
    count = 4
    for index in range(count):
        program(
            tmp_path / f"opt/blender-{index}/blender",
            f"#!/bin/sh\ntouch {tmp_path}/asked.{index}\n"
            f"while [ $(ls {tmp_path}/asked.* | wc -l) -lt {count} ]; do sleep 0.01; done\necho Blender 5.{index}.0\n",
        )

    # WHEN the machine is surveyed THEN all have answered
    survey = survey_blenders(machine=machine(tmp_path))
    assert len([blender for blender in survey.blenders if blender.source != WHEEL]) == count


def test_the_wheel_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # GIVEN a Python with the bpy wheel
    monkeypatch.setattr(importlib.metadata, "version", {"bpy": "5.0.1"}.__getitem__)

    # WHEN the machine is surveyed THEN this Python is the command that runs a worker
    found = survey_blenders(machine=machine(tmp_path)).blenders
    assert found == [Blender((5, 0, 1), (sys.executable,), WHEEL)]
    assert "bpy" not in sys.modules


def test_what_was_found_runs_scripts_as_the_version_it_told(
    blender: Blender, run_in_blender: Callable[..., object], tmp_path: Path
) -> None:
    # GIVEN a real Blender that was found
    script = """
import bpy, os
with open(os.environ["ANSWER"], "w") as file:
    print(*bpy.app.version, bpy.app.background, bpy.app.online_access, file=file)
"""
    # WHEN a script is run as a worker would be
    run_in_blender(blender, script, ANSWER=str(tmp_path / "answer"))

    # THEN it runs in that version, without a window and without network
    major, minor, patch, background, online = (tmp_path / "answer").read_text().split()
    assert (int(major), int(minor), int(patch)) == blender.version
    assert background == "True"
    assert online == "False" or blender.source == WHEEL


def test_a_script_that_fails_ends_the_worker_with_an_error(blender: Blender, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("raise RuntimeError")
    done = subprocess.run([*blender.command, script], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 1


# Choosing


INSTALLED = [a_blender(4, 2, 1), a_blender(4, 2, 9), a_blender(4, 5, 0), a_blender(5, 2, 2)]


@pytest.mark.parametrize(
    ("file_version", "chosen"),
    [
        ((4, 2), (4, 2, 9)),  # its own, the highest patch
        ((4, 5), (4, 5, 0)),
        ((5, 2), (5, 2, 2)),
        ((4, 3), (4, 5, 0)),  # the nearest newer one
        ((5, 0), (5, 2, 2)),
        ((2, 79), (4, 2, 9)),
        ((3, 6), (4, 2, 9)),
        (None, (5, 2, 2)),
    ],
)
def test_chooses_the_files_own_version_or_the_nearest_newer(
    file_version: tuple[int, int] | None, chosen: tuple[int, int, int]
) -> None:
    assert choose_blender(file_version, INSTALLED).version == chosen


def test_an_installed_blender_goes_before_the_wheel_of_the_same_version() -> None:
    wheel, installed = a_blender(5, 0, 1, source=WHEEL), a_blender(5, 0, 1)
    assert choose_blender((5, 0), [wheel, installed]) == installed
    assert choose_blender(None, [installed, wheel]) == installed
    assert choose_blender((5, 0), [wheel, a_blender(5, 2, 0)]) == wheel


@pytest.mark.parametrize(
    ("available", "sentence"),
    [
        ([], "The render node has no Blender: install one from blender.org there, then start the node again."),
        (
            INSTALLED,
            (
                "This file is from Blender 5.3 and the render node's newest is 5.2.2: "
                "install Blender 5.3 or newer there, then start the node again."
            ),
        ),
    ],
)
def test_says_what_is_missing(available: list[Blender], sentence: str) -> None:
    with pytest.raises(NoBlender) as caught:
        choose_blender((5, 3), available)
    assert str(caught.value) == sentence


VERSIONS = st.tuples(st.integers(4, 6), st.integers(0, 5), st.integers(0, 3))


@given(st.lists(VERSIONS, min_size=1), st.tuples(st.integers(2, 7), st.integers(0, 5)))
def test_never_chooses_an_older_one_or_passes_over_a_nearer_one(
    versions: list[tuple[int, int, int]], file_version: tuple[int, int]
) -> None:
    fits = [version for version in versions if version[:2] >= file_version]
    available = [a_blender(*version) for version in versions]
    if not fits:
        with pytest.raises(NoBlender):
            choose_blender(file_version, available)
        return
    chosen = choose_blender(file_version, available).version
    assert chosen in fits
    assert not [
        version for version in fits if version[:2] < chosen[:2] or (version[:2] == chosen[:2] and version > chosen)
    ]

# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of a sandbox, and what it is told to show. What it keeps out: tests/system/test_sandbox.py."""

import sys
from pathlib import Path

import pytest

from server.blenders import WORKER_FLAGS, Blender
from server.executors.watch import Limits, too_costly
from server.sandbox import CannotContain, Mode, SandboxMissing, contain
from server.sandbox.bubblewrap import Bubblewrap, fresh_environment
from server.sandbox.containment import cell_of
from server.sandbox.obstacles import failing, missing
from server.sandbox.shown import Machine, cards, system

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is Linux' own")


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ('ID="ubuntu"\nID_LIKE=debian\n', "apt install bubblewrap"),
        ("ID=fedora\n", "dnf install bubblewrap"),
        ('ID="opensuse-leap"\nID_LIKE="suse opensuse"\n', "zypper install bubblewrap"),
        ("ID=unheard-of\n", "distribution's package bubblewrap"),
    ],
)
def test_says_how_to_install_it(tmp_path: Path, release: str, command: str) -> None:
    write(tmp_path, "etc/os-release", release)
    assert command in missing(tmp_path).remedy


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "AppArmor"),
        ("proc/sys/kernel/unprivileged_userns_clone", "0\n", "unprivileged_userns_clone=1"),
        ("proc/sys/user/max_user_namespaces", "0\n", "max_user_namespaces="),
        (".dockerenv", "", "container"),
    ],
)
def test_says_why_it_does_not_work(tmp_path: Path, name: str, value: str, remedy: str) -> None:
    write(tmp_path, name, value)
    obstacle = failing("bwrap: setting up uid map: Permission denied\n", tmp_path)
    assert obstacle.text == "bubblewrap does not work here: bwrap: setting up uid map: Permission denied."
    assert remedy in obstacle.remedy


@LINUX
def test_a_node_that_must_have_a_sandbox_does_not_start_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a machine without bubblewrap
    monkeypatch.setenv("PATH", str(tmp_path))
    blender = Blender((5, 2, 0), ("none", *WORKER_FLAGS), "none")
    # WHEN its node must have a sandbox THEN it says how to get one
    with pytest.raises(SandboxMissing, match="bubblewrap"):
        contain(Mode.REQUIRE, [blender], tmp_path)
    # AND one that need not runs without, and says so
    containment = contain(Mode.AUTO, [blender], tmp_path)
    assert not containment.is_complete
    assert "not installed" in containment.reasons[0]


def test_a_blender_that_lies_in_the_home_folder_itself_is_not_sandboxed(tmp_path: Path) -> None:
    # GIVEN a Blender that was unpacked into somebody's home without a folder of its own
    sandbox = Bubblewrap(tmp_path / "bwrap", tmp_path / "home", tmp_path / "data")
    for name in ("home/blender", "home/blender-5.2/blender"):
        write(tmp_path, name, "")

    def blender(name: str) -> Blender:
        return Blender((5, 2, 0), (str(tmp_path / name), *WORKER_FLAGS), str(tmp_path / name))

    # WHEN it should be shown in a sandbox THEN it is not, since all the home would be; but one in its folder is
    with pytest.raises(CannotContain, match="your home folder"):
        cell_of(sandbox, blender("home/blender"))
    assert tmp_path / "home/blender-5.2" in cell_of(sandbox, blender("home/blender-5.2/blender")).shown


def test_later_mounts_cover_what_is_secret(tmp_path: Path) -> None:
    # GIVEN a home that lies in the system, and a data folder that lies beside Blender
    (tmp_path / "usr/home/ada/blender/data").mkdir(parents=True)
    home, blender = tmp_path / "usr/home/ada", tmp_path / "usr/home/ada/blender"
    sandbox = Bubblewrap(tmp_path / "bwrap", home, blender / "data", machine=Machine(tmp_path))
    # WHEN a command is wrapped
    argv = sandbox.wrap(("blender",), (blender,), blender / "data/in", blender / "data/out").argv
    # THEN the system comes first, the empty home over it, Blender in it, and the empty data folder over that
    order = [argv.index(str(path)) for path in (tmp_path / "usr", home, blender, blender / "data", blender / "data/in")]
    assert order == sorted(order)
    assert [argv[place - 1] for place in order] == ["--ro-bind", "--tmpfs", "--ro-bind", "--tmpfs", "--ro-bind"]


def test_the_environment_has_what_drivers_read_and_no_secret(tmp_path: Path) -> None:
    outer = {"AWS_SECRET_ACCESS_KEY": "x", "SSH_AUTH_SOCK": "x", "CUDA_VISIBLE_DEVICES": "1", "HOME": "/home/ada"}
    inner = fresh_environment(outer, tmp_path)
    assert inner["CUDA_VISIBLE_DEVICES"] == "1"
    assert inner["HOME"].startswith(str(tmp_path))
    assert not inner.keys() & {"AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK"}


def test_cards_are_shown_and_no_other_device(tmp_path: Path) -> None:
    # GIVEN a machine with a graphics card and a network card
    write(tmp_path, "dev/nvidia0", "")
    write(tmp_path, "dev/sda", "")
    for slot, kind in (("0000:01:00.0", "0x030000"), ("0000:02:00.0", "0x020000")):
        write(tmp_path, f"sys/devices/pci/{slot}/class", f"{kind}\n")
        (tmp_path / "sys/bus/pci/devices").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/bus/pci/devices" / slot).symlink_to(tmp_path / "sys/devices/pci" / slot)
    # WHEN its cards are shown
    shown = list(cards(Machine(tmp_path)))
    # THEN there is the one, with its folder, and not the other
    assert str(tmp_path / "dev/nvidia0") in shown
    assert str(tmp_path / "sys/devices/pci/0000:01:00.0") in shown
    assert not any("0000:02" in each or "sda" in each for each in shown)
    # AND links of the system stay links
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    assert ("--symlink", "usr/lib", "/lib") in list(zip(*(iter(system(Machine(tmp_path))),) * 3, strict=False))


def test_a_frame_costs_too_much_beyond_each_limit() -> None:
    limits = Limits(1, disk=10, frame_s=5.0)
    assert too_costly(5.0, 10, limits) is None
    assert "longer than the 5 s" in (too_costly(5.1, 0, limits) or "")
    assert "wrote more" in (too_costly(0.0, 11, limits) or "")
    assert too_costly(1e9, 1 << 60, Limits(1)) is None

# SPDX-License-Identifier: GPL-3.0-or-later
"""What starts a node with the machine: files that the system understands, and a command that the program does."""

import configparser
import plistlib
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.test_docs import options

ROOT = Path(__file__).parents[1]
UNIT = ROOT / "packaging" / "systemd" / "relay-render.service"
PLIST = ROOT / "packaging" / "launchd" / "relay-render.node.plist"
TASK = ROOT / "packaging" / "windows" / "relay-render.xml"
DOCUMENT = (ROOT / "docs" / "service.md").read_text("utf-8")


def check_command(command: list[str]) -> None:
    """It runs a node, with options that there are."""
    assert command[0].endswith(("/python", "\\python.exe"))
    assert command[1:3] == ["-m", "server"]
    assert {word for word in command[3:] if word.startswith("-")} <= options("python -m server")


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, "utf-8")
    return parser["Service"]


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # GIVEN the unit, with a Python that is on this machine
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze on this machine")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text("utf-8").replace(shlex.split(unit()["ExecStart"])[0], sys.executable), "utf-8")
    # WHEN systemd reads it THEN it has nothing to say about it
    done = subprocess.run([program, "verify", "--man=no", copy], capture_output=True, text=True, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, []), done.stderr


def test_the_unit_leaves_blender_its_graphics_card_and_bubblewrap_its_namespaces() -> None:
    service = unit()
    check_command(shlex.split(service["ExecStart"]))
    # THEN the node is told first, and has time for what it promises
    assert service["KillMode"] == "mixed" and int(service["TimeoutStopSec"]) > 10
    # AND nothing is taken away that rendering, or the sandbox, needs
    harmful = {"PrivateDevices", "ProtectClock", "DevicePolicy", "MemoryDenyWriteExecute", "RestrictNamespaces"}
    harmful |= {"SystemCallFilter", "ProtectKernelTunables", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc"}
    assert not harmful & set(service)


@pytest.mark.skipif(
    shutil.which("bwrap") is None or shutil.which("setpriv") is None, reason="no bubblewrap, or setpriv"
)
def test_bubblewrap_works_with_the_rights_that_the_unit_leaves() -> None:
    # GIVEN an account without a name, without capabilities, and without a way to more, as the unit makes it
    service = unit()
    assert service["NoNewPrivileges"] == "yes" and service["CapabilityBoundingSet"] == ""
    rights = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    rights += ["--bounding-set=-all", "--inh-caps=-all"]
    if subprocess.run([*rights, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can become another account")
    # WHEN it makes a sandbox with a /proc of its own THEN it is allowed to
    sandbox = ["bwrap", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all", "true"]
    done = subprocess.run([*rights, *sandbox], capture_output=True, text=True, check=False)
    if "No permissions to create" in done.stderr or "setting up uid map" in done.stderr:
        pytest.skip(f"this machine allows no user namespaces: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr


def test_the_launch_agent_and_the_task_run_a_node() -> None:
    agent = plistlib.loads(PLIST.read_bytes())
    assert agent["Label"] == PLIST.stem
    check_command(agent["ProgramArguments"][2:])
    assert agent["ExitTimeOut"] > 10
    names = {"t": "http://schemas.microsoft.com/windows/2004/02/mit/task"}
    task = ET.fromstring(TASK.read_text("utf-8"))
    (execute,) = task.findall("t:Actions/t:Exec", names)
    check_command([execute.findtext("t:Command", "", names), *execute.findtext("t:Arguments", "", names).split()])
    assert task.findtext("t:Settings/t:ExecutionTimeLimit", "", names) == "PT0S"  # Else it is ended after three days.


@pytest.mark.parametrize("path", [UNIT, PLIST, TASK], ids=lambda path: path.name)
def test_the_document_installs_each_file(path: Path) -> None:
    assert path.relative_to(ROOT).as_posix() in DOCUMENT.replace("\\", "/")

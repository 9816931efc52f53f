# SPDX-License-Identifier: GPL-3.0-or-later
import errno
import os
import shutil
import socket
import subprocess
import sys
import tomllib
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from addon.protocol import zstd
from addon.protocol.address import Address
from server.blender_places import Machine
from server.blenders import WHEEL, Blender, BrokenBlender, Survey, survey_blenders
from server.doctor import Finding, State, examine
from server.doctor import blender as blender_checks
from server.doctor import disk as disk_checks
from server.doctor import machine as machine_checks
from server.doctor import records as record_checks
from server.job_store import DATABASE, JobStore

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="looks at Linux's own loader and buses")


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_the_whole_examination_tells_of_every_part(tmp_path: Path) -> None:
    # GIVEN this machine WHEN it is examined
    findings = examine(Address("127.0.0.1", 0), tmp_path / "not made yet")

    # THEN each part is spoken of, in one sentence, and what is not well has a remedy
    expected = {"bpy wheel", "GPU", "Sandbox", "zstd", "Data folder", "Disk space", "Disk speed", "Address", "Port"}
    expected |= {"Database", "Clock"}
    assert expected <= by_name(findings).keys()  # "Blender" stands there for each installed one, or for none at all.
    for finding in findings:
        assert finding.text.endswith("."), finding
        assert finding.remedy.endswith(".") or (finding.state is State.OK and not finding.remedy), finding
    assert not (tmp_path / "not made yet").exists()


# Blenders


def test_lists_the_real_blenders(blender: Blender) -> None:
    # GIVEN a real Blender WHEN the survey is told THEN it is named with its version and place
    findings = blender_checks.blenders(Survey([blender], []))
    if blender.source == WHEEL:
        assert findings == []
    else:
        assert findings == [Finding("Blender", State.OK, f"Blender {blender.name} is at {blender.source}.")]


@pytest.mark.parametrize(
    ("system", "how"), [("Linux", "blender.org/download"), ("Darwin", "brew install"), ("Windows", "winget install")]
)
def test_tells_how_to_get_a_blender(system: str, how: str) -> None:
    (finding,) = blender_checks.blenders(Survey([], []), system)
    assert finding.state is State.MISSING
    assert how in finding.remedy
    assert "--blender" in finding.remedy


@linux_only
def test_names_the_packages_a_blender_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a program that needs three libraries which are not there, two of them from a known package
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make a program with missing libraries")
    packages = {"librelay-a.so.1": "librelay-a1", "librelay-b.so.2": "librelay-b2"}
    monkeypatch.setattr(blender_checks, "DEBIAN_PACKAGES", packages)
    (tmp_path / "empty.c").touch()
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    libraries = [tmp_path / soname for soname in (*packages, "librelay-c.so.3")]
    for library in libraries:
        soname = f"-Wl,-soname,{library.name}"
        subprocess.run([compiler, "-shared", soname, "-o", library, tmp_path / "empty.c"], check=True)
    program = tmp_path / "opt/blender-5.2/blender"
    program.parent.mkdir(parents=True)
    subprocess.run([compiler, "-Wl,--no-as-needed", "-o", program, tmp_path / "main.c", *libraries], check=True)
    for library in libraries:
        library.unlink()

    # WHEN it is found as a Blender
    survey = survey_blenders(machine=Machine("Linux", {}, tmp_path, tmp_path))
    finding = blender_checks.blenders(Survey([], survey.broken))[0]

    # THEN all that is missing is named, by package where that is known, although the loader stops at the first
    assert finding.state is State.WARNING
    assert finding.text.startswith(f"{program} does not start: ")
    assert finding.remedy == (
        "On Debian and Ubuntu run `sudo apt install librelay-a1 librelay-b2`, "
        "and install the packages that hold librelay-c.so.3."
    )


def test_a_broken_script_has_a_remedy_too() -> None:
    broken = BrokenBlender(Path("/opt/blender/blender"), "does not start: Segmentation fault")
    (finding, _) = blender_checks.blenders(Survey([], [broken]))
    assert finding == Finding(
        "Blender", State.WARNING, "/opt/blender/blender does not start: Segmentation fault.",
        "Install a current one, or remove it.",
    )  # fmt: skip


# The wheel


def test_the_wheel_is_not_needed_beside_a_blender() -> None:
    assert blender_checks.wheel(True, None, (3, 12)).state is State.OK


@pytest.mark.parametrize("python", [(3, 11), (3, 13)])
def test_offers_the_wheel_where_there_is_one_for_this_python(python: tuple[int, int]) -> None:
    finding = blender_checks.wheel(False, None, python)
    assert finding.state is State.MISSING
    assert 'pip install ".[embedded]"' in finding.remedy


@pytest.mark.parametrize("python", [(3, 12), (3, 14)])
def test_says_why_there_is_no_wheel_for_this_python(python: tuple[int, int]) -> None:
    finding = blender_checks.wheel(False, None, python)
    assert finding.state is State.MISSING
    assert finding.text == f"There is no bpy wheel for Python 3.{python[1]}, only for 3.11 and 3.13."
    assert finding.remedy == "Install Blender itself, or use Python 3.13."


def test_the_project_installs_the_wheels_that_the_doctor_speaks_of() -> None:
    # GIVEN the project's own list of wheels by Python
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    requirements = project["project"]["optional-dependencies"]["embedded"]

    # WHEN the doctor's is compared THEN each Python gets the same series of Blender
    for (major, minor), series in blender_checks.WHEEL_PYTHONS.items():
        assert any(f"bpy=={series}." in line and f"'{major}.{minor}'" in line for line in requirements)
    assert len(requirements) == len(blender_checks.WHEEL_PYTHONS)


@pytest.mark.parametrize("installed_blenders", [True, False])
def test_a_wheel_that_cannot_be_imported_is_told_with_its_complaint(
    installed_blenders: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a bpy whose library is not on this machine
    complaint = "libXi.so.6: cannot open shared object file: No such file or directory"
    (tmp_path / "bpy.py").write_text(f"raise ImportError({complaint!r})")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)

    # WHEN it is looked at THEN the package is named; it is grave only where nothing else can render
    finding = blender_checks.wheel(installed_blenders, "5.0.1")
    assert finding.state is (State.WARNING if installed_blenders else State.MISSING)
    assert finding.text == f"bpy 5.0.1 does not start: ImportError: {complaint}."
    assert finding.remedy == "On Debian and Ubuntu run `sudo apt install libxi6`."


# The machine


@linux_only
@pytest.mark.parametrize(
    ("devices", "smi", "state", "said"),
    [
        ({}, None, State.WARNING, "renders on the CPU"),
        ({"0": ("0x020000", "0x10de")}, None, State.WARNING, "renders on the CPU"),  # a network card
        ({"0": ("0x030000", "0x1234")}, None, State.WARNING, "renders on the CPU"),  # an emulated one
        ({"0": ("0x030000", "0x1002"), "1": ("0x038000", "0x8086")}, None, State.OK, "Graphics: AMD, Intel."),
        ({"0": ("0x030000", "0x10de")}, None, State.WARNING, "not its own driver"),
        ({"0": ("0x030000", "0x10de")}, "NVIDIA RTX A6000", State.OK, "Graphics: NVIDIA RTX A6000."),
    ],
)
def test_sees_graphics_cards(
    devices: dict[str, tuple[str, str]],
    smi: str | None,
    state: State,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN a bus with these devices, and nvidia-smi or none
    for name, (kind, vendor) in devices.items():
        device = tmp_path / "sys/bus/pci/devices" / name
        device.mkdir(parents=True)
        (device / "class").write_text(f"{kind}\n")
        (device / "vendor").write_text(f"{vendor}\n")
    (tmp_path / "bin").mkdir()
    if smi:
        (tmp_path / "bin/nvidia-smi").write_text(f"#!/bin/sh\necho '{smi}'\n")
        (tmp_path / "bin/nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    # WHEN it is looked at THEN the cards that Blender could use are named
    finding = machine_checks.gpu("Linux", tmp_path / "sys")
    assert finding.state is state
    assert said in finding.text


@linux_only
def test_says_that_no_display_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.util.find_library", {"EGL": "libEGL.so.1"}.get)
    finding = machine_checks.display("Linux")
    assert finding == Finding("Display", State.OK, "Rendering needs no display, no X server and no Xvfb.")
    monkeypatch.setattr("ctypes.util.find_library", {}.get)
    without = machine_checks.display("Linux")
    assert without is not None
    assert without.state is State.WARNING
    assert "libegl1" in without.remedy
    assert machine_checks.display("Windows") is None


def test_tells_which_decoder_reads_compressed_files(monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine_checks.zstd().state is State.OK
    monkeypatch.setattr(zstd, "MODULES", ("no_such_module",))
    assert machine_checks.zstd().state is State.WARNING


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    # GIVEN a folder that refuses: a file system that is read-only also for root
    read_only = Path("/proc")
    if not read_only.is_dir():
        pytest.skip("no folder here that is read-only for everyone")

    # WHEN it is looked at THEN the reason and the remedy are told
    (finding,) = disk_checks.data_folder(read_only / "relay-render" / "node")
    assert finding.state is State.MISSING
    assert finding.text.startswith("/proc/relay-render/node cannot be written to (")
    assert "--data" in finding.remedy


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that this account may not look into; root puts on another account's rights."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs the rights of POSIX")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0)
    account = os.geteuid()
    os.seteuid(account or 65534)
    yield folder
    os.seteuid(account)
    folder.chmod(0o700)


def test_a_folder_that_is_closed_to_this_account(closed_folder: Path) -> None:
    # GIVEN a node's data folder of another account's WHEN it is looked at
    data = closed_folder / "node"
    (folder,) = disk_checks.data_folder(data)
    (database,) = record_checks.database(data)
    # THEN that is what is told
    assert (folder.state, folder.text) == (State.MISSING, f"{data} cannot be written to (Permission denied).")
    assert (database.state, database.text) == (
        State.MISSING, f"{data / DATABASE} cannot be read (Permission denied).",
    )  # fmt: skip
    assert record_checks.clock(data).state is State.OK


def test_a_file_in_the_data_folder_s_place(tmp_path: Path) -> None:
    (tmp_path / "node").touch()
    (finding,) = disk_checks.data_folder(tmp_path / "node")
    assert finding.state is State.MISSING
    assert finding.text == f"{tmp_path / 'node'} cannot be written to (Not a directory)."


@pytest.mark.parametrize(("free_gb", "state"), [(0.5, State.MISSING), (5, State.WARNING), (50, State.OK)])
def test_tells_how_much_fits(free_gb: float, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "free")  # noqa: PYI024 - shutil's own is private
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(int(free_gb * (1 << 30))))
    finding = by_name(disk_checks.data_folder(tmp_path / "later"))["Disk space"]
    assert finding.state is state
    assert finding.text == f"{free_gb:.1f} GB are free for jobs and frames."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("10.0.0.5", False)],
)
def test_tells_who_reaches_the_node(host: str, alone: bool) -> None:
    finding = machine_checks.listening(Address(host))
    assert finding.state is State.OK
    assert ("only programs of this machine" in finding.text) is alone
    assert ("not paired" in finding.text) is not alone


def test_a_port_in_use_and_by_whom() -> None:
    # GIVEN a program that listens: this one
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]

        # WHEN its port is asked for THEN it is named
        finding = machine_checks.port(Address("127.0.0.1", number))
        assert finding.state is State.WARNING
        assert finding.text.startswith(f"Port {number} is in use")
        if sys.platform == "linux":
            assert f"(process {os.getpid()})" in finding.text

    # WHEN it no longer listens THEN the port is free, and stays so for whoever asks next
    for _ in range(2):
        assert machine_checks.port(Address("127.0.0.1", number)) == Finding("Port", State.OK, f"Port {number} is free.")


def test_a_port_on_which_a_node_listens_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setattr(psutil.Process, "cmdline", lambda _: ["/usr/bin/python3", "-m", "server", "--verbose"])
        finding = machine_checks.port(Address("127.0.0.1", taken.getsockname()[1]))
    if sys.platform == "linux":  # Elsewhere it may be that only root is told who listens.
        assert finding.state is State.OK
        assert f"(process {os.getpid()})" in finding.text


def test_tells_how_to_open_a_firewall(tmp_path: Path) -> None:
    outside = Address("0.0.0.0", 7460)
    assert machine_checks.firewall(Address("127.0.0.1", 7460), "Linux", tmp_path) is None
    found = machine_checks.firewall(outside, "Linux", tmp_path)
    assert found is not None and found.state is State.OK
    (tmp_path / "ufw").mkdir()
    (tmp_path / "ufw/ufw.conf").write_text("ENABLED=yes\nLOGLEVEL=low\n")
    found = machine_checks.firewall(outside, "Linux", tmp_path)
    assert found is not None and "sudo ufw allow 7460:7461/tcp" in found.remedy
    found = machine_checks.firewall(outside, "Windows", tmp_path)
    assert found is not None and "New-NetFirewallRule" in found.remedy


# What a node has written


def test_tells_how_quick_the_disk_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = disk_checks.measure(tmp_path)
    assert measured.mb_s > 0 and measured.flush_ms > 0
    assert list(tmp_path.iterdir()) == []
    speeds = {disk_checks.Speed(300, 1): State.OK, disk_checks.Speed(5, 1): State.WARNING}
    for speed, state in (speeds | {disk_checks.Speed(300, 400): State.WARNING}).items():
        monkeypatch.setattr(disk_checks, "measure", lambda _, speed=speed: speed)
        assert disk_checks.speed(tmp_path).state is state


def test_looks_whether_the_list_of_jobs_is_sound(tmp_path: Path) -> None:
    # GIVEN a list of jobs: none yet, in use by a node, at rest
    path = tmp_path / DATABASE
    assert [finding.text for finding in record_checks.database(tmp_path)] == ["There is no list of jobs yet."]
    store = JobStore(path)
    (finding,) = record_checks.database(tmp_path)
    assert finding.state is State.OK and "a node that runs now" in finding.text.lower()
    store.close()
    before = sorted(tmp_path.iterdir())
    assert [finding.text for finding in record_checks.database(tmp_path)] == ["The list of jobs is sound."]
    assert sorted(tmp_path.iterdir()) == before
    # WHEN it is damaged THEN that is told, and after the node's start where it is kept
    for harm in (b"noise" * 1000, path.read_bytes()[:4096] + b"noise" * 1000):
        path.write_bytes(harm)
        (finding,) = record_checks.database(tmp_path)
        assert (finding.state, finding.text) == (State.WARNING, "The list of jobs is damaged.")
    JobStore(path).close()
    sound, kept = record_checks.database(tmp_path)
    assert sound.state is State.OK
    assert kept.state is State.WARNING and f"{DATABASE}.damaged-" in kept.text


def test_a_clock_that_is_behind_its_own_past(tmp_path: Path) -> None:
    (tmp_path / DATABASE).touch()
    assert record_checks.clock(tmp_path).state is State.OK
    finding = record_checks.clock(tmp_path, now=1e9)
    assert finding.state is State.WARNING
    assert finding.text.startswith("The clock says 2001-09-")


def test_an_address_of_another_machine() -> None:
    finding = machine_checks.port(Address("192.0.2.1"))  # TEST-NET-1: nobody's
    assert finding.state is State.MISSING
    assert finding.text.startswith("This machine cannot listen on 192.0.2.1: ")


def test_a_port_that_needs_more_rights(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(address: Address) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(machine_checks, "_try_to_listen", refuse)  # tests may run as root, whom no port refuses
    finding = machine_checks.port(Address("127.0.0.1", 80))
    assert finding.state is State.MISSING
    assert "1024" in finding.remedy

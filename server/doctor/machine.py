# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine around Blender: graphics card, libraries, disk and network."""

import ctypes.util
import errno
import os
import platform
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psutil

from addon.protocol import zstd as zstd_modules
from addon.protocol.address import Address

from ..serve import is_loopback
from .finding import Finding, State

FREE_NEEDED = 1 << 30
"""Bytes below which a single scene with its textures may not fit."""

FREE_WANTED = 10 << 30
"""Bytes that hold some jobs with their frames until the artists have fetched them."""

PROBE_TIMEOUT_S = 20.0
"""nvidia-smi wakes every card, PowerShell itself: seconds each."""

_VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel"}
_DISPLAY_CLASS = "0x03"
_NVIDIA_SMI = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
_WINDOWS_CARDS = ("powershell", "-NoProfile", "-Command", "(Get-CimInstance Win32_VideoController).Name")


def gpu(system: str = platform.system(), sysfs: Path = Path("/sys")) -> Finding:
    """Graphics cards that the system shows; what Blender makes of them it says itself when it renders."""
    named = _lines(_NVIDIA_SMI)
    seen = _cards(system, sysfs)
    found = named or seen
    if not found:
        text = "No graphics card was found, so every scene renders on the CPU."
        return Finding("GPU", State.WARNING, text, "Nothing, if that is meant; else install the card's driver.")
    if "NVIDIA" in seen and not named and system == "Linux":
        text = "There is an NVIDIA card, but not its own driver, without which Cycles cannot use it."
        return Finding(
            "GPU", State.WARNING, text, "Install the package nvidia-driver (on Ubuntu `sudo ubuntu-drivers install`)."
        )
    return Finding("GPU", State.OK, f"Graphics: {', '.join(found)}.")


def display(system: str = platform.system()) -> Finding | None:
    """Only Linux has servers without a display; EEVEE and Workbench still need OpenGL there, by way of EGL."""
    if system != "Linux":
        return None
    if ctypes.util.find_library("EGL"):
        return Finding("Display", State.OK, "Rendering needs no display, no X server and no Xvfb.")
    text = "EEVEE and Workbench need OpenGL, and libEGL is missing; Cycles does without."
    return Finding(
        "Display", State.WARNING, text, "On Debian and Ubuntu run `sudo apt install libegl1 libgl1-mesa-dri`."
    )


def zstd() -> Finding:
    """Without a decoder the version of a compressed .blend stays unknown."""
    if module := zstd_modules.name():
        return Finding("zstd", State.OK, f"Compressed .blend files are read with {module}.")
    text = "Compressed .blend files hide their version, so that the newest Blender renders them."
    return Finding("zstd", State.WARNING, text, "Run `pip install backports.zstd`.")


def data_folder(folder: Path) -> list[Finding]:
    """Whether the folder, or the one it will be made in, can be written to, and how much fits."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    remedy = "Choose another folder with --data."
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        text = f"{existing} cannot be written to ({error.strerror})."
        return [Finding("Data folder", State.MISSING, text, remedy)]
    free = shutil.disk_usage(existing).free
    state = State.MISSING if free < FREE_NEEDED else State.WARNING if free < FREE_WANTED else State.OK
    text = f"{free / (1 << 30):.1f} GB are free for jobs and frames."
    return [
        Finding("Data folder", State.OK, f"{folder} can be written to."),
        Finding(
            "Disk space", state, text, "" if state is State.OK else f"Free some, or: {remedy[0].lower()}{remedy[1:]}"
        ),
    ]


def listening(address: Address) -> Finding:
    """Who will reach the node."""
    if is_loopback(address.host):
        text = f"On {address.host} only programs of this machine reach the node."
        return Finding("Address", State.OK, text, "To let artists of other machines in, leave out --listen.")
    text = f"On {address.host} the network reaches the node; who is not paired is not let in."
    return Finding("Address", State.OK, text)


def port(address: Address) -> Finding:
    """Whether the node can listen there; 0 is any free port."""
    try:
        _try_to_listen(address)
    except OSError as error:
        return _port_problem(address, error)
    return Finding("Port", State.OK, f"Port {address.port} is free." if address.port else "Any free port will do.")


def _try_to_listen(address: Address) -> None:
    family, kind, protocol, _, where = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as server:
        if os.name == "posix":  # as ZeroMQ does: a connection just ended does not count; on Windows it means to share
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(where)
        server.listen()


def _port_problem(address: Address, error: OSError) -> Finding:
    if error.errno == errno.EADDRINUSE:
        text = f"Port {address.port} is in use{_listener(address.port)}."
        remedy = "If that is another node of yours, all is well; else choose a port: --listen HOST:PORT."
        return Finding("Port", State.WARNING, text, remedy)
    if error.errno == errno.EACCES:
        text = f"Port {address.port} is not for ordinary programs."
        return Finding("Port", State.MISSING, text, "Choose a port from 1024 on: --listen HOST:PORT.")
    text = f"This machine cannot listen on {address.host}: {error.strerror}."
    return Finding("Port", State.MISSING, text, "Give one of its own addresses: --listen HOST:PORT.")


def _listener(number: int) -> str:
    """By which program, as the end of a sentence; nothing where the system does not tell."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr
            if listens and listens.port == number and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:  # macOS tells root only; or the process has just ended
        pass
    return ""


def _lines(command: tuple[str, ...]) -> list[str]:
    """What a program prints, nothing where it is not there, fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True, stdin=subprocess.DEVNULL,
            timeout=PROBE_TIMEOUT_S,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _cards(system: str, sysfs: Path) -> list[str]:
    if system == "Windows":
        return _lines(_WINDOWS_CARDS)
    if system == "Darwin":  # Blender 5 runs on Apple's processors only, and each has its GPU
        return ["Apple GPU (Metal)"] if platform.machine() == "arm64" else []
    return _pci_cards(sysfs)


def _pci_cards(sysfs: Path) -> list[str]:
    """Makers of the display controllers on the PCI bus, one for each."""
    cards = []
    for device in sorted((sysfs / "bus/pci/devices").glob("*")):
        try:
            kind, vendor = ((device / name).read_text().strip() for name in ("class", "vendor"))
        except OSError:  # unplugged in this moment
            continue
        if kind.startswith(_DISPLAY_CLASS) and vendor in _VENDORS:
            cards.append(_VENDORS[vendor])
    return cards

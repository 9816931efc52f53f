# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sandboxed Blender gets to see of this machine, as bubblewrap's arguments. Looks; changes nothing."""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Programs and libraries; most are links into /usr."""

MORE = (
    "etc/ld.so.cache", "etc/alternatives", "etc/localtime", "etc/fonts", "etc/glvnd", "etc/vulkan", "etc/egl",
    "etc/OpenCL", "etc/drirc", "etc/nvidia", "var/cache/fontconfig",
    "nix/store", "gnu/store", "run/opengl-driver",  # NixOS and Guix have everything there
    "opt/rocm", "opt/intel", "sys/devices/system",  # the last: how many cores, and how they hang together
)  # fmt: skip
"""Where the linker, fonts and graphics drivers are told what there is. Not /etc itself: it holds accounts and keys."""

CARDS = ("dev/nvidia*", "dev/dri", "dev/kfd", "dev/dxg")
"""Graphics cards: NVIDIA's, everybody's, AMD's compute interface, and Windows' in WSL.

From the drivers' documentation, untested here, where there is no card. A file that can talk to a card can talk to its
driver, which is part of the kernel: what is wrong there is a way out.
"""

CARDS_SYS = (
    "sys/bus/pci", "sys/class/drm", "sys/class/kfd", "sys/dev/char", "sys/devices/virtual/kfd", "sys/module/nvidia*",
    "sys/module/amdgpu", "sys/module/i915", "sys/module/xe",
)  # fmt: skip
"""Where Mesa, ROCm and NVIDIA's libraries look up which card a device file is: links, numbers and versions."""

_CARD_CLASSES = ("0x03", "0x12")
"""PCI classes of display controllers and processing accelerators."""


@dataclass(frozen=True)
class Machine:
    """The file system to look at."""

    root: Path = Path("/")


def system(machine: Machine) -> Iterator[str]:
    """Yield what shows the system, read-only."""
    for name in SYSTEM:
        path = machine.root / name
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), f"/{name}")
        elif path.is_dir():
            yield from _show(path)
    for path in _found(machine, MORE):
        yield from _show(path)


def cards(machine: Machine) -> Iterator[str]:
    """Yield what shows the graphics cards, if there are any."""
    devices = list(_found(machine, CARDS))
    for path in devices:
        yield from ("--dev-bind", str(path), str(path))
    if devices:
        for path in (*_found(machine, CARDS_SYS), *_pci_folders(machine)):
            yield from _show(path)


def _found(machine: Machine, patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from sorted(machine.root.glob(pattern))


def _pci_folders(machine: Machine) -> Iterator[Path]:
    """Each card's own folder, and no other device's: a network card's would tell its address."""
    for device in sorted((machine.root / "sys/bus/pci/devices").glob("*")):
        with contextlib.suppress(OSError):  # Unplugged in this moment.
            if (device / "class").read_text().startswith(_CARD_CLASSES):
                yield device.resolve()


def _show(path: Path) -> tuple[str, str, str]:
    return "--ro-bind", str(path), str(path)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Walls made of Linux' namespaces by bubblewrap, the program that Flatpak's sandboxes are made with.

Inside there are: the system's programs and libraries, Blender, the worker's scripts, and the worker's own two folders.
There is no network, no other process, no file of anybody's home, none of the node's data, and no variable of the
owner's environment that Blender does not need.
"""

import fnmatch
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .base import Command, Sandbox
from .shown import Machine, cards, system

KEPT = (
    "LD_LIBRARY_PATH", "LANG", "LANGUAGE", "LC_*", "TZ", "OCIO", "BLENDER_SYSTEM_*", "CYCLES_*", "CUDA_*",
    "NVIDIA_*", "__NV_*", "__GLX_*", "__EGL_*", "HIP_*", "HSA_*", "ROCR_*", "GPU_*", "ONEAPI_*", "SYCL_*", "ZE_*",
    "MESA_*", "LIBGL_*", "GALLIUM_*", "LP_*", "VK_*", "RADV_*", "AMD_*", "INTEL_*",
)  # fmt: skip
"""Variables that drivers and Blender read; whatever else the node was started with stays outside."""

_TEMPORARY = "/tmp"  # noqa: S108 - the sandbox's own, which is in the worker's folder
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - likewise

SHARED_MEMORY_BYTES = 64 << 20
"""Of /dev/shm, which is memory that nobody's limit counts: some libraries want a little."""


@dataclass(frozen=True)
class Bubblewrap(Sandbox):
    """Starts programs with `program`, which is bwrap."""

    program: Path
    home: Path
    """Of the node's owner: nothing of it shows but what is named as shown."""
    data: Path
    """The node's data folder: nothing of it shows but the worker's own two folders."""
    options: tuple[str, ...] = ()
    """What this version of bwrap can do beyond the oldest."""
    machine: Machine = field(default_factory=Machine)

    @property
    def is_active(self) -> bool:
        return True

    def describe(self) -> str:
        return f"Blenders run in a sandbox ({self.program})."

    def wrap(self, argv: Sequence[str], shown: Sequence[Path], readable: Path, writable: Path) -> Command:
        # A later mount covers an earlier one: the home the system around it, Blender the home, the data all of these.
        walls = [
            str(self.program), "--unshare-user", "--unshare-all", "--die-with-parent", "--new-session", *self.options,
            "--cap-drop", "ALL", "--hostname", "blender",
            *system(self.machine), "--proc", "/proc", "--dev", "/dev",
            "--size", str(SHARED_MEMORY_BYTES), "--tmpfs", _SHARED_MEMORY, *cards(self.machine),
            "--bind", str(writable / "tmp"), _TEMPORARY, "--tmpfs", str(self.home),
            *(part for path in shown for part in ("--ro-bind", str(path), str(path))),
            "--tmpfs", str(self.data),
            "--ro-bind", str(readable), str(readable), "--bind", str(writable), str(writable),
            *self._read_only(), "--chdir", str(writable), "--",
        ]  # fmt: skip
        return Command((*walls, *argv), fresh_environment(os.environ, writable))

    def _read_only(self) -> Iterator[str]:
        """What is left of folders made for mounts is memory, which nobody should fill."""
        for path in (self.data, self.home, Path("/dev"), Path("/")):
            yield from ("--remount-ro", str(path))


def fresh_environment(outer: Mapping[str, str], writable: Path) -> dict[str, str]:
    """Return what Blender needs of the variables `outer`, with a home of its own below `writable`."""
    kept = {name: value for name, value in outer.items() if any(fnmatch.fnmatchcase(name, each) for each in KEPT)}
    home = writable / "home"
    return kept | {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(home),
        "TMPDIR": _TEMPORARY,
        "USER": "blender",
        "LOGNAME": "blender",
    }

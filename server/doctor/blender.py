# SPDX-License-Identifier: GPL-3.0-or-later
"""Blenders: which there are, why one does not start, and how to get one."""

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from ..blenders import WHEEL, BrokenBlender, Survey
from .finding import Finding, State

WHEEL_PYTHONS = {(3, 11): "5.0", (3, 13): "5.2"}
"""Blender series by the one Python that its wheel is built for; pyproject.toml's `embedded` says the same."""

IMPORT_TIMEOUT_S = 120.0
"""Importing bpy takes 0.5 s, and many from a cold disk: it has 300 MB."""

INSTALL = {
    "Linux": "Unpack it from blender.org/download below /opt or your home, or install your distribution's package",
    "Darwin": "Install it from blender.org/download, or run `brew install --cask blender`",
    "Windows": "Install it from blender.org/download, or run `winget install BlenderFoundation.Blender`",
}

DEBIAN_PACKAGES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libICE.so.6": "libice6",
    "libOpenGL.so.0": "libopengl0",
    "libSM.so.6": "libsm6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libgomp.so.1": "libgomp1",
    "libxkbcommon.so.0": "libxkbcommon0",
}
"""What blender.org's builds and the wheel leave to the system, by soname (`ldd` of bpy 5.0.1)."""

_ANEW = 'Install it anew: `pip install --force-reinstall ".[embedded]"`.'
_NOT_FOUND = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
_COMPLAINT = re.compile(r"(\S+\.so[\d.]*): cannot open shared object file")


def blenders(survey: Survey, system: str = platform.system()) -> list[Finding]:
    """One finding for each Blender there is, and for each that cannot be used."""
    installed = [blender for blender in survey.blenders if blender.source != WHEEL]
    findings = [
        Finding("Blender", State.OK, f"Blender {blender.name} is at {blender.source}.") for blender in installed
    ]
    findings += [_broken(broken) for broken in survey.broken]
    if not survey.blenders:
        how = INSTALL.get(system, INSTALL["Linux"])
        findings.append(
            Finding("Blender", State.MISSING, "No Blender was found.", f"{how}; or name it with --blender.")
        )
    return findings


def wheel(installed_blenders: bool, version: str | None, python: tuple[int, int] = sys.version_info[:2]) -> Finding:
    """The bpy wheel, `version` None where it is not installed: needed only without an installed Blender."""
    if version is not None:
        return _installed_wheel(version, State.WARNING if installed_blenders else State.MISSING)
    if installed_blenders:
        return Finding(
            "bpy wheel", State.OK, "The bpy wheel is not installed, and beside an installed Blender not needed."
        )
    name = "{}.{}".format(*python)
    if series := WHEEL_PYTHONS.get(python):
        text = f"The bpy wheel, which is Blender {series} for this Python {name}, is not installed."
        return Finding("bpy wheel", State.MISSING, text, 'Run `pip install ".[embedded]"`, or install Blender itself.')
    others = " and ".join("{}.{}".format(*other) for other in WHEEL_PYTHONS)
    text = f"There is no bpy wheel for Python {name}, only for {others}."
    return Finding("bpy wheel", State.MISSING, text, f"Install Blender itself, or use Python {others.split()[-1]}.")


def _installed_wheel(version: str, otherwise: State) -> Finding:
    """Import it, in a process of its own: only then a library that it lacks shows."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import bpy"], capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=IMPORT_TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Finding("bpy wheel", otherwise, f"bpy {version} does not start within {IMPORT_TIMEOUT_S:g} s.", _ANEW)
    if done.returncode == 0:
        return Finding("bpy wheel", State.OK, f"bpy {version} is Blender for this Python.")
    complaint = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    spec = importlib.util.find_spec("bpy")
    missing = missing_libraries(Path(spec.origin) if spec and spec.origin else None, complaint)
    remedy = install_libraries(missing) or _ANEW
    return Finding("bpy wheel", otherwise, f"bpy {version} does not start: {complaint.rstrip('.')}.", remedy)


def _broken(broken: BrokenBlender) -> Finding:
    remedy = install_libraries(missing_libraries(broken.path, broken.reason))
    return Finding(
        "Blender", State.WARNING, f"{str(broken).rstrip('.')}.", remedy or "Install a current one, or remove it."
    )


def missing_libraries(program: Path | None, complaint: str) -> list[str]:
    """Sonames that a program or library needs and Linux does not find.

    The loader stops at the first, which `complaint` then names; ldd lists all of a real program, of a script none.
    """
    missing = set(_COMPLAINT.findall(complaint))
    if missing and program and (ldd := shutil.which("ldd")):
        done = subprocess.run([ldd, program], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        missing.update(_NOT_FOUND.findall(done.stdout))
    return sorted(missing)


def install_libraries(missing: Iterable[str]) -> str:
    """What to type so that these libraries are there; empty for none."""
    packages = sorted(DEBIAN_PACKAGES[name] for name in missing if name in DEBIAN_PACKAGES)
    unknown = sorted(name for name in missing if name not in DEBIAN_PACKAGES)
    parts = []
    if packages:
        parts.append(f"On Debian and Ubuntu run `sudo apt install {' '.join(packages)}`")
    if unknown:
        parts.append(f"install the packages that hold {', '.join(unknown)}")
    sentence = ", and ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""

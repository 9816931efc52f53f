# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a Blender may lie on this kind of system: candidate files, none of them started yet.

Everything that differs between systems comes in through `Machine`, so that each system's places can be tried on any
other with a made-up tree.
"""

import os
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

NAMES = re.compile(r"(?:org\.blender\.)?blender(?:[-_ ]?v?\d+(?:\.\d+)*(?:[-_]\w+)*)?(?:\.exe)?", re.IGNORECASE)
"""File names that are Blender itself (blender, blender-4.3, Blender_5.2-lts): not blender-launcher or -thumbnailer,
no archive of it and no picture of a blender."""

_STEAM_LIBRARY = re.compile(r'"path"\s+"([^"]+)"')


@dataclass(frozen=True)
class Machine:
    """What the search knows about the machine; the defaults are this one."""

    system: str = field(default_factory=platform.system)
    """"Linux", "Darwin" or "Windows"; any other Unix is searched as Linux."""
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=Path.home)
    root: Path = Path("/")
    """Before every fixed absolute path."""


def candidates(machine: Machine) -> Iterator[Path]:
    """Existing files that may be Blender, those on PATH first; the same program may come up more than once."""
    separator = ";" if machine.system == "Windows" else ":"
    for folder in machine.environment.get("PATH", "").split(separator):
        if folder:
            yield from _programs(Path(folder.strip('"')), machine.system)
    places = {"Windows": _windows, "Darwin": _macos}.get(machine.system, _linux)
    for place in places(machine):
        yield from _programs(place, machine.system)


def programs_at(path: Path) -> list[Path]:
    """The Blender that a person means by `path`: a program of any name, an unpacked archive's folder, a macOS .app."""
    return [path] if path.is_file() else _programs(path, platform.system())


def _programs(place: Path, system: str) -> list[Path]:
    try:
        bundled = place / "Contents" / "MacOS" / "Blender"
        paths = [bundled] if bundled.is_file() else [place] if place.is_file() else sorted(place.iterdir())
        return [path for path in paths if NAMES.fullmatch(path.name) and _runs(path, system)]
    except OSError:  # not there, or not ours to look into
        return []


def _runs(path: Path, system: str) -> bool:
    if system == "Windows":  # the extension says so; anything else would open in an editor
        return path.suffix.lower() == ".exe" and path.is_file()
    return path.is_file() and os.access(path, os.X_OK)


def _linux(machine: Machine) -> Iterator[Path]:
    root, home = machine.root, machine.home
    # blender.org's archive is unpacked anywhere a person likes; these are the folders people like.
    for base in (root / "opt", root / "usr/local", root / "usr/lib", home, home / "Downloads", home / "Applications",
                 home / "apps", home / ".local/opt", home / "opt"):  # fmt: skip
        yield from _unpacked(base)
    # /snap on Debian and Ubuntu, the second on Fedora and Arch. A service's PATH has neither these nor ~/.local/bin.
    yield from (root / "snap/bin", root / "var/lib/snapd/snap/bin", root / "usr/local/bin", root / "usr/bin")
    yield from (home / ".local/bin", home / "bin")
    # Flatpak exports a script that runs the sandboxed program; Blender's has the host's files (--filesystem=host).
    for exports in (root / "var/lib/flatpak", home / ".local/share/flatpak"):
        yield exports / "exports/bin/org.blender.Blender"
    for steam in (home / ".steam/steam", home / ".local/share/Steam", home / "snap/steam/common/.local/share/Steam",
                  home / ".var/app/com.valvesoftware.Steam/.local/share/Steam"):  # fmt: skip
        yield from _steam(steam)


def _unpacked(base: Path) -> Iterator[Path]:
    """`base`/blender-5.2.0-linux-x64, a folder of such folders (/opt/blender/5.2), or one with a bin of its own."""
    yield from _folders(base, "[bB]lender*")
    yield from _folders(base, "[bB]lender*/*")


def _macos(machine: Machine) -> Iterator[Path]:
    # An .app is a folder; people keep several as "Blender 4.5.app" or in a folder of their own.
    for base in (machine.root / "Applications", machine.home / "Applications", machine.home / "Downloads"):
        yield from _folders(base, "[bB]lender*.app")
        yield from _folders(base, "[bB]lender*/[bB]lender*.app")
    for library in _steam(machine.home / "Library/Application Support/Steam"):
        yield from _folders(library, "[bB]lender*.app")


def _windows(machine: Machine) -> Iterator[Path]:
    environment = machine.environment
    # ProgramW6432 is the 64-bit folder whatever the bitness of this process; Blender has no 32-bit build since 2.80.
    for name in ("ProgramW6432", "ProgramFiles", "ProgramFiles(x86)"):
        if base := environment.get(name):
            yield from _folders(Path(base) / "Blender Foundation", "Blender*")
            yield from _steam(Path(base) / "Steam")
    if local := environment.get("LOCALAPPDATA"):
        # The Microsoft Store's app lies where nobody may look; this alias, an empty reparse point, starts it.
        yield Path(local) / "Microsoft/WindowsApps/blender.exe"
        yield from _folders(Path(local) / "Programs", "[bB]lender*")
    yield machine.home / "scoop/apps/blender/current"
    for folder in (machine.home / "Downloads", machine.home / "Desktop"):  # the portable .zip, often packed twice
        yield from _folders(folder, "[bB]lender*")
        yield from _folders(folder, "[bB]lender*/[bB]lender*")


def _steam(steam: Path) -> Iterator[Path]:
    """Blender's folder in each library on Steam's list: the first is Steam's folder, the others lie anywhere."""
    libraries = [steam]
    try:
        listing = (steam / "steamapps/libraryfolders.vdf").read_text(encoding="utf-8", errors="replace")
        libraries += [Path(path.replace("\\\\", "\\")) for path in _STEAM_LIBRARY.findall(listing)]
    except OSError:  # no Steam here
        return
    yield from (library / "steamapps/common/Blender" for library in libraries)


def _folders(base: Path, pattern: str) -> list[Path]:
    try:
        return sorted((path for path in base.glob(pattern) if path.is_dir()), reverse=True)
    except OSError:
        return []

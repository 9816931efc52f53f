# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the Blender extension: one zip per platform, the same bytes for the same sources and the same zlib.

Run from a checkout:  python tools/build_extension.py [--blender PROGRAM] [--output FOLDER]
Exit codes: 0 built, 1 something failed, 3 this machine has nothing that can build an extension.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "tools" / "wheels.toml"

PYTHONS = range(11, 15)
"""Minor versions of the Pythons that Blenders since 4.2 are built with, those of Linux distributions included."""

# The earliest moment that a zip can name: no file carries the time of its checkout.
EPOCH = (1980, 1, 1, 0, 0, 0)


class BuildError(Exception):
    """The extension could not be built."""

    exit_code = 1


class NoBuilder(BuildError):
    """Nothing on this machine can build an extension: install Blender 4.2 or newer, or `pip install .[embedded]`."""

    exit_code = 3


def build(source: Path, output: Path, builder: Sequence[str] | None = None) -> list[Path]:
    """Fetch the wheels into source/wheels and build one zip per platform of the manifest into output.

    builder is the command that takes `build ...`; None looks for one (see `find_builder`).
    Raises BuildError with one sentence and what the failing program said.
    """
    builder = builder or find_builder()
    fetch_wheels(source / "wheels")
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as folder:
        arguments = ["build", "--split-platforms", "--source-dir", str(source), "--output-dir", folder]
        _run([*builder, *arguments], "The extension was not built.")
        return [_normalise(path, output / path.name) for path in sorted(Path(folder).glob("*.zip"))]


def find_builder() -> list[str]:
    """The `extension` command inside the bpy wheel of this Python, else that of the Blender on PATH.

    The zips are the same. The wheel comes first because its version is known: a PATH may hold a Blender before 4.2.
    """
    if script := _bundled_command():
        return [sys.executable, str(script)]
    if blender := shutil.which("blender"):
        return blender_builder(blender)
    raise NoBuilder(str(NoBuilder.__doc__))


def blender_builder(blender: str) -> list[str]:
    """The `extension` command of an installed Blender, untouched by the user's settings and add-ons."""
    return [blender, "--background", "--factory-startup", "--offline-mode", "--command", "extension"]


def _bundled_command() -> Path | None:
    spec = importlib.util.find_spec("bpy")  # found, not imported: importing starts a whole Blender
    folders = (spec.submodule_search_locations if spec else None) or []
    pattern = "*/scripts/addons_core/bl_pkg/cli/blender_ext.py"
    return next((path for folder in folders for path in Path(folder).glob(pattern)), None)


def fetch_wheels(folder: Path) -> None:
    """Put every pinned wheel into folder, under the name the manifest uses; one that is there and whole stays.

    Raises BuildError when a download fails or has other bytes than the pinned ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for published, digest in tomllib.loads(PINS.read_text())["sha256"].items():
        wheel = folder / bundled_name(published)
        if not (wheel.is_file() and _sha256(wheel) == digest):
            _download(published, digest, wheel)


def bundled_name(published: str) -> str:
    """The name a wheel goes by in the zip: as published, but every Python named instead of the stable ABI.

    Beside a wheel for Python 3.11, Blender reads `cp312-abi3` as "3.11 or any 3.x" and, once it has a full version,
    keeps that alone: Python 3.13 is refused. `none` with every version named says the same and is understood by all.
    An extension fits the Pythons of all its wheels together, and of each library the wheel of one's own Python is
    installed, or none: so pyzmq lets 3.12 and 3.14 in, which do without the libraries that have no wheel for them.
    """
    library, version, python, abi, platforms = published.removesuffix(".whl").split("-")
    if abi != "abi3":
        return published
    oldest = int(python.removeprefix("cp3"))
    pythons = ".".join(f"cp3{minor}" for minor in PYTHONS if minor >= oldest)
    return f"{library}-{version}-{pythons}-none-{platforms}.whl"


def _download(published: str, digest: str, wheel: Path) -> None:
    distribution, version, python, abi, platforms = published.removesuffix(".whl").split("-")
    pure = python.endswith("py3")
    wanted = [
        "--implementation=py" if pure else "--implementation=cp",
        f"--python-version={f'3{PYTHONS[0]}' if pure else python.removeprefix('cp')}",
        f"--abi={abi}",
        f"--platform={platforms.split('.')[-1]}",
        f"{distribution}=={version}",
    ]
    pip = [sys.executable, "-m", "pip", "--quiet", "download", "--no-deps", "--only-binary=:all:"]
    with tempfile.TemporaryDirectory(dir=wheel.parent) as folder:
        _run([*pip, "--dest", folder, *wanted], f"{published} could not be downloaded.")
        downloaded = Path(folder) / published
        if not downloaded.is_file() or _sha256(downloaded) != digest:
            raise BuildError(f"What was downloaded for {published} is not the file that tools/wheels.toml pins.")
        downloaded.replace(wheel)


def _normalise(built: Path, target: Path) -> Path:
    """Rewrite a zip without what differs between two builds: entries' order, times, modes and system."""
    rewritten = built.with_suffix(".new")
    with zipfile.ZipFile(built) as old, zipfile.ZipFile(rewritten, "w") as new:
        for entry in sorted(old.infolist(), key=lambda entry: entry.filename):
            plain = zipfile.ZipInfo(entry.filename, EPOCH)
            plain.create_system = 3  # Unix, also when built on Windows
            plain.compress_type = entry.compress_type
            plain.external_attr = 0o644 << 16
            new.writestr(plain, old.read(entry))
    return rewritten.replace(target)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _run(command: Sequence[str], failure: str) -> None:
    """Run a program, silent when all is well. Raises BuildError with all that it said."""
    done = subprocess.run(
        command, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise BuildError(f"{failure} {Path(command[0]).name} said:\n{done.stdout}")


def main() -> int:
    """Build from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the Blender extension, one zip per platform.")
    parser.add_argument("--blender", help="build with this Blender (default: the bpy wheel, else the one on PATH)")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder for the zips (default: dist)")
    options = parser.parse_args()
    try:
        built = build(ROOT, options.output, blender_builder(options.blender) if options.blender else None)
    except BuildError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for path in built:
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Blenders for the tests, and a disk that can be full.

RELAY_TEST_BLENDERS lists the executables to use (separated as in PATH); without it every Blender of this machine and
the bpy wheel is used. A test that asks for `blender` runs once with each, and is skipped where there is none;
RELAY_REQUIRE_BLENDER=1 makes that skip a failure.
"""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from server.blenders import WORKER_FLAGS, Blender, ask_version, find_blenders

_HOME = os.environ["RELAY_RENDER_HOME"] = tempfile.mkdtemp(prefix="relay-keys-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
"""Keys of the tests' own: nothing of this account's is used or changed, by whatever they start."""

RunInBlender = Callable[..., subprocess.CompletedProcess[str]]
SmallDisk = Callable[[str], Path]


@functools.cache
def real_blenders() -> tuple[Blender, ...]:
    listed = os.environ.get("RELAY_TEST_BLENDERS")
    if listed is None:
        return tuple(find_blenders())
    paths = [Path(path) for path in listed.split(os.pathsep) if path]
    return tuple(Blender(ask_version(path), (str(path), *WORKER_FLAGS), str(path)) for path in paths)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "blender" in metafunc.fixturenames:
        blenders = real_blenders()
        ids = [f"{blender.name} {Path(blender.source).name}" for blender in blenders]
        metafunc.parametrize("blender", blenders or [None], ids=ids or ["none"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def blender(request: pytest.FixtureRequest) -> Blender:
    return request.param if isinstance(request.param, Blender) else no_blender()


@pytest.fixture(scope="session")
def any_blender() -> Blender:
    """One Blender, for what does not depend on its version."""
    return real_blenders()[-1] if real_blenders() else no_blender()


def no_blender() -> NoReturn:
    """Skips, or fails where a Blender was promised."""
    reason = "no Blender here: list executables in RELAY_TEST_BLENDERS, or pip install '.[embedded]'"
    if os.environ.get("RELAY_REQUIRE_BLENDER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def run_in_blender(tmp_path_factory: pytest.TempPathFactory) -> RunInBlender:
    """Runs a script's text in a Blender as the node runs its worker; keyword arguments become its environment."""

    def run(blender: Blender, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path_factory.mktemp("script") / "script.py"
        path.write_text(script, encoding="utf-8")
        return subprocess.run(
            [*blender.command, path], env=os.environ | environment, check=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240,
        )  # fmt: skip

    return run


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Makes a file system of the given size, or changes its size."""
    folder = tmp_path / "small"
    folder.mkdir()

    def mount(size: str) -> Path:
        options = f"size={size}" + (",remount" if folder.is_mount() else "")
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True
        )
        if made.returncode:
            pytest.skip(f"a small disk needs the right to mount: {made.stderr.decode().strip()}")
        return folder

    yield mount
    if folder.is_mount():
        subprocess.run(["umount", "--lazy", folder], check=True)

# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension, installed into real Blenders, in a window."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from addon.multicast import SWITCH
from server.blenders import Blender
from tests.addon.scripted_client import Play, wait_for
from tests.conftest import real_blenders
from tests.e2e.panel import play_client
from tests.e2e.window import BlenderWindow, blender_window, virtual_screen
from tools import build_extension

NEEDED = ("Xvfb", "openbox", "xdotool", "import")
OpenWindow = Callable[..., AbstractContextManager[BlenderWindow]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "program" in metafunc.fixturenames:
        programs = [each for each in real_blenders() if each.source != "bpy wheel" and each.version >= (4, 2, 0)]
        ids = [each.name for each in programs]
        metafunc.parametrize("program", programs or [None], ids=ids or ["none"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def program(request: pytest.FixtureRequest) -> Blender:
    """A Blender that has windows."""
    missing = [name for name in NEEDED if not shutil.which(name)]
    reason = f"no window without {', '.join(missing)}" if missing else "no Blender here that opens a window"
    if isinstance(request.param, Blender) and not missing:
        return request.param
    if os.environ.get("RELAY_REQUIRE_BLENDER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    with virtual_screen() as name:
        yield name


@pytest.fixture(scope="session")
def extension_zip(program: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = build_extension.blender_builder(program.source)
    zips = build_extension.build(build_extension.ROOT, tmp_path_factory.mktemp("zips"), builder)
    return next(path for path in zips if "linux_x64" in path.name)


@pytest.fixture(scope="session")
def installed(program: Blender, extension_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blender's user folder with the extension installed and enabled, as the command line does it."""
    resources = tmp_path_factory.mktemp("user")
    command = [program.source, "--command", "extension", "install-file", "-r", "user_default", "--enable"]
    run_program([*command, str(extension_zip)], {**os.environ, "BLENDER_USER_RESOURCES": str(resources)})
    return resources


@pytest.fixture(scope="session")
def mesa_cache(program: Blender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shaders of this Blender alone: versions of Mesa map one index file, and one that resizes it ends the others."""
    return tmp_path_factory.mktemp("mesa")


@pytest.fixture
def environment(installed: Path, display: str, mesa_cache: Path, tmp_path: Path) -> dict[str, str]:
    """This test's own copy of the user folder, on the hidden screen."""
    own = {
        "BLENDER_USER_RESOURCES": str(shutil.copytree(installed, tmp_path / "user")),
        "DISPLAY": display,
        "LIBGL_ALWAYS_SOFTWARE": "1",
        SWITCH: "off",  # The network that this machine is in is not the tests'.
        "MESA_SHADER_CACHE_DIR": str(mesa_cache),
    }
    return {**os.environ, **own}


@pytest.fixture
def open_window(program: Blender, environment: dict[str, str], tmp_path: Path) -> OpenWindow:
    """Opens a window: `with open_window("--online-mode", file) as window`."""
    counter = iter(range(100))

    def open_one(*arguments: str) -> AbstractContextManager[BlenderWindow]:
        return blender_window(program.source, tmp_path / f"probe{next(counter)}", environment, *arguments)

    return open_one


@pytest.fixture
def shot(program: Blender, tmp_path: Path) -> Path:
    """The default cube in a small picture, saved in a folder of its own."""
    path = tmp_path / "project" / "shot_020.blend"
    path.parent.mkdir()
    code = f"""
import bpy
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples = 1
scene.cycles.use_denoising = False  # a distribution's build may lack the denoiser
scene.render.resolution_x, scene.render.resolution_y = 64, 36
scene.render.filepath = "//frames/shot_020_"
scene.frame_end = 3
bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})
"""
    run_program([program.source, "-b", "--factory-startup", "--python-exit-code", "1", "--python-expr", code])
    return path


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path / "play")


@pytest.fixture
def window(open_window: OpenWindow, shot: Path) -> Iterator[BlenderWindow]:
    """A window with the shot open, without a node."""
    with open_window("--online-mode", str(shot)) as opened:
        yield opened


@pytest.fixture
def played(window: BlenderWindow, play: Play, tmp_path: Path) -> BlenderWindow:
    """The same with a node, its client played by the test."""
    play_client(window, tmp_path / "play")
    wait_for(lambda: play.commands("configure"), "the client to be configured")
    return window


@pytest.fixture
def artefact(request: pytest.FixtureRequest, program: Blender) -> Callable[[str], Path]:
    """Where a picture of this run is kept: artefacts/ beside the sources, or RELAY_ARTEFACTS."""
    folder = Path(os.environ.get("RELAY_ARTEFACTS", build_extension.ROOT / "artefacts"))
    return partial(_named, folder, ".".join(map(str, program.version[:2])))


def _named(folder: Path, version: str, name: str) -> Path:
    return folder / f"{name}-{version}.png"

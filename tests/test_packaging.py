# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's zips: what is in them, and that a real Blender takes them."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import pytest

from addon.protocol.version import VERSION
from server.blenders import Blender
from tools import build_extension

ROOT = build_extension.ROOT
MANIFEST = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
PINNED = list(tomllib.loads(build_extension.PINS.read_text(encoding="utf-8"))["sha256"])

# Of each platform's zip: the Pythons a wheel is for and what it runs on, as in its name.
ABI3 = "cp312.cp313.cp314-none"  # the stable ABI, as tools/build_extension.py names it
ALL = "cp311.cp312.cp313.cp314-none"
MANYLINUX = "manylinux2014_x86_64.manylinux_2_17_x86_64.manylinux_2_28_x86_64"
COMPILED = {
    "linux-x64": {
        "pyzmq-27.3.0": [f"{abi}-manylinux_2_26_x86_64.manylinux_2_28_x86_64" for abi in ("cp311-cp311", ABI3)],
        "blake3-1.0.11": [
            "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64",
            "cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64",
        ],
        "backports_zstd-1.8.0": [f"cp311-cp311-{MANYLINUX}", f"cp313-cp313-{MANYLINUX}"],
        "psutil-7.2.2": [f"{ALL}-manylinux2010_x86_64.manylinux_2_12_x86_64.manylinux_2_28_x86_64"],
        "zeroconf-0.154.0": [f"cp311-cp311-{MANYLINUX}", f"cp313-cp313-{MANYLINUX}"],
    },
    "macos-arm64": {
        "pyzmq-27.3.0": ["cp311-cp311-macosx_10_15_universal2", f"{ABI3}-macosx_10_15_universal2"],
        "blake3-1.0.11": ["cp311-cp311-macosx_11_0_arm64", "cp313-cp313-macosx_11_0_arm64"],
        "backports_zstd-1.8.0": ["cp311-cp311-macosx_11_0_arm64", "cp313-cp313-macosx_11_0_arm64"],
        "psutil-7.2.2": [f"{ALL}-macosx_11_0_arm64"],
        "zeroconf-0.154.0": ["cp311-cp311-macosx_11_0_arm64", "cp313-cp313-macosx_11_0_arm64"],
    },
    "macos-x64": {
        "pyzmq-27.3.0": ["cp311-cp311-macosx_10_15_universal2", f"{ABI3}-macosx_10_15_universal2"],
        "blake3-1.0.11": ["cp311-cp311-macosx_10_12_x86_64", "cp313-cp313-macosx_10_12_x86_64"],
        "backports_zstd-1.8.0": ["cp311-cp311-macosx_10_9_x86_64", "cp313-cp313-macosx_10_13_x86_64"],
        "psutil-7.2.2": [f"{ALL}-macosx_10_9_x86_64"],
        "zeroconf-0.148.0": ["cp311-cp311-macosx_10_9_x86_64", "cp313-cp313-macosx_10_13_x86_64"],
    },
    "windows-x64": {
        "pyzmq-27.3.0": ["cp311-cp311-win_amd64", f"{ABI3}-win_amd64"],
        "blake3-1.0.11": ["cp311-cp311-win_amd64", "cp313-cp313-win_amd64"],
        "backports_zstd-1.8.0": ["cp311-cp311-win_amd64", "cp313-cp313-win_amd64"],
        "psutil-7.2.2": [f"{ALL}-win_amd64"],
        "zeroconf-0.154.0": ["cp311-cp311-win_amd64", "cp313-cp313-win_amd64"],
    },
    "windows-arm64": {
        "pyzmq-27.3.0": ["cp311-cp311-win_arm64", f"{ABI3}-win_arm64"],
        "blake3-1.0.11": ["cp311-cp311-win_arm64", "cp313-cp313-win_arm64"],
        "backports_zstd-1.8.0": ["cp311-cp311-win_arm64", "cp313-cp313-win_arm64"],
        "psutil-7.2.2": [f"{ALL}-win_arm64"],
        "zeroconf-0.154.0": ["cp311-cp311-win_arm64", "cp313-cp313-win_arm64"],
    },
}
PURE = {
    "annotated_doc-0.0.7": ["py3-none-any"],
    "anyio-4.16.0": ["py3-none-any"],
    "click-8.5.1": ["py3-none-any"],
    "colorama-0.4.6": ["py2.py3-none-any"],
    "h11-0.16.0": ["py3-none-any"],
    "idna-3.20": ["py3-none-any"],
    "ifaddr-0.2.0": ["py3-none-any"],
    "markdown_it_py-4.3.0": ["py3-none-any"],
    "mdurl-0.1.2": ["py3-none-any"],
    "platformdirs-4.14.7": ["py3-none-any"],
    "pygments-2.21.0": ["py3-none-any"],
    "rich-15.0.0": ["py3-none-any"],
    "shellingham-1.5.4": ["py2.py3-none-any"],
    "starlette-1.10.0": ["py3-none-any"],
    "typer-0.28.0": ["py3-none-any"],
    "typing_extensions-4.16.0": ["py3-none-any"],
    "uvicorn-0.54.0": ["py3-none-any"],
}
WHEELS = {target: compiled | PURE for target, compiled in COMPILED.items()}

# Blender 4.2 to 5.0 and 5.1 to 5.2 as blender.org builds them; Debian's has 3.14 too, for which few have a wheel.
PYTHONS = {
    "cp311": ["pyzmq", "blake3", "backports_zstd", "psutil", "zeroconf"],
    "cp313": ["pyzmq", "blake3", "backports_zstd", "psutil", "zeroconf"],
    "cp314": ["pyzmq", "psutil"],
}
ANY_PYTHON = sorted(name.split("-")[0] for name in PURE)

# What a working tree gathers, and names close to those that belong in.
CLUTTER = [
    ".env",
    ".venv/pyvenv.cfg",
    "LICENSES/MIT.txt",
    "__pycache__/__init__.cpython-311.pyc",
    "addon/.DS_Store",
    "addon/__pycache__/x.cpython-311.pyc",
    "addon/protocol/__pycache__/x.cpython-311.pyc",
    "artefacts/window.png",
    "build/lib/addon/x.py",
    "dist/relay_render-0.0.1.zip",
    "notes.txt",
    "relay_render.egg-info/PKG-INFO",
    "sequel.py",
    "setup.py",
    "spike/x.py",
    "wheels/other-1.0-py3-none-any.whl",
]


def tracked(folder: str = ".") -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", folder], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in listed.stdout.split("\0") if name]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of what git tracks, plus clutter and the wheels."""
    copy = tmp_path_factory.mktemp("source")
    build_extension.fetch_wheels(ROOT / "wheels")
    shutil.copytree(ROOT / "wheels", copy / "wheels")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    for name in CLUTTER:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(b"clutter")
    return copy


@pytest.fixture(scope="session")
def zips(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """The zip of every platform: {"linux-x64": Path}."""
    try:
        builder = build_extension.find_builder()
    except build_extension.NoBuilder as error:
        pytest.skip(str(error))
    built = build_extension.build(source, tmp_path_factory.mktemp("dist"), builder)
    return {path.stem.removeprefix(f"relay_render-{VERSION}-").replace("_", "-"): path for path in built}


@pytest.fixture
def program(blender: Blender) -> str:
    """The executable of an installed Blender."""
    if not Path(blender.source).is_file():
        pytest.skip(f"the {blender.source} has no command line to install an extension with")
    return blender.source


def run_blender(program: str, *arguments: str, resources: Path) -> str:
    """Run one command with settings of its own, not the user's; returns what it printed."""
    done = subprocess.run(
        [program, "--background", "--online-mode", "--python-exit-code", "1", *arguments],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(resources)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def zip_for_this_machine(zips: Mapping[str, Path]) -> Path:
    system = platform.system().lower().replace("darwin", "macos")
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), "arm64")
    return zips[f"{system}-{machine}"]


def install(program: str, zips: Mapping[str, Path], resources: Path) -> None:
    """Install and enable the zip for this machine, as a person does from the preferences."""
    command = ("--command", "extension", "install-file", "--repo", "user_default", "--enable")
    run_blender(program, *command, str(zip_for_this_machine(zips)), resources=resources)


def tags_of(wheel: str) -> list[str]:
    """Tags in the name of a wheel: Python, ABI, platform."""
    return wheel.removesuffix(".whl").split("-")[-3:]


def fits(wheel: str, python: str) -> bool:
    """Whether Blender installs a wheel for a Python (cp313)."""
    return not {python, "py3"}.isdisjoint(tags_of(wheel)[0].split("."))


def test_one_zip_for_each_platform_of_the_manifest(zips: Mapping[str, Path]) -> None:
    assert sorted(zips) == sorted(WHEELS) == sorted(MANIFEST["platforms"])


@pytest.mark.parametrize("target", WHEELS)
def test_a_zip_holds_the_extension_and_nothing_else(zips: Mapping[str, Path], target: str) -> None:
    # GIVEN the files that git tracks under addon/ and server/, and a source folder full of clutter
    # WHEN the extension is built
    with zipfile.ZipFile(zips[target]) as built:
        listing = sorted(built.namelist())

    # THEN every file of the zip is one of these
    wheels = [f"wheels/{library}-{tags}.whl" for library, builds in WHEELS[target].items() for tags in builds]
    assert listing == sorted(
        ["LICENSE", "__init__.py", "blender_manifest.toml", *tracked("addon"), *tracked("server"), *wheels]
    )


@pytest.mark.parametrize("target", WHEELS)
@pytest.mark.parametrize("python", PYTHONS)
def test_a_zip_carries_one_wheel_of_a_library_for_every_python_of_blender(
    zips: Mapping[str, Path], target: str, python: str
) -> None:
    with zipfile.ZipFile(zips[target]) as built:
        # WHEN Blender looks for the wheels of its Python by the files' names
        wheels = [name for name in built.namelist() if name.endswith(".whl") and fits(name, python)]

        # THEN there is exactly one of each library, and it is in the manifest
        assert sorted(PurePosixPath(name).name.split("-")[0] for name in wheels) == sorted(
            [*PYTHONS[python], *ANY_PYTHON]
        )
        manifest = tomllib.loads(built.read("blender_manifest.toml").decode())
        assert {f"./{name}" for name in wheels} <= set(manifest["build"]["generated"]["wheels"])


@pytest.mark.parametrize("published", PINNED)
def test_a_wheel_is_what_its_name_says(source: Path, published: str) -> None:
    library, version = published.split("-")[:2]
    python, abi, platforms = tags_of(published)
    with zipfile.ZipFile(source / "wheels" / build_extension.bundled_name(published)) as wheel:
        said = wheel.read(f"{library}-{version}.dist-info/WHEEL").decode().splitlines()
    assert {f"Tag: {each}-{abi}-{tag}" for each in python.split(".") for tag in platforms.split(".")} <= set(said)


def test_the_manifest_lists_exactly_the_pinned_wheels() -> None:
    assert sorted(MANIFEST["wheels"]) == sorted(f"./wheels/{build_extension.bundled_name(name)}" for name in PINNED)


def test_a_wheel_with_other_bytes_is_replaced(source: Path, tmp_path: Path) -> None:
    # GIVEN a folder with all wheels, one of them cut short
    shutil.copytree(source / "wheels", tmp_path / "wheels")
    wheel = tmp_path / MANIFEST["wheels"][0]
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:1000])

    # WHEN the wheels are fetched
    build_extension.fetch_wheels(tmp_path / "wheels")

    # THEN it is whole again
    assert wheel.read_bytes() == whole


def test_a_download_with_other_bytes_than_the_pinned_ones_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a pin that the published wheel does not match
    name = PINNED[0]
    pins = tmp_path / "wheels.toml"
    pins.write_text(f'[sha256]\n"{name}" = "{"0" * 64}"\n')
    monkeypatch.setattr(build_extension, "PINS", pins)

    # WHEN it is fetched
    # THEN the build stops and no wheel is left for the next one to find
    with pytest.raises(build_extension.BuildError, match=r"not the file that tools/wheels\.toml pins"):
        build_extension.fetch_wheels(tmp_path / "wheels")
    assert list((tmp_path / "wheels").iterdir()) == []


def test_the_same_sources_give_the_same_bytes(source: Path, zips: Mapping[str, Path], tmp_path: Path) -> None:
    # GIVEN the same files, checked out at another time
    for path in source.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))

    # WHEN they are built again
    again = build_extension.build(source, tmp_path)

    # THEN the zips are equal
    assert {path.name: path.read_bytes() for path in again} == {path.name: path.read_bytes() for path in zips.values()}


def test_a_failed_build_says_what_the_builder_said(source: Path, tmp_path: Path) -> None:
    # GIVEN a source folder with a manifest that Blender does not accept
    broken = tmp_path / "source"
    shutil.copytree(source / "wheels", broken / "wheels")
    (broken / "blender_manifest.toml").write_text('schema_version = "1.0.0"\n')

    # WHEN it is built
    # THEN the error carries the builder's words
    with pytest.raises(build_extension.BuildError, match=r"(?s)The extension was not built.*missing"):
        build_extension.build(broken, tmp_path / "dist")


def test_versions_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert MANIFEST["version"] == project["version"] == VERSION


def test_the_manifest_keeps_the_rules_of_the_extension_platform() -> None:
    assert "Blender" not in MANIFEST["name"]
    assert MANIFEST["license"] == ["SPDX:GPL-3.0-or-later"]
    assert set(MANIFEST["permissions"]) == {"network", "files"}
    assert MANIFEST["blender_version_min"] == "4.2.0"


def test_blender_validates_every_zip(program: str, zips: Mapping[str, Path], tmp_path: Path) -> None:
    for path in zips.values():
        run_blender(program, "--command", "extension", "validate", str(path), resources=tmp_path)


CHECK_LIBRARIES = """
import importlib, sys, zmq
a, b = zmq.Context.instance().socket(zmq.PAIR), zmq.Context.instance().socket(zmq.PAIR)
a.bind('inproc://check'); b.connect('inproc://check'); a.send(b'frame')
assert b.recv() == b'frame' and zmq.has('curve')
zmq.Context.instance().destroy()
print('PYTHON cp%d%d' % sys.version_info[:2])
for module in ('zmq', 'blake3', 'backports.zstd', 'psutil', 'zeroconf'):
    try:
        print('FROM', importlib.import_module(module).__file__)
    except ImportError:
        pass
"""


def check_libraries(said: str, folder: Path) -> str:
    """Compare what CHECK_LIBRARIES printed with the wheels that Blender should have unpacked; returns Python's tag."""
    python = said.partition("PYTHON ")[2].split()[0]
    packages = {"pyzmq": "zmq", "backports_zstd": "backports/zstd"}
    site = folder / f"extensions/.local/lib/python3.{python.removeprefix('cp3')}/site-packages"
    found = [line.removeprefix("FROM ") for line in said.splitlines() if line.startswith("FROM ")]
    assert found == [str(site / packages.get(library, library) / "__init__.py") for library in PYTHONS[python]], said
    return python


def test_blender_installs_the_zip_and_its_libraries_work(
    program: str, zips: Mapping[str, Path], tmp_path: Path
) -> None:
    # GIVEN a Blender without settings, and the zip for this machine
    # WHEN it is installed and enabled
    install(program, zips, tmp_path)

    # THEN the next start of Blender has it enabled, and its libraries, not others, work
    check = tmp_path / "check.py"
    check.write_text(
        "import bpy\n"
        "assert 'bl_ext.user_default.relay_render' in bpy.context.preferences.addons\n"
        "from bl_ext.user_default.relay_render.addon.protocol import codecs, digest, zstd\n"
        "chunk = bytes(range(256)) * 99\n"
        "codec, payload = codecs.encode(chunk, codecs.decodable())\n"
        "assert codecs.decode(codec, payload, len(chunk)) == chunk\n"
        "print('USES', digest.chunk_algorithms()[0], zstd.name())\n"
        f"{CHECK_LIBRARIES}"
    )
    said = run_blender(program, "--python", str(check), resources=tmp_path)
    python = check_libraries(said, tmp_path)

    # THEN where there is no wheel, Python itself has a substitute
    assert ("USES blake3 backports.zstd" if python != "cp314" else "USES blake2b compression.zstd") in said, said


def test_the_python_of_the_bpy_wheel_takes_the_zip(zips: Mapping[str, Path], tmp_path: Path) -> None:
    # GIVEN the bpy wheel: with Python 3.11 it stands for Blender 4.2 to 5.0
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("no bpy wheel: pip install '.[embedded]'")
    check = tmp_path / "check.py"
    check.write_text(
        "import bpy, sys\n"
        "install = bpy.ops.extensions.package_install_files\n"
        "print(install(filepath=sys.argv[1], repo='user_default', enable_on_install=True))\n"
        "sys.path.insert(0, sys.argv[2])  # before this environment's own libraries\n"
        f"{CHECK_LIBRARIES}"
    )
    site = tmp_path / f"extensions/.local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"

    # WHEN the extension is installed into it
    done = subprocess.run(
        [sys.executable, str(check), str(zip_for_this_machine(zips)), str(site)],
        env={**os.environ, "BLENDER_USER_RESOURCES": str(tmp_path)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip

    # THEN the zip's libraries are unpacked for this Python, and work
    assert done.returncode == 0, done.stdout
    check_libraries(done.stdout, tmp_path)


def test_disabling_and_enabling_again_works(program: str, zips: Mapping[str, Path], tmp_path: Path) -> None:
    # GIVEN an installed extension
    install(program, zips, tmp_path)

    # WHEN it is switched off and on twice in one Blender
    check = tmp_path / "check.py"
    check.write_text(
        "import bpy\n"
        "for _ in range(2):\n"
        "    bpy.ops.preferences.addon_disable(module='bl_ext.user_default.relay_render')\n"
        "    assert 'bl_ext.user_default.relay_render' not in bpy.context.preferences.addons\n"
        "    bpy.ops.preferences.addon_enable(module='bl_ext.user_default.relay_render')\n"
        "    assert 'bl_ext.user_default.relay_render' in bpy.context.preferences.addons\n"
    )
    said = run_blender(program, "--python", str(check), resources=tmp_path)

    # THEN nothing complains
    assert "Traceback" not in said, said

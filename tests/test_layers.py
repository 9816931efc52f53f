# SPDX-License-Identifier: GPL-3.0-or-later
"""Arrows point one way: addon.blender -> addon.client -> addon.protocol <- server."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

IMPORT_ALL = """
import importlib, pkgutil, sys

class NoBpy:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("bpy", "bpy_extras", "mathutils", "bl_ui"):
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, NoBpy())
count = 0
for top in ("addon.protocol", "addon.client", "server"):
    package = importlib.import_module(top)
    for module in pkgutil.walk_packages(package.__path__, top + "."):
        if "blender_scripts" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
print(count)
"""


def test_protocol_client_and_server_import_with_bpy_blocked() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


def imports_of(path: Path) -> Iterator[str]:
    """Absolute names of what a module imports."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            yield ".".join((*base, node.module or ""))


FORBIDDEN = {
    "addon/protocol": (
        "addon.durable",
        "addon.keyring",
        "addon.client",
        "addon.blender",
        "server",
        "zmq",
        "asyncio",
        "threading",
        "time",
        "os",
        "pathlib",
    ),
    "addon/client": ("addon.blender", "server", "bpy"),
    "addon/blender": ("server", "zmq"),
    "server": ("addon.blender", "addon.client"),
}
"""What each layer must not know. The protocol does no I/O. The server's command line is a client, too, and so is its
page: it cuts what browsers send as an artist's client does.
"""

CLIENTS = {"cli", "web"}


@pytest.mark.parametrize("layer", FORBIDDEN)
def test_no_layer_knows_the_one_above_it(layer: str) -> None:
    offences = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted((ROOT / layer).rglob("*.py"))
        if CLIENTS.isdisjoint(path.relative_to(ROOT).parts)
        for name in imports_of(path)
        if any(name == forbidden or name.startswith(f"{forbidden}.") for forbidden in FORBIDDEN[layer])
    ]
    assert offences == []

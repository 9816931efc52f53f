# SPDX-License-Identifier: GPL-3.0-or-later
"""How this package's own programs are started: with the Python that runs here, which needs no other beside it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

EXTENSION_FOLDER = Path(__file__).parents[2]


def module_command(module: str, *arguments: str) -> list[str]:
    """Return what runs a module of this package.

    A Linux distribution's Blender takes `sys.executable` from PATH, where it may be another program's shim of the same
    name; so the one beside Python's own library is preferred.
    """
    found = Path(sys.executable)
    own = Path(sys.base_prefix) / "bin" / found.name
    return [str(own if own.exists() else found), "-m", module, *arguments]


def module_environment(extension_folder: Path = EXTENSION_FOLDER) -> dict[str, str]:
    """Return its environment: this one, with a PYTHONPATH to the extension and to its libraries.

    zmq is located and not imported; the others lie beside it. Raises ModuleNotFoundError with a sentence if it is not
    there.
    """
    zmq = find_spec("zmq")
    if zmq is None or zmq.origin is None:
        raise ModuleNotFoundError("Relay Render's network library is missing: install the extension again.")
    python_path = [str(extension_folder), str(Path(zmq.origin).parent.parent)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(python_path), "PYTHONUTF8": "1"}

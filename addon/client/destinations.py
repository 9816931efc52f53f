# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an output goes on the artist's disk. Pure.

The node names directories as the .blend does, and it is not trusted with more: only directories that the artist's own
Blender declared lead elsewhere; any other becomes a folder below the job's own.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from ..protocol.paths import check_relative_name, portable_name, safe_component


def destination(folder: Path, targets: Mapping[str, str], directory: str, name: str) -> Path:
    """Return the absolute path for the output `name` of `directory` ("" is the scene's own output folder).

    Raises UnsafePath for a name that would not stay below its folder.
    """
    check_relative_name(name)
    if os.name == "nt":
        name = portable_name(name)
    if not directory:
        return folder / name
    if directory in targets:
        return Path(targets[directory]) / name
    last = directory.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return folder / safe_component(last, "outputs") / name

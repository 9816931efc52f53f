# SPDX-License-Identifier: GPL-3.0-or-later
"""A program for Blender, `blender -b --python list_files.py -- FILE`: says what a .blend uses beside itself.

Prints one line, MARK and a JSON list of dependencies. Where there is no window the command line asks in this way.
"""

import dataclasses
import json
import sys
from pathlib import Path

MARK = "RELAY-RENDER-FILES "


def main(blend: str) -> None:
    """Open `blend` and print what it uses; an error of Blender's ends the program."""
    import bpy  # noqa: PLC0415 - the command line reads MARK without one

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from addon.blender.dependencies import dependencies  # noqa: PLC0415 - found only now

    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False, use_scripts=False)
    sys.stdout.write("\n" + MARK + json.dumps([dataclasses.asdict(each) for each in dependencies()]) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[-1])

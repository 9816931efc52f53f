# SPDX-License-Identifier: GPL-3.0-or-later
"""A program for Blender, `blender -b --python list_files.py -- FILE LIST`: says what a .blend uses beside itself.

Writes a JSON object to LIST: "files"; "scenes", of each by its name the first frame, the last and the step; "scene",
that which the file opens with. Or "error", Blender's own words. Where there is no window the command line asks so.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any


def main(blend: str, answer: str) -> None:
    """Open `blend` and write down what it uses."""
    Path(answer).write_text(json.dumps(_answer(blend)), encoding="utf-8")


def _answer(blend: str) -> dict[str, Any]:
    import bpy  # noqa: PLC0415 - this module is found without one

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from addon.blender.dependencies import dependencies  # noqa: PLC0415 - found only now

    try:
        bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        return {"error": str(error).removeprefix("Error: ").strip()}
    return {
        "files": [dataclasses.asdict(each) for each in dependencies()],
        "scenes": {each.name: (each.frame_start, each.frame_end, each.frame_step) for each in bpy.data.scenes},
        "scene": bpy.context.scene.name,
    }


if __name__ == "__main__":
    main(*sys.argv[-2:])

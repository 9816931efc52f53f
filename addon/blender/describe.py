# SPDX-License-Identifier: GPL-3.0-or-later
"""A program for Blender, `blender -b --python describe.py -- FILE ANSWER`: says what is in a .blend.

Writes a JSON object to ANSWER: addon.client.contents.Contents, or "error", Blender's own words. Where there is no
window the command line asks so, and the node what a browser has sent.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any


def main(blend: str, answer: str) -> None:
    """Open `blend` and write down what is in it."""
    Path(answer).write_text(json.dumps(_answer(blend)), encoding="utf-8")


def _answer(blend: str) -> dict[str, Any]:
    import bpy  # noqa: PLC0415 - this module is found without one

    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from addon.blender.dependencies import dependencies  # noqa: PLC0415 - found only now

    try:
        bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False, use_scripts=False)
    except RuntimeError as error:
        return {"error": str(error).removeprefix("Error: ").strip()}
    active = bpy.context.scene
    version: Any = bpy.data.version  # Of the file; its third number counts changes of the format.
    return {
        "version": f"{version[0]}.{version[1]}",
        "scenes": [_scene(scene, active=scene == active) for scene in bpy.data.scenes if scene.library is None],
        "files": [dataclasses.asdict(each) for each in dependencies()],
    }


def _scene(scene: Any, *, active: bool) -> dict[str, Any]:
    render = scene.render
    return {
        "name": scene.name,
        "active": active,
        "frame_start": scene.frame_start,
        "frame_end": scene.frame_end,
        "frame_step": scene.frame_step,
        "frame_current": scene.frame_current,
        "fps": render.fps / render.fps_base,
        "engine": render.engine,
        "width": render.resolution_x * render.resolution_percentage // 100,
        "height": render.resolution_y * render.resolution_percentage // 100,
        "samples": _samples(scene),
        "camera": scene.camera is not None,
        "format": render.image_settings.file_format,
        "is_movie": render.is_movie_format,
    }


def _samples(scene: Any) -> int | None:
    """Of the engine that renders; None: it has no such number."""
    engine = scene.render.engine
    if engine == "CYCLES":
        return int(scene.cycles.samples)
    if engine.startswith("BLENDER_EEVEE"):
        return int(scene.eevee.taa_render_samples)
    return None


if __name__ == "__main__":
    main(*sys.argv[-2:])

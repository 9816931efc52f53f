# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the window's Blender: executes what a test asks for, on the main thread, and answers with JSON.

A request is a file NAME.py in the folder that RELAY_PROBE names; its code leaves what it wants to answer in `answer`.
The reply is NAME.json: {"answer": ...} or {"error": traceback}.
"""

import json
import os
import traceback
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(os.environ["RELAY_PROBE"])
INTERVAL_S = 0.02
CONTEXT: Any = bpy.context


def _serve() -> float:
    for request in sorted(FOLDER.glob("*.py")):
        code = request.read_text(encoding="utf-8")
        request.unlink()
        unfinished = request.with_suffix(".unfinished")
        unfinished.write_text(json.dumps(_run(code), default=str), encoding="utf-8")
        unfinished.rename(request.with_suffix(".json"))
    return INTERVAL_S


def _run(code: str) -> dict[str, Any]:
    scope: dict[str, Any] = {"bpy": bpy, "answer": None}
    try:
        with CONTEXT.temp_override(window=CONTEXT.window_manager.windows[0]):
            exec(compile(code, "<request>", "exec"), scope)
    except Exception:  # noqa: BLE001 - whatever it is, the test wants to see it
        return {"error": traceback.format_exc()}
    return {"answer": scope["answer"]}


CONTEXT.preferences.view.show_splash = False  # it would eat keys
bpy.app.timers.register(_serve, persistent=True)

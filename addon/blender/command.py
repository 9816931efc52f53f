# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender --command relay_render ...`: the whole command line, with the Python and the Blender that are here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import bpy

from .interpreter import module_command, module_environment

NAME = "relay_render"
"""Blender takes identifiers only."""

CALLED = f"blender --command {NAME}"

OFFLINE = "Blender's online access is off: allow it in the preferences, or write --online-mode before --command."

_registered: Any = None


def register() -> None:
    """Let Blender know the command."""
    global _registered  # noqa: PLW0603 - Blender asks for what it gave
    _registered = bpy.utils.register_cli_command(NAME, run)


def unregister() -> None:
    """Take it back."""
    global _registered  # noqa: PLW0603
    bpy.utils.unregister_cli_command(_registered)
    _registered = None


def node_arguments(arguments: list[str]) -> list[str]:
    """Return the arguments of `python -m server` for a node that renders with this Blender, too.

    One that a distribution starts through a loader has that one's path: the node finds it as it finds all others.
    """
    program = Path(bpy.app.binary_path)
    own = ["--blender", str(program)] if program.stem.lower().startswith("blender") else []
    return ["serve", *own, *arguments]


def login_command(options: list[str]) -> list[str]:
    """Return what runs a node from a login on. Who wants that wants the network, whatever Blender is set to later."""
    return [bpy.app.binary_path, "--background", "--online-mode", "--command", NAME, "serve", *options]


def run(arguments: list[str]) -> int:
    """Run it in place of Blender, or beside it where a process cannot be replaced. Returns the exit code."""
    if not bpy.app.online_access:
        sys.stderr.write(f"{OFFLINE}\n")
        return 1
    if arguments[:1] == ["serve"]:
        arguments = node_arguments(arguments[1:])
    command = module_command("server", *arguments)
    environment = {**module_environment(), "RELAY_RENDER_CALLED": CALLED}
    replace = _beside if sys.platform == "win32" else _instead
    return replace(command, environment)


def _instead(command: list[str], environment: dict[str, str]) -> NoReturn:
    shutil.rmtree(bpy.app.tempdir, ignore_errors=True)  # Blender's own end, which does that, never comes.
    sys.stdout.flush()
    os.execve(command[0], command, environment)  # noqa: S606 - our own program, its arguments as they were typed


def _beside(command: list[str], environment: dict[str, str]) -> int:
    """Ctrl+C reaches both: the node ends in its own way, while Blender waits for it. Not tested: Windows."""
    with subprocess.Popen(command, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue

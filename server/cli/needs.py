# SPDX-License-Identifier: GPL-3.0-or-later
"""What a .blend uses beside itself: only Blender knows, so one of this machine is asked."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from addon.blender import list_files
from addon.client.gather import Dependency
from addon.protocol import blendfile
from addon.protocol.codec import build
from server.blenders import Blender, NoBlender, choose_blender, find_blenders
from server.errors import ServerError
from server.executors.worker_process import environment


class CannotAsk(ServerError):
    """No Blender of this machine can say what the file uses."""


def dependencies_of(blend: Path, extra: Sequence[Path] = ()) -> tuple[Dependency, ...]:
    """Return what `blend` uses; takes as long as a Blender needs to open it.

    `extra`: Blenders beside those that are found. Raises CannotAsk.
    """
    with blend.open("rb") as file:
        version = blendfile.read_header(file.read(blendfile.HEAD_BYTES)).version
    try:
        blender = choose_blender(version, find_blenders(extra))
    except NoBlender:
        name = "" if version is None else " {}.{} or newer".format(*version)
        raise CannotAsk(f"There is no Blender{name} on this machine") from None
    return ask(blender, blend)


def ask(blender: Blender, blend: Path) -> tuple[Dependency, ...]:
    """Return what `blender` says that `blend` uses. Raises CannotAsk."""
    command = [*blender.command, list_files.__file__, "--", os.fspath(blend)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(),
            text=True, encoding="utf-8", errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise CannotAsk(f"Blender {blender.name} does not start: {error.strerror}") from error
    said = [line for line in done.stdout.splitlines() if line.strip()]
    marked = [line for line in said if line.startswith(list_files.MARK)]
    if not marked:
        raise CannotAsk(f"Blender {blender.name} could not open it: {said[-1] if said else 'it ended at once'}")
    return tuple(build(Dependency, each) for each in json.loads(marked[-1].removeprefix(list_files.MARK)))

# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a .blend, and what it uses beside itself: only Blender knows, so one of this machine is asked."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from addon.blender import describe
from addon.client.contents import Contents, contents
from addon.protocol import blendfile
from server.blenders import Blender, NoBlender, choose_blender, find_blenders
from server.errors import ServerError
from server.sandbox import environment


class CannotAsk(ServerError):
    """No Blender of this machine can say what the file uses."""


class NobodyToAsk(CannotAsk):
    """There is no Blender on this machine."""


def contents_of(blend: Path, extra: Sequence[Path] = ()) -> Contents:
    """Return what is in `blend`; takes as long as a Blender needs to open it.

    `extra`: Blenders beside those that are found. Raises NobodyToAsk or CannotAsk.
    """
    blenders = find_blenders(extra)
    if not blenders:
        raise NobodyToAsk("There is no Blender on this machine")
    try:
        with blend.open("rb") as file:
            version = blendfile.read_header(file.read(blendfile.HEAD_BYTES)).version
        return ask(choose_blender(version, blenders), blend)
    except NoBlender:
        raise CannotAsk(f"Blender {blenders[-1].name}, the newest on this machine, is too old for it") from None
    except (OSError, blendfile.NotABlend) as error:
        raise CannotAsk(f"It could not be asked about ({error})") from error


def ask(blender: Blender, blend: Path) -> Contents:
    """Return what `blender` says of `blend`. Raises CannotAsk, OSError."""
    with tempfile.TemporaryDirectory(prefix="relay-render-") as folder:
        answer = Path(folder, "contents.json")
        command = [*blender.command, describe.__file__, "--", os.fspath(blend), os.fspath(answer)]
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment(),
            check=False,
        )  # fmt: skip
        if not answer.exists():
            raise CannotAsk(f"Blender {blender.name} ended while it opened it")
        said = json.loads(answer.read_text("utf-8"))
    if "error" in said:
        raise CannotAsk(f"Blender {blender.name} could not open it ({said['error']})")
    return contents(said)

# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the Blenders that open other people's files are shut in, and how to get there."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..blenders import Blender
from ..sandbox import CannotContain, Obstacle, find_sandbox, try_in
from .finding import Finding, State

WHY = "a hostile .blend can read and change what this account can"


def sandbox(blenders: Sequence[Blender], data: Path) -> list[Finding]:
    """The sandbox itself, and each Blender that does not run in it. Nobody need have one: nothing here is MISSING."""
    found = find_sandbox(data)
    if isinstance(found, Obstacle):
        return [Finding("Sandbox", State.WARNING, f"{found.text} Without a sandbox {WHY}.", found.remedy)]
    with tempfile.TemporaryDirectory() as folder:
        tried = [try_in(found, blender, Path(folder)) for blender in blenders]
    refusals = [each for each in tried if isinstance(each, CannotContain)]
    return [
        Finding("Sandbox", State.OK, found.describe()),
        *(Finding("Sandbox", State.WARNING, str(refusal), refusal.remedy) for refusal in refusals),
    ]

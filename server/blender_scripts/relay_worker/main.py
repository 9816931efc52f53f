# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: one command after the other, until the parent ends it."""

import os
import sys

from .lines import Lines
from .parent import end_with_parent


def main() -> None:
    """Serve the parent; does not return."""
    end_with_parent()
    lines = Lines()
    from .session import Session  # noqa: PLC0415 - imports bpy, which as a wheel prints: stdout must be taken before

    session = Session(lines)
    session.ready()
    for command in lines.commands():
        if command["command"] == "quit":
            sys.stderr.flush()
            os._exit(0)  # Blender's own way out frees the scene first, which nobody needs.
        session.handle(command)

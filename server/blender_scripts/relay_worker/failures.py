# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong, as one sentence that tells the artist what to do. Pure."""

import re


class Failure(Exception):
    """A command could not be carried out; the text is for the artist."""

    def __init__(self, reason: str, fatal: bool = False, disk_full: bool = False) -> None:
        super().__init__(reason)
        self.fatal = fatal
        """Every frame of this file would fail in the same way."""
        self.disk_full = disk_full
        """There was no room for what was rendered: the node tries again when there is."""


class RenderWhole(Exception):
    """The frame is not to be rendered in parts; the text says why to the artist, empty: there is nothing to say."""


def opening_failure(error: str, version: str) -> Failure:
    """Why `bpy.ops.wm.open_mainfile` raised; `error` is its text, `version` this Blender's, as in 5.2.2."""
    newer = re.search(r"newer version(?:.*?\((\d+\.\d+))?", error)
    if newer:
        wanted = f"Blender {newer[1]} or newer" if newer[1] else "a newer Blender"
        return Failure(
            f"This file is newer than the node's Blender {version}: install {wanted} there, then render again.",
            fatal=True,
        )
    if "No such file" in error or "Permission denied" in error:
        return Failure("The node cannot read its copy of the file: save it again to send it anew.", fatal=True)
    return Failure(
        f"Blender {version} cannot read this file, it is damaged or incomplete: open it, save it again. "
        f"(Blender says: {_words(error)})",
        fatal=True,
    )


def rendering_failure(error: str, scene: str) -> Failure:
    """Why `bpy.ops.render.render` raised; `error` is its text."""
    if re.search(r"no camera", error, re.IGNORECASE):
        return Failure(f'The scene "{scene}" has no camera: add one, make it active, and save again.', fatal=True)
    if re.search(r"No space left|disk.*full", error, re.IGNORECASE):
        return disk_full()
    return Failure(f"Blender could not render this: {_words(error)}")


def disk_full() -> Failure:
    """The node ran out of space for what it renders."""
    return Failure("The render node's disk is full.", fatal=True, disk_full=True)


def _words(error: str) -> str:
    """Blender's own words without its prefixes and line breaks."""
    words = re.sub(r"\s+", " ", re.sub(r"(^|\n)(Error|Warning): ", r"\1", error)).strip()
    return words if words.endswith(".") else f"{words}."

# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's output patterns taken apart. Pure."""

import posixpath


def split_pattern(pattern: str) -> tuple[str, str]:
    """Split a pattern into the directory it names and the rest that Blender expands, as addon.protocol.paths does.

    >>> split_pattern("//renders/shot_###")
    ('//renders/', 'shot_###')
    >>> split_pattern("//out/{blend_name}/f_")
    ('//out/', '{blend_name}/f_')
    """
    pattern = pattern.replace("\\", "/")
    cut = pattern.split("{", 1)[0].rfind("/") + 1
    return pattern[:cut], pattern[cut:]


def confined(rest: str) -> str:
    """Return `rest` so that it stays below the folder it is appended to: no root, and `..` climbs no higher than that.

    A trailing slash keeps its meaning: Blender then makes the name up from the frame's number alone.

    >>> confined("../layers/../beauty/")
    'beauty/'
    """
    inside = posixpath.normpath("/" + rest.replace("\\", "/")).lstrip("/")
    return inside + "/" if inside and rest.endswith(("/", "\\")) else inside


def literal(folder: str, templates: bool) -> str:
    """Return a folder's path as Blender must read it to mean just that folder; `templates`: braces mean something."""
    folder = folder.replace("\\", "/")
    if templates:
        folder = folder.replace("{", "{{").replace("}", "}}")
    return folder.rstrip("/") + "/"

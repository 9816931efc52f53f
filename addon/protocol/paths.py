# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that cross the wire: taking Blender's output patterns apart, and refusing names that would leave their
folder.
"""

import unicodedata

from .errors import UnsafePath

MAX_COMPONENT_BYTES = 240
"""Length of one file name in UTF-8: ext4, APFS and NTFS take 255; the rest is left for a temporary suffix."""

MAX_NAME_BYTES = 1024
"""Length of a whole relative name, a quarter of Linux's PATH_MAX."""

_WINDOWS_DEVICES = frozenset(
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"]
    + [f"{port}{digit}" for port in ("COM", "LPT") for digit in "0123456789¹²³"]
)
_FORBIDDEN_CHARACTERS = frozenset('<>:"|?*\\')


def split_pattern(pattern: str) -> tuple[str, str]:
    """Split an output pattern of Blender's into the directory it names and the rest that Blender expands.

    The directory runs up to the last separator before the first ``{`` (Blender 5's path templates), or before the last
    component; it keeps its trailing slash and may be empty. Backslashes become slashes.

    >>> split_pattern("//renders/shot_###")
    ('//renders/', 'shot_###')
    >>> split_pattern("//out/{blend_name}/f_")
    ('//out/', '{blend_name}/f_')
    """
    pattern = pattern.replace("\\", "/")
    fixed = pattern.split("{", 1)[0]
    cut = fixed.rfind("/") + 1
    return pattern[:cut], pattern[cut:]


def check_relative_name(name: str) -> str:
    """Return `name` if it is a relative path with slashes that every system can hold below a folder.

    Raises UnsafePath for anything that could leave that folder or mean something else there: absolute paths, ``..``,
    drive letters, device names of Windows, control characters, names that end in a dot or a space.
    """
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise UnsafePath(f"A file name of {len(name)} characters cannot be stored.")
    for component in name.split("/"):
        _check_component(component, name)
    return name


def safe_component(text: str, fallback: str) -> str:
    """Return `text` made into one file name that every system can hold, or `fallback` when nothing is left of it."""
    kept = "".join(
        "_" if character in _FORBIDDEN_CHARACTERS or character == "/" or _is_control(character) else character
        for character in unicodedata.normalize("NFC", text)
    )
    kept = kept.encode("utf-8", "ignore")[:MAX_COMPONENT_BYTES].decode("utf-8", "ignore").rstrip(". ").lstrip(" ")
    if kept.split(".")[0].upper() in _WINDOWS_DEVICES:
        kept = f"_{kept}"
    return kept if kept.strip(".") else fallback


def _check_component(component: str, name: str) -> None:
    reserved = component.split(".", maxsplit=1)[0].rstrip(" ").upper() in _WINDOWS_DEVICES
    if (
        component in ("", ".", "..")
        or component[-1] in ". "
        or reserved
        or len(component.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES
        or any(character in _FORBIDDEN_CHARACTERS or _is_control(character) for character in component)
    ):
        raise UnsafePath(f"The file name {name!r} cannot be stored on every system, so it is refused.")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs")

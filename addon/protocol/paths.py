# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that cross the wire: taking Blender's output patterns apart, refusing names that would leave their folder."""

import unicodedata

from .errors import UnsafePath

MAX_COMPONENT_BYTES = 255
"""Length of one file name in UTF-8 that ext4, APFS and NTFS take."""

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
    """Return `name` if it is a relative path with slashes that stays below its folder on the system that runs this.

    What only Windows cannot hold (``shot: 1.png``) is fine elsewhere; there, `portable_name` makes it fit. Raises
    UnsafePath for absolute paths, ``..``, backslashes and control characters.
    """
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise UnsafePath(f"A file name of {len(name)} characters cannot be sent.")
    for component in name.split("/"):
        _check_component(component, name)
    return name


def portable_name(name: str) -> str:
    """Return a relative name with each component made into one that every system can hold."""
    return "/".join(safe_component(component, "_") for component in name.split("/"))


def safe_component(text: str, fallback: str) -> str:
    """Return `text` made into one file name that every system can hold, or `fallback` when nothing is left of it."""
    kept = "".join(
        "_" if character in _FORBIDDEN_CHARACTERS or character == "/" or _is_control(character) else character
        for character in unicodedata.normalize("NFC", text)
    )
    kept = kept.lstrip(" ")
    if kept.split(".")[0].rstrip(" ").upper() in _WINDOWS_DEVICES:
        kept = f"_{kept}"
    kept = kept.encode("utf-8", "ignore")[:MAX_COMPONENT_BYTES].decode("utf-8", "ignore").rstrip(". ")
    return kept if kept.strip(".") else fallback


def _check_component(component: str, name: str) -> None:
    too_long = len(component.encode("utf-8", "surrogatepass")) > MAX_COMPONENT_BYTES
    odd = any(character == "\\" or _is_control(character) for character in component)
    if component in ("", ".", "..") or too_long or odd:
        raise UnsafePath(f"The file name {name!r} cannot be sent.")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs")

# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that a peer may send to get out of a folder, or into the way of another file."""

from hypothesis import strategies as st

REFUSED = {
    "empty": "",
    "up": "..",
    "up and up": "../../../../../../tmp/x",
    "up within": "a/../../x",
    "here": "./x",
    "absolute": "/etc/passwd",
    "an empty folder": "a//b",
    "a folder": "a/",
    "backslashes": "..\\..\\x",
    "a drive": "C:\\x",
    "UNC": "\\\\server\\share\\x",
    "a device path": "\\\\.\\PhysicalDrive0",
    "NUL character": "a\0.png",
    "a line end": "a\nb",
    "an escape sequence": "\x1b[2J.png",
    "a C1 control": "a\x9bb",
    "half a character": "a\ud800.png",
    "bytes that are no UTF-8": "a\udcff.png",
    "300 characters": "x" * 300,
    "300 bytes": "ä" * 150,
    "deeper than a path": "a/" * 600 + "a",
}
ODD = {
    "a drive": "C:x.png",
    "a drive's folder": "C:/x.png",
    "a stream": "a.png:b",
    "a device": "NUL",
    "a device with an extension": "con.png",
    "a device in a folder": "a/aux/b.png",
    "a device with a digit of its own": "COM¹.png",
    "a device with a dollar": "CONIN$",
    "a device with a space": "LPT1 .png",
    "a long device": "CON." + "x" * 251,
    "a trailing dot": "a.",
    "a trailing space": "a ",
    "three dots": "...",
    "dots and a space": ".. ",
    "wildcards": "a*?.png",
    "from the right to the left": "a\u202egnp.exe",
    "no width": "a\u200b.png",
    "an option": "-rf",
    "a home": "~/x",
    "a variable": "$HOME/%TEMP%/x",
    "deep": "a/" * 250 + "a",
    "as long as can be": "x" * 255,
}
"""What one system or another can hold: all that counts is that it stays where it belongs."""

TWINS = {
    "case": ("A.png", "a.png"),
    "sharp s": ("ß.png", "ss.png"),
    "Turkish i": ("İ.png", "i.png"),
    "composed or not": ("\u00e9.png", "e\u0301.png"),
}
"""Names that are one to some file systems."""

_STEPS = ["..", ".", "", "/", "//", "\\", "C:", ":", "~", " ", "\0", "\n", "\x1b", "\u202e", "\ud800", "\udcff"]
_WORDS = ["NUL", "COM¹", "a", "A", "ß", "\u0301", "日", "x" * 254]
parts = st.sampled_from(_STEPS + _WORDS)
names = st.text(max_size=300) | st.lists(parts | st.text(st.characters(), max_size=3), max_size=8).map("".join)
"""Anything; and what is likelier to lead somewhere."""

# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of figures in README.md, written from a kept result of `python -m bench main`."""

from pathlib import Path
from typing import Any

from .main import AFTER_SAVE, ANIMATION, CTRL_S, FIRST_SAVE, NEXT_SAVE, SAVE_POST

README = Path(__file__).parents[1] / "README.md"

BEGIN = "<!-- figures: python -m bench main --save -->\n"
END = "<!-- end of figures -->\n"

ROWS = {
    SAVE_POST.name: ("Blender's window stands still in save_post, 200 MB file", "limit 5 ms"),
    AFTER_SAVE.name: ("Longest call of the extension in the window until these have left", "limit 5 ms"),
    CTRL_S.name: (
        "Ctrl+S to thumbnail, default cube at 64x64, in a window",
        "copying the file, `blender -b -f 1`, copying the frame back",
    ),
    NEXT_SAVE.name: ("The same from the handed over save on, without a window", "the same"),
    FIRST_SAVE.name: ("The same for the first save after the node's start", "the same"),
    ANIMATION.name: ("20 frames of 320x180 with 16 samples", "`blender -b FILE -a`, limit 1.1"),
}
"""What a figure is called where people read it, and beside what it stands, in this order."""


def write(result: dict[str, Any], kept: Path, readme: Path = README) -> None:
    """Have the README quote this result, which is kept in that file below the README's folder."""
    before, begin, rest = readme.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    link = kept.relative_to(readme.parent).as_posix()
    readme.write_text("".join([before, begin, figures(result, link), end, after]), encoding="utf-8")


def figures(result: dict[str, Any], link: str) -> str:
    """Return the table, and where it is from. What the run did not measure is not in it."""
    values: dict[str, dict[str, str]] = {}
    for measure in result["measures"]:
        name, _, version = measure["name"].rpartition(", Blender ")
        if measure["value"] is not None:
            values.setdefault(name, {})[version] = _number(measure["value"], measure["unit"])
    versions = list(dict.fromkeys(version for by_version in values.values() for version in by_version))
    rows = [
        [label, *(values[name].get(version, "") for version in versions), against]
        for name, (label, against) in ROWS.items()
        if name in values
    ]
    head = ["", *(f"Blender {version}" for version in versions), "against"]
    lines = [head, ["---"] * len(head), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{table}\nMedians of [the run]({link}) of {result['date']}.\n"


def _number(value: float, unit: str) -> str:
    return f"{value:.2f}" if unit == "ratio" else f"{value:.1f} {unit}"

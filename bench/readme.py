# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of figures in README.md, each written from a kept result of a bench."""

from pathlib import Path
from typing import Any

from .eta import AGAIN, EASED, FORESEEN, RENDERED, RENDERED_AGAIN, SPREAD, UNFORESEEN
from .links import LINKS
from .main import AFTER_SAVE, ANIMATION, CTRL_S, FIRST_SAVE, NEXT_SAVE, SAVE_POST
from .render import (
    ACCEPTED,
    DIFFERENT,
    DRAFT,
    EVALUATED,
    FIRST,
    HEAVY,
    RESIDENT,
    SERVER,
    SLOTS_SMALL,
    SMALL,
    TAKEOVER,
    TINY,
    WATCHERS,
)
from .render_window import CALL, GAP
from .studio import FORMATS
from .transfer_figures import (
    CLIENT_MEMORY,
    CURVE_ALONE,
    GAP_MAX,
    GAP_P999,
    NODE_MEMORY,
    THROUGHPUT,
    first_upload,
    resave_bytes,
    resave_seconds,
)
from .web import LOAD, PAGES, PIXEL, SCROLL, SCROLL_LONGEST, UPLOAD, UPLOAD_RATE, WEIGHT

README = Path(__file__).parents[1] / "README.md"

END = "<!-- end of figures -->\n"

MAIN = {
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

_COUNTED = {"move": "An object moved", "sculpt": "1% of its vertices sculpted", "add": "An object added"}

TRANSFER = {
    **{
        resave_bytes(edit, kind).name: (f"{words}, scene of 350 MB, {kind}: travels", "limit 20 KB" * (edit == "move"))
        for kind in FORMATS
        for edit, words in _COUNTED.items()
    },
    **{
        resave_seconds("move", kind, link).name: (f"An object moved, {kind}, {link}: ready to render", "limit 0.45 s")
        for kind in FORMATS
        for link in LINKS
    },
    **{
        first_upload("uncompressed", link).name: (f"First upload, uncompressed, {link}", "the whole file as HTTP POST")
        for link in LINKS
    },
    **{
        first_upload("compressed", link).name: (f"First upload, compressed, {link}", "the whole file as HTTP POST")
        for link in LINKS
    },
    THROUGHPUT.name: ("Upload with nothing but the processor in its way: seconds", "scp; limit 0.4"),
    CURVE_ALONE.name: ("The same bytes through ZeroMQ's encryption alone, nothing read, hashed or written", "scp"),
    GAP_P999.name: ("Gaps of the window while 500 MB leave, p99.9", "limit 6 ms"),
    GAP_MAX.name: ("The longest of them", "limit 20 ms"),
    CLIENT_MEMORY.name: ("Memory that 5 GB and a thousand textures take beside Blender", "limit 100 MB"),
    NODE_MEMORY.name: ("The same on the node", "limit 100 MB"),
}  # fmt: skip

RENDER = {
    FIRST.name: (
        "Ctrl+S to the first picture in the panel, in a window",
        "copying, `blender -b -f 1`, copying; limit 0.35",
    ),
    TINY.name: ("20 frames of 64x64 with 1 sample", "`blender -b FILE -a`, limit 0.4"),
    SMALL.name: ("20 frames of 320x180 with 16 samples", "the same, limit 0.95"),
    HEAVY.name: ("10 frames of a million vertices with textures", "the same, limit 1.0"),
    DIFFERENT.name: ("Frames of these that differ from Blender's own in any pixel", "limit 0"),
    EVALUATED.name: ("80 frames that are evaluated on one core, on as many slots as gain", "`blender -b FILE -a`"),
    SLOTS_SMALL.name: ("60 frames of 320x180, which use all cores, on as many slots as gain", "one slot; limit 1.05"),
    TAKEOVER.name: ("A newer save during a long render: from the node having it to its first picture", "limit 0.3 s"),
    DRAFT.name: ("The draft before a frame of 960x540 with 64 samples", "the frame's time, limit 5%"),
    SERVER.name: ("The node's own process while it renders, of one core", "limit 3%"),
    WATCHERS.name: ("More than that with 200 who watch", "limit 10%"),
    ACCEPTED.name: ("A job of 100,000 frames is accepted after", "limit 2 s"),
    RESIDENT.name: ("Memory of the node's own process then", "limit 150 MB"),
    GAP.name: ("Gaps of the window with such a job in its list, p99.9", "limit 6 ms"),
    CALL.name: ("Longest call of the extension then", "limit 20 ms"),
    FORESEEN.name: ("Time left, from a third of the job on: costs that can be foreseen, simulated", "limit 25%"),
    EASED.name: ("The same, costs between two keyframes", "limit 25%"),
    SPREAD.name: ("The same, any costs, frames spread over the shot first", "limit 25%"),
    AGAIN.name: ("The same, any costs, a save rendered before", "limit 25%"),
    UNFORESEEN.name: ("The same, costs that turn or leap, in sequence, on average", ""),
    RENDERED.name: ("The same, real frames that cost ever more", "limit 25%"),
    RENDERED_AGAIN.name: ("The same, these saved again", "limit 25%"),
}

WEB = {
    WEIGHT.name: ("The page's first load", "limit 150 KB"),
    LOAD.name: ("Until it shows the jobs, on loopback", "limit 0.5 s"),
    PIXEL.name: ("From an event at the node to the page showing it, while a frame renders", "limit 200 ms"),
    PAGES.name: ("What 100 open pages cost the node while frames render, of one core", "limit 10%"),
    SCROLL.name: ("Scrolling 10,000 pictures: between two drawings, 95th percentile", "the screen's own 16.7 ms"),
    SCROLL_LONGEST.name: ("The longest of them", "limit 100 ms"),
    UPLOAD.name: ("The node's memory over rest while 2 GB come from a browser", "limit 100 MB"),
    UPLOAD_RATE.name: ("Those 2 GB, sent: the time", "a copy on this disk"),
}

TABLES = {"main": MAIN, "render": RENDER, "transfer": TRANSFER, "web": WEB}
"""By bench: what a figure is called where people read it, and beside what it stands, in this order."""


def begin(bench: str) -> str:
    """Return the line above a bench's table."""
    return f"<!-- figures: python -m bench {bench} --save -->\n"


def write(result: dict[str, Any], kept: Path, readme: Path = README) -> None:
    """Have the README quote this result, which is kept in that file below the README's folder.

    Raises ValueError for a README that has no place for it.
    """
    before, mark, rest = readme.read_text("utf-8").partition(begin(result["bench"]))
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{readme} has no lines {begin(result['bench']).strip()} and {END.strip()}")
    link = kept.relative_to(readme.parent).as_posix()
    readme.write_text("".join([before, mark, figures(result, link), end, after]), encoding="utf-8")


def figures(result: dict[str, Any], link: str) -> str:
    """Return the table, and where it is from. What the run did not measure is not in it."""
    values: dict[str, dict[str, str]] = {}
    for measure in result["measures"]:
        name, _, version = measure["name"].partition(", Blender ")
        if measure["value"] is not None:
            values.setdefault(name, {})[version] = _number(measure["value"], measure["unit"])
    versions = list(dict.fromkeys(version for by_version in values.values() for version in by_version if version))
    rows = [
        [label, *(values[name].get(version, values[name].get("", "")) for version in versions or [""]), against]
        for name, (label, against) in TABLES[result["bench"]].items()
        if name in values
    ]
    head = ["", *([f"Blender {version}" for version in versions] or ["measured"]), "against"]
    lines = [head, ["---"] * len(head), *rows]
    table = "".join(f"| {' | '.join(cells)} |\n" for cells in lines)
    return f"{table}\nMedians of [the run]({link}) of {result['date']}.\n"


def _number(value: float, unit: str) -> str:
    if unit == "ratio":
        return f"{value:.2f}"
    return f"{value:.2f} {unit}" if unit == "s" else f"{value:.1f} {unit}"

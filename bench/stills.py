# SPDX-License-Identifier: GPL-3.0-or-later
"""One frame in parts on two slots: how long it takes, and whether it is the picture that Blender renders."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from server.blenders import Blender
from tests.system.harness import NodeProcess

from . import plain, scenes
from .measures import Measure, side_by_side
from .node import Artist, artist_at

SECONDS = Measure("Still of 960x540, 128 samples, in parts on two warm slots", "ratio", "the same node with one slot")
DIFFERENCE = Measure(
    "Largest difference of its pixels from Blender's", "of 255", "blender -b FILE -f 1, and that again", limit=0
)

_COMPARE = """
import array, bpy
def pixels(path):
    image = bpy.data.images.load(path)
    values = array.array("f", bytes(4 * len(image.pixels)))
    image.pixels.foreach_get(values)
    return values
first, *others = map(pixels, PATHS)
assert all(len(other) == len(first) for other in others)
print("LARGEST", *(max(abs(a - b) for a, b in zip(first, other)) for other in others))
"""


def still(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """A frame in parts beside the same frame whole, on nodes whose Blenders have rendered it before.

    Slots are meant for several GPUs. Two on the same processor share its cores: there no gain can be expected, and the
    ratio says what the parts cost.
    """
    blend = scenes.still(blender, folder / "shot")
    numbers = count()
    with ExitStack() as stack:
        two, one = (_artist(stack, blender, folder / f"{slots}-slots", slots) for slots in (2, 1))
        places: list[Path] = []

        def render(artist: Artist) -> float:
            places.append(folder / f"frames-{next(numbers)}")
            return artist.frames(blend, places[-1], "1", 1)

        render(two), render(one)
        times = side_by_side(rounds, lambda: render(two), lambda: render(one))
    yield SECONDS.ratio(times, "two slots on one processor share its cores: no gain can be expected there")
    again = [plain.render_frame(blender, blend, folder / name) for name in ("plain", "plain-again")]
    merged = next(places[0].iterdir())
    ours, own = _differences(blender, [again[0], merged, again[1]])
    yield DIFFERENCE.measured(ours, f"Blender's own from one run to the next: {own:g}")


def _artist(stack: ExitStack, blender: Blender, folder: Path, slots: int) -> Artist:
    folder.mkdir()
    node = NodeProcess(folder / "node", blender, "--slots", str(slots))
    stack.callback(node.close)
    return stack.enter_context(artist_at(node, blender, folder))


def _differences(blender: Blender, pictures: list[Path]) -> list[float]:
    """How far the pixels of the first are at most from those of each other one, in steps of 8 bits."""
    code = f"PATHS = {list(map(str, pictures))!r}\n{_COMPARE}"
    command = [blender.source, "-b", "--factory-startup", "--python-exit-code", "1", "--python-expr", code]
    said = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("LARGEST"))
    return [255 * float(number) for number in line.split()[1:]]

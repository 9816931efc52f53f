# SPDX-License-Identifier: GPL-3.0-or-later
"""What a picture looks like, in numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

Looks = Callable[[list[Path]], list[Any]]
"""From pictures to the size and the mean colour of each."""

MEAN = """
import json, os, bpy
means = []
for path in json.loads(os.environ["PICTURES"]):
    image = bpy.data.images.load(path)
    pixels = image.pixels[:]
    means.append([list(image.size), [sum(pixels[channel::4]) / len(pixels[channel::4]) for channel in range(3)]])
print("MEANS", json.dumps(means))
"""
"""Size and mean colour of pictures."""

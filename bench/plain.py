# SPDX-License-Identifier: GPL-3.0-or-later
"""What artists do without Relay Render: Blender's own command line, and copying files."""

import shutil
import subprocess
import time
from pathlib import Path

from server.blenders import Blender


def render_copy(blender: Blender, blend: Path, folder: Path) -> float:
    """Copy the file to a node's folder, render its frame 1 there, copy the frame back; return the seconds."""
    there, back = folder / "there", folder / "back"
    there.mkdir(parents=True)
    back.mkdir()
    began = time.perf_counter()
    copied = Path(shutil.copy(blend, there))
    _blender(blender, copied, there, "-f", "1")
    shutil.copy(there / "frame_0001.png", back)
    return time.perf_counter() - began


def render_frame(blender: Blender, blend: Path, folder: Path) -> Path:
    """Render frame 1; return the picture."""
    _blender(blender, blend, folder, "-f", "1")
    return folder / "frame_0001.png"


def render_animation(blender: Blender, blend: Path, folder: Path, count: int) -> float:
    """Render the scene's own range; return the seconds."""
    began = time.perf_counter()
    _blender(blender, blend, folder, "-a")
    seconds = time.perf_counter() - began
    assert len(list(folder.iterdir())) == count
    return seconds


def _blender(blender: Blender, blend: Path, folder: Path, *what: str) -> None:
    command = [blender.source, "-b", str(blend), "-o", str(folder / "frame_####"), *what]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

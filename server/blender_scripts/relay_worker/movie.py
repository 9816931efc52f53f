# SPDX-License-Identifier: GPL-3.0-or-later
"""Making a movie of frames that were rendered as pictures: Blender's sequencer encodes them as the scene says."""

import math
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy

from .failures import Failure, disk_full
from .frame import guarded, written
from .outputs import Output, Places, redirected

SUFFIXES = frozenset({".avi", ".dv", ".flv", ".mkv", ".mov", ".mp4", ".mpg", ".ogg", ".ogv", ".webm"})
"""What an artist may write at the end of a movie's name. Its frames are named like it without; one alone comes home."""

STRIP = "Relay Render"
"""Name of the strip that shows the pictures."""

TOP_CHANNEL = 128
"""The sequencer's last channel: MAX_CHANNELS in Blender's SEQ_sequencer.hh."""


def missing_sound(scene: bpy.types.Scene) -> str | None:
    """One sentence if this Blender, as the wheel of 4.2, was built without sound and the movie has some, or None."""
    render, options = scene.render, bpy.app.build_options
    if not render.is_movie_format or render.ffmpeg.audio_codec == "NONE" or getattr(options, "audaspace", True):
        return None
    return f"The node's Blender {bpy.app.version_string} has no sound, so the movie will be silent."


def render_pictures(scene: bpy.types.Scene) -> None:
    """Let a scene whose output is a movie render PNGs that lose nothing of what the movie would have kept.

    They have its channels, and two bytes for each where it has more than 8 bits. There is no way back but to open the
    file again: Blender 4 gives a movie without sound another codec when it becomes one again.
    """
    settings: Any = scene.render.image_settings
    depth = "8" if settings.color_depth == "8" else "16"
    if hasattr(settings, "media_type"):  # since 5.0
        settings.media_type = "IMAGE"
    settings.file_format, settings.color_depth = "PNG", depth
    stem, suffix = os.path.splitext(scene.render.filepath)  # noqa: PTH122 - a Path would change `//` and a last slash
    if suffix.lower() in SUFFIXES:
        scene.render.filepath = stem


def encode(scene: bpy.types.Scene, frames: Sequence[int], pictures: Sequence[Path], folder: Path) -> list[Output]:
    """Encode the pictures of `frames` below `folder` and return what was written; raises Failure.

    `pictures` holds one for each frame, or as many as the scene has views, which become a movie each. Frames with equal
    steps follow each other as in Blender's own movies; where others are missing, the picture before them stays. The
    scene is rearranged for all that: open its file again before anything else is rendered.
    """
    views, rest = divmod(len(pictures), len(frames))
    if rest or not views:
        raise Failure(f"The movie's {len(frames)} frames came with {len(pictures)} pictures: render it again.")
    step = math.gcd(*(frame - min(frames) for frame in frames)) or 1
    _set_range(scene, frames, step)
    outputs: list[Output] = []
    for view in range(views):
        links = _link(dict(zip(frames, pictures[view::views], strict=True)), folder / f"pictures-{view}")
        places = Places(folder / f"movie-{view}")
        _show(scene, links)
        with redirected(scene, places):
            guarded(scene, folder)
        shutil.rmtree(links[0].parent)
        outputs += [_of_view(output, _suffixes(scene, views)[view]) for output in written(places, folder)]
    return outputs


def _set_range(scene: bpy.types.Scene, frames: Sequence[int], step: int) -> None:
    """Blender names a movie after the scene's range, whose end a step may miss."""
    first, last = min(frames), max(frames)
    if first == scene.frame_start and last <= scene.frame_end < last + step:
        last = scene.frame_end
    scene.frame_start, scene.frame_end, scene.frame_step = first, last, step


def _link(pictures: dict[int, Path], folder: Path) -> list[Path]:
    """Gather the pictures in one folder, as a strip wants them: one for each frame from the first to the last."""
    folder.mkdir()
    links, shown = [], pictures[min(pictures)]
    for frame in range(min(pictures), max(pictures) + 1):
        shown = pictures.get(frame, shown)
        links.append(folder / f"{frame:07}{shown.suffix}")
        _lead(links[-1], shown)
    return links


def _lead(place: Path, picture: Path) -> None:
    """Make `place` stand for a picture, which may be where nothing can be linked from, and is not to be copied."""
    for make in (os.symlink, os.link, shutil.copyfile):  # Windows lets only some accounts make symbolic links.
        with suppress(OSError):
            make(picture, place)
            return
    raise disk_full()


def _show(scene: bpy.types.Scene, links: Sequence[Path]) -> None:
    """Let the scene's picture be one strip over everything else, each pixel as it is; what sounds goes on sounding."""
    editor: Any = scene.sequence_editor or scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # since 4.4
    for former in [strip for strip in strips if strip.name == STRIP]:
        strips.remove(former)
    channel = max((strip.channel for strip in strips), default=0) + 1
    if channel > TOP_CHANNEL:
        raise Failure(f"Clear the sequencer's channel {TOP_CHANNEL}: the movie is put together there.", fatal=True)
    editor.channels[channel].mute = False
    strip = strips.new_image(STRIP, str(links[0]), channel, scene.frame_start, fit_method="ORIGINAL")
    strip.name = STRIP
    for link in links[1:]:
        strip.elements.append(link.name)
    strip.blend_type = "REPLACE"
    strip.colorspace_settings.name = scene.sequencer_colorspace_settings.name
    first: Any = bpy.data.images.load(str(links[0]))
    _render_as_is(scene.render, first.size)
    _view_as_is(scene)


def _render_as_is(render: Any, size: Sequence[int]) -> None:
    render.resolution_x, render.resolution_y, render.resolution_percentage = *size, 100
    render.use_sequencer, render.use_compositing = True, False
    render.use_border = render.use_multiview = render.use_stamp = False
    render.dither_intensity = 0.0


def _view_as_is(scene: bpy.types.Scene) -> None:
    """The pictures hold what is seen: the display transform has been through them, and must not be twice."""
    settings = scene.render.image_settings
    view: Any = settings.view_settings if settings.color_management == "OVERRIDE" else scene.view_settings
    view.view_transform = "Standard"
    view.look = "None"
    view.exposure, view.gamma = 0.0, 1.0
    view.use_curve_mapping = False
    if hasattr(view, "use_white_balance"):  # since 4.3
        view.use_white_balance = False


def _suffixes(scene: bpy.types.Scene, views: int) -> list[str]:
    """What Blender appends to the names of each view's files, in the order of these names."""
    return [""] if views == 1 else sorted(view.file_suffix for view in scene.render.views if view.use)


def _of_view(output: Output, suffix: str) -> Output:
    """Give a view's movie the name it has among several."""
    path = Path(output["path"])
    renamed = path.rename(path.with_stem(path.stem + suffix))
    name = Path(output["name"])
    return {**output, "name": name.with_stem(name.stem + suffix).as_posix(), "path": str(renamed)}

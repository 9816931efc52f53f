# SPDX-License-Identifier: GPL-3.0-or-later
"""Frame lists as artists write them: ``1-48``, ``1-10,20``, ``1-100x2``."""

import re

from .errors import InvalidFrames

MAX_FRAME = 1_048_574
"""Blender's own largest frame number (MAXFRAME in DNA_scene_types.h); its smallest that is rendered is 0."""

MAX_FRAMES = 100_000
"""Frames in one job: 69 minutes of film at 24 frames/s; a longer list is nearly always a slip of the finger."""

_PART = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?:x(\d{1,9}))?)?\Z")


def parse_frames(text: str) -> tuple[int, ...]:
    """Return the frames that `text` names, ascending and each once.

    Raises InvalidFrames with a sentence that says what to write instead.
    """
    spans = [_parse_part(part.strip()) for part in text.split(",") if part.strip()]
    if not spans:
        raise InvalidFrames("No frames to render: write them like 1-48, 1-10,20 or 1-100x2.")
    if sum(len(span) for span in spans) > MAX_FRAMES:
        raise InvalidFrames(
            f"{text} names {sum(len(span) for span in spans):,} frames; a job may have {MAX_FRAMES:,}: "
            "split it into several jobs."
        )
    return tuple(sorted({frame for span in spans for frame in span}))


def format_frames(frames: tuple[int, ...]) -> str:
    """Return the shortest text for ascending `frames`, such that parse_frames gives them back."""
    parts = []
    start = 0
    while start < len(frames):
        end = _end_of_run(frames, start)
        parts.append(_format_run(frames[start], frames[end - 1], end - start))
        start = end
    return ",".join(parts)


def _parse_part(part: str) -> range:
    match = _PART.match(part)
    if match is None:
        raise InvalidFrames(f"{part!r} is not a frame or a range: write frames like 1-48, 1-10,20 or 1-100x2.")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    step = 1 if match[3] is None else int(match[3])
    if last < first:
        raise InvalidFrames(f"{part!r} runs backwards: write {last}-{first}.")
    if step < 1:
        raise InvalidFrames(f"{part!r} has a step of zero: write 1 or more behind the x.")
    if last > MAX_FRAME:
        raise InvalidFrames(f"{part!r} is beyond frame {MAX_FRAME:,}, the last one that Blender has.")
    return range(first, last + 1, step)


def _end_of_run(frames: tuple[int, ...], start: int) -> int:
    """Where the evenly spaced run at `start` ends; two frames alone are a run only when they are neighbours."""
    if start + 1 == len(frames):
        return start + 1
    step = frames[start + 1] - frames[start]
    end = start + 2
    while end < len(frames) and frames[end] - frames[end - 1] == step:
        end += 1
    return end if end - start > 2 or step == 1 else start + 1


def _format_run(first: int, last: int, count: int) -> str:
    if count == 1:
        return str(first)
    step = (last - first) // (count - 1)
    return f"{first}-{last}" + (f"x{step}" if step > 1 else "")

# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's pure parts, on texts that Blender 4.3.2 and 5.2.2 really wrote. No Blender runs here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.protocol import paths
from server.blender_scripts.relay_worker.failures import opening_failure, rendering_failure
from server.blender_scripts.relay_worker.patterns import confined, literal, split_pattern
from server.blender_scripts.relay_worker.progress import NOTHING, Progress, parse_stats

SAVE_AGAIN = "open it, save it again. (Blender says: Missing DNA block.)"
CYCLES_4 = (
    "Fra:1 Mem:10.32M (Peak 10.68M) | Time:00:02.38 | Remaining:{} | Mem:0.35M, Peak:0.71M | Scene, ViewLayer | {}"
)


@pytest.mark.parametrize(
    ("text", "progress"),
    [
        (CYCLES_4.format("00:00.53", "Sample 1/16"), Progress(1, 16, None, None, 0.53)),
        (CYCLES_4.format("00:00.53", "Rendered 4/6 Tiles, Sample 192/256"), Progress(192, 256, 4, 6, 0.53)),
        (CYCLES_4.format("10:25:09.72", "Sample 672/10000000"), Progress(672, 10_000_000, None, None, 37509.72)),
        ("Remaining: 00:00.40 | Mem: 1M | Sample 1/16", Progress(1, 16, None, None, 0.4)),
        ("Remaining: 00:00.32 | Mem: 1M | Rendered 4/6 Tiles, Sample 192/256", Progress(192, 256, 4, 6, 0.32)),
        ("Remaining: 13:29:40.11 | Mem: 3M | Sample 672/10000000", Progress(672, 10_000_000, None, None, 48580.11)),
        ("Remaining: 00:00.23 | Mem: 0M | Reading full buffer from disk", Progress(None, None, None, None, 0.23)),
        ("Rendering 25 / 64 samples", Progress(25, 64, None, None, None)),
        (
            "Fra:1 Mem:46.60M (Peak 46.60M) | Time:00:41.99 | Rendering 25 / 64 samples",
            Progress(25, 64, None, None, None),
        ),
        ("Mem: 0M | Synchronizing object | Cube", NOTHING),
        ("Mem: 1M | Loading render kernels (may take a few minutes the first time)", NOTHING),
    ],
)
def test_progress_of_real_texts(text: str, progress: Progress) -> None:
    assert parse_stats(text) == progress
    assert progress.counts == ("Sample" in text or "samples" in text)


@given(st.text(alphabet="/\\{}.#ab:"))
def test_both_sides_split_patterns_alike(pattern: str) -> None:
    assert split_pattern(pattern) == paths.split_pattern(pattern)


@pytest.mark.parametrize(
    ("rest", "inside"),
    [
        ("shot_###", "shot_###"),
        ("", ""),
        ("{blend_name}/f_", "{blend_name}/f_"),
        ("layers/", "layers/"),
        ("/", ""),
        ("../../x", "x"),
        ("a/../../x", "x"),
        ("..\\..\\x", "x"),
        ("/etc/passwd", "etc/passwd"),
        ("..", ""),
    ],
)
def test_confined(rest: str, inside: str) -> None:
    assert confined(rest) == inside


@given(st.text(alphabet="/\\.a"))
def test_nothing_confined_climbs(rest: str) -> None:
    assert not confined(rest).startswith("/")
    assert ".." not in confined(rest).split("/")


def test_braces_in_a_folder_are_no_templates() -> None:
    assert literal("C:\\jobs\\{x}", templates=True) == "C:/jobs/{{x}}/"
    assert literal("/jobs/{x}/", templates=False) == "/jobs/{x}/"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            "Error: Cannot read blend file '/x.blend', incomplete header, may be from a newer version of Blender\n",
            "This file is newer than the node's Blender 4.3.2: install a newer Blender there, then render again.",
        ),
        (
            "Error: /x.blend: File saved by a newer version of Blender (6.1), Blender 6.0 or later is needed\n",
            "This file is newer than the node's Blender 4.3.2: install Blender 6.1 or newer there, then render again.",
        ),
        (
            'Error: Cannot read file "/x.blend": No such file or directory\n',
            "The node cannot read its copy of the file: save it again to send it anew.",
        ),
        (
            "Error: Missing DNA block\n",
            f"Blender 4.3.2 cannot read this file, it is damaged or incomplete: {SAVE_AGAIN}",
        ),
    ],
)
def test_why_a_file_does_not_open(error: str, reason: str) -> None:
    failure = opening_failure(error, "4.3.2")
    assert str(failure) == reason
    assert failure.fatal


@pytest.mark.parametrize(
    ("error", "reason", "fatal"),
    [
        (
            "Error: Cannot render, no camera\n",
            'The scene "Shot" has no camera: add one, make it active, and save again.',
            True,
        ),
        (
            "Error: Render error (No space left on device) cannot save: '/a/0/f_0001.png'\n",
            "The render node's disk is full.",
            True,
        ),
        ("Error: Out of memory\n", "Blender could not render this: Out of memory.", False),
    ],
)
def test_why_a_frame_does_not_render(error: str, reason: str, fatal: bool) -> None:
    failure = rendering_failure(error, "Shot")
    assert (str(failure), failure.fatal) == (reason, fatal)

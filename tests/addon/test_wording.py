# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import pytest

from addon.blender import wording
from addon.blender.jobs import Connection, Job, Node

MB = 1_000_000

RENDERING = Job(
    "a",
    state="rendering",
    frames="1-48",
    total=48,
    done=12,
    fraction=0.27,
    eta_s=192.0,
    frame=13,
    sample=129,
    samples=256,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-3, "0s"),
        (7.4, "7s"),
        (59.6, "1m 0s"),
        (192, "3m 12s"),
        (3599, "59m 59s"),
        (7320, "2h 2m"),
        (90_000, "1d 1h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("fraction", "text"),
    [(0, "0%"), (0.27, "27%"), (0.29, "29%"), (0.999, "99%"), (1, "100%"), (1.2, "100%"), (-1, "0%")],
)
def test_a_percentage_reaches_100_only_at_the_end(fraction: float, text: str) -> None:
    assert wording.percent(fraction) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (9_100_000, "9.1 MB"), (2_340_000_000, "2.34 GB")]
)
def test_sizes(count: int, text: str) -> None:
    assert wording.size(count) == text


@pytest.mark.parametrize(
    ("job", "bar"),
    [
        (RENDERING, (0.27, "Frame 12 / 48   27%   ETA 3m 12s")),
        (Job("a", state="rendering", frames="7", total=1, fraction=0.5), (0.5, "Frame 7   50%")),
        (Job("a", state="uploading", sent_bytes=5, total_bytes=20), (0.25, "Uploading   25%")),
        (Job("a", state="uploading"), (0.0, "Uploading   0%")),
        (Job("a", state="waiting", total=3), (0.0, "Waiting")),
        (Job("a", state="returning", total=4, done=4, delivered=2, fraction=1.0), (1.0, "Returning 2 / 4   100%")),
        (Job("a", state="done", total=1, done=1, fraction=1.0), (1.0, "Done   1 frame")),
        (Job("a", state="failed", total=20, done=17, fraction=0.85), (0.85, "Failed   17 / 20")),
        (Job("a", state="cancelled", total=20), (0.0, "Cancelled")),
        (Job("a", state="a-newer-clients", total=2), (0.0, "A-newer-clients 0 / 2   0%")),
    ],
)
def test_the_bar_says_how_far_the_job_is(job: Job, bar: tuple[float, str]) -> None:
    assert wording.bar(job) == bar


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (RENDERING, "Sample 129 / 256"),
        (Job("a", state="rendering", tile=3, tiles=40, blender="5.2.2"), "Tile 3 / 40   Blender 5.2.2"),
        (Job("a", state="uploading", sent_bytes=7 * MB, total_bytes=9 * MB, rate=12e6), "7.0 MB of 9.0 MB, 12.0 MB/s"),
        (Job("a", state="uploading", total_bytes=27_000_000), "0 B of 27.0 MB"),
        (Job("a", state="failed", failed=3), "3 failed"),
        (Job("a", state="waiting"), ""),
    ],
)  # fmt: skip
def test_the_line_below_the_bar(job: Job, line: str) -> None:
    assert wording.detail(job) == line


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (Job("a", state="rendering", blender="5.2.2", text="Rendering with Blender 5.2.2."), ""),
        (Job("a", state="rendering", blender="5.2.2", text="The disk is full."), "The disk is full."),
        (Job("a", state="done", total=3, folder="/my films/out", text="Done: in /my films/out."), ""),
        (Job("a", state="cancelled", text="Cancelled."), ""),
        (Job("a", state="waiting", text="Waits for the node."), "Waits for the node."),
        (Job("a", state="waiting"), ""),
    ],
)  # fmt: skip
def test_a_sentence_that_only_repeats_the_bar_is_left_out(job: Job, line: str) -> None:
    assert wording.sentence(job) == line


@pytest.mark.parametrize(
    ("job", "shown"),
    [
        (RENDERING, (0.27, "27%")),
        (Job("a", state="done", total=48, done=48), (None, "48/48")),
        (Job("a", state="done", total=1, done=1), (None, "Done")),
        (Job("a", state="failed", total=9), (None, "Failed")),
    ],
)
def test_a_row_has_a_bar_while_something_moves(job: Job, shown: tuple[float | None, str]) -> None:
    assert wording.short_progress(job) == shown


def test_a_single_frame_has_the_still_cameras_icon() -> None:
    assert wording.state_icon(Job("a", state="rendering", total=1)) == "RENDER_STILL"
    assert wording.state_icon(RENDERING) == "RENDER_ANIMATION"


def test_a_state_that_is_not_known_has_an_icon_all_the_same() -> None:
    assert wording.state_icon(Job("a", state="dreaming")) == "QUESTION"
    assert wording.connection_icon(Connection("dreaming")) == "QUESTION"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("short", ["short"]),
        ("Render on the node", ["Render on", "the node"]),
        ("ends exactly here 10", ["ends", "exactly", "here 10"]),
        ("/a/very/long/path is long", ["/a/very/", "long/path", "is long"]),
        ("//averylongname/sky.png", ["//averylon", "gname/", "sky.png"]),
        ("averylongword/in a path", ["averylongw", "ord/in a", "path"]),
        ("C:\\project\\sky.png", ["C:\\", "project\\", "sky.png"]),
    ],
)
def test_sentences_are_broken_to_the_width(text: str, lines: list[str]) -> None:
    assert wording.wrap(text, 10, len) == lines


def test_a_width_of_nothing_still_ends() -> None:
    assert wording.wrap("abc", 0, len) == ["a", "b", "c"]


def test_missing_files_are_listed_by_data_block_as_far_as_there_is_room() -> None:
    def waiting(count: int) -> Job:
        lost = tuple({"owner": f'Image "{n}"', "path": f"/tex/{n}.png", "reason": "is not there"} for n in range(count))
        return Job("1", state="missing", missing=lost)

    assert wording.missing_files(waiting(1)) == ['Image "0" is not there: /tex/0.png']
    assert len(wording.missing_files(waiting(wording.MISSING_SHOWN))) == wording.MISSING_SHOWN
    *listed, more = wording.missing_files(waiting(wording.MISSING_SHOWN + 5))
    assert (len(listed), more) == (wording.MISSING_SHOWN, "and 5 more")
    assert wording.bar(waiting(1)) == (0.0, "Missing")


def test_a_node_of_the_list_says_why_it_is_no_good() -> None:
    box = Node("box", "box-1.local", "9.0.0")
    assert (wording.is_usable(box), wording.node_label(box)) == (True, "box   box-1.local")
    other = replace(box, fits=False)
    assert not wording.is_usable(other)
    assert wording.node_label(other) == "box   box-1.local   has version 9.0.0, which does not fit"
    silent = replace(box, answers=False)
    assert not wording.is_usable(silent)
    assert wording.node_label(silent).endswith("does not answer")


def test_a_paused_job_says_so_and_of_no_time_left() -> None:
    # GIVEN one whose frame is still being rendered
    pausing = replace(RENDERING, paused=True)
    assert (wording.state_label(pausing), wording.bar(pausing)) == (
        "Rendering",
        (0.27, "Frame 12 / 48   27%   pausing"),
    )
    # THEN it rests when that has come to its end
    rests = replace(pausing, state="queued", done=13, frame=None, text="Paused.")
    assert (wording.state_icon(rests), wording.state_label(rests)) == ("PAUSE", "Paused")
    assert wording.bar(rests) == (0.27, "Paused   13 / 48")
    assert wording.short_progress(rests) == (None, "Paused")
    assert wording.sentence(rests) == ""
    # AND a job that has ended does not
    assert wording.state_label(replace(rests, state="cancelled")) == "Cancelled"

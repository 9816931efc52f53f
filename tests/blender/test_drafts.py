# SPDX-License-Identifier: GPL-3.0-or-later
"""A draft comes first, shows what the frame will show, and leaves no trace in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.blender.looks import Looks
from tests.blender.written import delivered, files_below


def test_a_draft_comes_first_and_changes_nothing(
    worker: Any, scenes: Path, plain_render: Callable[..., Path], tmp_path: Path, looks: Looks
) -> None:
    # GIVEN a scene whose frames take long enough
    blend = scenes / "worth_a_draft" / "worth_a_draft.blend"
    worker.open(blend)
    # WHEN a frame renders with a draft, and the next one without
    first = worker.render(3, tmp_path / "3", draft=True)
    second = worker.render(5, tmp_path / "5")
    # THEN the draft is there before the frame has begun, and only for the first
    assert [event["event"] for event in first if event["event"] != "progress"] == [
        "preview", "started", "written", "preview",
    ]  # fmt: skip
    assert [event["event"] for event in second if event["event"] != "progress"] == ["started", "written", "preview"]
    draft, frame = first[0], first[-1]
    assert (draft["width"], draft["height"]) == (160, 120)
    # AND looks like the frame
    (_, drafted), (_, rendered) = looks([Path(draft["path"]), Path(frame["path"])])
    assert max(abs(ours - theirs) for ours, theirs in zip(drafted, rendered, strict=True)) < 0.03
    # AND the frames are what Blender writes without any of this
    for number, events in ((3, first), (5, second)):
        written = next(event for event in events if event["event"] == "written")
        assert delivered(written["outputs"], "//out/") == files_below(plain_render("worth_a_draft", number))
    assert list(blend.parent.iterdir()) == [blend]


def test_what_is_rendered_soon_has_no_draft(worker: Any, scenes: Path, tmp_path: Path) -> None:
    worker.open(scenes / "cycles_png" / "cycles_png.blend")
    events = worker.render(1, tmp_path / "1", draft=True)
    assert events[0]["event"] == "started"
    assert next(event for event in events if event["event"] == "written")["draft_s"] is None

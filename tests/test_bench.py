# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs read of a bench."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench import readme, render, transfer
from bench.main import FIGURES, calls_after_save, gap_in_save_post
from bench.measures import Measure, report

ROOT = Path(__file__).parents[1]
README = readme.README.read_text("utf-8")


def run_bench(*arguments: str) -> str:
    environment = os.environ | {"RELAY_TEST_BLENDERS": ""}
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout


def test_a_value_is_held_against_its_limit() -> None:
    # GIVEN figures with a limit that is kept, one that is missed, one just kept, and without a limit
    asked = Measure("frames", "ratio", "by hand", limit=1.1)
    figures = [
        asked.measured(1.0, ""),
        asked.measured(1.2, ""),
        asked.measured(1.1, ""),
        Measure("a", "s", "b", value=9),
    ]
    # WHEN they are reported
    told = json.loads(json.dumps(report("some", figures)))
    # THEN each says whether it holds, and nothing is said to hold that was not asked
    assert told["bench"] == "some"
    assert [measure["holds"] for measure in told["measures"]] == [True, False, True, None]
    assert told["measures"][1] == {
        "name": "frames", "value": 1.2, "unit": "ratio", "against": "by hand", "limit": 1.1, "holds": False,
    }  # fmt: skip


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # GIVEN a round in which the machine was ten times slower for both, and one in which something else hit ours
    figure = Measure("frames", "ratio", "by hand").ratio([(1.0, 2.0), (10.0, 20.0), (9.0, 2.0)])
    # THEN neither spoils the figure
    assert figure.value == 0.5
    assert figure.detail == "9.000 s against 2.000 s, medians of 3 rounds"


def test_a_gap_in_save_post_lasts_until_the_next_beat_whatever_fills_it() -> None:
    # GIVEN a save that was written at second 10, a handler of 1 ms, the next beat 3 ms later, and drawing after it
    heard = {
        "save_post": [(10.0, 10.0)], "handler": [(10.0, 10.001)], "left": [(12.0, 12.0), (13.0, 13.0)],
        "gap": [(8.0, 8.5), (9.0, 10.004), (10.1, 10.4), (12.5, 13.5)],
        "poll": [(9.9, 9.99), (10.5, 10.502), (12.1, 12.2)], "draw": [(10.2, 10.203), (12.6, 12.7)],
    }  # fmt: skip
    # AND the same without the extension, where the beat came after 1 ms
    alone = {"save_post": [(20.0, 20.0)], "gap": [(19.0, 20.001), (20.1, 20.3), (22.5, 23.5)]}
    # WHEN they are evaluated
    gap, calls = gap_in_save_post([heard], [alone]), calls_after_save([heard], [alone])
    # THEN the writing does not count, nor what came after the next beat, and the difference is said
    assert gap.value == 4.0
    assert "pairs' differences 3.0 ms; the extension's handler itself 1.0 ms" in gap.detail
    # AND of the calls after it those count that began before the file had left, beside all that held the window up then
    assert calls.value == 3.0
    assert "polls 2.0 ms, of the panel's drawing 3.0 ms; the file left within 2.0 s" in calls.detail
    assert "300 ms, without the extension 200 ms" in calls.detail


@pytest.mark.parametrize(
    ("bench", "figures"),
    [("main", FIGURES), ("render", [figure for part in render.PARTS.values() for figure in part.figures])],
)
def test_where_nothing_can_be_measured_every_figure_says_why(bench: str, figures: Sequence[Measure]) -> None:
    # GIVEN no Blender
    # WHEN the bench runs
    told = json.loads(run_bench(bench).splitlines()[-1])
    # THEN its last line has every figure that was asked, none with a value, each with the reason
    assert [measure["name"] for measure in told["measures"]] == [figure.name for figure in figures]
    assert all(measure["value"] is measure["holds"] is None for measure in told["measures"])
    assert all("RELAY_TEST_BLENDERS" in measure["why"] for measure in told["measures"])


@pytest.mark.parametrize("bench", [bench for bench in readme.TABLES if readme.begin(bench) in README])
def test_the_readme_quotes_the_run_that_it_names(bench: str, tmp_path: Path) -> None:
    # GIVEN README.md, and the result that its figures link to
    quoted = README
    block = quoted.partition(readme.begin(bench))[2].partition(readme.END)[0]
    (link,) = re.findall(r"\[the run\]\((.*?)\)", block)
    # WHEN the figures are written from it into a README that says something else
    other = tmp_path / "README.md"
    other.write_text(quoted.replace(block, "| other | figures |\n"), "utf-8")
    readme.write(json.loads((ROOT / link).read_text("utf-8")), tmp_path / link, other)
    # THEN that is what stands there
    assert other.read_text("utf-8") == quoted


def test_the_readme_has_words_for_every_figure() -> None:
    assert set(readme.MAIN) == {figure.name for figure in FIGURES}
    asked = {figure.name for part in transfer.PARTS.values() for figure in part.figures}
    assert set(readme.TRANSFER) <= asked
    assert set(readme.RENDER) <= {figure.name for part in render.PARTS.values() for figure in part.figures}


def test_no_two_figures_have_one_name() -> None:
    names = [figure.name for part in transfer.PARTS.values() for figure in part.figures]
    assert len(set(names)) == len(names)


def test_a_readme_without_a_place_for_the_figures_stays_as_it_is(tmp_path: Path) -> None:
    other = tmp_path / "README.md"
    other.write_text("# Words\n", "utf-8")
    with pytest.raises(ValueError, match="has no lines"):
        readme.write({"bench": "main", "date": "today", "measures": []}, tmp_path / "run.json", other)
    assert other.read_text("utf-8") == "# Words\n"


def test_without_a_name_the_benches_are_listed() -> None:
    assert "main " in run_bench()

# SPDX-License-Identifier: GPL-3.0-or-later
"""What other programs read of a bench."""

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.main import FIGURES
from bench.measures import Measure, report

ROOT = Path(__file__).parents[1]


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


def test_where_nothing_can_be_measured_every_figure_says_why() -> None:
    # GIVEN no Blender
    # WHEN the bench runs
    told = json.loads(run_bench("main").splitlines()[-1])
    # THEN its last line has every figure that was asked, none with a value, each with the reason
    assert [measure["name"] for measure in told["measures"]] == [figure.name for figure in FIGURES]
    assert all(measure["value"] is measure["holds"] is None for measure in told["measures"])
    assert all("RELAY_TEST_BLENDERS" in measure["why"] for measure in told["measures"])


def test_without_a_name_the_benches_are_listed() -> None:
    assert "main " in run_bench()

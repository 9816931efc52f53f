# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs, each hit by a random fault at a random moment: the same ones in every run. RELAY_SOAK_ROUNDS makes it more."""

import os
import sys
from pathlib import Path

import pytest

from bench.trust import chaos
from server.blenders import Blender

ROUNDS = int(os.environ.get("RELAY_SOAK_ROUNDS", "10"))
SEED = 3731
"""Its first ten rounds have each fault but the silence once, three at least in each phase."""
ROUND_S = 15


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process and let it go on")
@pytest.mark.timeout(180 + ROUND_S * ROUNDS)
def test_no_frame_is_lost_doubled_or_damaged_whatever_ends_or_stops(any_blender: Blender, tmp_path: Path) -> None:
    # WHEN jobs meet kills, stops, cuts, slowness and a full disk in upload, render and return
    run = chaos.play(any_blender, tmp_path, range(ROUNDS), seed=SEED)
    # THEN each comes home once, as from an undisturbed run, and leaves nothing behind
    assert run.lost == []
    assert run.left == []
    # AND nearly all met their fault
    assert len(run.seconds) == ROUNDS
    assert run.hits.total() >= ROUNDS * 0.8

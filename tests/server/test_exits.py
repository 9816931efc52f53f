# SPDX-License-Identifier: GPL-3.0-or-later
"""Exit codes: one table, which the document repeats."""

import re
from pathlib import Path

import pytest

from addon.client.observer import Declined, NotLetIn, Unreachable
from addon.protocol.errors import InvalidFrames
from addon.protocol.messages import Refusal
from server.cli.exits import MEANINGS, Exit, exit_for

NODE = (Path(__file__).parents[2] / "docs" / "node.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("gone"), Exit.UNREACHABLE),
        (NotLetIn("pair first"), Exit.NOT_ALLOWED),
        (Declined("no", Refusal.NOT_ALLOWED), Exit.NOT_ALLOWED),
        (Declined("which?", Refusal.UNKNOWN_JOB), Exit.NO_JOB),
        (Declined("full", Refusal.DISK_FULL), Exit.FAILED),
        (InvalidFrames("milk"), Exit.USAGE),
        (OSError("else"), Exit.FAILED),
    ],
)
def test_an_error_has_its_code(error: Exception, code: Exit) -> None:
    assert exit_for(error) == code


def test_the_document_lists_every_code() -> None:
    section = NODE.partition("### Exit codes\n")[2].partition("### ")[0]
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(MEANINGS) == list(Exit)

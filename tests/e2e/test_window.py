# SPDX-License-Identifier: GPL-3.0-or-later
"""What the window tests rely on: no error of Python in a window's Blender goes unnoticed."""

from collections.abc import Callable

import pytest

from tests.addon.scripted_client import wait_for
from tests.e2e.conftest import OpenWindow
from tests.e2e.window import BlenderWindow


def after_an_error(open_window: OpenWindow, then: Callable[[BlenderWindow], None]) -> None:
    """What a test does in a window in which Python has failed; Blender logs that and goes on."""
    with open_window() as window:
        window.run("bpy.app.timers.register(lambda: 1 / 0)")
        wait_for(lambda: "ZeroDivisionError" in window.log(), "the error")
        then(window)


def close(window: BlenderWindow) -> None:
    """Nothing: the window is closed anyway."""


def kill(window: BlenderWindow) -> None:
    window.process.kill()


def fail(window: BlenderWindow) -> None:
    raise LookupError


@pytest.mark.parametrize("end", [close, kill])
def test_an_error_that_nobody_looked_for_fails_the_test_and_is_shown(
    open_window: OpenWindow, end: Callable[[BlenderWindow], None]
) -> None:
    with pytest.raises(AssertionError, match=r"(?s)Traceback.*ZeroDivisionError"):
        after_an_error(open_window, end)


def test_a_test_that_fails_shows_the_end_of_the_log(open_window: OpenWindow) -> None:
    with pytest.raises(LookupError) as failure:
        after_an_error(open_window, fail)
    assert "ZeroDivisionError" in "".join(failure.value.__notes__)

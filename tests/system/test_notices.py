# SPDX-License-Identifier: GPL-3.0-or-later
"""The client process says what has become of jobs, on the desktop too if that is wanted."""

import sys
from pathlib import Path

import pytest

from tests.addon.scripted_client import wait_for
from tests.system.harness import ClientProcess, Line

pytestmark = pytest.mark.skipif(
    sys.platform in ("win32", "darwin"), reason="only freedesktop.org's desktops have notify-send"
)


def is_notice(line: Line) -> bool:
    return str(line["event"]) == "notice"


def test_a_job_that_fails_is_said_and_shown_on_the_desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a desktop that writes down what it shows, and an artist who wants that
    program, shown = tmp_path / "bin" / "notify-send", tmp_path / "shown"
    program.parent.mkdir()
    shown.touch()
    program.write_text(f'#!/bin/sh\nfor last; do :; done\nprintf "%s\\n" "$last" >> {shown}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    client = ClientProcess(tmp_path / "client")
    try:
        client.send(command="notify", desktop=True)
        # WHEN a file cannot be read
        client.render(tmp_path / "$(missing).blend", tmp_path)
        # THEN the artist is told, once in each place
        notice = client.until(is_notice)
        assert notice["failed"] is True
        assert notice["text"].startswith("$(missing).blend failed: ")
        wait_for(lambda: shown.read_text().endswith("\n"), "the desktop to be told")
        assert shown.read_text() == notice["text"] + "\n"
    finally:
        client.close()
    assert len([line for line in client.seen if is_notice(line)]) == 1

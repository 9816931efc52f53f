# SPDX-License-Identifier: GPL-3.0-or-later
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import logs
from tests.conftest import SmallDisk


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger; what was set up to write it is taken away again."""
    root = logging.getLogger()
    before = list(root.handlers)
    logger = logging.getLogger("server.test")
    logger.setLevel(logging.INFO)
    yield logger
    for handler in [handler for handler in root.handlers if handler not in before]:
        root.removeHandler(handler)
        handler.close()


def test_a_log_is_one_object_a_line(log: logging.Logger, tmp_path: Path) -> None:
    # GIVEN a log in a folder that is not there yet
    path = tmp_path / "logs" / "node.log"
    logs.log_to_file(path)
    # WHEN something is logged of a job, and a mistake
    log.info("job %s:\n%s", "0a1b", "fertig “ü”", extra={"job": "0a1b" * 8})
    try:
        int("broken")
    except ValueError:
        log.exception("unexpected")
    # THEN each is a line that a program can read
    first, second = map(json.loads, path.read_text("utf-8").splitlines())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    message = "job 0a1b:\nfertig “ü”"
    assert first == {"level": "INFO", "logger": "server.test", "job": "0a1b" * 8, "message": message}
    assert (second["level"], second["message"]) == ("ERROR", "unexpected")
    assert (
        second["error"].endswith("ValueError: invalid literal for int() with base 10: 'broken'") and "job" not in second
    )


def test_a_name_that_is_no_text_costs_no_line(
    log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a file whose name is Latin-1 on a system of UTF-8
    name = os.fsdecode(b"t\xfcr.blend")
    # WHEN it is logged, THEN a program reads the same name
    before = set(logging.getLogger().handlers)
    logs.log_to_file(tmp_path / "node.log")
    (handler,) = set(logging.getLogger().handlers) - before
    monkeypatch.setattr(log, "propagate", False)  # What reports of tests are made of takes no such name.
    log.addHandler(handler)
    log.error("No such file: %s", name)
    log.removeHandler(handler)
    assert json.loads((tmp_path / "node.log").read_text("utf-8"))["message"] == f"No such file: {name}"


def test_a_log_does_not_grow_for_ever(log: logging.Logger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 1000)
    logs.log_to_file(tmp_path / "node.log")
    for number in range(100):
        log.info("line %d", number)
    names = ["node.log", *(f"node.log.{number}" for number in range(1, logs.OLDER_FILES + 1))]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert json.loads((tmp_path / "node.log").read_text().splitlines()[-1])["message"] == "line 99"


def test_a_full_disk_costs_lines_and_no_complaints(
    log: logging.Logger, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = small_disk("64k")
    logs.log_to_file(folder / "node.log")
    for number in range(1000):
        log.info("line %d, and what else there is to say of it", number)
    assert capsys.readouterr().err == ""
    # AND with room again it goes on
    small_disk("1M")
    log.info("room again")
    assert json.loads((folder / "node.log").read_text().splitlines()[-1])["message"] == "room again"

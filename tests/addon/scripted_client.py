# SPDX-License-Identifier: GPL-3.0-or-later
"""A client process whose part is played by the test: what it is told is written down, what the test says it says.

Run as `python scripted_client.py --data FOLDER`. In the folder, `heard.jsonl` gets a line for its start and for every
command; lines that the test appends to `say.jsonl` after that go to stdout, except {"exit": CODE}: it ends at once.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

POLL_S = 0.01


class Play:
    """The test's end of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._heard, self._said = folder / "heard.jsonl", folder / "say.jsonl"
        self._heard.touch()
        self._said.touch()

    @staticmethod
    def command(folder: Path) -> list[str]:
        return [sys.executable, str(Path(__file__).resolve()), "--data", str(folder)]

    def heard(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._heard.read_text().splitlines()]

    def pids(self) -> list[int]:
        return [line["pid"] for line in self.heard() if "pid" in line]

    def commands(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.heard() if line.get("command") == name]

    def say(self, *events: dict[str, Any]) -> None:
        with self._said.open("a") as script:
            script.write("".join(json.dumps(event) + "\n" for event in events))


def wait_for(condition: Callable[[], Value], what: str, timeout_s: float = 60.0) -> Value:
    """Return the condition's first true value; fail with `what` was waited for after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(POLL_S)
    return value


def _listen(heard: Path) -> None:
    for line in sys.stdin:
        _append(heard, line)
    os._exit(0)


def _append(heard: Path, line: str) -> None:
    with heard.open("a") as file:
        file.write(line)


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    with (data / "say.jsonl").open() as script:
        script.seek(0, os.SEEK_END)
        _append(data / "heard.jsonl", json.dumps({"pid": os.getpid()}) + "\n")
        threading.Thread(target=_listen, args=(data / "heard.jsonl",), daemon=True).start()
        while True:
            line = script.readline()
            if not line:
                time.sleep(POLL_S)
            elif "exit" in (event := json.loads(line)):
                os._exit(event["exit"])
            else:
                sys.stdout.write(line)
                sys.stdout.flush()


if __name__ == "__main__":
    _main()

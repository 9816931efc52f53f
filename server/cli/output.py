# SPDX-License-Identifier: GPL-3.0-or-later
"""What programs read of the commands: JSON on stdout, and nothing else there."""

import dataclasses
import json
import sys
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="Say it in JSON on stdout, for programs.")]
JsonLines = Annotated[
    bool, typer.Option("--json", help="Say on stdout what happens, a JSON object a line, for programs.")
]


def document(value: Any) -> None:
    """Print one document, of messages of the protocol and what JSON has."""
    _print(json.dumps(value, default=_fields, indent=2))


def line(event: str, value: Any) -> None:
    """Print one line: the fields of a message and which event they tell of."""
    _print(json.dumps({"event": event, **_fields(value)}))


def raw_line(fields: dict[str, Any]) -> None:
    """Print a line of the client's as it is."""
    _print(json.dumps(fields))


def _print(text: str) -> None:
    """At once: a program that reads a pipe waits for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _fields(value: Any) -> Any:
    return value if isinstance(value, dict) else dataclasses.asdict(value)

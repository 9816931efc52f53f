# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents say what the code does: messages, numbers, lines, options, links."""

import dataclasses
import enum
import importlib
import re
import shlex
import types
import typing
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
import typer.main

from addon.client.ledger import Entry, Order
from addon.client.view import job_line
from addon.protocol import codec, messages
from server.cli import app
from server.web.job_api import JobApi
from server.web.owner_api import OwnerApi
from server.web.result_api import ResultApi
from server.web.upload_api import UploadApi
from server.web.video_api import VideoApi

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text("utf-8")
NODE = (ROOT / "docs" / "node.md").read_text("utf-8")

FROM_CLIENT: tuple[type, ...] = typing.get_args(messages.ClientMessage)
FROM_NODE: tuple[type, ...] = typing.get_args(messages.NodeMessage)
KINDS = sorted({*FROM_CLIENT, *FROM_NODE}, key=lambda kind: kind.__name__)
PARTS = [
    messages.ChunkHead,
    messages.JobSpec,
    messages.JobStatus,
    messages.Output,
    messages.WorkerStatus,
    messages.ClientStatus,
    messages.PairingRequest,
]
ENUMS = [messages.Codec, messages.JobState, messages.Refusal, messages.Scope]

CONSTANTS = {
    "addon.protocol": ("digest", "limits", "frame_range", "paths", "version"),
    "addon.client": ("connection", "submission", "delivery"),
    "server": ("handlers", "patience"),
}
"""Modules whose public numbers the protocol's document gives."""


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one."""
    match = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    assert match, f"there is no section {title}"
    return match[1]


def tables(text: str) -> list[list[list[str]]]:
    """Every table as its rows of cells without code marks, the heading first."""
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[_cells(line) for line in block.splitlines() if not line.startswith("|-")] for block in blocks]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table(text: str, title: str) -> list[list[str]]:
    """The rows below the heading that begins with `title`, of all tables that have it."""
    found = [rows for rows in tables(text) if rows[0][0].strip("`") == title]
    assert found, f"there is no table {title}"
    return [[cell.strip("`") for cell in row] for rows in found for row in rows[1:]]


def type_name(hint: Any) -> str:
    """A field's type in the document's words."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [part for part in typing.get_args(hint) if part is not type(None)]
        return f"{type_name(inner[0])} or null"
    if typing.get_origin(hint) is tuple:
        return f"list of {type_name(typing.get_args(hint)[0])}"
    return {int: "integer", float: "number", str: "text", bool: "bool"}.get(hint) or str(hint.__name__)


def commands() -> dict[str, Any]:
    """Every command by the words that call it."""
    root: Any = typer.main.get_command(app)
    return {"python -m server": root} | {f"python -m server {name}": sub for name, sub in root.commands.items()}


def options(words: str) -> set[str]:
    command = commands()[words]
    context = typer.Context(command, help_option_names=["-h", "--help"])
    return {
        name for option in command.get_params(context) if option.param_type_name == "option" for name in option.opts
    }


@pytest.mark.parametrize("kind", [*KINDS, *PARTS], ids=lambda kind: kind.__name__)
def test_the_protocol_gives_every_field_with_its_type(kind: type) -> None:
    hints = typing.get_type_hints(kind)
    expected = [(field.name, type_name(hints[field.name])) for field in dataclasses.fields(kind)]
    text = section(PROTOCOL, kind.__name__)
    documented = [(row[0], row[1]) for row in table(text, "field")] if expected else []
    assert documented == expected
    assert expected or "| field |" not in text


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_protocol_says_who_sends_a_message_and_what_it_is_called(kind: type) -> None:
    ways = {(True, False): "client to node", (False, True): "node to client", (True, True): "both ways"}
    way = ways[kind in FROM_CLIENT, kind in FROM_NODE]
    payload = "with payload" if kind in codec.WITH_PAYLOAD else "no payload"
    assert section(PROTOCOL, kind.__name__).startswith(f"`{codec.wire_name(kind)}`, {way}, {payload}\n")


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_the_protocol_lists_every_value(kind: type[enum.StrEnum]) -> None:
    assert [row[0] for row in table(PROTOCOL, kind.__name__)] == [str(value) for value in kind]


def test_no_message_is_documented_that_does_not_exist() -> None:
    named = set(re.findall(r"^### (\w+)\n(?:`|part of)", PROTOCOL, re.MULTILINE))
    assert named == {kind.__name__ for kind in [*KINDS, *PARTS]}


def test_the_protocol_gives_every_number_as_it_is() -> None:
    expected: dict[str, float] = {}
    for package, modules in CONSTANTS.items():
        for name in modules:
            module = importlib.import_module(f"{package}.{name}")
            own = re.findall(
                r"^([A-Z][A-Z_]*)(?:: \w+)? =", Path(str(module.__file__)).read_text("utf-8"), re.MULTILINE
            )
            expected |= {one: getattr(module, one) for one in own if isinstance(getattr(module, one), int | float)}
    documented = {row[0]: float(row[1].replace(",", "")) for row in table(PROTOCOL, "constant")}
    assert documented == expected


def test_the_lines_of_the_client_process_are_the_documented_ones() -> None:
    # GIVEN the fields that the client reads of a "render" command, and those of a "job" event
    order = Order("0" * 32, str(ROOT / "shot.blend"), "shot.blend", None, "1", str(ROOT))
    written = {"command": ["render"], "event": ["job"]}
    fields = {
        "command": {field.name for field in dataclasses.fields(Order)},
        "event": set(job_line(Entry(order, created=0.0), None, None, "")) - {"event"},
    }
    # THEN the document names exactly these
    text = section(PROTOCOL, "Lines between Blender and the client process")
    for column, names in written.items():
        for row in table(text, column):
            if row[0] in names:
                assert set(re.findall(r"\w+", row[1])) == fields[column]


@pytest.mark.parametrize("words", commands())
def test_every_option_is_documented_and_every_documented_one_exists(words: str) -> None:
    documented = {
        name for row in table(section(NODE, f"`{words}`"), "option") for name in re.findall(r"--?[\w-]+", row[0])
    }
    assert documented == options(words)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_call_of_the_program_in_a_document_is_one_it_understands(document: Path) -> None:
    called = r"(?:python(?:\.exe)? -m server|blender --command relay_render)\b[^`\n#]*"
    for call in re.findall(called, document.read_text("utf-8")):
        words = shlex.split(call.replace("\\", "/"))[3:]
        words = words[1:] if words[:1] == ["serve"] else words
        named = [word for word in words[:1] if re.fullmatch("[a-z]+", word)]
        command = " ".join(["python -m server", *named])
        assert command in commands(), f"{document.name}: {call}"
        unknown = {word for word in words if word.startswith("-")} - options(command)
        assert not unknown, f"{document.name}: {call}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {link}"


def anchors(document: Path) -> set[str]:
    """What a link may name within a document, as GitHub makes it from its headings."""
    headings = re.findall(r"^#+ (.*)$", document.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_request_of_the_api_is_documented_and_every_documented_one_exists() -> None:
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    said = set(re.findall(r"`((?:GET|HEAD|POST|PATCH|PUT|DELETE) /api/[^`?]*)`", text))
    desk = MagicMock()  # The tables ask nothing of it.
    uploads = UploadApi(desk, MagicMock(), MagicMock(), MagicMock())
    apis = (JobApi(desk), ResultApi(desk), OwnerApi(desk, MagicMock()), VideoApi(desk, MagicMock()), uploads)
    there = {f"{each.method} {re.sub(r':[a-z]+}', '}', each.path)}" for api in apis for each in api.operations}
    assert said - {"GET /api/openapi.json"} == there

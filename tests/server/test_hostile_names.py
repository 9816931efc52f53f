# SPDX-License-Identifier: GPL-3.0-or-later
"""Names from a client that is let in and means ill, over a real socket: what a node does with them on its disk."""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from addon.protocol import codec
from addon.protocol.digest import BLAKE2B, chunk_digest
from addon.protocol.errors import UnsafePath
from addon.protocol.messages import (
    Codec,
    Hello,
    JobGone,
    NodeMessage,
    Offer,
    Ping,
    Pong,
    Refused,
    Submit,
)
from addon.protocol.paths import check_relative_name
from addon.protocol.version import PROTOCOL, VERSION
from server import sparse_log
from tests.protocol.hostile_names import ODD, REFUSED, TWINS, names
from tests.server.store_kit import Save, save_of
from tests.server.uploads_kit import Live, Program, another_artist, shot, spec


def offer_named(program: Program, name: str) -> str:
    """Offer a file under a name that this side would not send; returns the manifest's digest."""
    head, _, columns = shot(1).manifest.packed.partition(b"\n")
    fields = json.loads(head)
    fields["files"][0]["name"] = name
    packed = json.dumps(fields, separators=(",", ":")).encode() + b"\n" + columns
    digest = chunk_digest(BLAKE2B)(packed).hex()
    program.send(Offer(digest, len(packed), Codec.RAW), packed)
    return digest


def lying(root: Path) -> dict[Path, bytes | None]:
    """All that there is, but for the databases: files with their content."""
    found = (Path(folder) / name for folder, folders, files in os.walk(root) for name in [*folders, *files])
    return {path: path.read_bytes() if path.is_file() else None for path in found if ".sqlite3" not in path.name}


@pytest.fixture(autouse=True)
def every_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have made the node log does not count against what is looked for here."""
    monkeypatch.setattr(sparse_log, "LINES", 1_000_000)


@pytest.mark.parametrize("name", REFUSED.values(), ids=REFUSED)
def test_a_file_that_would_leave_its_folder_ends_the_session_and_writes_nothing(
    node: Live, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    program = node.connect(1)
    before = lying(tmp_path)
    offer_named(program, name)
    program.has_lost_its_session()
    assert lying(tmp_path) == before
    # AND the node's log has a line about it
    said = [record.getMessage() for record in caplog.records if "cannot be sent" in record.getMessage()]
    assert len(said) == 1 and said[0].isprintable()


@pytest.mark.parametrize("name", ODD.values(), ids=ODD)
def test_a_file_with_an_odd_name_stands_in_its_jobs_folder_and_nowhere_else(
    node: Live, tmp_path: Path, name: str
) -> None:
    save = save_of([(b"BLENDER-v502", b"x" * 100)], name=name)
    check_mirror(node, save, tmp_path)


@pytest.mark.parametrize("pair", TWINS.values(), ids=TWINS)
def test_files_whose_names_differ_by_little_are_both_there(node: Live, tmp_path: Path, pair: tuple[str, str]) -> None:
    save = save_of([(b"one", b"1")], [(b"two", b"2")])
    entries = (type(each)(each.root, name, each.recipe) for each, name in zip(save.manifest.files, pair, strict=True))
    check_mirror(
        node, Save(type(save.manifest)(save.manifest.roots, tuple(entries)), save.contents, save.chunks), tmp_path
    )


def check_mirror(node: Live, save: Save, root: Path) -> None:
    """Bring a save; its files stand where they should, and nothing else is new but the node's own."""
    program = node.connect(1, another_artist())
    before = lying(root)
    program.offer(save)
    program.bring(save)
    folder = root / "jobs" / ("e" * 32) / "source"
    node.do(lambda: node.store.mirror(save.manifest, folder))
    for entry in save.manifest.files:
        path = folder / "0" / entry.name
        assert path.resolve().is_relative_to(folder.resolve())
        assert path.read_bytes() == save.contents[entry.recipe.digest]
    own = {root / "jobs" / ("e" * 32), root / "clients.json", root / "store"}
    new = [path for path, content in lying(root).items() if path not in before or before[path] != content]
    assert [path for path in new if not any(path == each or path.is_relative_to(each) for each in own)] == []
    stored = [path for path in new if path.is_relative_to(root / "store") and path.is_file()]
    assert {len(path.name.partition(".")[0]) for path in stored} <= {32}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(name=names)
def test_whatever_a_file_is_called_it_is_refused_or_lies_within_its_folder(
    node: Live, tmp_path: Path, name: str
) -> None:
    program = node.connect(1, another_artist())
    before = {path for path in lying(tmp_path) if not path.is_relative_to(tmp_path / "store")}
    digest = offer_named(program, name)
    taken = False
    with suppress(UnsafePath):
        taken = check_relative_name(name) == name
    program.send(Ping())
    answers: list[NodeMessage] = []
    while not (answers and isinstance(answers[-1], Pong | Refused)):
        answers.append(program.receive())
    if not taken:
        program.has_lost_its_session()
        assert node.store.manifest(digest) is None
    else:
        assert isinstance(answers[-1], Pong)
    assert {path for path in lying(tmp_path) if not path.is_relative_to(tmp_path / "store")} == before
    program.socket.close()


TEXTS = {"a half": "\ud800", "no UTF-8": "shot\udcff.blend", "a line end": "a\n2026 INFO", "an escape": "\x1b[2J"}


def submission(**fields: Any) -> Iterator[bytes]:
    """A Submit with fields that this side would not send."""
    header = json.loads(bytes(codec.encode(Submit(spec(shot(1))))[0]))
    header["spec"] |= fields
    yield json.dumps(header).encode()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("field", ["title", "scene", "group", "job", "manifest", "frames"])
def test_texts_of_a_job_that_cannot_be_kept_or_shown_end_the_session(node: Live, field: str, text: str) -> None:
    if field in ("scene", "group") and text.isascii():
        pytest.skip("neither is shown, nor made a name of")
    program = node.connect(1)
    program.offer(shot(1))
    program.bring(shot(1))
    program.socket.send_multipart([*submission(**{field: text})])
    program.has_lost_its_session()


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_machine_whose_name_would_spoil_the_log_is_not_let_in(node: Live, text: str) -> None:
    program = Program(node.context, f"127.0.0.1:{node.port}")
    node.programs.append(program)
    hello = json.loads(bytes(codec.encode(Hello(PROTOCOL, VERSION, "5" * 32, "test"))[0]))
    program.socket.send(json.dumps(hello | {"host": text}).encode())
    assert isinstance(program.receive(), Refused)


NO_NAMES = {**REFUSED, "a digit of sorts": "²", "a number": "9" * 40}


@pytest.mark.parametrize("text", NO_NAMES.values(), ids=NO_NAMES)
def test_jobs_and_outputs_of_no_name_do_not_exist(
    node: Live, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    program = node.connect(1)
    before = lying(tmp_path)
    for kind in ("cancel", "retry", "forget", "collect"):
        program.socket.send(json.dumps({"type": kind, "job": text}).encode())
    program.socket.send(json.dumps({"type": "want", "transfer": text, "offset": 0, "limit": 5}).encode())
    program.socket.send(json.dumps({"type": "delivered", "output": text}).encode())
    program.send(Ping())
    while isinstance(program.receive(), Refused | JobGone):
        pass
    assert lying(tmp_path) == before
    assert all(record.getMessage().isprintable() for record in caplog.records)

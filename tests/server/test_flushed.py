# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is acknowledged before it would survive a power cut: whether each byte and each name was flushed.

A power cut itself cannot be had here; what was handed to fsync can.
"""

import os
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from addon.client import delivery
from addon.client.ledger import Entry, Ledger
from addon.keyring import Keyring
from addon.protocol.address import Address
from addon.protocol.messages import Output
from server.clients import Clients
from server.executors.base import WrittenFile
from server.job_folders import JobFolders, digest_of
from server.job_store import DATABASE, JobStore
from server.jobs import Task
from server.quotas import Quota
from server.store import Store
from tests.client.test_ledger import order
from tests.server.store_kit import PLENTY, blocks, save_of, send
from tests.server.test_jobs import job_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which file was flushed")

Flushed = Callable[[], set[str]]


@pytest.fixture
def flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flushed:
    """Returns what was flushed so far, by its inode's path below the test's folder at that moment."""
    seen: set[str] = set()
    fsync = os.fsync

    def note(descriptor: int) -> None:
        fsync(descriptor)
        seen.add(os.path.relpath(Path(f"/proc/self/fd/{descriptor}").readlink(), tmp_path))

    monkeypatch.setattr(os, "fsync", note)
    return lambda: seen


def test_a_stored_upload(tmp_path: Path, flushed: Flushed) -> None:
    with closing(Store(tmp_path / "node" / "store", PLENTY)) as store:
        save = save_of(blocks(1))
        send(store, save)
    digest = save.manifest.blend.recipe.digest
    assert {f"node/store/manifests/{save.manifest.digest}", "node/store/manifests", "node/store/files"} <= flushed()
    assert any(name.startswith(f"node/store/incoming/{digest}.") for name in flushed())  # Before it got its name.
    assert {".", "node", "node/store"} <= flushed()  # The names of the store's own folders.


def test_a_job_is_in_the_database_for_good(tmp_path: Path) -> None:
    with closing(JobStore(tmp_path / DATABASE)) as store:
        pragmas = [store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]  # FULL: SQLite flushes the log with every transaction.


def test_an_output_before_it_counts_as_done(tmp_path: Path, flushed: Flushed) -> None:
    folders, job, task = JobFolders(tmp_path / "node"), job_of().id, Task(job_of().id, 0, 1)
    folders.prepare(job)
    picture = folders.begin_attempt(task) / "shot_001.txt"
    picture.write_bytes(b"picture" * 20)
    folders.keep_outputs(task, (WrittenFile("", picture.name, picture),), for_movie=False)
    outputs = f"node/jobs/{job}/outputs"
    assert {f"{outputs}/0-0.txt", outputs, f"node/jobs/{job}", "node/jobs", "node", "."} <= flushed()


@pytest.mark.parametrize("there", [False, True], ids=["fetched", "there already"])
def test_a_frame_at_the_artist_before_the_node_forgets_it(tmp_path: Path, flushed: Flushed, there: bool) -> None:
    path, part = tmp_path / "frames" / "1.png", tmp_path / "part"
    for file in (path, part):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"picture")
    if there:  # A client was killed between the renaming and the flushing.
        assert delivery._is_there(path, Output("1", "0" * 32, 1, "", "1.png", *digest_of(path)))
    else:
        delivery._put_in_place(part, path)
    assert {"frames/1.png" if there else "part", "frames"} <= flushed()


def test_a_pairing_on_both_sides(tmp_path: Path, flushed: Flushed) -> None:
    keys = Keyring(tmp_path / "home")
    Clients(tmp_path / "clients.json", keys.own.public.decode(), Quota()).allow("k" * 40, "studio")
    assert {"home", "."} <= flushed()  # The name of the key's file, and of its folder beside the clients.
    flushed().clear()
    keys.pair(Address("render-box"), b"n" * 40)
    assert "home" in flushed()
    flushed().clear()
    Clients(tmp_path / "clients.json", "owner", Quota()).allow("l" * 40, "laptop")
    assert flushed() == {"clients.new", "."}


def test_an_order_before_the_artist_sees_it(tmp_path: Path, flushed: Flushed) -> None:
    ledger = Ledger(tmp_path / "client" / "jobs")
    ledger.save(Entry(order(), created=0.0))
    ledger.close()
    assert {f"client/jobs/{order().job}.new", "client/jobs", "client", "."} <= flushed()

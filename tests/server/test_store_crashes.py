# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills at any moment, indexes that are lost or damaged, files that somebody changed: nothing acknowledged is lost,
and no file has other bytes than its name says.
"""

import os
import random
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from addon.protocol.errors import RemoteProtocolError
from addon.protocol.messages import Codec
from server.store import Store
from server.store import store as store_module
from tests.server.store_kit import (
    ADA,
    BEN,
    PLENTY,
    Save,
    blocks,
    changed,
    check_files,
    check_stored,
    chunk_names,
    put,
    save_of,
    send,
)

CALLS = {"write", "truncate", "unlink", "rename", "replace", "chmod", "copy_file_range", "executemany"}
"""What changes the disk, as the interpreter sees it called; and see `changes_the_disk`."""


def changes_the_disk(call: object) -> bool:
    name = getattr(call, "__name__", "")
    commits = name == "__exit__" and isinstance(getattr(call, "__self__", None), sqlite3.Connection)
    return name in CALLS or commits


def killed_at(moment: int, work: Callable[[], None]) -> bool:
    """Do `work` in a process of its own, which SIGKILL ends at its call number `moment` that changes the disk.

    False when the work ended before.
    """
    child = os.fork()
    if child == 0:
        left = moment

        def count(_: FrameType, event: str, call: object) -> None:
            nonlocal left
            if event == "c_call" and changes_the_disk(call):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            threading.setprofile(count)
            sys.setprofile(count)
            work()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status in (0, signal.SIGKILL), "the work failed"
    return status == signal.SIGKILL


def every_moment(work: Callable[[], None], before: Callable[[], None]) -> Iterator[int]:
    """Kill the work at each of its moments in turn, each time after `before`; yields when it is dead."""
    moment = 1
    while True:
        before()
        if not killed_at(moment, work):
            assert moment > 20
            return
        yield moment
        moment += 1


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 at a chosen call needs fork")


def contents_of(*saves: Save) -> dict[str, bytes]:
    return {digest: content for save in saves for digest, content in save.contents.items()}


def snapshot(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Scene:
    """A store with one save, and the next one on its way, again and again."""

    def __init__(self, folder: Path, with_twin: bool) -> None:
        self.root = folder / "store"
        self.with_twin = with_twin
        self.first = save_of(blocks(1, 8), blocks(2, 4))
        self.second = save_of(changed(blocks(1, 8), 7), blocks(2, 4), blocks(3, 4))
        self.acknowledged = folder / "acknowledged"

    def prepare(self) -> None:
        """Back to the first save."""
        self.acknowledged.unlink(missing_ok=True)
        for path in sorted(self.root.rglob("*"), reverse=True) if self.root.exists() else ():
            path.unlink() if path.is_file() else path.rmdir()
        store = Store(self.root, PLENTY)
        send(store, self.first)
        if self.with_twin:
            store.prepare_twin(self.first.manifest)
        store.close()

    def work(self) -> None:
        """What the node does, up to its Stored and beyond."""
        store = Store(self.root, PLENTY)
        receipt = store.begin(self.second.manifest, ADA)
        put(receipt, self.second, receipt.missing)
        receipt.finish()
        self.acknowledged.touch()
        receipt.close()
        store.prepare_twin(self.second.manifest)
        store.prune({self.second.digest}, 0)
        store.prune({self.second.digest}, 0)
        store.close()


@needs_fork
@pytest.mark.parametrize("with_twin", [True, False], ids=["twin", "copy"])
def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_twin: bool) -> None:
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)
    scene = Scene(tmp_path, with_twin)
    new = chunk_names(scene.second) - chunk_names(scene.first)
    for moment in every_moment(scene.work, scene.prepare):
        # WHEN a new store begins where the killed one ended, and sometimes the next save is quicker than its recovery
        store = Store(scene.root, PLENTY)
        if moment % 2:
            store.recover()
        # THEN no file is wrong, and what was acknowledged is here
        check_files(scene.root, contents_of(scene.first, scene.second))
        if scene.acknowledged.exists():
            check_stored(store, scene.second)
        # AND whatever is missing of the next save is new in it
        assert set(send(store, scene.second)) <= new, f"after {moment} calls"
        check_files(scene.root, contents_of(scene.first, scene.second))
        # AND nothing useless stays
        store.recover()
        store.prune({scene.second.digest}, 0)
        store.prune({scene.second.digest}, 0)
        check_stored(store, scene.second)
        assert {path.name for path in (scene.root / "files").iterdir()} == set(scene.second.contents)
        assert list((scene.root / "incoming").iterdir()) == []
        store.close()


@needs_fork
def test_after_a_kill_only_what_had_not_arrived_travels(tmp_path: Path) -> None:
    # GIVEN a first upload of which half has arrived when SIGKILL comes
    root = tmp_path / "store"
    save = save_of(blocks(1), blocks(2))
    half = len(save.manifest.chunks) // 2

    def work() -> None:
        receipt = Store(root, PLENTY).begin(save.manifest, ADA)
        put(receipt, save, receipt.missing[:half])
        os.kill(os.getpid(), signal.SIGKILL)

    assert killed_at(10**9, work)
    # THEN the rest alone is missing
    store = Store(root, PLENTY)
    receipt = store.begin(save.manifest, ADA)
    assert receipt.missing == list(range(half, len(save.manifest.chunks)))
    receipt.close()
    store.close()


@needs_fork
def test_what_a_killed_upload_left_serves_another_save(tmp_path: Path) -> None:
    # GIVEN a part that no index knows
    root = tmp_path / "store"
    save, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    arrived = list(range(0, len(save.manifest.chunks), 2))

    def work() -> None:
        put(Store(root, PLENTY).begin(save.manifest, ADA), save, arrived)
        os.kill(os.getpid(), signal.SIGKILL)

    assert killed_at(10**9, work)
    # WHEN the next start has read it
    store = Store(root, PLENTY)
    store.recover()
    # THEN another save is made of it
    had = {save.manifest.chunks[number] for number in arrived}
    assert set(send(store, after)) == chunk_names(after) - had
    store.close()


def test_a_part_that_was_a_longer_file_gets_its_size(tmp_path: Path) -> None:
    # GIVEN a part as a kill leaves it that comes before the spare copy has been cut to size
    store = Store(tmp_path / "store", PLENTY)
    save = save_of(blocks(1))
    ((digest, content),) = save.contents.items()
    (tmp_path / "store" / "incoming" / f"{digest}.{ADA}.part").write_bytes(content + b"more")
    # THEN the save is made of it
    assert send(store, save) == []
    store.close()


# Files that somebody changed


def overwrite(path: Path, at: int, data: bytes) -> None:
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


@pytest.mark.parametrize("how", ["changed", "longer", "shorter"])
def test_a_damaged_file_is_not_believed(store: Store, how: str) -> None:
    # GIVEN a file that is not as it was noted
    save = save_of(blocks(1))
    send(store, save)
    path = store.file(save.manifest.blend.recipe.digest)
    size = path.stat().st_size
    path.chmod(0o644)
    if how == "changed":
        overwrite(path, size // 2, bytes([path.read_bytes()[size // 2] ^ 1]))
    else:
        os.truncate(path, size + (1 if how == "longer" else -1))
    # THEN the store has it no more
    assert not store.has(save.digest)
    # AND takes from it what is good
    travelled = send(store, save)
    assert len(travelled) == (0 if how == "longer" else 1)


def test_a_damaged_file_is_no_source_for_others(store: Store) -> None:
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    path = store.file(before.manifest.blend.recipe.digest)
    overwrite(path, 0, bytes(path.stat().st_size))
    assert set(send(store, after)) == chunk_names(after)


def test_zeros_are_a_chunk_also_where_the_disk_has_a_hole(store: Store) -> None:
    # GIVEN a file with a hole, as some file systems make them of zeros
    save = save_of([(b"", bytes(1 << 20) + b"end")], cut=1 << 18)
    send(store, save)
    path = store.file(save.manifest.blend.recipe.digest)
    path.unlink()
    with path.open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
    # THEN it is complete nevertheless
    assert store.has(save.digest)


def test_chunks_of_a_damaged_file_are_found_in_another_one(store: Store) -> None:
    # GIVEN two saves, the second made of the first, which somebody spoils
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    send(store, after)
    path = store.file(before.manifest.blend.recipe.digest)
    overwrite(path, 0, bytes(path.stat().st_size))
    assert not store.has(before.digest)
    # THEN somebody else's save is made of the second
    third = save_of(changed(changed(blocks(1), 7), 8))
    assert set(send(store, third, BEN)) == chunk_names(third) - chunk_names(after)


def test_a_file_that_was_only_touched_is_read_once(store: Store) -> None:
    save = save_of(blocks(1))
    send(store, save)
    path = store.file(save.manifest.blend.recipe.digest)
    os.utime(path, ns=(1, 1))
    assert store.has(save.digest)
    assert send(store, save) == []


def test_a_file_that_somebody_deleted_travels_again(store: Store) -> None:
    save = save_of(blocks(1), blocks(2))
    send(store, save)
    store.file(save.manifest.blend.recipe.digest).unlink()
    store.recover()
    assert not store.has(save.digest)
    assert set(send(store, save)) == chunk_names(save_of(blocks(1)))


def test_a_start_reads_only_what_is_not_as_noted(store: Store) -> None:
    # GIVEN a file whose bytes changed in a way that its stamp does not tell
    save = save_of(blocks(1))
    send(store, save)
    path = store.file(save.manifest.blend.recipe.digest)
    before = path.stat()
    overwrite(path, 0, bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    # THEN the start does not notice: it has not read it
    store.recover()
    assert store.has(save.digest)


def test_recovery_can_be_stopped(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1))
    send(store, save)
    os.utime(store.file(save.manifest.blend.recipe.digest), ns=(1, 1))
    noted = store.report()
    store.stop()
    store.recover()
    assert store.report() == noted


def test_files_that_are_not_the_stores_stay(store: Store, tmp_path: Path) -> None:
    foreign = [tmp_path / "store" / "files" / "notes.txt", tmp_path / "store" / "incoming" / "x.part"]
    unknown = [tmp_path / "store" / "files" / ("0" * 32), tmp_path / "store" / "incoming" / f"{'0' * 32}.ada.part"]
    for path in (*foreign, *unknown):
        path.write_bytes(b"?")
    store.recover()
    assert [path.exists() for path in (*foreign, *unknown)] == [True, True, False, False]


# The index and the manifests


def remove_index(root: Path) -> None:
    for path in root.glob("index.sqlite3*"):
        path.unlink()


def fill_with_noise(root: Path) -> None:
    path = root / "index.sqlite3"
    path.write_bytes(os.urandom(path.stat().st_size))


def spoil_pages(root: Path) -> None:
    path = root / "index.sqlite3"
    overwrite(path, 4096, os.urandom(path.stat().st_size - 4096))


def cut_off(root: Path) -> None:
    os.truncate(root / "index.sqlite3", 5000)


def empty(root: Path) -> None:
    os.truncate(root / "index.sqlite3", 0)


def of_the_future(root: Path) -> None:
    overwrite(root / "index.sqlite3", 60, (999).to_bytes(4, "big"))  # user_version in the header, SQLite's fileformat2.


spoilt = pytest.mark.parametrize("spoil", [remove_index, fill_with_noise, spoil_pages, cut_off, empty, of_the_future])


@spoilt
@pytest.mark.parametrize("recovered", [True, False], ids=["recovered", "at-once"])
def test_the_index_is_only_a_cache(tmp_path: Path, spoil: Callable[[Path], None], recovered: bool) -> None:
    # GIVEN a store whose index has gone or is damaged
    root = tmp_path / "store"
    store = Store(root, PLENTY)
    save, other = save_of(blocks(1), blocks(2)), save_of(blocks(3), name="other.blend")
    send(store, save)
    send(store, other)
    half = save_of(blocks(4), name="half.blend")
    receipt = store.begin(half.manifest, ADA)
    put(receipt, half, receipt.missing[::2])
    receipt.close()
    store.close()
    spoil(root)
    # WHEN it is opened
    store = Store(root, PLENTY)
    if recovered:
        store.recover()
    # THEN everything is here
    check_stored(store, save)
    assert send(store, other) == []
    assert len(send(store, half)) == len(half.manifest.chunks) // 2
    # AND serves the next save, and is not taken for useless
    after = save_of(changed(blocks(1), 7), blocks(2))
    store.prune(set())
    store.prune(set())
    assert set(send(store, after)) == chunk_names(after) - chunk_names(save)
    check_files(root, contents_of(save, other, half, after))
    store.close()


def test_a_torn_manifest_is_none(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1))
    send(store, save)
    path = tmp_path / "store" / "manifests" / save.digest
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert store.manifest(save.digest) is None
    assert store.manifest("0" * 32) is None
    # AND is mended by the next offer of it
    path.write_bytes(whole[:-1])
    assert send(store, save) == []


def test_a_manifest_that_has_gone_takes_its_files_along(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1))
    send(store, save)
    (tmp_path / "store" / "manifests" / save.digest).unlink()
    store.recover()
    assert not store.has(save.digest)
    store.prune(set())
    store.prune(set())
    assert list((tmp_path / "store" / "files").iterdir()) == []


def test_an_index_that_lies_makes_no_wrong_file(store: Store) -> None:
    # GIVEN rows that lead each chunk to the place of another one, which is as long
    block = b"", random.Random(1).randbytes(1000)
    before, after = save_of([block], cut=100), save_of([block, (b"head", b"")], cut=100)
    send(store, before)
    with store._index._transaction() as db:
        db.execute("UPDATE chunks SET number = (number + 1) % 10")
    # THEN they lead nowhere
    assert set(send(store, after, BEN)) == chunk_names(after)


def test_a_wrong_chunk_leaves_the_receipt_usable(store: Store) -> None:
    save = save_of(blocks(1))
    receipt = store.begin(save.manifest, ADA)
    for number in receipt.missing:
        with pytest.raises(RemoteProtocolError):
            receipt.put(number, Codec.RAW, b"", b"")
        put(receipt, save, [number])
    receipt.finish()
    receipt.close()
    check_stored(store, save)

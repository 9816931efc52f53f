# SPDX-License-Identifier: GPL-3.0-or-later
"""Files come into the store: once, whole, and of what is there already."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addon.protocol import zstd
from addon.protocol.digest import BLAKE3
from addon.protocol.errors import LocalProtocolError, RemoteProtocolError
from addon.protocol.messages import Codec
from server.store import BaseMissing, FileBusy, Store
from server.store import store as store_module
from tests.needs import NEEDS_BLAKE3
from tests.server.store_kit import (
    ADA,
    BEN,
    PLENTY,
    SHAPES,
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

# What arrives


@settings(max_examples=40, deadline=None)
@given(files=st.lists(SHAPES, min_size=1, max_size=3), cut=st.integers(1, 60))
def test_every_file_arrives_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[tuple[bytes, bytes]]], cut: int
) -> None:
    with closing(Store(tmp_path_factory.mktemp("store"), PLENTY)) as store:
        send(store, save_of(*files, cut=cut))
        assert send(store, save_of(*reversed(files), cut=cut)) == []


def test_what_is_here_does_not_travel_again(store: Store) -> None:
    save = save_of(blocks(1), blocks(2))
    assert set(send(store, save)) == chunk_names(save)
    assert send(store, save) == []
    assert send(store, save, BEN) == []
    assert send(store, save_of(blocks(2), blocks(1), name="other.blend")) == []


def test_of_a_changed_file_only_what_changed_travels(store: Store) -> None:
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    assert set(send(store, after)) == chunk_names(after) - chunk_names(before)
    check_stored(store, before)


def test_a_chunk_in_many_places_travels_once(store: Store) -> None:
    # GIVEN files that share blocks, within one and between two
    same = (b"head", b"x" * 500)
    save = save_of([same, same, *blocks(1, 3)], [*blocks(2, 3), same])
    # THEN each chunk is asked for once, and everything is complete
    receipt = store.begin(save.manifest, ADA)
    assert len(receipt.missing) == len(save.manifest.chunks)
    put(receipt, save, receipt.missing)
    assert receipt.complete
    receipt.finish()
    receipt.close()
    check_stored(store, save)


def test_the_same_file_under_two_names_is_one(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1), blocks(2), blocks(2))
    send(store, save)
    assert len(list((tmp_path / "store" / "files").iterdir())) == 2


@NEEDS_BLAKE3
def test_names_of_two_algorithms_do_not_meet(store: Store) -> None:
    send(store, save_of(blocks(1)))
    other = save_of(blocks(1), algorithm=BLAKE3)
    assert set(send(store, other)) == chunk_names(other)


def test_it_says_how_much_is_here(store: Store) -> None:
    save = save_of(blocks(1), blocks(2))
    receipt = store.begin(save.manifest, ADA)
    assert receipt.present() == (0, save.manifest.size)
    put(receipt, save, receipt.missing[:1])
    first = save.manifest.chunk_length(save.manifest.chunks[0])
    assert receipt.present() == (first, save.manifest.size)
    put(receipt, save, receipt.missing)
    assert receipt.present() == (save.manifest.size, save.manifest.size)
    receipt.close()


def test_thousands_of_files_need_few_open_ones(store: Store) -> None:
    resource = pytest.importorskip("resource", reason="limits on open files are POSIX's")
    save = save_of(*(blocks(seed, 2) for seed in range(300)))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    receipt = store.begin(save.manifest, ADA)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, hard))
    try:
        put(receipt, save, receipt.missing)
        receipt.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    receipt.close()
    check_stored(store, save)


# What should not arrive


def test_a_chunk_with_wrong_bytes_is_refused_and_still_missing(store: Store) -> None:
    save = save_of(blocks(1))
    receipt = store.begin(save.manifest, ADA)
    wrong = bytes(save.manifest.chunk_length(save.manifest.chunks[0]))
    with pytest.raises(RemoteProtocolError):
        receipt.put(0, Codec.RAW, wrong, b"")
    with pytest.raises(RemoteProtocolError):
        receipt.put(0, Codec.RAW, b"", b"")
    with pytest.raises(RemoteProtocolError):
        receipt.put(len(save.manifest.chunks), Codec.RAW, wrong, b"")
    assert receipt.missing == list(range(len(save.manifest.chunks)))
    receipt.close()


def test_a_chunk_that_comes_twice_does_no_harm(store: Store) -> None:
    save = save_of(blocks(1))
    receipt = store.begin(save.manifest, ADA)
    put(receipt, save, [0, 0])
    receipt.put(0, Codec.RAW, b"left over", b"")
    put(receipt, save, receipt.missing)
    receipt.finish()
    put(receipt, save, [0])
    receipt.close()
    check_stored(store, save)
    with pytest.raises(LocalProtocolError):
        put(receipt, save, [0])


def test_nothing_is_finished_before_all_is_here(store: Store) -> None:
    save = save_of(blocks(1))
    receipt = store.begin(save.manifest, ADA)
    with pytest.raises(LocalProtocolError):
        receipt.finish()
    receipt.close()
    assert not store.has(save.digest)


@pytest.mark.parametrize("owner", ["", "a/b", "..", "x" * 65])
def test_an_owner_must_fit_into_a_name(store: Store, owner: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        store.begin(save_of(blocks(1)).manifest, owner)


@pytest.mark.skipif(zstd.name() is None, reason="needs a zstd module")
def test_a_chunk_comes_as_the_change_of_another(store: Store) -> None:
    # GIVEN a save, and a second one in which a chunk of the skeleton has changed
    before = save_of(blocks(1, head=200))
    after = save_of(changed(blocks(1, head=200), 3))
    send(store, before)
    receipt = store.begin(after.manifest, ADA)
    old, new = before.manifest.chunks[0], after.manifest.chunks[0]
    assert old != new
    # WHEN it is sent as a patch of the old one
    receipt.put(0, Codec.PATCH, zstd.compress(after.chunks[new], 1, before.chunks[old]), old)
    # THEN it is here
    assert 0 not in receipt.missing
    # WHEN the base is one that the node does not have, THEN it says so
    with pytest.raises(BaseMissing):
        receipt.put(receipt.missing[0], Codec.PATCH, b"patch", b"?" * 16)
    put(receipt, after, receipt.missing)
    receipt.finish()
    receipt.close()
    check_stored(store, after)


# Two at once


def test_one_owner_sends_a_file_once_at_a_time(store: Store) -> None:
    # GIVEN a receipt under way
    first = save_of(blocks(1), blocks(9))
    receipt = store.begin(first.manifest, ADA)
    # THEN another program of the same artist waits for it, if it sends one of these files
    with pytest.raises(FileBusy):
        store.begin(save_of(blocks(2), blocks(9), name="b.blend").manifest, ADA)
    send(store, save_of(blocks(3), name="c.blend"))
    # WHEN it has ended, THEN the other one can
    put(receipt, first, receipt.missing)
    receipt.finish()
    receipt.close()
    second = save_of(blocks(2), blocks(9), name="b.blend")
    assert set(send(store, second)) == chunk_names(second) - chunk_names(first)


def test_two_owners_send_the_same_file_side_by_side(store: Store) -> None:
    save = save_of(blocks(1), blocks(2))
    ada, ben = store.begin(save.manifest, ADA), store.begin(save.manifest, BEN)
    for number in list(ada.missing):
        put(ada, save, [number])
        put(ben, save, [number])
    ben.finish()
    ada.finish()
    ada.close()
    ben.close()
    check_stored(store, save)
    assert list((store.file("").parent / "incoming").glob("*.part")) == []


def test_what_one_artist_sends_stays_when_another_was_quicker(store: Store) -> None:
    # GIVEN a file that Ada goes on sending, when Ben has sent all of it
    save = save_of(blocks(1))
    receipt = store.begin(save.manifest, ADA)
    put(receipt, save, receipt.missing[:5])
    receipt.close()
    receipt = store.begin(save.manifest, ADA)
    send(store, save, BEN)
    # WHEN the store tidies up
    store.recover()
    store.prune(set())
    # THEN she can end what she has begun
    put(receipt, save, receipt.missing)
    receipt.finish()
    receipt.close()
    check_stored(store, save)
    assert list((store.file("").parent / "incoming").iterdir()) == []


def test_many_threads_share_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN artists whose files have much in common, and a node that tidies up all the time
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)
    store = Store(tmp_path / "store", 20_000)
    done = threading.Event()

    def saves(owner: str) -> list[Save]:
        file, made = blocks(1), []
        for number in range(15):
            file = changed(file, number if number % 2 else 100 * len(owner) + number)
            made.append(save_of(file, blocks(2), name=f"{owner}.blend"))
            send(store, made[-1], owner)
            store.prepare_twin(made[-1].manifest)
        return made

    def tidy() -> None:
        while not done.is_set():
            store.recover()
            store.prune(set(), 20_000)
            store.report()

    # WHEN they all work at once
    with ThreadPoolExecutor(5) as threads:
        tidying = threads.submit(tidy)
        working = [threads.submit(saves, owner) for owner in ("al", "ben", "cleo", "diana")]
        try:
            made = [save for each in working for save in each.result()]
        finally:
            done.set()
        tidying.result()
    # THEN each had all its files in the end, and none is wrong
    check_files(tmp_path / "store", {digest: content for save in made for digest, content in save.contents.items()})
    assert list((tmp_path / "store" / "incoming").glob("*.part")) == []
    store.close()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Files come into the store: once, whole, and of what is there already."""

import errno
import os
import random
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addon.protocol import zstd
from addon.protocol.digest import BLAKE3, chunk_algorithms
from addon.protocol.errors import LocalProtocolError, RemoteProtocolError
from addon.protocol.manifest import FileEntry, Manifest
from addon.protocol.messages import Codec
from server.store import BaseMissing, FileBusy, Store, place
from server.store import store as store_module
from tests.conftest import SmallDisk
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


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files get spare copies, too."""
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)


def reopened(store: Store, tmp_path: Path) -> Store:
    store.close()
    return Store(tmp_path / "store", PLENTY)


# What arrives

shapes = st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=200)), min_size=1, max_size=12).filter(
    lambda file: any(head or body for head, body in file)
)


@settings(max_examples=40, deadline=None)
@given(files=st.lists(shapes, min_size=1, max_size=3), cut=st.integers(1, 60))
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


@pytest.mark.skipif(BLAKE3 not in chunk_algorithms(), reason="needs the blake3 wheel")
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


# Interrupted


def test_after_a_broken_link_only_the_rest_travels(store: Store) -> None:
    save = save_of(blocks(1), blocks(2))
    receipt = store.begin(save.manifest, ADA)
    every = receipt.missing
    put(receipt, save, every[::2])
    receipt.close()
    receipt.close()
    again = store.begin(save.manifest, ADA)
    assert again.missing == every[1::2]
    put(again, save, again.missing)
    again.finish()
    again.close()
    check_stored(store, save)


def test_after_a_restart_only_the_rest_travels(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1), blocks(2))
    receipt = store.begin(save.manifest, ADA)
    every = receipt.missing
    put(receipt, save, every[: len(every) // 2])
    receipt.close()
    store = reopened(store, tmp_path)
    again = store.begin(save.manifest, ADA)
    assert again.missing == every[len(every) // 2 :]
    again.close()
    store.close()


def test_a_part_that_somebody_changed_is_read_again(store: Store) -> None:
    # GIVEN a part with two chunks, left by a broken link
    save = save_of([(b"h" * 90, bytes(range(200)))], cut=100)
    receipt = store.begin(save.manifest, ADA)
    put(receipt, save, [0, 1])
    receipt.close()
    (part,) = (store.file("").parent / "incoming").glob("*.part")
    # WHEN one of them changes
    with part.open("r+b") as file:
        file.write(b"?")
    # THEN it is missing again
    receipt = store.begin(save.manifest, ADA)
    assert receipt.missing == [0, 2]
    receipt.close()


def test_a_newer_save_uses_what_arrived_of_the_one_before(store: Store) -> None:
    # GIVEN a first upload that a newer save cuts short
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    receipt = store.begin(before.manifest, ADA)
    arrived = receipt.missing[::2]
    put(receipt, before, arrived)
    receipt.abandon()
    # THEN what had arrived does not travel again
    had = {before.manifest.chunks[number] for number in arrived}
    assert set(send(store, after)) == chunk_names(after) - had


def test_what_nothing_arrived_of_leaves_nothing(store: Store) -> None:
    store.begin(save_of(blocks(1)).manifest, ADA).close()
    assert list((store.file("").parent / "incoming").iterdir()) == []


def test_a_failed_begin_holds_nothing(store: Store) -> None:
    # GIVEN a file of which half has arrived, and one that is being sent
    half = save_of(blocks(1))
    receipt = store.begin(half.manifest, ADA)
    rest = receipt.missing[1::2]
    put(receipt, half, receipt.missing[::2])
    receipt.close()
    busy = store.begin(save_of(blocks(2)).manifest, ADA)
    other = save_of(blocks(1), blocks(2), name="b.blend")
    # WHEN a manifest with both is refused
    with pytest.raises(FileBusy):
        store.begin(other.manifest, ADA)
    # THEN the half file is free, and still half there
    assert len(send(store, half)) == len(rest)
    busy.close()
    send(store, other)


# Spare copies


@pytest.mark.usefixtures("twins")
def test_the_next_save_is_made_of_the_spare_copy(store: Store) -> None:
    # GIVEN a save with a spare copy
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    store.prepare_twin(before.manifest)
    twin = store.file("").parent / "incoming" / f"{before.manifest.blend.recipe.digest}.twin"
    node = twin.stat().st_ino
    # WHEN the next save comes
    assert set(send(store, after)) == chunk_names(after) - chunk_names(before)
    # THEN that copy has become it, and the save before is as it was
    assert store.file(after.manifest.blend.recipe.digest).stat().st_ino == node
    assert not twin.exists()
    check_stored(store, before)


@pytest.mark.usefixtures("twins")
@settings(max_examples=40, deadline=None)
@given(first=shapes, data=st.data(), cut=st.integers(1, 60))
def test_any_file_can_be_made_of_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[bytes, bytes]], data: st.DataObject, cut: int
) -> None:
    with closing(Store(tmp_path_factory.mktemp("store"), PLENTY)) as store:
        before = save_of(first, cut=cut)
        send(store, before)
        for _ in range(3):
            store.prepare_twin(before.manifest)
            # Blocks that stay, go, come and change places.
            block = st.one_of(st.sampled_from(first), shapes.map(lambda file: file[0]))
            second = data.draw(
                st.lists(block, min_size=1).filter(lambda file: any(head or body for head, body in file))
            )
            after = save_of(second, cut=cut)
            assert set(send(store, after)) <= chunk_names(after) - chunk_names(before)
            check_stored(store, before)
            before, first = after, second


@pytest.mark.usefixtures("twins")
def test_a_save_may_be_shorter_than_its_copy(store: Store) -> None:
    long = blocks(1)
    send(store, save_of(long))
    store.prepare_twin(save_of(long).manifest)
    assert send(store, save_of(long[:-2], cut=1 << 20)) != []
    send(store, save_of([(b"", b"a"), (b"", b"b")], cut=1))
    store.prepare_twin(save_of([(b"", b"a"), (b"", b"b")], cut=1).manifest)
    assert send(store, save_of([(b"", b"a")], cut=1)) == []


@pytest.mark.usefixtures("twins")
def test_a_save_under_a_new_name_may_have_the_old_names_copy(store: Store) -> None:
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7), name="shot_v2.blend")
    send(store, before)
    store.prepare_twin(before.manifest)
    twin = store.file("").parent / "incoming" / f"{before.manifest.blend.recipe.digest}.twin"
    send(store, after)
    assert not twin.exists()


@pytest.mark.usefixtures("twins")
def test_a_copy_that_somebody_touched_is_not_used(store: Store) -> None:
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    store.prepare_twin(before.manifest)
    twin = store.file("").parent / "incoming" / f"{before.manifest.blend.recipe.digest}.twin"
    twin.write_bytes(bytes(twin.stat().st_size))
    send(store, after)
    assert twin.exists()


@pytest.mark.usefixtures("twins")
def test_each_blend_has_one_spare_copy_that_fits_into_the_limit(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "store" / "incoming"
    saves = [save_of(changed(blocks(1), number)) for number in range(3)]
    for save in saves:
        send(store, save)
    for save in (*saves, saves[-1]):
        store.prepare_twin(save.manifest)
    assert [path.name for path in folder.iterdir()] == [f"{saves[-1].manifest.blend.recipe.digest}.twin"]
    store.close()
    small = Store(tmp_path / "store", 100)
    small.prepare_twin(saves[0].manifest)
    assert list(folder.iterdir()) == []
    small.close()


def test_small_files_have_no_spare_copies(store: Store) -> None:
    save = save_of(blocks(1))
    send(store, save)
    store.prepare_twin(save.manifest)
    assert store.report().spare == 0


# The mirror


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def two_roots() -> Save:
    save = save_of(blocks(1), blocks(2))
    blend, image = save.manifest.files
    manifest = Manifest(("/home/ada/film", "//nas/share"), (blend, FileEntry(1, "tex/a/b.png", image.recipe)))
    return Save(manifest, save.contents, save.chunks)


def test_the_mirror_has_the_artists_tree(store: Store, tmp_path: Path) -> None:
    save = two_roots()
    send(store, save)
    blend, image = save.contents.values()
    store.mirror(save.manifest, tmp_path / "job")
    assert tree(tmp_path / "job") == {"0/shot.blend": blend, "1/tex/a/b.png": image}
    assert place(tmp_path / "job", save.manifest.files[1]).read_bytes() == image


def test_the_mirror_is_laid_out_again_where_something_is_missing_or_wrong(store: Store, tmp_path: Path) -> None:
    save = two_roots()
    send(store, save)
    store.mirror(save.manifest, tmp_path / "job")
    whole = tree(tmp_path / "job")
    (tmp_path / "job" / "0" / "shot.blend").unlink()
    image = tmp_path / "job" / "1" / "tex" / "a" / "b.png"
    image.unlink()
    image.write_bytes(b"something else")
    store.mirror(save.manifest, tmp_path / "job")
    store.mirror(save.manifest, tmp_path / "job")
    assert tree(tmp_path / "job") == whole


def test_a_job_cannot_write_into_the_stores_files_by_mistake(store: Store, tmp_path: Path) -> None:
    save = save_of(blocks(1))
    send(store, save)
    store.mirror(save.manifest, tmp_path / "job")
    mirrored = place(tmp_path / "job", save.manifest.blend)
    if mirrored.samefile(store.file(save.manifest.blend.recipe.digest)) and os.name != "nt":
        assert stat.S_IMODE(mirrored.stat().st_mode) == 0o444
    shutil.rmtree(tmp_path / "job")
    check_stored(store, save)


def test_the_mirror_on_another_disk_is_a_copy(store: Store, small_disk: SmallDisk) -> None:
    folder = small_disk("1m")
    save = two_roots()
    send(store, save)
    store.mirror(save.manifest, folder / "job")
    first = place(folder / "job", save.manifest.blend)
    node = first.stat().st_ino
    store.mirror(save.manifest, folder / "job")
    assert sorted(tree(folder / "job").values()) == sorted(save.contents.values())
    assert first.stat().st_ino == node


def test_what_is_not_here_cannot_be_mirrored(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.mirror(save_of(blocks(1)).manifest, tmp_path / "job")


# A full disk


def test_what_cannot_fit_is_refused_before_it_is_sent(small_disk: SmallDisk) -> None:
    store = Store(small_disk("1m") / "store", PLENTY)
    with pytest.raises(OSError, match="No space left") as refused:
        store.begin(save_of(blocks(1, 100, payload=40_000), cut=5000).manifest, ADA)
    assert refused.value.errno == errno.ENOSPC
    send(store, save_of(blocks(2)))
    store.close()


def test_an_upload_that_fills_the_disk_goes_on_when_there_is_room(small_disk: SmallDisk) -> None:
    # GIVEN an upload for which there was room when it began
    root = small_disk("4m")
    store = Store(root / "store", PLENTY)
    save = save_of([(b"head", random.Random(1).randbytes(1_000_000))], cut=5000)
    receipt = store.begin(save.manifest, ADA)
    every = receipt.missing
    # WHEN something else fills the disk
    (root / "frames").write_bytes(bytes(shutil.disk_usage(root).free - 200_000))
    with pytest.raises(OSError, match="No space left"):
        put(receipt, save, every)
    rest = receipt.missing
    receipt.close()
    assert 0 < len(rest) < len(every)
    # THEN it goes on where it was, once there is room
    (root / "frames").unlink()
    again = store.begin(save.manifest, ADA)
    assert again.missing == rest
    put(again, save, again.missing)
    again.finish()
    again.close()
    check_stored(store, save)
    store.close()


# A disk that shares bytes between files


@pytest.fixture
def sharing_disk(tmp_path: Path) -> Iterator[Path]:
    """A small Btrfs."""
    image, folder = tmp_path / "btrfs", tmp_path / "sharing"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(120 << 20)
    try:
        subprocess.run(["mkfs.btrfs", "-q", image], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", image, folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a disk with reflinks needs mkfs.btrfs and the right to mount: {error}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.usefixtures("twins")
def test_on_a_disk_that_shares_bytes_nothing_is_copied(sharing_disk: Path) -> None:
    store = Store(sharing_disk / "store", PLENTY)
    before, after = save_of(blocks(1, 200), cut=5000), save_of(changed(blocks(1, 200), 7), cut=5000)
    send(store, before)
    store.prepare_twin(before.manifest)
    assert store.report().spare == 0
    assert set(send(store, after)) == chunk_names(after) - chunk_names(before)
    check_stored(store, before)
    # THEN what a job writes into its files stays its own
    store.mirror(after.manifest, sharing_disk / "job")
    mirrored = place(sharing_disk / "job", after.manifest.blend)
    assert not mirrored.samefile(store.file(after.manifest.blend.recipe.digest))
    mirrored.write_bytes(b"spoilt")
    check_stored(store, after)
    store.close()

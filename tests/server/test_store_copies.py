# SPDX-License-Identifier: GPL-3.0-or-later
"""Spare copies, which the next save is made of, and the trees that jobs get."""

import errno
import os
import shutil
import stat
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from addon.protocol.manifest import FileEntry, Manifest
from server.store import Store, copying, place
from tests.conftest import SmallDisk
from tests.server.store_kit import (
    PLENTY,
    SHAPES,
    Save,
    blocks,
    changed,
    check_stored,
    chunk_names,
    save_of,
    send,
)

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
@given(first=SHAPES, data=st.data(), cut=st.integers(1, 60))
def test_any_file_can_be_made_of_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, first: list[tuple[bytes, bytes]], data: st.DataObject, cut: int
) -> None:
    with closing(Store(tmp_path_factory.mktemp("store"), PLENTY)) as store:
        before = save_of(first, cut=cut)
        send(store, before)
        for _ in range(3):
            store.prepare_twin(before.manifest)
            # Blocks that stay, go, come and change places.
            block = st.one_of(st.sampled_from(first), SHAPES.map(lambda file: file[0]))
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
def test_a_copy_that_cannot_be_read_costs_no_more_than_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a spare copy on a bad sector
    before, after = save_of(blocks(1)), save_of([*blocks(2, 1), *blocks(1)])
    send(store, before)
    store.prepare_twin(before.manifest)
    twin = store.file("").parent / "incoming" / f"{before.manifest.blend.recipe.digest}.twin"

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(copying, "move_within", fail)
    # WHEN the next save comes THEN it is made of the save before all the same
    assert set(send(store, after)) == chunk_names(after) - chunk_names(before)
    check_stored(store, after)
    assert not twin.exists()


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are full, and such as share bytes between files."""

import errno
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.store import NoRoom, Store, place
from tests.conftest import SmallDisk
from tests.server.store_kit import (
    ADA,
    PLENTY,
    blocks,
    changed,
    check_stored,
    chunk_names,
    put,
    save_of,
    send,
)

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


@pytest.mark.usefixtures("twins")
def test_a_spare_copy_that_cannot_grow_is_left_alone(small_disk: SmallDisk) -> None:
    # GIVEN a save with a spare copy, and a disk that has little room beside
    root = small_disk("4m")
    store = Store(root / "store", PLENTY)
    file = [(b"head", random.Random(1).randbytes(500_000))]
    before, after = save_of(file, cut=5000), save_of([(b"more", bytes(200_000)), *file], cut=5000)
    send(store, before)
    store.prepare_twin(before.manifest)
    (twin,) = (root / "store" / "incoming").glob("*.twin")
    (root / "frames").write_bytes(bytes(shutil.disk_usage(root).free - 100_000))
    # WHEN a longer save comes THEN it is said what is lacking, and nothing was written
    with pytest.raises(NoRoom) as refused:
        store.begin(after.manifest, ADA)
    assert 0 < refused.value.lacking <= after.manifest.size
    assert twin.exists()
    # AND once there is room it is made of the copy
    (root / "frames").unlink()
    node = twin.stat().st_ino
    assert send(store, after) != []
    assert store.file(after.manifest.blend.recipe.digest).stat().st_ino == node
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

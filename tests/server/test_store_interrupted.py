# SPDX-License-Identifier: GPL-3.0-or-later
"""What has arrived before a link broke, a restart or a newer save."""

from pathlib import Path

import pytest

from server.store import FileBusy, Store
from tests.server.store_kit import (
    ADA,
    blocks,
    changed,
    check_stored,
    chunk_names,
    put,
    reopened,
    save_of,
    send,
)


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

# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes when the store is too large, and what never does; and a store that goes through everything in any order."""

import dataclasses
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, stateful
from hypothesis import strategies as st

from server.store import Receipt, Store
from server.store import store as store_module
from server.store.housekeeping import Held, choose
from server.store.index import FileRow, ManifestRow, Phase, State
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


def settled(store: Store) -> Store:
    """Nothing is spared any more as just let go of."""
    store.prune(set(), PLENTY)
    return store


# The choice


def digest(number: int) -> str:
    return f"{number:032x}"


@st.composite
def holdings(draw: st.DrawFn) -> tuple[list[ManifestRow], list[Held]]:
    manifests = [
        ManifestRow(
            digest(100 + number),
            draw(st.sampled_from([ADA, BEN])),
            draw(st.sampled_from(["a.blend", "b.blend"])),
            tuple(digest(each) for each in draw(st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True))),
            draw(st.integers(0, 5)),
            draw(st.sampled_from(Phase)),
            number + 1,
            0.0,
        )
        for number in range(draw(st.integers(0, 8)))
    ]
    files = [
        Held(FileRow(number, f"{state}/{each}", digest(each), state, (size, 0), ""), size)
        for number, (each, state, size) in enumerate(
            draw(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(State), st.integers(1, 100)), max_size=20))
        )
    ]
    return manifests, files


@given(held=holdings(), keep=st.sets(st.integers(100, 107).map(digest)), limit=st.integers(0, 600))
def test_nothing_goes_that_is_kept_and_no_more_than_must(
    held: tuple[list[ManifestRow], list[Held]], keep: set[str], limit: int
) -> None:
    manifests, files = held
    victims = choose(manifests, files, keep, limit)
    left = [row for row in manifests if row not in victims.manifests]
    stay = [each for each in files if each not in victims.files]
    needed = {name for row in manifests if row.digest in keep for name in row.files}
    # THEN no manifest goes that is kept, and no complete file of one
    assert all(row in left for row in manifests if row.digest in keep)
    assert all(each in stay for each in files if each.row.state == State.COMPLETE and each.row.digest in needed)
    # AND no manifest stays without a file that it had
    named = {name for row in left for name in row.files}
    assert all(each in stay for each in files if each.row.state == State.COMPLETE and each.row.digest in named)
    assert all(each.row.digest in named for each in stay)
    # AND either there is room, or everything that stays is kept
    total = sum(row.size for row in left) + sum(each.bytes for each in stay)
    assert total <= limit or all(row.digest in keep for row in left)
    # AND what it says is true
    before = sum(row.size for row in manifests) + sum(each.bytes for each in files)
    assert victims.bytes == before - total


@given(held=holdings())
def test_what_is_in_use_does_not_go_while_there_is_room(held: tuple[list[ManifestRow], list[Held]]) -> None:
    manifests, files = held
    victims = choose(manifests, files, frozenset(), PLENTY)
    assert all(row.state != Phase.STORED for row in victims.manifests)
    named = {name for row in manifests for name in row.files if row.state == Phase.STORED}
    assert all(each.row.state == State.PARTIAL for each in victims.files if each.row.digest in named)


# The store


def test_the_least_recently_used_goes_first(store: Store) -> None:
    saves = [save_of(blocks(number), name=f"{number}.blend") for number in range(4)]
    for save in saves:
        send(store, save)
    send(store, saves[0])
    held = settled(store).report().bytes
    store.prune(set(), held - 1)
    assert [store.has(save.digest) for save in saves] == [True, False, True, True]
    assert store.manifest(saves[1].digest) is None


def test_older_saves_go_before_other_projects(store: Store) -> None:
    old, new = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    other = save_of(blocks(2), name="other.blend")
    for save in (other, old, new):
        send(store, save)
    settled(store).prune(set(), store.report().bytes - 1)
    assert [store.has(save.digest) for save in (other, old, new)] == [True, False, True]


def test_what_jobs_need_stays_whatever_the_limit(store: Store) -> None:
    needed, other = save_of(blocks(1), blocks(2)), save_of(blocks(3), blocks(2), name="other.blend")
    send(store, needed)
    send(store, other)
    pruned = settled(store).prune({needed.digest}, 0)
    check_stored(store, needed)
    assert (pruned.manifests, pruned.files) == (1, 1)
    assert store.report({needed.digest}).needed == store.report().bytes


def test_what_is_being_received_stays(store: Store) -> None:
    # GIVEN a receipt, some of whose files were here before
    send(store, save_of(blocks(2), name="old.blend"))
    save = save_of(blocks(1), blocks(2))
    receipt = store.begin(save.manifest, ADA)
    put(receipt, save, receipt.missing[:3])
    # WHEN everything is to go
    settled(store).prune(set(), 0)
    put(receipt, save, receipt.missing)
    receipt.finish()
    receipt.close()
    # THEN this does not, nor until whoever prunes can know of its job
    store.prune(set(), 0)
    check_stored(store, save)
    store.prune(set(), 0)
    assert not store.has(save.digest)


def test_chunks_that_a_newer_file_has_survive_the_older_one(store: Store) -> None:
    # GIVEN two saves, the second made of the first, which goes
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    send(store, after)
    settled(store).prune({after.digest}, 0)
    assert not store.has(before.digest)
    # THEN a third is made of the second, also somebody else's
    third = save_of(changed(changed(blocks(1), 7), 8))
    assert set(send(store, third, BEN)) == chunk_names(third) - chunk_names(after)


def test_chunks_survive_when_the_older_file_goes_during_the_upload(store: Store) -> None:
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    send(store, before)
    receipt = store.begin(after.manifest, ADA)
    settled(store).prune(set(), 0)
    assert not store.has(before.digest)
    put(receipt, after, receipt.missing)
    receipt.finish()
    receipt.close()
    third = save_of(changed(changed(blocks(1), 7), 8))
    assert set(send(store, third, BEN)) == chunk_names(third) - chunk_names(after)


def test_what_was_given_up_for_a_newer_save_goes_by_itself(store: Store, tmp_path: Path) -> None:
    # GIVEN an upload that was withdrawn
    before, after = save_of(blocks(1)), save_of(changed(blocks(1), 7))
    receipt = store.begin(before.manifest, ADA)
    put(receipt, before, receipt.missing[:5])
    receipt.abandon()
    # THEN it waits for the next save
    assert settled(store).report().partial == 1
    # AND goes when that has come
    send(store, after)
    settled(store)
    report = store.report()
    assert (report.partial, report.manifests, report.files) == (0, 1, 1)
    assert list((tmp_path / "store" / "incoming").iterdir()) == []


def test_spare_copies_go_before_what_cannot_be_had_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)
    save, other = save_of(blocks(1)), save_of(blocks(2), name="other.blend")
    for each in (save, other):
        send(store, each)
        store.prepare_twin(each.manifest)
    assert settled(store).report().spare == 2
    store.prune(set(), store.report().bytes - 1)
    report = store.report()
    assert (report.spare, report.files) == (1, 2)


def test_the_report_counts_what_lies_on_the_disk(store: Store, tmp_path: Path) -> None:
    assert store.report() == dataclasses.replace(store.report(), files=0, bytes=0, last_use=None, limit=PLENTY)
    save, half = save_of(blocks(1), blocks(2)), save_of([(b"", os.urandom(1 << 20))], name="half.blend", cut=1 << 18)
    send(store, save)
    receipt = store.begin(half.manifest, ADA)
    put(receipt, half, [0])
    receipt.close()
    report = store.report({save.digest})
    files = sum(path.stat().st_size for path in (tmp_path / "store" / "files").iterdir())
    manifests = sum(path.stat().st_size for path in (tmp_path / "store" / "manifests").iterdir())
    assert (report.manifests, report.files, report.partial, report.spare) == (2, 2, 1, 0)
    assert report.bytes == files + manifests + report.partial_bytes
    assert report.needed == files + len(save.manifest.packed)
    assert report.last_use is not None
    if hasattr(os.stat_result, "st_blocks"):
        assert (1 << 18) <= report.partial_bytes < (1 << 20)


def test_the_stores_own_limit_counts_when_none_is_given(tmp_path: Path) -> None:
    store = Store(tmp_path / "store", 0)
    save = save_of(blocks(1))
    send(store, save)
    settled(store)
    assert store.prune(set()).manifests == 1
    assert not store.has(save.digest)
    store.close()


# Everything, in any order


class AnyOrder(stateful.RuleBasedStateMachine):
    """Two artists, a few files that change, broken links, withdrawals, restarts, kills, lost indexes, evictions."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="store"))
        self.store = Store(self.root / "store", PLENTY)
        self.files = {name: blocks(seed, 6, payload=40) for seed, name in enumerate(["a", "b", "c"])}
        self.stored: dict[str, Save] = {}
        """Acknowledged and not evicted."""
        self.contents: dict[str, bytes] = {}
        self.receipts: dict[str, tuple[Receipt, Save]] = {}
        """Of each artist, the one under way."""

    owners = st.sampled_from([ADA, BEN])
    names = st.sampled_from(["a", "b", "c"])

    @stateful.rule(owner=owners, name=names, number=st.integers(0, 5))
    def an_artist_saves(self, owner: str, name: str, number: int) -> None:
        self.files[name] = changed(self.files[name], number)
        self.offer(owner, [name, "c"])
        self.all_chunks_come(owner)

    @stateful.rule(owner=owners, names=st.lists(names, min_size=1, max_size=3, unique=True))
    def offer(self, owner: str, names: list[str]) -> None:
        if owner in self.receipts:
            return
        save = save_of(*(self.files[name] for name in dict.fromkeys(names)), name=f"{names[0]}.blend", cut=30)
        self.contents |= save.contents
        receipt = self.store.begin(save.manifest, owner)
        known = {chunk for each in self.stored.values() for chunk in each.chunks}
        missing = {save.manifest.chunks[number] for number in receipt.missing}
        assert missing.isdisjoint(known), "a chunk that the store has was to travel again"
        self.receipts[owner] = receipt, save

    @stateful.rule(owner=owners, share=st.floats(0, 1))
    def some_chunks_come(self, owner: str, share: float) -> None:
        if owner in self.receipts:
            receipt, save = self.receipts[owner]
            put(receipt, save, receipt.missing[: round(share * len(receipt.missing))])

    @stateful.rule(owner=owners)
    def all_chunks_come(self, owner: str) -> None:
        if owner in self.receipts:
            receipt, save = self.receipts.pop(owner)
            put(receipt, save, receipt.missing)
            receipt.finish()
            receipt.close()
            self.stored[save.digest] = save

    @stateful.rule(owner=owners, withdrawn=st.booleans())
    def it_ends_early(self, owner: str, withdrawn: bool) -> None:
        if owner in self.receipts:
            receipt, _ = self.receipts.pop(owner)
            if withdrawn:
                receipt.abandon()
            else:
                receipt.close()

    @stateful.rule()
    def a_twin_is_made(self) -> None:
        for save in self.stored.values():
            self.store.prepare_twin(save.manifest)

    @stateful.rule(keep=st.integers(0, 2), share=st.sampled_from([0, 0.5, 0.9]))
    def some_goes(self, keep: int, share: float) -> None:
        kept = set(list(self.stored)[len(self.stored) - keep :])
        self.store.prune(kept, round(share * self.store.report().bytes))
        self.store.prune(kept, round(share * self.store.report().bytes))
        self.stored = {digest: save for digest, save in self.stored.items() if self.store.has(digest)}
        assert kept <= self.stored.keys()

    @stateful.rule(recovered=st.booleans())
    def the_node_starts_again(self, recovered: bool) -> None:
        for receipt, _ in self.receipts.values():
            receipt.close()
        self.store.close()
        self._open(recovered)

    @stateful.rule(index_lost=st.booleans())
    def the_node_is_killed(self, index_lost: bool) -> None:
        for receipt, _ in self.receipts.values():  # What the system does to a process that is killed, and no more.
            receipt._settler.stop()
            for part in receipt._parts.values():
                part.close()
        self.store._index.close()
        if index_lost:
            for path in (self.root / "store").glob("index.sqlite3*"):
                path.unlink()
        self._open(recovered=True)

    def _open(self, recovered: bool) -> None:
        self.receipts.clear()
        self.store = Store(self.root / "store", PLENTY)
        if recovered:
            self.store.recover()

    @stateful.invariant()
    def no_file_is_wrong(self) -> None:
        check_files(self.root / "store", self.contents)

    @stateful.invariant()
    def what_was_acknowledged_is_here(self) -> None:
        for save in self.stored.values():
            check_stored(self.store, save)

    def teardown(self) -> None:
        for receipt, _ in self.receipts.values():
            receipt.close()
        self.store.close()
        shutil.rmtree(self.root)


@pytest.fixture
def small_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)


@pytest.mark.usefixtures("small_twins")
def test_in_any_order_nothing_is_lost_and_no_file_is_wrong() -> None:
    stateful.run_state_machine_as_test(
        AnyOrder, settings=settings(max_examples=40, stateful_step_count=25, deadline=None)
    )

# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from addon.client import locks
from addon.client.ledger import Entry, Ledger, Order, Trigger, entries
from addon.client.locks import FileLock

ROOT = Path(__file__).parents[2]

HOLD = """
import sys
from pathlib import Path
from typing import Any
from addon.client.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
print(len(list(ledger.adopt())), flush=True)
sys.stdin.read()
"""


def order(number: int = 1, **changes: Any) -> Order:
    fields: dict[str, Any] = {
        "job": f"{number:032x}", "blend": "/a/shot.blend", "title": "shot.blend", "scene": None, "frames": "1",
        "folder": "/a/out", "targets": {"//passes/": "/a/passes"},
    }  # fmt: skip
    return Order(**{**fields, **changes})


def test_an_entry_is_read_as_it_was_written(tmp_path: Path) -> None:
    entry = Entry(order(), created=1.5, node="3" * 32, address="box", text="Fine.")
    ledger = Ledger(tmp_path)
    ledger.save(entry)
    ledger.close()
    assert list(Ledger(tmp_path).adopt()) == [entry]


def test_a_job_belongs_to_one_process_until_that_ends(tmp_path: Path) -> None:
    # GIVEN a process that holds an entry
    first = Ledger(tmp_path)
    first.save(Entry(order(), created=0.0))
    first.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "1"
        # THEN no other can take it
        assert list(Ledger(tmp_path).adopt()) == []
        # WHEN it is killed, THEN the next one can
        holder.kill()
    (adopted,) = Ledger(tmp_path).adopt()
    assert adopted.order == order()


def test_one_entry_is_taken_and_the_others_are_left(tmp_path: Path) -> None:
    # GIVEN the entries of a process that has ended
    first = Ledger(tmp_path)
    for number in (1, 2):
        first.save(Entry(order(number), created=float(number)))
    first.close()
    # WHEN one is taken THEN nobody else can, and the other one stays for others
    second, third = Ledger(tmp_path), Ledger(tmp_path)
    taken = second.take(order(1).job)
    assert taken is not None
    assert (taken.order, third.take(order(1).job), second.take(order(3).job)) == (order(1), None, None)
    assert [entry.order for entry in third.adopt()] == [order(2)]
    # AND all can be looked at, the newest first
    assert [entry.order for entry in entries(tmp_path)] == [order(2), order(1)]


def test_a_file_that_is_no_entry_cannot_be_taken(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 32}.json").write_text("")
    assert entries(tmp_path) == []
    assert Ledger(tmp_path).take("0" * 32) is None
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_entry_is_dropped(tmp_path: Path) -> None:
    (tmp_path / f"{'0' * 32}.json").write_text("")
    assert list(Ledger(tmp_path).adopt()) == []
    assert list(tmp_path.glob("*.json")) == []


def test_removing_an_entry_leaves_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.save(Entry(order(), created=0.0))
    ledger.remove(order().job)
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_another_process_has_just_removed_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an entry of a process that ends a job while another one starts
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    first.save(Entry(order(), created=0.0))
    hold = second._hold

    def late(job: str) -> bool:
        first.remove(job)
        return hold(job)

    # WHEN the second has seen it, and the first removes it THEN it is gone for both
    monkeypatch.setattr(second, "_hold", late)
    assert list(second.adopt()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_lock_on_a_file_that_was_removed_meanwhile_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN somebody who gives a lock back when another one has just opened its file
    first, path, lock = FileLock(tmp_path / "lock"), tmp_path / "lock", locks._lock
    assert first.acquire()

    def late(descriptor: int) -> None:
        first.remove()
        lock(descriptor)

    monkeypatch.setattr(locks, "_lock", late)
    assert not FileLock(path).acquire()
    # THEN a third, who makes the file anew, is the only one to have it
    monkeypatch.undo()
    third = FileLock(path)
    assert third.acquire() and not FileLock(path).acquire()
    third.release()


def test_only_saves_that_keep_nothing_supersede() -> None:
    assert order().group == ""
    assert order(trigger=Trigger.SAVE).group == "save /a/shot.blend"
    assert order(trigger=Trigger.SAVE, keep_older=True).group == ""


@pytest.mark.parametrize(
    "wrong", [{"job": "x"}, {"blend": "shot.blend"}, {"folder": "out"}, {"targets": {"//p/": "p"}}]
)
def test_an_order_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is not"):
        order(**wrong)

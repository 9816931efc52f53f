# SPDX-License-Identifier: GPL-3.0-or-later
import gc
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from addon.client import snapshot
from addon.client.errors import CannotRead, SourceChanged
from addon.client.snapshot import Snapshot


def save_over(path: Path, content: bytes) -> None:
    """Replace a file as Blender does: a new one, a backup, a rename."""
    fresh = path.with_name(f"{path.name}@")
    fresh.write_bytes(content)
    path.replace(path.with_name(f"{path.name}1"))
    fresh.replace(path)


def test_a_snapshot_stays_the_save_it_was(tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    path.write_bytes(b"first" * 1000)
    taken = Snapshot(path)
    save_over(path, b"second" * 1000)
    assert taken.read(0, taken.size) == b"first" * 1000
    assert Snapshot(path).read(0, taken.size) == (b"second" * 1000)[: taken.size]


def test_a_save_is_not_hindered_by_a_snapshot_in_another_process(tmp_path: Path) -> None:
    # GIVEN a process that has the file open: on Windows an ordinary open would keep Blender from renaming it
    path = tmp_path / "shot.blend"
    path.write_bytes(b"first")
    hold = (
        "import sys; from pathlib import Path; from addon.client.snapshot import Snapshot;"
        "snapshot = Snapshot(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", hold, path], cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        save_over(path, b"second")
    assert path.read_bytes() == b"second"


def test_a_file_that_is_being_saved_over_and_over_is_always_found(tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    path.write_bytes(b"0")
    stop = threading.Event()

    def artist() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            save_over(path, str(number).encode())

    saving = threading.Thread(target=artist)
    saving.start()
    try:
        for _ in range(2000):
            with Snapshot(path) as taken:
                assert taken.read(0, taken.size).isdigit()
    finally:
        stop.set()
        saving.join()


def test_saves_that_begin_and_end_between_two_looks_hide_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN an artist who is quick: each look finds neither the file nor a sign of the save that replaces it
    path = tmp_path / "shot.blend"
    looks = 0

    def look(wanted: Path) -> BinaryIO:
        nonlocal looks
        looks += 1
        if looks == 3:
            wanted.write_bytes(b"third")
        return wanted.open("rb")

    monkeypatch.setattr(snapshot, "_open_shared", look)
    # THEN the file is found all the same
    assert Snapshot(path).read(0, 5) == b"third"


def test_threads_read_at_once_and_each_its_part(tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    content = b"".join(number.to_bytes(4, "little") for number in range(100_000))
    path.write_bytes(content)
    places = [place * 4 for place in range(0, 100_000, 7)]
    with Snapshot(path) as taken, ThreadPoolExecutor(4) as pool:
        for place, found in zip(places, pool.map(lambda place: taken.read(place, 8), places), strict=True):
            assert found == content[place : place + 8]


def test_a_file_that_is_cut_short_in_place_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    # GIVEN a file that is being read, by a program that writes over files instead of replacing them
    path = tmp_path / "wood.png"
    path.write_bytes(bytes(1 << 20))
    with Snapshot(path) as taken:
        # WHEN it is cut THEN what is left can be read, and the rest is said to be gone
        os.truncate(path, 1000)
        assert taken.read(0, 1000) == bytes(1000)
        with pytest.raises(SourceChanged, match=r"wood\.png was changed"):
            taken.read(0, 1 << 20)


def test_a_snapshot_that_nobody_holds_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "shot.blend"
    path.write_bytes(b"first")
    taken = Snapshot(path)
    file = taken._file
    del taken
    gc.collect()
    assert file.closed


@pytest.mark.parametrize(("make", "sentence"), [(None, "not there any more"), (b"", "is empty")])
def test_a_file_that_cannot_be_read_gets_a_sentence(tmp_path: Path, make: bytes | None, sentence: str) -> None:
    path = tmp_path / "shot.blend"
    if make is not None:
        path.write_bytes(make)
    with pytest.raises(CannotRead, match=sentence):
        Snapshot(path)

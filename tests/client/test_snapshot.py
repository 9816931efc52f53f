# SPDX-License-Identifier: GPL-3.0-or-later
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from addon.client.errors import CannotRead
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
    snapshot = Snapshot(path)
    digest = snapshot.digest()
    save_over(path, b"second" * 1000)
    assert bytes(snapshot.bytes) == b"first" * 1000
    assert snapshot.digest() == digest != Snapshot(path).digest()


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
            assert bytes(Snapshot(path).bytes).isdigit()
    finally:
        stop.set()
        saving.join()


@pytest.mark.parametrize(("make", "sentence"), [(None, "not there any more"), (b"", "is empty")])
def test_a_file_that_cannot_be_read_gets_a_sentence(tmp_path: Path, make: bytes | None, sentence: str) -> None:
    path = tmp_path / "shot.blend"
    if make is not None:
        path.write_bytes(make)
    with pytest.raises(CannotRead, match=sentence):
        Snapshot(path)

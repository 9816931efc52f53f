# SPDX-License-Identifier: GPL-3.0-or-later
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.store import Store
from tests.server.store_kit import PLENTY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The artists' files of a node that has room for all of them."""
    store = Store(tmp_path / "store", PLENTY)
    yield store
    store.close()

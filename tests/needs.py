# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test may need that not every Python has."""

import pytest

from addon.protocol import zstd
from addon.protocol.digest import BLAKE3, chunk_algorithms

NEEDS_ZSTD = pytest.mark.skipif(zstd.name() is None, reason="needs zstd")
NEEDS_BLAKE3 = pytest.mark.skipif(BLAKE3 not in chunk_algorithms(), reason="needs the blake3 wheel")

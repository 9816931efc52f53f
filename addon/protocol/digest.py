# SPDX-License-Identifier: GPL-3.0-or-later
"""How things are named by their content.

Whole files that travel back, recipes and manifests go by BLAKE2b, which every Python has (760-940 MB/s a thread).
Chunks go by BLAKE3 where its wheel is there on both sides (1.3-4.4 GB/s), else by BLAKE2b: the node chooses in its
welcome, and a recipe says which it was.
"""

import hashlib
from collections.abc import Callable, Sequence

try:
    from blake3 import blake3
except ImportError:  # A distribution's Python without the wheel.
    blake3 = None  # type: ignore[assignment, misc]

Buffer = bytes | bytearray | memoryview

DIGEST_BYTES = 16
"""128 bits: enough against accidents, and against forgery as long as a client can only harm its own jobs."""

BLAKE3, BLAKE2B = "blake3", "blake2b"


def new_digest() -> "hashlib.blake2b":
    """Return an empty digest; its `hexdigest()` is what the protocol calls a digest."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


def chunk_algorithms() -> tuple[str, ...]:
    """Names of the algorithms that this Python can name chunks by, the fastest first."""
    return (BLAKE3, BLAKE2B) if blake3 is not None else (BLAKE2B,)


def common_algorithm(theirs: Sequence[str]) -> str:
    """Return the fastest algorithm that the other side has too; everybody has BLAKE2b."""
    return next((name for name in chunk_algorithms() if name in theirs), BLAKE2B)


def chunk_digest(algorithm: str) -> Callable[[Buffer], bytes]:
    """Return the function from a chunk's bytes to its DIGEST_BYTES bytes of name. Raises KeyError for one not here.

    It lets other threads run meanwhile.
    """
    if algorithm not in chunk_algorithms():
        raise KeyError(algorithm)
    return _with_blake3 if algorithm == BLAKE3 else _with_blake2b


def _with_blake3(chunk: Buffer) -> bytes:
    return blake3(chunk).digest(DIGEST_BYTES)


def _with_blake2b(chunk: Buffer) -> bytes:
    return hashlib.blake2b(chunk, digest_size=DIGEST_BYTES).digest()

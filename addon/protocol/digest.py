# SPDX-License-Identifier: GPL-3.0-or-later
"""How files are named by their content. BLAKE2b is in every Python and does 760-940 MB/s where SHA-256 may do 550."""

import hashlib

DIGEST_BYTES = 16
"""128 bits: enough against accidents, and against forgery as long as a client can only harm its own jobs."""


def new_digest() -> "hashlib.blake2b":
    """Return an empty digest; its `hexdigest()` is what the protocol calls a digest."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)

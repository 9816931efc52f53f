# SPDX-License-Identifier: GPL-3.0-or-later
"""The numbers both sides keep to. Sizes in bytes, times in seconds."""

PIECE_BYTES = 1 << 20
"""Payload of one Piece. ZeroMQ with zero copy reaches its full rate from 1 MiB on; smaller ones cost up to half of it.
"""

WINDOW_BYTES = 16 << 20
"""Bytes a receiver lets the sender run ahead. Covers 118 MB/s at 140 ms of round trip, and bounds the memory that a
slow disk can cost: a ZeroMQ high-water mark alone let a slow receiver grow to 650 MiB.
"""

LEAST_WINDOW_BYTES = 2 << 20
"""What a node lets each upload run ahead where many come at once: any chunk fits in twice."""

MAX_HEADER_BYTES = 256 << 10
"""A message's JSON part. The largest honest one, 64 outputs with names of 1 KiB, has 80 KiB."""

MAX_MESSAGE_BYTES = 16 << 20
"""What ZeroMQ accepts as one frame; a larger one costs its sender the connection."""

PREVIEW_BYTES = 512 << 10
"""A JPEG of 320 pixels has some 20 KiB; this leaves room for noise."""

LOG_BYTES = 64 << 10
"""Of a log in one answer: further ones are asked for, so that none holds up the frames behind it."""

HEARTBEAT_S = 1.0
"""How often a client says that it is there."""

SILENCE_S = 10.0
"""After this long without a word the other side counts as lost. The longest word is a chunk of 1 MiB, which a link of
0.1 MB/s carries in that time.
"""

LOWEST_PRIORITY, HIGHEST_PRIORITY = -10, 10
"""Of jobs; one has 0 by itself."""

MAX_FILE_BYTES = 1 << 40
"""The largest .blend taken, 1 TiB: a sanity bound on numbers from the wire, not a quota."""

MAX_UNACKNOWLEDGED = 64
"""Outputs announced to one client and not yet acknowledged by it; further ones wait."""

MAX_CHUNK_BYTES = 1 << 20
"""The largest chunk of a file."""

MAX_MANIFEST_BYTES = 12 << 20
"""A packed manifest: 20 bytes a chunk make 600,000 chunks, some 100 GB of files."""

EAGER_BYTES = 256 << 10
"""What a client may send along with an offer, before the node has said what it lacks: a small change costs no round
trip.
"""

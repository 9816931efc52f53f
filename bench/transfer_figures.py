# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the transfer: every figure that `bench.transfer` measures, and the limits that the project set."""

from .links import LINKS, Link
from .measures import Measure
from .studio import BUILD_BYTES, EDITS, FORMATS

MOVED_KB = 20.0
MOVED_S = 0.45
COMPRESSED_RATIO = 2.0
FIRST_UPLOAD_RATIO = {LINKS[0]: 1.0, LINKS[1]: 0.5, LINKS[2]: 0.5}
SCP_RATIO = 0.4
MEMORY_MB = 100.0
GAP_P999_MS = 6.0
GAP_MAX_MS = 20.0
"""The limits that the project set itself."""

RIVALS = "rsync -az to a daemon, and the whole file as an HTTP POST"


def link_rate(link: Link) -> Measure:
    """How far an emulated link is from what it should be."""
    return Measure(f"Emulated link {link}: rate", "MB/s", f"a plain socket over it; {link.rate / 1e6:g} were asked for")


def link_round_trip(link: Link) -> Measure:
    """The same of its round trip."""
    asked = f"a plain socket over it; {link.round_trip_s * 1000:g} were asked for"
    return Measure(f"Emulated link {link}: round trip", "ms", asked)


BUILD_MEMORY = Measure("Memory that building the scene takes", "GB", "a limit", limit=BUILD_BYTES / 1e9)


def first_upload(kind: str, link: Link) -> Measure:
    """The first upload of all, with the whole file's time."""
    limit = FIRST_UPLOAD_RATIO[link]
    return Measure(f"First upload, {kind}, {link}", "ratio", "the whole file as an HTTP POST", limit=limit)


def resave_seconds(edit: str, kind: str, link: Link) -> Measure:
    """How long a re-save takes."""
    limit = MOVED_S if edit == "move" else None
    return Measure(f"Re-save, {EDITS[edit]}, {kind}, {link}: until the node may start", "s", RIVALS, limit=limit)


def resave_bytes(edit: str, kind: str) -> Measure:
    """What it sends, both ways."""
    limit = MOVED_KB if edit == "move" else None
    return Measure(f"Re-save, {EDITS[edit]}, {kind}: on the wire", "KB", RIVALS, limit=limit)


def resave_share(edit: str, kind: str) -> Measure:
    """The same, with what rsync sends."""
    return Measure(f"Re-save, {EDITS[edit]}, {kind}: share on the wire", "ratio", "rsync -az to a daemon", limit=1.0)


def compression_cost(edit: str, unit: str) -> Measure:
    """What a compressed .blend costs more."""
    what = "bytes on the wire" if unit == "bytes" else "seconds, worst link"
    name = f"Re-save, {EDITS[edit]}, compressed and not: {what}"
    return Measure(name, "ratio", "the same uncompressed", limit=COMPRESSED_RATIO)


THROUGHPUT = Measure("Upload on unlimited loopback, encrypted: seconds", "ratio", "scp", limit=SCP_RATIO)
CURVE_ALONE = Measure("The same bytes through ZeroMQ's encryption alone: seconds", "ratio", "scp")
CLIENT_MEMORY = Measure(
    "Client: memory over rest, file of 5 GB and a thousand textures", "MB", "a limit", limit=MEMORY_MB
)
NODE_MEMORY = Measure("Node: memory over rest, file of 5 GB and a thousand textures", "MB", "a limit", limit=MEMORY_MB)
GAP_P999 = Measure("Main thread's gap while 500 MB leave, p99.9", "ms", "a limit", limit=GAP_P999_MS)
GAP_MAX = Measure("Main thread's gap while 500 MB leave, longest", "ms", "a limit", limit=GAP_MAX_MS)

LINK_FIGURES = tuple(figure for link in LINKS for figure in (link_rate(link), link_round_trip(link)))
SESSION_FIGURES = (
    BUILD_MEMORY,
    *(first_upload(kind, link) for kind in FORMATS for link in LINKS),
    *(resave_seconds(edit, kind, link) for kind in FORMATS for link in LINKS for edit in EDITS),
    *(figure for kind in FORMATS for edit in EDITS for figure in (resave_bytes(edit, kind), resave_share(edit, kind))),
    *(compression_cost(edit, unit) for edit in EDITS for unit in ("bytes", "seconds")),
)

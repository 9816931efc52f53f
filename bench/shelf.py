# SPDX-License-Identifier: GPL-3.0-or-later
"""A node's data folder with a job of many frames that are done, without rendering them."""

import os
import time
import uuid
import zlib
from pathlib import Path
from struct import pack

from addon.keyring import Keyring
from addon.protocol.messages import JobSpec, JobState
from server.clients import client_id
from server.job_folders import JobFolders, digest_of
from server.job_store import DATABASE, RESULT, JobStore, NewOutput
from server.jobs import Job, Task

WIDTH, HEIGHT = 320, 180


def fill(data: Path, frames: int) -> str:
    """Make a data folder; return the identifier of its job. All frames are one picture, by hard links."""
    data.mkdir(parents=True)
    store, folders = JobStore(data / DATABASE), JobFolders(data)
    spec = JobSpec(uuid.uuid4().hex, "long.blend", "0" * 32, None, f"1-{frames}", "", time.time())
    job = Job(spec, client_id(Keyring().own.public.decode()), total=frames)
    store.add(job, range(1, frames + 1))
    folders.prepare(job.id)
    picture = data / "picture.png"
    picture.write_bytes(_png())
    size, digest = digest_of(picture)
    for position in range(frames):
        stored = f"{position}-0.png"
        os.link(picture, folders.output(job.id, stored))
        output = NewOutput("", f"shot_{position + 1:05}.png", size, digest, stored, RESULT)
        store.finish(Task(job.id, position, position + 1), 1.0, [output])
    job.state = JobState.DONE
    store.update(job, finished=time.time())
    store.close()
    return job.id


def _png() -> bytes:
    """A picture of noise, which browsers have to decode in earnest."""
    rows = b"".join(b"\0" + os.urandom(WIDTH * 3) for _ in range(HEIGHT))
    chunks = ((b"IHDR", pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    framed = (pack(">I", len(body)) + kind + body + pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)

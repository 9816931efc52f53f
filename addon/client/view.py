# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's sidebar, and the command line, are told of a job. Pure."""

import os
from typing import Any

from ..protocol.frame_range import parse_frames
from ..protocol.messages import FINISHED, JobState, JobStatus
from .gather import Missing
from .ledger import Entry
from .submission import Progress

Line = dict[str, Any]


def job_line(entry: Entry, status: JobStatus | None, upload: Progress | None, trouble: str) -> Line:
    """Return the "job" event for one job.

    `status` is what the node said last, `upload` how far the file is while it has said nothing, `trouble` a sentence
    about this machine's side.
    """
    state = state_of(entry, status, upload)
    line: Line = {
        "event": "job",
        "job": entry.job,
        "title": entry.order.title,
        "blend": entry.order.blend,
        "folder": entry.order.folder,
        "frames": entry.order.frames,
        "created": entry.created,
        "state": state,
        "sent_bytes": upload.sent if upload else 0,
        "total_bytes": upload.total if upload else 0,
        "rate": upload.rate if upload else 0.0,
        "missing": [_missing(each) for each in upload.missing] if upload else [],
    }
    return {**line, **_numbers(entry, status), "text": trouble or _text(entry, status, upload, state)}


def _missing(each: Missing) -> dict[str, str]:
    return {"owner": each.owner, "path": os.path.normpath(each.path), "reason": each.reason}


def state_of(entry: Entry, status: JobStatus | None, upload: Progress | None) -> str:
    """Return one of "waiting", "missing", "uploading", "returning" and the node's own states."""
    if entry.end:
        return entry.end
    if status is None:
        if upload is not None and upload.missing:
            return "missing"
        return "uploading" if upload is not None and upload.total and not upload.text else "waiting"
    if status.undelivered and status.state in FINISHED and status.state != JobState.SUPERSEDED:
        return "returning"
    return str(status.state)


def _numbers(entry: Entry, status: JobStatus | None) -> Line:
    if status is None:
        return {
            "total": len(parse_frames(entry.order.frames)), "done": 0, "delivered": 0, "failed": 0, "fraction": 0.0,
            "eta_s": None, "frame": None, "sample": None, "samples": None, "tile": None, "tiles": None, "notices": [],
            "blender": None,
            "device": "",
            "paused": False,
        }  # fmt: skip
    return {
        "total": status.total,
        "done": status.done,
        "delivered": max(0, status.done - status.undelivered),
        "failed": status.failed,
        "fraction": status.fraction,
        "eta_s": status.eta_s,
        "frame": status.frame,
        "sample": status.sample,
        "samples": status.samples,
        "tile": status.tile,
        "tiles": status.tiles,
        "notices": list(status.notices),
        "blender": status.blender,
        "device": status.device,
        "paused": status.paused,
    }


def _text(entry: Entry, status: JobStatus | None, upload: Progress | None, state: str) -> str:
    if entry.end:
        return entry.text
    if status is not None:
        return status.text or _plain_text(entry, status, state)
    if entry.accepted:
        return f"Waits for the node at {entry.address}, which has this job."
    if upload is not None and upload.missing:
        count = "A file" if len(upload.missing) == 1 else f"{len(upload.missing)} files"
        return f"{count} that the scene uses cannot be found: put right what is listed and save, or render without."
    if upload is not None and upload.text:
        return upload.text
    return "Sending the file." if state == "uploading" else "Waits for the node."


def _plain_text(entry: Entry, status: JobStatus, state: str) -> str:
    match state:
        case "queued":
            return "Queued."
        case "rendering":
            return f"Rendering with Blender {status.blender}."
        case "encoding":
            return "Making the movie."
        case "returning":
            return "Rendered; the last frames are on their way."
        case "done":
            return f"Done: in {entry.order.folder}."
        case _:
            return ""

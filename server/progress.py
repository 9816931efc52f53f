# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist is told about a job, computed from its state. Pure."""

from collections.abc import Sequence
from heapq import heapify, heapreplace

from addon.protocol.messages import JobState, JobStatus

from .jobs import Job, TaskState

PLACED = 8
"""Frames for each slot that are placed one by one; what comes before them fills all slots alike."""

MERGING_SHARE = 0.02
"""Of a split frame's progress: putting the parts together. Measured 0.1 s for 400x300, of 3 s."""


def status_of(job: Job, now: float) -> JobStatus:
    """Return all there is to say about `job`; `now` is on the same monotonic clock as `Running.started`."""
    shown = min(job.running.values(), key=lambda running: running.task.position, default=None)
    return JobStatus(
        job=job.id,
        owner=job.owner,
        title=job.spec.title,
        state=job.state,
        frames=job.spec.frames,
        total=job.total,
        done=job.frames[TaskState.DONE],
        failed=job.frames[TaskState.FAILED],
        undelivered=job.undelivered,
        fraction=fraction_of(job, now),
        eta_s=eta_of(job, now),
        frame=shown.task.frame if shown else None,
        sample=shown.sample if shown else None,
        samples=shown.samples if shown else None,
        tile=shown.tile if shown else None,
        tiles=shown.tiles if shown else None,
        text=job.text,
        notices=job.notices,
        blender=job.blender,
        device=job.device,
        created=job.spec.created,
        paused=job.paused,
        priority=job.priority,
        place=job.place,
    )


def fraction_of(job: Job, now: float) -> float:
    """Part of the job's frames that is rendered, 0 to 1, unfinished frames in proportion."""
    if job.state == JobState.DONE:
        return 1.0
    running = sum(each.fraction(now) for each in job.running.values() if each.task.frame is not None)
    if job.parts:
        done = job.parts[TaskState.DONE] + (running if job.lacks_parts else 0)
        return (1 - MERGING_SHARE) * min(1.0, done / job.parts.total())
    return min(1.0, (job.frames[TaskState.DONE] + running) / job.total)


def eta_of(job: Job, now: float) -> float | None:
    """Seconds until the last frame, or None while nothing is known.

    Finished frames say what others cost; until there is one, what Blender says of the running ones does.
    """
    if job.finished or not job.running or job.costs is None:
        return None
    running = [each for each in job.running.values() if job.step(each.task) is not None]
    if not running:
        return None  # How long a movie takes to encode is not known.
    pending = (job.parts or job.frames)[TaskState.PENDING]
    left = [each.left_s(now) for each in running]
    if job.costs.known:
        of_all = job.costs.left(job.shape)  # The running ones are not done: these count with what they lack.
        steps = [step for each in running if (step := job.step(each.task)) is not None]
        begun = [job.costs.expect(step, job.shape) for step in steps]
        lacking = [max(0.0, cost - (now - each.started)) for cost, each in zip(begun, running, strict=True)]
        rest = of_all - sum(begun)
        lacking = [known if known is not None else guess for known, guess in zip(left, lacking, strict=True)]
    else:
        known = [seconds for seconds in left if seconds is not None]
        if not known:
            return None
        elapsed = [now - each.started for each in running if each.left_s(now) is not None]
        mean = (sum(elapsed) + sum(known)) / len(known)
        lacking = known + [mean] * (len(running) - len(known))
        rest = pending * mean
    return _until_all_end(lacking, pending, max(0.0, rest) / pending if pending else 0.0)


def _until_all_end(lacking: Sequence[float], pending: int, cost: float) -> float:
    """Seconds until slots that are free in `lacking` seconds each have done `pending` frames, of `cost` seconds each.

    The last frames do not fill all slots: three frames of a second take two slots two seconds.
    """
    ends = list(lacking)
    heapify(ends)
    rounds = max(0, pending // len(ends) - PLACED)
    for _ in range(pending - rounds * len(ends)):
        heapreplace(ends, ends[0] + cost)
    return max(ends) + rounds * cost

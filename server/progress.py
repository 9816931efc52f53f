# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artist is told about a job, computed from its state. Pure."""

from collections import Counter

from addon.protocol.messages import JobState, JobStatus

from .jobs import Job, Running, TaskState

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
        fraction=fraction_of(job),
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
    )


def fraction_of(job: Job) -> float:
    """Part of the job's frames that is rendered, 0 to 1, unfinished frames in proportion."""
    if job.state == JobState.DONE:
        return 1.0
    running = sum(running.fraction() for running in job.running.values() if running.task.frame is not None)
    if job.parts:
        done = job.parts[TaskState.DONE] + (running if job.lacks_parts else 0)
        return (1 - MERGING_SHARE) * min(1.0, done / job.parts.total())
    return min(1.0, (job.frames[TaskState.DONE] + running) / job.total)


def eta_of(job: Job, now: float) -> float | None:
    """Seconds until the last frame, or None while nothing is known.

    Finished frames give the cost of one; until there is one, the running frame's own estimate does, or its share.
    """
    if job.finished or not job.running:
        return None
    cost = _seconds_per_frame(job, now)
    if cost is None:
        return None
    left = sum(max(0.0, cost - (now - running.started)) for running in job.running.values())
    return (left + _counted(job)[TaskState.PENDING] * cost) / len(job.running)


def _counted(job: Job) -> Counter[TaskState]:
    """What the job's Blenders share among them."""
    return job.parts or job.frames


def _seconds_per_frame(job: Job, now: float) -> float | None:
    done = _counted(job)[TaskState.DONE]
    if done and (job.lacks_parts or not job.parts):
        return job.seconds / done
    estimates = [estimate for running in job.running.values() if (estimate := _estimate(running, now)) is not None]
    return sum(estimates) / len(estimates) if estimates else None


def _estimate(running: Running, now: float) -> float | None:
    elapsed = now - running.started
    if running.remaining_s is not None:
        return elapsed + running.remaining_s
    fraction = running.fraction()
    return elapsed / fraction if fraction > 0 else None

# SPDX-License-Identifier: GPL-3.0-or-later
"""Several who hear of what happens."""

from collections.abc import Iterable

from .books import Audience
from .jobs import Job, Task, TaskState


class Everybody:
    """An Audience that passes all on to others, in their order; more may come later."""

    def __init__(self, members: Iterable[Audience] = ()) -> None:
        self._members = list(members)

    def add(self, member: Audience) -> None:
        """From now on it hears, too."""
        self._members.append(member)

    def job_changed(self, job: Job) -> None:
        for each in self._members:
            each.job_changed(job)

    def job_gone(self, job: Job) -> None:
        for each in self._members:
            each.job_gone(job)

    def preview_made(self, job: Job) -> None:
        for each in self._members:
            each.preview_made(job)

    def outputs_ready(self, job: Job) -> None:
        for each in self._members:
            each.outputs_ready(job)

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None:
        for each in self._members:
            each.task_changed(job, task, state)

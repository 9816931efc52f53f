# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs begin with a draft, a small picture of few samples that is there before the first frame. Pure."""

from dataclasses import dataclass

from .jobs import Job

MOST_SHARE = 0.05
"""Of a frame's time: what a draft may cost."""

MOST_GROUPS = 1000
"""Files whose drafts are remembered; those heard of first are forgotten first."""


@dataclass(slots=True)
class _Costs:
    """What was measured last."""

    draft_s: float
    frame_s: float


class Drafts:
    """Remembers of each artist's files what drafts cost: the scene of the next save is nearly the same."""

    def __init__(self) -> None:
        self._costs: dict[tuple[str, str], _Costs] = {}

    def wanted(self, job: Job) -> bool:
        """Whether the next task of `job` should begin with a draft.

        Whether a frame is worth one at all, Blender decides, which knows its samples.
        """
        if not job.spec.draft or job.drafted or job.preview is not None:
            return False
        costs = self._costs.get(_group(job))
        return costs is None or costs.draft_s <= MOST_SHARE * costs.frame_s

    def learn(self, job: Job, draft_s: float | None, frame_s: float) -> None:
        """A frame took so many seconds, and the draft before it, if there was one, so many."""
        group = _group(job)
        costs = self._costs.get(group)
        if draft_s is not None:
            self._costs.pop(group, None)
            self._costs[group] = _Costs(draft_s, frame_s)
            if len(self._costs) > MOST_GROUPS:
                del self._costs[next(iter(self._costs))]
        elif costs is not None:
            costs.frame_s = frame_s


def _group(job: Job) -> tuple[str, str]:
    return job.owner, job.spec.group or job.spec.title

# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of one job, brought into a folder without any record of the job."""

from collections.abc import Callable
from pathlib import Path

from ..protocol.digest import Buffer
from ..protocol.messages import FINISHED, Announce, Collect, JobStatus, NodeMessage, Output, Piece, Scope
from .connection import News, State
from .delivery import Deliveries
from .destinations import destination
from .observer import Observer


class Fetcher(Observer):
    """A look at this account's own jobs that can take home what waits of one.

    What has come home is gone from the node, whoever else waits for it.
    """

    scope = Scope.OWN
    """Who may see others' jobs does not take their frames by a slip."""

    def __init__(self) -> None:
        super().__init__()
        self._job = ""
        self._deliveries: Deliveries | None = None

    def begin(
        self, job: str, folder: Path, on_delivered: Callable[[Output, Path], None], on_trouble: Callable[[str], None]
    ) -> None:
        """Have the job's outputs brought into `folder`, named as in the artist's own, as long as the connection lasts.

        `on_trouble` hears why one cannot be written, one sentence, and "" when that is over.
        """
        self._job = job
        self._deliveries = Deliveries(
            self.send,
            lambda output: destination(folder, {}, output.directory, output.name),
            on_delivered,
            lambda _, text: on_trouble(text),
        )
        self.send(Collect(job))

    def end(self) -> None:
        """Fetch no more."""
        if self._deliveries is not None:
            self._deliveries.pause()

    def _on_news(self, news: News) -> None:
        super()._on_news(news)
        if self._deliveries is None:
            return
        if news.state == State.CONNECTED:
            self.send(Collect(self._job))
        else:
            self._deliveries.pause()

    def _on_message(self, message: NodeMessage, payload: Buffer) -> None:
        match message:
            case Announce(outputs=outputs) if self._deliveries is not None:
                for output in outputs:
                    if output.job == self._job:
                        self._deliveries.announce(output)
            case Piece() if self._deliveries is not None:
                self._deliveries.piece(message, payload)
            case _:
                super()._on_message(message, payload)


def is_home(status: JobStatus, *, rendered: int | None) -> bool:
    """Whether nothing is left to fetch: of a job that is over, or of the first so many frames that it has rendered."""
    if status.undelivered == 0 and (status.state in FINISHED or rendered is not None):
        return True
    return rendered is not None and status.done - status.undelivered >= rendered

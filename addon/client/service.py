# SPDX-License-Identifier: GPL-3.0-or-later
"""The client as a whole: takes the artist's commands, keeps the ledger, and tells what happens."""

import asyncio
import contextlib
import logging
import platform
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..keyring import Keyring
from ..protocol.address import InvalidAddress, parse_address
from ..protocol.digest import Buffer, chunk_algorithms
from ..protocol.errors import InvalidFrames, ProtocolError
from ..protocol.frame_range import parse_frames
from ..protocol.messages import (
    FINISHED,
    Announce,
    Cancel,
    Collect,
    Forget,
    Hello,
    JobChanged,
    JobGone,
    JobState,
    JobStatus,
    NodeMessage,
    Output,
    Pause,
    Piece,
    Preview,
    Ready,
    Refusal,
    Refused,
    Resume,
    Retry,
    Scope,
)
from ..protocol.version import PROTOCOL, VERSION
from .bases import Bases
from .browser import Browser, nodes_line
from .connection import Connection, News, State
from .delivery import Deliveries
from .destinations import destination
from .errors import CannotRead, FilesMissing, JobRefused
from .ledger import Entry, Ledger, Order
from .notices import Herald
from .pairing import PairingDesk
from .recipe_cache import RecipeCache
from .submission import Means, Submission
from .view import job_line

log = logging.getLogger(__name__)

NEWS_S = 0.1
"""A job is told of at most this often; the sidebar is not redrawn more often either."""

STALE_PREVIEW_S = 86400.0
"""A thumbnail that a killed process left behind is deleted after a day; another process may be showing a younger one.
"""

CLEARED = "cleared"
"""The `Entry.end` of a job that the artist cancelled and took off the list before its node had heard of either."""

Tell = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class _Job:
    """A job of this artist's: what was asked, what the node says, and what runs here for it."""

    entry: Entry
    status: JobStatus | None = None
    submission: Submission | None = None
    task: "asyncio.Task[None] | None" = None
    trouble: str = ""
    previews: list[Path] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        if self.entry.end:
            return True
        return self.status is not None and _is_home(self.status)


class Client:
    """`data` holds the ledger and the thumbnails; `tell` is called with one event (a dict) at a time."""

    def __init__(self, data: Path, tell: Tell) -> None:
        self._tell = tell
        self._ledger = Ledger(data / "jobs")
        self._previews = data / "previews"
        self._previews.mkdir(exist_ok=True)
        self._jobs: dict[str, _Job] = {}
        self._known: set[str] = set()
        self._changed: dict[str, _Job] = {}
        self._news_timer: asyncio.Handle | None = None
        self._snapshots = asyncio.Lock()
        self._lane = asyncio.Lock()
        """One file is taken hold of after the other, and then sent: jobs reach the node in the order in which they were
        ordered."""
        keyring = Keyring()
        hello = Hello(PROTOCOL, VERSION, uuid.uuid4().hex, platform.node(), Scope.OWN, chunk_algorithms())
        self._connection = Connection(keyring, hello, self._on_news, self._on_message)
        self._means = Means(
            self._connection.send,
            lambda: self._connection.news.welcome,
            Bases(data / "bases"),
            RecipeCache(data / "recipes.sqlite3"),
        )
        self._pairing = PairingDesk(keyring, tell)
        self._browser = Browser(lambda nodes: tell(nodes_line(nodes)))
        self._herald = Herald(tell)
        self._notes: set[asyncio.Task[None]] = set()
        self._deliveries = Deliveries(self._connection.send, self._locate, self._on_delivered, self._on_trouble)
        self._on: dict[type, Callable[[Any, Buffer], None]] = {
            Piece: self._deliveries.piece,
            JobChanged: self._on_job_changed,
            Announce: self._on_announce,
            Preview: self._on_preview,
            JobGone: lambda message, _: self._on_gone(message.job),
            Ready: self._on_ready,
            Refused: self._on_refused,
        }

    async def run(self, adopt: bool = True) -> None:
        """Serve until cancelled; with `adopt` also the jobs of processes that have ended."""
        if adopt:
            self.adopt()
        try:
            await self._connection.run()
        finally:
            for job in self._jobs.values():
                if job.task is not None:
                    job.task.cancel()
            self._pairing.end()
            self._deliveries.pause()
            self._herald.close()
            await self._browser.close()

    def adopt(self) -> None:
        """Go on with the jobs of processes that have ended."""
        for entry in self._ledger.adopt():
            self._add(entry)
        for path in self._previews.iterdir():
            if time.time() - path.stat().st_mtime > STALE_PREVIEW_S:
                path.unlink(missing_ok=True)

    # Commands

    def configure(self, address: str) -> None:
        """Talk to this node; "": to none."""
        try:
            self._connection.configure(parse_address(address) if address.strip() else None)
        except InvalidAddress as error:
            self._connection.refuse(str(error))

    def pair(self) -> None:
        """Ask the node to be let in; a second time begins anew."""
        if self._connection.address is not None:
            self._pairing.begin(self._connection.address)

    def compared(self, same: bool) -> None:
        """The artist has compared the digits with those that the node shows."""
        self._pairing.compared(same)

    def browse(self, wanted: bool) -> None:
        """Look for nodes in the local network, or stop looking."""
        if wanted:
            self._browser.start()
        else:
            self._browser.stop()

    def notify(self, desktop: bool) -> None:
        """Show what becomes of jobs on the desktop, too, or do not."""
        self._herald.desktop = desktop

    def render(self, order: Order) -> None:
        """Have a file rendered; a job that is known already is not taken twice."""
        if order.job in self._jobs:
            return
        try:
            parse_frames(order.frames)
        except InvalidFrames as error:
            self._problem(order.job, str(error))
            return
        self._supersede(order)
        entry = Entry(order, created=self._moment(order))
        self._save(entry)
        self._herald.expect(entry.job)
        self._add(entry)

    def cancel(self, job: str) -> None:
        """Stop a job."""
        known = self._jobs.get(job)
        if known is None or known.entry.end:
            return
        if not known.entry.accepted:
            self._end(known, "cancelled", "Cancelled.")
        elif self._is_at_hand(known):
            self._connection.send(Cancel(job))
        else:
            self._end(known, "cancelled", f"Cancelled; the node at {known.entry.address} hears of it when it is there.")

    def pause(self, job: str, paused: bool) -> None:
        """Have nothing more of a job begun, or go on with it."""
        known = self._jobs.get(job)
        if known is None or known.entry.end:
            return
        if self._is_at_hand(known):
            self._connection.send(Pause(job) if paused else Resume(job))
        elif known.entry.accepted:
            self._problem(job, f"The node at {known.entry.address}, which has this job, is not connected.")

    def retry(self, job: str) -> None:
        """Render what failed again."""
        known = self._jobs.get(job)
        if known is None:
            return
        if self._is_at_hand(known):
            self._connection.send(Retry(job))
        elif known.entry.accepted:
            self._problem(job, f"The node at {known.entry.address}, which has this job, is not connected.")
        elif known.entry.end:
            known.entry.end = known.entry.text = ""
            self._save(known.entry)
            self._submit(known)

    def go_on(self, job: str) -> None:
        """Render a job without the files that are missing."""
        known = self._jobs.get(job)
        if known is None or known.submission is None or not known.submission.progress.missing:
            return
        without = tuple(str(each.path) for each in known.submission.progress.missing)
        known.entry.order = replace(known.entry.order, without=known.entry.order.without + without)
        known.submission.progress.missing = ()
        self._save(known.entry)
        known.task = asyncio.get_running_loop().create_task(self._bring(known, known.submission))

    def clear_finished(self) -> None:
        """Take finished jobs off the list."""
        for job in list(self._jobs.values()):
            if not job.over or job.entry.end == CLEARED:
                continue
            if job.entry.end and job.entry.accepted:
                self._tell_of(job, {"event": "forgotten", "job": job.entry.job})
                job.entry.end = CLEARED  # Kept, out of sight, until its node has heard that it is cancelled.
                self._save(job.entry)
            else:
                self._clear(job)

    def _moment(self, order: Order) -> float:
        """Now, but later than the orders that this one supersedes: the node goes by it, and a clock may be set back."""
        same = [job.entry for job in self._jobs.values() if order.group and job.entry.order.group == order.group]
        return max([time.time(), *(entry.created + 0.001 for entry in same)])

    def resume(self, job: str) -> bool:
        """Go on with one job of a process that has ended; False: another one has it, or there is none."""
        entry = self._ledger.take(job)
        if entry is None:
            return False
        self._add(entry)
        if entry.end == "failed" and not entry.accepted:
            self.retry(job)
        return True

    def is_home(self, job: str) -> bool:
        """Whether nothing of a job is on its way to the node or here."""
        return job not in self._jobs or self._jobs[job].over

    async def noted(self) -> None:
        """Return when all is kept that the next saves of the files can be told from."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    def let_go(self, job: str) -> None:
        """Drop a job from the ledger without a word to the node, which keeps it on its list."""
        if job in self._jobs:
            self._forget(self._jobs[job])

    # Jobs

    def _add(self, entry: Entry) -> None:
        job = self._jobs[entry.job] = _Job(entry)
        self._news_of(job)
        if entry.accepted:
            self._collect(job)
        elif not entry.end:
            self._submit(job)

    def _submit(self, job: _Job) -> None:
        job.submission = Submission(job.entry, self._means, lambda: self._news_of(job))
        job.task = asyncio.get_running_loop().create_task(self._bring(job, job.submission))

    async def _bring(self, job: _Job, submission: Submission) -> None:
        if self._lane.locked():
            submission.progress.text = "Waits for the file before it."
        try:
            async with self._snapshots:
                if not submission.has_snapshot:
                    await submission.take_snapshot()
            async with self._lane:
                submission.progress.text = ""
                await submission.run()
        except FilesMissing as error:
            submission.progress.missing = error.missing
            self._news_of(job)
        except (CannotRead, JobRefused, ProtocolError) as error:
            self._end(job, "failed", str(error))
        except OSError as error:
            self._end(job, "failed", f"{job.entry.order.blend} cannot be read: {error.strerror}.")

    def _accepted(self, job: _Job) -> None:
        """The node has the job: from now on it is the node's to keep."""
        welcome, address = self._connection.news.welcome, self._connection.news.address
        assert welcome is not None
        job.entry.node, job.entry.address = welcome.id, str(address)
        self._save(job.entry)
        self._collect(job)

    def _collect(self, job: _Job) -> None:
        if self._is_at_hand(job):
            self._connection.send(Collect(job.entry.job))

    def _is_at_hand(self, job: _Job) -> bool:
        """Whether the node that has the job is the one that we are connected to."""
        welcome = self._connection.news.welcome
        return welcome is not None and job.entry.node == welcome.id

    def _supersede(self, newer: Order) -> None:
        """Close the earlier saves of the file that the node does not have yet; those that it has, it closes itself."""
        for job in self._jobs.values():
            older = job.entry
            if newer.group and older.order.group == newer.group and not older.accepted and not older.end:
                self._end(job, "superseded", "A newer save took its place.")

    def _end(self, job: _Job, end: str, text: str) -> None:
        """Close a job that no node has."""
        if job.submission is not None:
            job.submission.withdraw()
        self._stop_submission(job)
        job.entry.end, job.entry.text = end, text
        self._save(job.entry)
        self._news_of(job)

    def _stop_submission(self, job: _Job) -> None:
        if job.task is not None and job.task is not asyncio.current_task():
            job.task.cancel()
        job.submission = job.task = None

    def _clear(self, job: _Job) -> None:
        """Drop a job here and on the node that has it."""
        if job.entry.accepted:
            self._connection.send(Forget(job.entry.job))
        self._forget(job)

    def _forget(self, job: _Job) -> None:
        self._deliveries.give_up(job.entry.job)
        self._changed.pop(job.entry.job, None)
        self._herald.forget(job.entry.job)
        del self._jobs[job.entry.job]
        self._ledger.remove(job.entry.job)
        for path in job.previews:
            path.unlink(missing_ok=True)
        self._tell_of(job, {"event": "forgotten", "job": job.entry.job})

    def _save(self, entry: Entry) -> None:
        try:
            self._ledger.save(entry)
        except OSError as error:  # The job goes on; only a crash before its end could lose it now.
            self._problem(entry.job, f"The list of jobs cannot be written: {error.strerror}.")

    # The node's side

    def _on_news(self, news: News) -> None:
        welcome = news.welcome
        self._tell({
            "event": "connection", "state": str(news.state), "address": str(news.address or ""), "text": news.text,
            "node": welcome.node if welcome else "", "version": welcome.version if welcome else "",
            "blenders": list(welcome.blenders) if welcome else [],
        })  # fmt: skip
        self._known.clear()
        for job in self._jobs.values():
            if job.submission is not None:
                job.submission.link_changed()
            elif news.state == State.CONNECTED and job.entry.accepted:
                self._collect(job)
        if news.state != State.CONNECTED:
            self._deliveries.pause()
            for job in self._jobs.values():
                self._set_trouble(job, "")  # Of deliveries that are not tried any more; the next ones say so again.

    def _on_message(self, message: NodeMessage, payload: Buffer) -> None:
        for job in list(self._jobs.values()):
            if job.submission is not None:
                job.submission.receive(message, payload)
        handler = self._on.get(type(message))
        if handler is not None:
            handler(message, payload)

    def _on_job_changed(self, message: JobChanged, _: Buffer) -> None:
        self._known.add(message.status.job)
        self._on_status(message.status)

    def _on_announce(self, message: Announce, _: Buffer) -> None:
        for output in message.outputs:
            if output.job in self._jobs:
                self._deliveries.announce(output)

    def _on_refused(self, message: Refused, _: Buffer) -> None:
        if message.reason == Refusal.UNKNOWN_JOB:
            self._on_gone(message.about)

    def _on_status(self, status: JobStatus) -> None:
        job = self._jobs.get(status.job)
        if job is None:
            return
        if job.entry.end and not self._is_taken_up(job, status):
            return
        job.status = status
        if not job.entry.accepted:
            self._accepted(job)
        if job.submission is not None:
            note = asyncio.get_running_loop().create_task(job.submission.remember(job.entry.node))
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)
        self._stop_submission(job)
        if status.state == JobState.SUPERSEDED:
            self._deliveries.give_up(status.job)
        self._news_of(job)

    def _is_taken_up(self, job: _Job, status: JobStatus) -> bool:
        """See that the node ends what was ended here while it was accepting it, or was not connected.

        Whether the job is the node's to tell of again: once that has heard, what it had rendered comes home.
        """
        if status.state not in FINISHED:
            self._connection.send(Cancel(status.job))
        elif job.entry.end == "cancelled":
            job.entry.end = job.entry.text = job.entry.node = ""
            return True
        elif job.entry.end == CLEARED and _is_home(status):
            self._clear(job)
        return False

    def _on_ready(self, _: Ready, __: Buffer) -> None:
        """The node has named all jobs that it knows: what it accepted and did not name now, it has lost."""
        for job in list(self._jobs.values()):
            if self._is_at_hand(job) and job.entry.job not in self._known:
                self._on_gone(job.entry.job)

    def _on_gone(self, name: str) -> None:
        job = self._jobs.get(name)
        if job is None or not self._is_at_hand(job):
            return
        if job.over:
            self._forget(job)
        else:
            job.entry.node, job.status = "", None
            self._end(job, "failed", "The node does not know this job any more: press Retry to send it again.")

    def _on_preview(self, message: Preview, payload: Buffer) -> None:
        job = self._jobs.get(message.job)
        if job is None:
            return
        path = self._previews / f"{message.job}-{time.time_ns()}.jpg"
        with contextlib.suppress(OSError):  # A thumbnail that cannot be kept is no reason to trouble anybody.
            path.write_bytes(payload)
            job.previews.append(path)
            self._tell_of(job, {"event": "thumbnail", "job": message.job, "frame": message.frame, "path": str(path)})
        while len(job.previews) > 2:  # The newest, and the one that the window may still be reading.
            job.previews.pop(0).unlink(missing_ok=True)

    # Frames

    def _locate(self, output: Output) -> Path:
        order = self._jobs[output.job].entry.order
        return destination(Path(order.folder), order.targets, output.directory, output.name)

    def _on_delivered(self, output: Output, path: Path) -> None:
        line = {"event": "delivered", "job": output.job, "frame": output.frame, "path": str(path)}
        if output.job in self._jobs:
            self._tell_of(self._jobs[output.job], line)

    def _on_trouble(self, output: Output, text: str) -> None:
        if output.job in self._jobs:
            self._set_trouble(self._jobs[output.job], text)

    def _set_trouble(self, job: _Job, text: str) -> None:
        if job.trouble != text:
            job.trouble = text
            self._news_of(job)

    # Telling

    def _news_of(self, job: _Job) -> None:
        self._changed[job.entry.job] = job
        if self._news_timer is None:
            self._news_timer = asyncio.get_running_loop().call_soon(self._send_news)

    def _send_news(self) -> None:
        changed, self._changed = self._changed, {}
        for job in changed.values():
            upload = job.submission.progress if job.submission else None
            line = job_line(job.entry, job.status, upload, job.trouble)
            self._tell_of(job, line)
            self._herald.hear(line)
        self._news_timer = asyncio.get_running_loop().call_later(NEWS_S, self._send_news) if changed else None

    def _tell_of(self, job: _Job, line: dict[str, Any]) -> None:
        if job.entry.end != CLEARED:
            self._tell(line)

    def _problem(self, job: str | None, text: str) -> None:
        self._tell({"event": "problem", "job": job, "text": text})


def _is_home(status: JobStatus) -> bool:
    """Whether the node does nothing more for a job by itself, and holds nothing of it that the artist will get."""
    return status.state in FINISHED and (not status.undelivered or status.state == JobState.SUPERSEDED)

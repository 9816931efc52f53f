# SPDX-License-Identifier: GPL-3.0-or-later
"""What each message of a client does, and which client hears of what happens."""

import asyncio
import logging
import platform
import time
from collections.abc import Callable, Coroutine
from typing import Any

from addon.protocol import codecs
from addon.protocol.digest import Buffer, common_algorithm
from addon.protocol.errors import RemoteProtocolError
from addon.protocol.limits import MAX_UNACKNOWLEDGED
from addon.protocol.manifest import Manifest
from addon.protocol.messages import (
    Announce,
    AskClients,
    AskLog,
    AskStore,
    AskWorkers,
    Cancel,
    ChangeClient,
    Chunks,
    ClientMessage,
    Collect,
    Decide,
    Delivered,
    Forget,
    Grant,
    JobChanged,
    JobGone,
    JobSpec,
    Log,
    Move,
    NodeMessage,
    Offer,
    Pause,
    Piece,
    Ping,
    Pong,
    Preview,
    Prioritize,
    Ready,
    Refusal,
    Refused,
    Resume,
    Retry,
    Revoke,
    Scope,
    Stored,
    Submit,
    Want,
    Welcome,
    Withdraw,
    as_line,
)
from addon.protocol.version import PROTOCOL, VERSION

from . import log_pieces
from .background import Background
from .clients import Clients
from .endpoint import Endpoint
from .errors import UNKNOWN_JOB, RequestRefused
from .jobs import Job, Task, TaskState
from .letting_in import LettingIn
from .node import Node
from .progress import status_of
from .session import Download, Session
from .sparse_log import Sparse
from .uploads import Upload, Uploads

log = logging.getLogger(__name__)
log.addFilter(Sparse())

STEADY_S = 0.8
"""A job in which a frame is rendered has news at least this often, though Blender say nothing for a minute."""

NEWS_S = 0.1
"""A job's news go out at most this often: a sidebar is redrawn no faster, and a night of frames costs no bandwidth."""


INTERNAL_ERROR = "The node made a mistake and could not do this: its log says what happened."


class Handlers:
    """Connects sessions with the node: an Audience for the node, and what the endpoint calls."""

    node: Node
    endpoint: Endpoint
    uploads: Uploads
    clients: Clients
    letting_in: LettingIn
    sandboxed = False
    """Whether every Blender of the node is."""

    def __init__(self) -> None:
        self._on: dict[type, Callable[[Session, Any, Buffer], None]] = {
            Ping: self._on_ping,
            Offer: self._on_offer,
            Chunks: self._on_chunks,
            Withdraw: self._on_withdraw,
            Submit: self._on_submit,
            Cancel: self._on_cancel,
            Pause: self._on_pause,
            Resume: self._on_resume,
            Prioritize: self._on_prioritize,
            Move: self._on_move,
            Retry: self._on_retry,
            Forget: self._on_forget,
            Collect: self._on_collect,
            Want: self._on_want,
            Grant: self._on_grant,
            Delivered: self._on_delivered,
            AskStore: self._on_ask_store,
            AskLog: self._on_ask_log,
            AskWorkers: self._on_ask_workers,
            AskClients: self._on_ask_clients,
            Decide: self._on_decide,
            Revoke: self._on_revoke,
            ChangeClient: self._on_change_client,
        }
        self._background = Background()
        self._changed: dict[str, Job] = {}
        self._news_timer: asyncio.Handle | None = None
        self._rendering: dict[str, Job] = {}
        self._steady_timer: asyncio.Handle | None = None

    # Called by the endpoint

    def on_hello(self, session: Session) -> None:
        blenders = tuple(blender.name for blender in reversed(self.node.blenders))
        self.endpoint.send(
            session,
            Welcome(
                PROTOCOL,
                VERSION,
                self.node.books.store.node_id,
                platform.node(),
                blenders,
                common_algorithm(session.hello.digests),
                codecs.decodable(),
                self.sandboxed,
            ),
        )
        for job in self.node.books:
            if self._hears_of(session, job):
                self._send_status(session, job)
                self._send_preview(session, job)
        self.endpoint.send(session, Ready())

    def on_message(self, session: Session, message: ClientMessage, payload: Buffer) -> None:
        """Act on a message. Raises RemoteProtocolError for one that makes no sense now."""
        try:
            self._on[type(message)](session, message, payload)
        except RequestRefused as error:
            self._refuse(session, error, getattr(message, "job", ""))

    async def close(self) -> None:
        """Let go of what is under way."""
        for timer in (self._news_timer, self._steady_timer):
            if timer is not None:
                timer.cancel()
        await self._background.close()

    # Uploads

    def _on_ping(self, session: Session, message: Ping, _: Buffer) -> None:
        if message.sent not in (0, session.received):
            raise RemoteProtocolError(f"Of {message.sent} frames {session.received} came.")
        self.endpoint.send(session, Pong(session.sent + 1 if message.sent else 0))

    def _on_offer(self, session: Session, message: Offer, payload: Buffer) -> None:
        self._end_upload(session, message.manifest)  # Of an offer said twice the later one counts.
        upload = session.uploads[message.manifest] = Upload(message.manifest)
        self.node.expect_job()
        upload.task = self._answer(session, message.manifest, self._receive(session, upload, message, payload))

    async def _receive(self, session: Session, upload: Upload, message: Offer, payload: Buffer) -> None:
        def say(answer: NodeMessage, more: bytes | None) -> None:
            if answer == Stored(message.manifest):
                session.stored.add(message.manifest)
            self.endpoint.send(session, answer, more)

        try:
            await self.uploads.receive(upload, session.client, message, payload, say)
        finally:
            if session.uploads.get(upload.manifest) is upload:
                del session.uploads[upload.manifest]
        self.node.storekeeper.tidy(upload.manifest, self.stored())

    async def admit(self, owner: str, manifest: Manifest) -> None:
        """Let an owner's files in. Raises RequestRefused where he would have more here than he may."""
        theirs = (each for each in self.endpoint.sessions() if each.client == owner)
        arriving = {about for each in theirs for about in (*each.stored, *each.uploads)}
        await self.node.admission.check_files(owner, manifest, arriving)

    async def make_room(self, manifest: str, lacking: int) -> bool:
        """Evict so many bytes for a manifest, by its digest, of what no job needs; whether there are so many."""
        return await self.node.storekeeper.make_room(lacking, self.stored() | {manifest})

    def _on_chunks(self, session: Session, message: Chunks, payload: Buffer) -> None:
        upload = session.uploads.get(message.manifest)
        if upload is not None:  # Else left over from an offer that was withdrawn or refused.
            upload.take(message, payload)

    def _on_withdraw(self, session: Session, message: Withdraw, _: Buffer) -> None:
        self._end_upload(session, message.manifest, withdrawn=True)

    def _end_upload(self, session: Session, manifest: str, withdrawn: bool = False) -> None:
        upload = session.uploads.pop(manifest, None)
        if upload is not None:
            upload.stop(withdrawn)

    # Jobs

    def _on_submit(self, session: Session, message: Submit, _: Buffer) -> None:
        upload = session.uploads.get(message.spec.manifest)
        self._answer(session, message.spec.job, self._submit(session, message.spec, upload))

    async def _submit(self, session: Session, spec: JobSpec, upload: Upload | None) -> None:
        if upload is not None:
            await upload.ended.wait()
            if not upload.stored:
                return  # The client has been told, about the manifest, or is gone.
        try:
            self._send_status(session, await self.node.submit(session.client, spec, self._manages(session)))
        finally:
            session.stored.discard(spec.manifest)  # From now on the job keeps it, if there is one.

    def _on_cancel(self, session: Session, message: Cancel, _: Buffer) -> None:
        self.node.cancel(self._job(session, message.job))

    def _on_pause(self, session: Session, message: Pause, _: Buffer) -> None:
        self.node.pause(self._job(session, message.job))

    def _on_resume(self, session: Session, message: Resume, _: Buffer) -> None:
        self.node.resume(self._job(session, message.job))

    def _on_prioritize(self, session: Session, message: Prioritize, _: Buffer) -> None:
        self.node.prioritize(self._job(session, message.job), message.priority, self._manages(session))

    def _on_move(self, session: Session, message: Move, _: Buffer) -> None:
        before = None if message.before is None else self._job(session, message.before)
        self.node.move(self._job(session, message.job), before, self._manages(session))

    def _on_retry(self, session: Session, message: Retry, _: Buffer) -> None:
        self.node.retry(self._job(session, message.job))

    def _on_forget(self, session: Session, message: Forget, _: Buffer) -> None:
        try:
            self.node.forget(self._job(session, message.job))
        except RequestRefused:
            self.endpoint.send(session, JobGone(message.job))

    # Frames that travel back

    def _on_collect(self, session: Session, message: Collect, _: Buffer) -> None:
        job = self._job(session, message.job)
        session.announced.setdefault(job.id, set())
        session.cursor.setdefault(job.id, 0)
        self._announce(session, job.id)

    def _announce(self, session: Session, job: str) -> None:
        waiting = session.announced[job]
        outputs = self.node.books.store.waiting_outputs(job, session.cursor[job], MAX_UNACKNOWLEDGED - len(waiting))
        if outputs:
            waiting.update(output.output for output in outputs)
            session.cursor[job] = int(outputs[-1].output)
            self.endpoint.send(session, Announce(tuple(outputs)))

    def _on_want(self, session: Session, message: Want, _: Buffer) -> None:
        download = session.downloads.get(message.transfer)
        if download is None:
            known = self.node.books.store.stored_output(message.transfer)
            if known is None:
                return  # Acknowledged by another session of this client, or dropped with its job.
            job, stored, size = known
            self._job(session, job)
            try:
                download = Download(self.node.folders.output(job, stored), size)
            except OSError as error:  # A newer save took the job's place after the announcement.
                log.warning("%s: output %s cannot be sent: %s", session.name, message.transfer, error)
                return
            session.downloads[message.transfer] = download
        download.outgoing.want(message.offset, message.limit)
        self._pump(session, message.transfer, download)

    def _on_grant(self, session: Session, message: Grant, _: Buffer) -> None:
        download = session.downloads.get(message.transfer)
        if download is not None:
            download.outgoing.grant(message.limit)
            self._pump(session, message.transfer, download)

    def _pump(self, session: Session, output: str, download: Download) -> None:
        while (piece := download.next_piece()) is not None:
            if not self.endpoint.send(session, Piece(output, piece[0]), piece[1]):
                return
        if download.sent:
            session.downloads.pop(output).close()

    def _on_delivered(self, session: Session, message: Delivered, _: Buffer) -> None:
        if (known := self.node.books.store.stored_output(message.output)) is not None:
            self._job(session, known[0])
        job = self.node.books.delivered(message.output)
        if job is None:
            return
        for other in self.endpoint.sessions():
            if job.id in other.announced:
                other.announced[job.id].discard(message.output)
                self._announce(other, job.id)

    # The store

    def _on_ask_store(self, session: Session, message: AskStore, _: Buffer) -> None:
        self._check_manages(session)
        self._ask(session, lambda: self._tell_store(session, message.shrink_to))

    async def _tell_store(self, session: Session, shrink_to: int | None) -> None:
        self.endpoint.send(session, await self.node.storekeeper.status(self.stored(), shrink_to))

    def _on_ask_workers(self, session: Session, _: AskWorkers, __: Buffer) -> None:
        self._check_manages(session)
        self._ask(session, lambda: self._tell_workers(session))

    def _ask(self, session: Session, answer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Answer what takes a look at the disk or the system, one question of a session at a time: a flood of them kept
        honest artists waiting for minutes.
        """
        if session.question is None or session.question.done():
            session.question = self._answer(session, "", answer())

    async def _tell_workers(self, session: Session) -> None:
        self.endpoint.send(session, await self.node.workers())

    def _on_ask_log(self, session: Session, message: AskLog, _: Buffer) -> None:
        job = self._job(session, message.job)
        self._ask(session, lambda: self._tell_log(session, job, message.frame, message.after))

    async def _tell_log(self, session: Session, job: Job, frame: int | None, after: int) -> None:
        log = self.node.folders.log(job.id)
        if frame is None:
            offset, size, text = await asyncio.to_thread(log_pieces.read, log, after)
        else:
            offset, size, text = await asyncio.to_thread(log_pieces.read_frame, log, frame, after)
        self.endpoint.send(session, Log(job.id, frame, offset, size), text)

    # Who is let in

    def _on_ask_clients(self, session: Session, _: AskClients, __: Buffer) -> None:
        self._check_manages(session)
        self._tell_clients(session)

    def _on_decide(self, session: Session, message: Decide, _: Buffer) -> None:
        self._check_manages(session)
        self.letting_in.pairings.decide(message.code, message.allowed)
        self._tell_clients(session)

    def _on_revoke(self, session: Session, message: Revoke, _: Buffer) -> None:
        self._check_manages(session)
        self.letting_in.revoke(message.client)
        self._tell_clients(session)

    def _on_change_client(self, session: Session, message: ChangeClient, _: Buffer) -> None:
        self._check_manages(session)
        self.letting_in.change(
            message.client, message.name, manages=message.manages, quota=message.quota, scripts=message.scripts
        )
        self.node.slots_changed()
        self._tell_clients(session)

    def _tell_clients(self, session: Session) -> None:
        self.endpoint.send(session, self.letting_in.listed())

    def stored(self) -> set[str]:
        """Manifests that were brought over connections that last: jobs for them may be on their way."""
        return {manifest for each in self.endpoint.sessions() for manifest in each.stored}

    # The node's news

    def job_changed(self, job: Job) -> None:
        self._changed[job.id] = job
        if self._news_timer is None:
            self._news_timer = asyncio.get_running_loop().call_soon(self._send_news)

    def job_gone(self, job: Job) -> None:
        self._changed.pop(job.id, None)
        self.endpoint.send_all(self._audience(job), JobGone(job.id))

    def preview_made(self, job: Job) -> None:
        if job.preview is not None:
            self.endpoint.send_all(self._audience(job), Preview(job.id, job.preview[0]), job.preview[1])

    def task_changed(self, job: Job, task: Task, state: TaskState) -> None:
        """The job's own news are enough for a sidebar."""

    def outputs_ready(self, job: Job) -> None:
        for session in self.endpoint.sessions():
            if job.id in session.announced:
                self._announce(session, job.id)

    def _send_news(self) -> None:
        """Send what changed, and go on collecting for a moment; news after a quiet time go out at once."""
        changed, self._changed = self._changed, {}
        for job in changed.values():
            self._keep_steady(job)
            self.endpoint.send_all(self._audience(job), JobChanged(status_of(job, time.monotonic())))
        self._news_timer = asyncio.get_running_loop().call_later(NEWS_S, self._send_news) if changed else None

    def _keep_steady(self, job: Job) -> None:
        """As long as a frame of it is rendered, tell of the job from time to time."""
        if job.running:
            self._rendering[job.id] = job
        else:
            self._rendering.pop(job.id, None)
        if self._rendering and self._steady_timer is None:
            self._steady_timer = asyncio.get_running_loop().call_later(STEADY_S, self._tell_steadily)

    def _tell_steadily(self) -> None:
        self._steady_timer = None
        rendering, self._rendering = self._rendering, {}
        for job in rendering.values():
            self.job_changed(job)

    def _audience(self, job: Job) -> list[Session]:
        return [session for session in self.endpoint.sessions() if self._hears_of(session, job)]

    def _hears_of(self, session: Session, job: Job) -> bool:
        return session.client == job.owner or (session.hello.scope == Scope.ALL and self._manages(session))

    def _manages(self, session: Session) -> bool:
        return session.key in self.clients and self.clients[session.key].manages

    def _job(self, session: Session, job: str) -> Job:
        """A job that is the client's to command. Raises RequestRefused: what others have is unknown to it."""
        found = self.node.books.job(job)
        if session.client != found.owner and not self._manages(session):
            raise UNKNOWN_JOB
        return found

    def _check_manages(self, session: Session) -> None:
        if not self._manages(session):
            raise RequestRefused(Refusal.NOT_ALLOWED, "Only the node's owner can ask this.")

    def _send_status(self, session: Session, job: Job) -> None:
        self.endpoint.send(session, JobChanged(status_of(job, time.monotonic())))

    def _send_preview(self, session: Session, job: Job) -> None:
        if job.preview is not None:
            self.endpoint.send(session, Preview(job.id, job.preview[0]), job.preview[1])

    def _answer(self, session: Session, about: str, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Do what a client asked beside the loop; whatever comes of it, the client gets an answer."""

        async def see_to_it() -> None:
            try:
                await work
            except RequestRefused as error:
                self._refuse(session, error, about)
            except RemoteProtocolError as error:
                self.endpoint.expel(session, error)
            except Exception:
                self._refuse(session, RequestRefused(Refusal.INTERNAL, INTERNAL_ERROR), about)
                raise

        task = self._background.start(see_to_it())
        task.add_done_callback(lambda _: work.close())  # It has not begun if the task was cancelled at once.
        return task

    def _refuse(self, session: Session, error: RequestRefused, about: str) -> None:
        log.warning("%s: refused %s: %s", session.name, as_line(about[:8]), error)
        self.endpoint.send(session, Refused(error.reason, str(error), about))

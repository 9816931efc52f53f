# SPDX-License-Identifier: GPL-3.0-or-later
"""One job from this machine to the node, and its frames back, for people or programs to look on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rich.progress

from addon.client.beside import run_beside
from addon.client.ledger import Order
from addon.client.service import Client

from . import console, errors, fail, output
from .exits import Exit
from .options import OVER, to_go_on
from .tables import short_time

_NO_NODE = {"lost": Exit.UNREACHABLE, "unpaired": Exit.NOT_ALLOWED, "refused": Exit.FAILED}
"""States of a connection in which nothing can be said to the node."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How it is to be done."""

    resume: bool
    """The job is in the records already."""
    wait: bool
    json: bool
    without_missing: bool
    warning: str
    """For a file that the node takes: of one that it does not, it says all there is to say."""


async def bring(order: Order, to: str, data: Path, wishes: Wishes) -> None:
    """Bring a job to the node, and its frames home if so wished; ends the program when that does not come about."""
    data.mkdir(parents=True, exist_ok=True)
    lines: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    client = Client(data, lines.put_nowait)
    client.configure(to)
    if not wishes.resume:
        client.render(order)
    elif not client.resume(order.job):
        raise fail(f"Another program on this machine goes on with job {order.job[:8]} already.")
    show = _Progress(order.job, client, wishes)
    end = await run_beside(client.run(adopt=False), show.until_over(lines))
    if end["state"] in OVER:
        client.let_go(order.job)
    if end["state"] in (*OVER, "failed"):
        if end["state"] != "done":
            raise fail(end["text"])
    elif not wishes.json:
        console.print(order.job)
        fetch = to_go_on("fetch", order.job[:8], to=to)
        errors.print(f"The node has it. Its frames: {fetch}", soft_wrap=True, markup=False)


class _Progress:
    """A bar, and below it what the artist should know; or the client's lines."""

    def __init__(self, job: str, client: Client, wishes: Wishes) -> None:
        self._job = job
        self._client = client
        self._wishes = wishes
        self._warning = wishes.warning
        self._was_connected = False
        self._said: set[str] = set()
        self._console = errors if wishes.json or not wishes.wait else console  # What stdout is for then is told above.
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=wishes.json,
        )
        self._bar = self._progress.add_task("Connecting", total=1.0, note="")

    async def until_over(self, lines: "asyncio.Queue[dict[str, Any]]") -> dict[str, Any]:
        """Draw until the job has ended, or the node has it if nobody waits; return its last line.

        Raises typer.Exit when there is no job.
        """
        with self._progress:
            while True:
                line = await lines.get()
                if line["event"] == "connection":
                    self._hear_of_connection(line)
                if line.get("job") != self._job:
                    continue
                if self._wishes.json:
                    output.raw_line(line)
                if line["event"] == "problem":
                    raise fail(line["text"])
                if line["event"] == "delivered" and not self._wishes.json:
                    self._print(line["path"])
                if line["event"] == "job" and self._show(line):
                    await self._client.noted()
                    return line

    def _hear_of_connection(self, line: dict[str, Any]) -> None:
        """A node that has been there is waited for; of one that never was, a script should hear at once."""
        self._was_connected = self._was_connected or line["state"] == "connected"
        code = _NO_NODE.get(line["state"])
        if code is None:
            return
        if not self._was_connected:
            if not self._wishes.resume:
                self._client.let_go(self._job)
            raise fail(line["text"], code)
        self._progress.update(self._bar, description="Waiting", note=line["text"])

    def _show(self, line: dict[str, Any]) -> bool:
        """Whether there is nothing more to wait for."""
        if self._warning and line["blender"]:  # The node has taken it.
            self._print(self._warning, style="yellow")
            self._warning = ""
        held_up = {line["text"]} if line["state"] == "queued" and line["text"] else set()
        for notice in (held_up | set(line["notices"])) - self._said:
            self._print(notice, style="yellow")
        self._said.update(line["notices"], held_up)
        self._progress.update(self._bar, **_bar(line))
        if line["missing"]:
            self._miss(line["missing"])
        at_node = line["state"] not in ("waiting", "uploading", "missing")
        return line["state"] in (*OVER, "failed") or (at_node and not self._wishes.wait)

    def _miss(self, missing: Sequence[dict[str, str]]) -> None:
        for each in missing:
            self._print(f"{each['owner']} {each['reason']}: {each['path']}", style="yellow")
        if not self._wishes.without_missing:
            self._client.let_go(self._job)
            raise fail("Put this right, or add --without-missing to render without.", Exit.FILES_MISSING)
        self._client.go_on(self._job)

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(text, style=style, markup=False)


def _bar(line: dict[str, Any]) -> dict[str, Any]:
    if line["state"] == "uploading":
        fraction = line["sent_bytes"] / max(1, line["total_bytes"])
        return {"description": "Sending", "completed": fraction, "note": f"{line['rate'] / 1e6:.0f} MB/s"}
    eta = "" if line["eta_s"] is None else f"  {short_time(line['eta_s'])} left"
    frame = "" if line["frame"] is None else f"frame {line['frame']}, "
    waits = line["state"] in ("waiting", "queued") and line["text"]
    note = waits or f"{frame}{line['done']} of {line['total']} done{eta}"
    return {"description": line["state"].capitalize(), "completed": line["fraction"], "note": note}

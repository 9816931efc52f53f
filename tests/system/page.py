# SPDX-License-Identifier: GPL-3.0-or-later
"""A program that uses a node's HTTP API and is not the page: http.client, and nothing of ours."""

import http.client
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.system.harness import PATIENCE_S, NodeProcess

Json = dict[str, Any]


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """With their names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browserless:
    """Asks one node; by default with its token."""

    node: NodeProcess
    token: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        found = self.node.until_said(r"Its page: http://[\w.:]+:(\d+)/\?token=(\S+)")
        self.port, self.token = int(found[1]), found[2]

    def ask(
        self, method: str, path: str, body: bytes | Json | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """`headers`: instead of the one with the token."""
        sent = dict({"Authorization": f"Bearer {self.token}"} if headers is None else headers)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            content = json.dumps(body).encode() if isinstance(body, dict) else body
            host = {"skip_host": True} if "Host" in sent else {}
            connection.putrequest(method, path, skip_accept_encoding=True, **host)
            for name, value in {
                **sent,
                **({"Content-Length": str(len(content))} if content is not None else {}),
            }.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        answer = self.ask("GET", path)
        assert answer.status == 200, (path, answer)
        return answer.json

    def post(self, path: str, body: Json | None = None, status: int = 200) -> Any:
        answer = self.ask("POST", path, body or {})
        assert answer.status == status, (path, answer)
        return answer.json

    # Uploads

    def send(self, upload: str, name: str, content: bytes, offset: int = 0, length: int | None = None) -> Answer:
        """A piece of a file."""
        return self.ask(
            "PATCH", f"/api/uploads/{upload}/files/{quote(name)}", content,
            {
                "Authorization": f"Bearer {self.token}", "Upload-Offset": str(offset),
                "Upload-Length": str(len(content) if length is None else length),
            },
        )  # fmt: skip

    def upload(self, files: Mapping[str, bytes | Path]) -> Json:
        """Files, and what the node says they are."""
        upload = self.post("/api/uploads", status=201)["upload"]
        for name, content in files.items():
            sent = self.send(upload, name, content.read_bytes() if isinstance(content, Path) else content)
            assert sent.status == 204, sent
        found: Json = self.post(f"/api/uploads/{upload}/complete")
        return found

    def submit(self, upload: Json, **more: object) -> Json:
        """A job of an upload's first .blend."""
        wanted = {"upload": upload["upload"], "blend": upload["blends"][0]["blend"], "frames": "1", **more}
        job: Json = self.post("/api/jobs", wanted, status=201)
        return job

    def until_over(self, job: str) -> Json:
        """Wait for a job's end, as the events tell it."""
        with self.events() as events:
            jobs: dict[str, Json] = {}
            for name, data in events:
                if name == "hello":
                    jobs = {each["job"]: each for each in data["jobs"]}
                elif name == "job":
                    jobs[data["job"]] = data
                if job in jobs and jobs[job]["state"] in ("done", "failed", "cancelled", "superseded"):
                    return jobs[job]
        raise AssertionError("the events ended")

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Follow what happens: (event, data)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request("GET", "/api/events", headers={"Authorization": f"Bearer {self.token}"})
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            yield parse_events(iter(answer.readline, b""))
        finally:
            if connection.sock is not None:
                connection.sock.close()
            connection.close()


def parse_events(lines: Iterator[bytes]) -> Iterator[tuple[str, Any]]:
    """Read server-sent events, as browsers do."""
    name, data = "message", ""
    for line in lines:
        text = line.decode().rstrip("\n")
        if text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data: "):
            data += text.removeprefix("data: ")
        elif not text and data:
            yield name, json.loads(data)
            name, data = "message", ""


def guest_of(page: Browserless, name: str) -> tuple[Browserless, str]:
    """Somebody with a browser only, and its id."""
    invited = page.post("/api/clients", {"name": name}, status=201)
    guest = Browserless(page.node)
    guest.token = invited["token"]
    return guest, str(invited["client"])


class Follower:
    """Collects events in a thread."""

    def __init__(self, page: Browserless) -> None:
        self.seen: list[tuple[str, Any]] = []
        self._news = threading.Condition()
        self._page = page
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    def _run(self) -> None:
        with self._page.events() as events:
            try:
                for event in events:
                    with self._news:
                        self.seen.append(event)
                        self._news.notify_all()
                    self._ready.set()
            except (OSError, http.client.HTTPException, ValueError):
                return

    def until(self, name: str, **fields: object) -> Any:
        """Wait for an event with these values; return its data."""

        def found() -> Any:
            return next((data for event, data in self.seen if event == name and fields.items() <= data.items()), None)

        with self._news:
            assert self._news.wait_for(lambda: found() is not None, PATIENCE_S), self.seen[-5:]
        return found()

    def until_ended(self) -> None:
        """Wait for the node to end it."""
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def token_in(text: str) -> str:
    """The token of a link."""
    match = re.search(r"token=(\S+)", text)
    assert match is not None
    return match[1]

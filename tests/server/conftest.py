# SPDX-License-Identifier: GPL-3.0-or-later

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from addon.keyring import Keyring, key_pair
from server.blenders import Blender
from server.books import Books
from server.clients import Clients
from server.endpoint import Endpoint
from server.executors.local import LocalExecutor
from server.executors.watch import Limits
from server.executors.workplace import Workshop
from server.handlers import Handlers
from server.job_folders import JobFolders
from server.job_store import JobStore
from server.node import Node
from server.quotas import Quota
from server.store import Store
from server.store import store as store_module
from server.uploads import Uploads
from tests.server.store_kit import PLENTY
from tests.server.uploads_kit import PATIENCE_S, Live


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """The artists' files of a node that has room for all of them."""
    store = Store(tmp_path / "store", PLENTY)
    yield store
    store.close()


@pytest.fixture
def node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Live]:
    """It takes in jobs and renders none; it may make no mistake meanwhile."""
    ready: Future[tuple[Handlers, asyncio.AbstractEventLoop, int, Callable[[], object]]] = Future()
    store = Store(tmp_path / "store", 1 << 40)

    async def serve() -> None:
        handlers = Handlers()
        keys = key_pair(tmp_path / "node.key")
        handlers.clients = Clients(tmp_path / "clients.json", Keyring().own.public.decode(), Quota())
        endpoint = Endpoint(handlers, keys, handlers.clients)
        port = endpoint.bind("tcp://127.0.0.1:*")
        Keyring().announce(port, keys.public)
        folders = JobFolders(tmp_path)
        books = Books(JobStore(tmp_path / "node.sqlite3"), folders, handlers)
        blender = Blender((5, 2, 0), ("no program",), "none")
        workshop = Workshop(tmp_path / "workers")
        handlers.node = Node(
            books,
            folders,
            store,
            [blender],
            lambda listener: LocalExecutor(0, Limits(1 << 40), workshop, listener),
            handlers.clients.quota,
            handlers.clients.runs_scripts,
        )
        handlers.endpoint, handlers.uploads = endpoint, Uploads(store, tmp_path, handlers.admit, handlers.make_room)
        door = asyncio.create_task(endpoint.run())
        loop = asyncio.get_running_loop()
        ready.set_result((handlers, loop, port, lambda: loop.call_soon_threadsafe(door.cancel)))
        await asyncio.gather(door, return_exceptions=True)
        await handlers.close()
        await handlers.node.close()

    def run() -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(serve())

    with zmq.Context() as context, ThreadPoolExecutor(1) as thread:
        running = thread.submit(run)
        handlers, loop, port, end = ready.result(PATIENCE_S)
        live = Live(store, handlers, loop, context, port, end, running)
        yield live
        for program in live.programs:
            program.socket.close()
        if not running.done():
            end()
        running.result(PATIENCE_S)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files get spare copies, too."""
    monkeypatch.setattr(store_module, "TWIN_BYTES", 1)

# SPDX-License-Identifier: GPL-3.0-or-later

from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from tests.client.submission_kit import ScriptedNode, Shot, StartClient
from tests.system.harness import ClientProcess


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with zmq.Context() as context:
        node = ScriptedNode(context)
        yield node
        node.close()


@pytest.fixture
def start(tmp_path: Path, node: ScriptedNode) -> Iterator[StartClient]:
    clients: list[ClientProcess] = []

    def start() -> ClientProcess:
        clients.append(ClientProcess(tmp_path / "client"))
        clients[-1].send(command="configure", address=node.address)
        return clients[-1]

    yield start
    for client in clients:
        if client.process.poll() is None:
            client.close()
        assert "Traceback" not in client.log.read_text()


@pytest.fixture
def shot(tmp_path: Path) -> Shot:
    return Shot(tmp_path / "project")

# SPDX-License-Identifier: GPL-3.0-or-later
"""A node within another program: lines on stdout and stdin, and its end with the latter."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from addon.keyring import HOME_VARIABLE, Keyring
from addon.protocol.address import parse_address
from server.blenders import Blender
from tests.system.harness import ROOT, TERMINAL, StartClient, free_port


@contextmanager
def supervised(blender: Blender, folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """A node of another account."""
    own = ["--blender", blender.source] if Path(blender.source).exists() else []
    listen = ["--listen", f"127.0.0.1:{port}", "--data", str(folder / "node")]
    with (folder / "node.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "server", "serve", "--supervised", "--spares=0", *listen, *own],
            cwd=ROOT, env={**TERMINAL, HOME_VARIABLE: str(folder / "owner")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_it_tells_of_requests_takes_the_answer_and_ends_with_its_input(
    any_blender: Blender, start_client: StartClient, tmp_path: Path
) -> None:
    port = free_port()
    with supervised(any_blender, tmp_path, port) as node:
        assert node.stdin is not None and node.stdout is not None
        # GIVEN a node that says where it is
        ready = json.loads(node.stdout.readline())
        assert (ready["event"], ready["port"]) == ("ready", port)
        assert ready["page"].startswith("http://127.0.0.1:")
        # WHEN somebody asks to be let in THEN it tells of that
        client = start_client(f"127.0.0.1:{port}")
        client.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
        client.send(command="pair")
        shown = client.until(lambda line: line["event"] == "pairing" and bool(line["digits"]))["digits"]
        (asking,) = json.loads(node.stdout.readline())["requests"]
        assert asking["code"] == shown.replace(" ", "")
        # AND what it does not understand, or nobody asked, changes nothing
        node.stdin.write('nonsense\n[]\n{"command": "allow", "code": "000000"}\n')
        # AND WHEN the answer comes THEN the artist is let in
        client.send(command="compared", same=True)
        node.stdin.write(json.dumps({"command": "allow", "code": asking["code"]}) + "\n")
        node.stdin.flush()
        client.until_connected()
        assert json.loads(node.stdout.readline()) == {"event": "requests", "requests": []}
        # AND WHEN whoever started it closes its input THEN it ends as if it were told to
        node.stdin.close()
        assert node.wait(30) == 0
        assert "Traceback" not in (tmp_path / "node.log").read_text()
    Keyring().forget(parse_address(f"127.0.0.1:{port}"))

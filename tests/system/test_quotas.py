# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a node an artist may take whom its owner has let in."""

from pathlib import Path

from addon.keyring import Keyring
from server.clients import client_id
from tests.system.harness import NodeProcess, Scene, StartClient, cli


def test_an_artist_takes_no_more_than_the_owner_allows(
    owned: NodeProcess, start_client: StartClient, scene: Scene, tmp_path: Path
) -> None:
    def allow(limits: str) -> str:
        artist = client_id(Keyring().own.public.decode())
        done = cli(
            "clients", "--quota", artist[:8], limits, "--to", owned.address, data=tmp_path, home=tmp_path / "owner"
        )
        return done.stdout if done.returncode == 0 else done.stderr

    def refusal(job: str) -> str:
        return str(client.until_state(job, "failed", "rendering", "done")["text"])

    client = start_client(owned.address)
    client.until_connected()
    long, other = scene(SIZE="640x360", SAMPLES="1000000", EVERY_SAMPLE="1"), tmp_path / "other"
    # WHEN a job has more frames than an artist may have waiting THEN it is refused with a sentence
    assert refusal(client.render(long, other, "1-21")) == (
        "This job has 21 frames, and the node's owner allows 20: render fewer at once."
    )
    # WHEN there are two jobs THEN they share the one slot that the artist may have, though there are two
    first = client.render(long, tmp_path / "frames", "1-2", trigger="save")
    client.until_state(first, "rendering")
    second = client.render(long, other, "1", split=False)
    client.until_state(second, "queued")  # What is sent at the same time arrives in any order.
    third = client.render(long, other, "1", split=False)
    client.until_state(third, "queued")
    # AND a fourth is refused, but not a newer save, which takes the place of one
    assert "You have 3 unfinished jobs" in refusal(client.render(long, other, "1", split=False))
    newer = client.render(long, tmp_path / "frames", "1-3", trigger="save")
    settled = {first: "superseded", second: "rendering", third: "queued", newer: "queued"}
    client.until(lambda _: settled.items() <= client.states.items())
    assert not any(line["state"] == "rendering" for line in client.seen if line.get("job") in {third, newer})
    # WHEN the owner lets the artist have another slot THEN it is used at once
    assert "slots=2" in allow("slots=2,stored=1KB")
    client.until_state(third, "rendering")
    # AND what is stored is limited from now on, for files that are not here already
    client.send(command="cancel", job=newer)
    client.until_state(newer, "cancelled")
    assert "your files take" in refusal(client.render(scene(SAMPLES="2"), other, "1"))
    # AND what makes no sense changes nothing
    assert "write something like" in allow("cores=3")
    assert "slots=2,stored=1KB" in allow("slots=2,stored=1KB")
    for job in (second, third):
        client.send(command="cancel", job=job)
        client.until_state(job, "cancelled")


def test_one_program_more_than_may_be_connected_waits_for_another_to_end(
    owned: NodeProcess, start_client: StartClient, tmp_path: Path
) -> None:
    # GIVEN an artist who may have one connection, and has it
    artist = client_id(Keyring().own.public.decode())
    owner = tmp_path / "owner"
    set_quota = ("clients", "--quota", artist[:8], "connections=1", "--to", owned.address)
    assert cli(*set_quota, data=tmp_path, home=owner).returncode == 0
    first = start_client(owned.address)
    first.until_connected()
    # WHEN another program connects THEN it says why it cannot
    second = start_client(owned.address)
    told = second.until(lambda line: line["event"] == "connection" and line["state"] == "lost")
    assert told["text"] == "You have 1 connection to this node, and its owner allows 1: end a program that uses it."
    # WHEN the first has ended THEN the other comes in by itself
    first.close()
    second.until_connected()

# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes, clients and scenes for the tests of the whole program."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from addon.keyring import Keyring, key_pair
from addon.protocol.address import parse_address
from server.blenders import Blender
from tests.conftest import RunInBlender
from tests.system.harness import (
    ClientProcess,
    Link,
    MakeScene,
    NodeProcess,
    Scene,
    StartClient,
    StartLink,
    StartNode,
)

MAKE_SCENE = """
import os, bpy, array, random
scene = bpy.context.scene
scene.render.engine = os.environ.get("ENGINE", "CYCLES")
scene.render.resolution_x, scene.render.resolution_y = map(int, os.environ.get("SIZE", "96x64").split("x"))
scene.render.image_settings.file_format = os.environ.get("FORMAT", "PNG")
scene.render.filepath = os.environ.get("PATTERN", "//frames/shot_###")
scene.cycles.samples = int(os.environ.get("SAMPLES", "1"))
scene.cycles.use_denoising = False
scene.cycles.use_adaptive_sampling = "EVERY_SAMPLE" not in os.environ
scene.frame_end = 12
cube = bpy.data.objects["Cube"]
cube.keyframe_insert("rotation_euler", frame=1)
cube.rotation_euler[2] = 3
cube.keyframe_insert("rotation_euler", frame=12)
side = int(os.environ.get("BULK", "0"))
if side:
    image = bpy.data.images.new("bulk", side, side)
    image.pixels.foreach_set(array.array("f", random.Random(1).choices([0.0, 0.2, 0.4, 0.7, 1.0], k=side * side * 4)))
    image.pack()
    image.use_fake_user = True
if os.environ.get("NO_CAMERA"):
    bpy.data.objects.remove(scene.camera)
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""


@pytest.fixture
def start_node(tmp_path: Path) -> Iterator[StartNode]:
    nodes: list[NodeProcess] = []

    def start(blender: Blender | None, *options: str, data: Path | None = None) -> NodeProcess:
        nodes.append(NodeProcess(data or tmp_path / "node", blender, *options))
        return nodes[-1]

    yield start
    for node in nodes:
        node.close()


@pytest.fixture
def start_client(tmp_path: Path) -> Iterator[StartClient]:
    clients: list[ClientProcess] = []

    def start(address: str) -> ClientProcess:
        clients.append(ClientProcess(tmp_path / "client"))
        clients[-1].send(command="configure", address=address)
        return clients[-1]

    yield start
    for client in clients:
        client.close()


@pytest.fixture
def node(any_blender: Blender, start_node: StartNode) -> NodeProcess:
    """A node that runs."""
    return start_node(any_blender)


@pytest.fixture
def client(node: NodeProcess, start_client: StartClient) -> ClientProcess:
    """An artist's client that is connected to `node`."""
    client = start_client(node.address)
    client.until_connected()
    return client


@pytest.fixture
def start_link(node: NodeProcess) -> Iterator[StartLink]:
    """Makes a slow way to `node`, of so many bytes a second."""
    links: list[Link] = []

    def start(rate: float) -> Link:
        links.append(Link(node.port, rate))
        return links[-1]

    yield start
    for link in links:
        link.close()


@pytest.fixture(scope="session")
def make_scene(run_in_blender: RunInBlender, tmp_path_factory: pytest.TempPathFactory) -> MakeScene:
    """Makes a small animated scene with a real Blender, each kind once; keyword arguments as MAKE_SCENE reads them."""
    made: dict[tuple[object, ...], Path] = {}

    def make(blender: Blender, **wishes: str) -> Path:
        key = (blender, *sorted(wishes.items()))
        if key not in made:
            path = tmp_path_factory.mktemp("scene") / "shot.blend"
            run_in_blender(blender, MAKE_SCENE, BLEND=str(path), **wishes)
            made[key] = path
        return made[key]

    return make


@pytest.fixture
def scene(any_blender: Blender, make_scene: MakeScene) -> Scene:
    """As make_scene, for the Blender of `node`."""
    return functools.partial(make_scene, any_blender)


@pytest.fixture
def owned(any_blender: Blender, tmp_path: Path) -> Iterator[NodeProcess]:
    """Another account's node, with two slots, that has let this one in, within limits."""
    data = tmp_path / "node"
    data.mkdir()
    artist = {"key": Keyring().own.public.decode(), "name": "artist", "since": 1.0}
    (data / "clients.json").write_text(json.dumps([artist]))
    options = ("--slots", "2", "--quota", "jobs=3,frames=20,slots=1")
    node = NodeProcess(data, any_blender, *options, home=tmp_path / "owner")
    address = parse_address(node.address)
    Keyring().pair(address, key_pair(data / "node.key").public)
    yield node
    node.close()
    Keyring().forget(address)

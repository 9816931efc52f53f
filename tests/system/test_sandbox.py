# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Blenders in a real sandbox: what a hostile file, or whoever it gave a Blender to, can see and do there.

Each test does the same without the sandbox first, where it must succeed: else it would prove nothing.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.blenders import Blender
from server.executors import local, worker
from server.executors.base import AttemptClosed, Progressed, TaskFailed, Written
from server.executors.local import LocalExecutor
from server.executors.watch import Limits
from server.executors.workplace import Workshop
from server.sandbox import Cell, Containment, Mode, NoSandbox, contain, make_folders
from tests.conftest import RunInBlender
from tests.system.executor_kit import Listener, assignment, run
from tests.system.harness import Scene

PLENTY = 1 << 40
"""Bytes."""

SECRET = "an artist's film"

LOOK_AROUND = """
import json, os, socket, sys

def can(action):
    try:
        return bool(action())
    except OSError:
        return False

def connects(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(address)
    return True

wish = json.loads(WISH)
sees = {name: can(lambda: open(path, "rb").read()) for name, path in wish["read"].items()}
sees |= {name: can(lambda: open(path, "x").write("x")) for name, path in wish["write"].items()}
sees["network"] = can(lambda: connects(socket.AF_INET, ("127.0.0.1", wish["port"])))
sees["abstract socket"] = can(lambda: connects(socket.AF_UNIX, chr(0) + wish["abstract"]))
sees["processes"] = can(lambda: os.kill(wish["pid"], 0) or True)
sees["variables"] = any(wish["variable"] in value for value in os.environ.values())
print("SEES " + json.dumps(sees), flush=True)
os._exit(0)
"""
"""What a program does that is nobody's any more but the attacker's."""

WRITE_EVERYWHERE = """
import bpy
bpy.ops.wm.open_mainfile(filepath=BLEND, load_ui=False, use_scripts=False)
bpy.ops.render.render()
"""
"""Renders a .blend as plain Blender does, with nobody to lead its outputs elsewhere."""

MAKE_WRITER = """
import os, bpy
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.render.resolution_x = scene.render.resolution_y = 8
scene.use_nodes = True
if hasattr(scene, "compositing_node_group"):
    tree = bpy.data.node_groups.new("Compositor", "CompositorNodeTree")
    scene.compositing_node_group = tree
else:
    tree = scene.node_tree
layers = tree.nodes.new("CompositorNodeRLayers")
for folder in os.environ["FOLDERS"].split(os.pathsep):
    node = tree.nodes.new("CompositorNodeOutputFile")
    if hasattr(node, "directory"):
        node.directory, node.file_name = folder, "evil"
        node.file_output_items.new("RGBA", "x")
    else:
        node.base_path = folder
    tree.links.new(layers.outputs["Image"], node.inputs[0])
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""

MAKE_READER = """
import os, sys, bpy
if not hasattr(bpy.types, "GeometryNodeImportText"):
    sys.exit(0)
scene = bpy.context.scene
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.render.resolution_x = scene.render.resolution_y = 16
tree = bpy.data.node_groups.new("Read", "GeometryNodeTree")
tree.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
tree.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
nodes, link = tree.nodes, tree.links.new
into, out = nodes.new("NodeGroupInput"), nodes.new("NodeGroupOutput")
join, read = nodes.new("GeometryNodeStringJoin"), nodes.new("GeometryNodeImportText")
for letters in (os.environ["SECRET"][-7:], os.environ["SECRET"][:-7]):  # a link goes before those there are
    part = nodes.new("FunctionNodeInputString")
    part.string = letters
    link(part.outputs[0], join.inputs["Strings"])
link(join.outputs[0], read.inputs[0])
length, scale = nodes.new("FunctionNodeStringLength"), nodes.new("GeometryNodeTransform")
link(read.outputs[0], length.inputs[0])
link(into.outputs[0], scale.inputs["Geometry"])
link(length.outputs[0], scale.inputs["Scale"])
link(scale.outputs[0], out.inputs[0])
modifier = bpy.data.objects["Cube"].modifiers.new("Read", "NODES")
modifier.node_group = tree
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
"""
"""The cube is as large as the secret is long: the picture tells it. The path is made when the nodes are evaluated."""


@dataclass
class Cage:
    """A Blender's cell, and the same Blender without walls."""

    inside: Cell
    outside: Cell
    data: Path

    def both(self) -> Iterator[tuple[bool, Cell]]:
        yield from ((False, self.outside), (True, self.inside))


@pytest.fixture
def cage(blender: Blender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cage:
    for folder in (data := tmp_path / "node", home := tmp_path / "home"):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    containment = contain(Mode.AUTO, [blender], data)
    cell = containment.cell(blender)
    if not cell.sandbox.is_active:
        missing = pytest.fail if os.environ.get("RELAY_REQUIRE_BLENDER") == "1" else pytest.skip
        missing(" ".join(containment.reasons))
    return Cage(cell, Cell(NoSandbox("this is the test without."), blender.command), data)


@pytest.fixture
def run_script(cage: Cage) -> Callable[[Cell, str, Path], str]:
    """Runs Python in a cell's Blender, with `readable` among what it is shown; returns what it prints."""

    def run_it(cell: Cell, script: str, own: Path) -> str:
        readable, writable = make_folders(own)
        (readable / "script.py").write_text(script, encoding="utf-8")
        command = cell.sandbox.wrap((*cell.argv, str(readable / "script.py")), cell.shown, readable, writable)
        done = subprocess.run(
            command.argv, env=command.environment, cwd=writable, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        return done.stdout

    return run_it


def test_who_has_got_hold_of_a_blender_sees_nothing_of_the_node(
    cage: Cage, run_script: Callable[[Cell, str, Path], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a node with secrets in its data, in another worker's folder, its environment; and who listens on loopback
    own = cage.data / "workers" / "own"
    other = cage.data / "workers" / "other" / "in" / "film.blend"
    job = cage.data / "jobs" / "j" / "outputs" / "0.png"
    for path in (other, job):
        path.parent.mkdir(parents=True)
        path.write_text(SECRET)
    (Path.home() / "key").write_text(SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0relay-render-" + tmp_path.name)
        abstract.listen()
        parent = subprocess.Popen(["/bin/sleep", "600"])
        wish = {
            "read": {
                "another worker's file": str(other), "another job's output": str(job), "home": str(Path.home() / "key"),
                "accounts": "/etc/passwd",
            },
            "write": {"data": str(cage.data / "x"), "other": str(other.parent / "x"), "system": "/usr/share/x-relay"},
            "port": listener.getsockname()[1], "abstract": "relay-render-" + tmp_path.name, "pid": parent.pid,
            "variable": SECRET,
        }  # fmt: skip
        script = LOOK_AROUND.replace("WISH", repr(json.dumps(wish)))
        # WHEN a program looks around, without the sandbox and within
        seen = {}
        for is_inside, cell in cage.both():
            said = run_script(cell, script, own / str(is_inside))
            seen[is_inside] = json.loads(said.split("SEES ")[1].splitlines()[0])
            for path in wish["write"].values():
                Path(path).unlink(missing_ok=True)
        parent.kill()
        parent.wait()
    # THEN without it everything is there to take, and within it nothing
    assert [name for name, is_seen in seen[False].items() if not is_seen] in ([], ["system"])
    assert [name for name, is_seen in seen[True].items() if is_seen] == []


def test_a_file_output_node_writes_nowhere_but_in_its_own_folder(
    cage: Cage, blender: Blender, run_in_blender: RunInBlender, run_script: Callable[[Cell, str, Path], str],
    tmp_path: Path,
) -> None:  # fmt: skip
    # GIVEN a .blend whose nodes write into another job's folder, and anywhere else
    places = [cage.data / "jobs" / "another" / "outputs", tmp_path / "anywhere"]
    for place in places:
        place.mkdir(parents=True)
    folders = ":".join(f"{place}/" for place in places)
    blend = tmp_path / "writer.blend"
    run_in_blender(blender, MAKE_WRITER, BLEND=str(blend), FOLDERS=folders)
    written = {}
    # WHEN it renders, and nobody leads its outputs elsewhere
    for is_inside, cell in cage.both():
        own = cage.data / "workers" / str(is_inside)
        shown = replace(cell, shown=(*cell.shown, blend))
        run_script(shown, WRITE_EVERYWHERE.replace("BLEND", repr(str(blend))), own)
        written[is_inside] = [path for place in places for path in place.iterdir()]
        for path in written[is_inside]:
            path.unlink()
    # THEN without the sandbox it has written there, and within it has not
    assert len(written[False]) == len(places)
    assert written[True] == []


def test_a_node_that_reads_files_finds_none_of_the_nodes_and_the_picture_is_the_same(
    cage: Cage, blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN a .blend that draws what a file in the node's data says, by a path that is made while it is rendered
    secret = cage.data / "secret.txt"
    (folder := tmp_path / "source").mkdir()
    blend = folder / "reader.blend"
    run_in_blender(blender, MAKE_READER, BLEND=str(blend), SECRET=str(secret))
    if not blend.exists():
        pytest.skip(f"Blender {blender.name} has no node that reads texts")

    def picture(cell: Cell, name: str, text: str | None) -> bytes:
        secret.unlink(missing_ok=True)
        if text is not None:
            secret.write_text(text)
        (tmp_path / name).mkdir()
        found: list[bytes] = []

        async def use() -> None:
            listener = Listener()
            workshop = Workshop(cage.data / "workers", Containment({blender: cell}))
            executor = LocalExecutor(1, Limits(PLENTY, spares=0), workshop, listener)
            executor.run(0, task := assignment(tmp_path / name, blender, blend))
            written = await listener.until(task, Written)
            found.append(pixels(run_in_blender, blender, written.files[0].path))
            await executor.close()

        run(use())
        return found[0]

    # WHEN it renders where it may read that, where there is nothing, and in the sandbox
    told, silent = picture(cage.outside, "told", "1"), picture(cage.outside, "silent", None)
    contained = picture(cage.inside, "contained", "1")
    # THEN the sandbox's picture tells nothing, and is otherwise the same, pixel by pixel
    assert told != silent
    assert contained == silent


def pixels(run_in_blender: RunInBlender, blender: Blender, picture: Path) -> bytes:
    script = """
import os, bpy, hashlib, array
image = bpy.data.images.load(os.environ["PICTURE"])
pixels = array.array("f", [0.0]) * len(image.pixels)
image.pixels.foreach_get(pixels)
print("PIXELS", hashlib.sha256(pixels.tobytes()).hexdigest())
"""
    return run_in_blender(blender, script, PICTURE=str(picture)).stdout.split("PIXELS ")[1].split()[0].encode()


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(PLENTY, spares=0, frame_s=0.2), "took longer than the 0.2 s"),
        (Limits(PLENTY, spares=0, disk=1_000_000), "wrote more than the 0.0 GB"),
    ],
    ids=["time", "disk"],
)
def test_a_frame_that_costs_too_much_fails_with_a_sentence(
    any_blender: Blender, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: Limits, sentence: str
) -> None:
    monkeypatch.setattr(local, "COST_LOOK_S", 0.05)

    async def use() -> None:
        # GIVEN a Blender in the middle of a frame
        listener = Listener()
        executor = LocalExecutor(1, limits, Workshop(tmp_path / "workers"), listener)
        await executor.start(any_blender)
        executor.run(0, task := assignment(tmp_path, any_blender, scene(SAMPLES="4096")))
        if limits.disk:
            await listener.until(task, Progressed)
            # WHEN there is too much in its folder
            (own,) = (tmp_path / "workers").iterdir()
            (own / "out" / "cache").write_bytes(bytes(2 * limits.disk))
        # THEN it is ended, the frame has failed, and no other Blender tries it
        failed = await listener.until(task, TaskFailed)
        assert sentence in failed.reason
        assert not failed.fatal
        await listener.until(task, AttemptClosed)
        await executor.close()

    run(use())


def test_a_frame_is_not_charged_for_the_time_that_the_machine_slept(
    any_blender: Blender, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "COST_LOOK_S", 0.05)
    slept_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + slept_s)
    for module in (local, worker):
        monkeypatch.setattr(module, "time", clock)

    async def use() -> None:
        nonlocal slept_s
        # GIVEN a Blender in the middle of a frame that may take minutes
        listener = Listener()
        executor = LocalExecutor(1, Limits(PLENTY, spares=0, frame_s=600), Workshop(tmp_path / "workers"), listener)
        await executor.start(any_blender)
        executor.run(0, task := assignment(tmp_path, any_blender, scene(SAMPLES="4096")))
        await listener.until(task, Progressed)
        # WHEN the machine sleeps for eight hours, and its clock counts them, as that of Windows does
        slept_s = 8 * 3600.0
        # THEN the frame is rendered to its end
        await listener.until(task, Written)
        await executor.close()

    run(use())


def test_no_blender_serves_two_artists_and_none_leaves_anything_behind(
    any_blender: Blender, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN what the Blenders of a node that was killed have left
    (left := tmp_path / "workers" / "old" / "in").mkdir(parents=True)
    (left / "film.blend").write_text(SECRET)

    async def use() -> None:
        listener = Listener()
        executor = LocalExecutor(1, Limits(PLENTY, spares=0), Workshop(tmp_path / "workers"), listener)
        assert list((tmp_path / "workers").iterdir()) == []
        # WHEN two artists' files are rendered in turn
        pids = []
        for position, owner in enumerate(("ada", "ada", "bob")):
            blend = scene(SIZE="32x32") if position else scene(SIZE="16x16")
            executor.run(0, task := assignment(tmp_path, any_blender, blend, position, owner))
            pids.append(executor.worker_pid(0))
            await listener.until(task, AttemptClosed)
            # THEN there is one job's file in the folder of the only Blender
            files = [path for path in (tmp_path / "workers").rglob("in/**/*") if path.is_file()]
            assert [path.samefile(blend) for path in files] == [True] or position == 2
        # AND each artist had a Blender of their own
        assert pids[0] == pids[1] != pids[2]
        await executor.close()
        # AND nothing is left
        assert list((tmp_path / "workers").iterdir()) == []

    run(use())

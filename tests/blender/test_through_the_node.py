# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes back from a node is what `blender -b` writes beside the .blend: the same files, to the last byte."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.blenders import Blender
from server.pictures import verify
from tests.blender.test_frames import SCENES
from tests.blender.written import files_below
from tests.system.harness import ClientProcess, NodeProcess

Render = Callable[..., Path]


@pytest.fixture(scope="module")
def render(blender: Blender, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Render]:
    """Renders frames of a scene on a node of this Blender; returns the folder that the .blend and its outputs are in.

    The folders are declared as the extension does it: the scene's own, and `//passes/` and the like beside the .blend.
    """
    folder = tmp_path_factory.mktemp("node")
    node = NodeProcess(folder / "data", blender)
    client = ClientProcess(folder / "client")
    client.send(command="configure", address=node.address)

    def on_node(name: str, frames: str) -> Path:
        project = tmp_path_factory.mktemp("artist") / name
        project.mkdir()
        blend = project / f"{name}.blend"
        shutil.copy(scenes / name / blend.name, blend)
        own = SCENES.get(name, "//out/").removeprefix("//")
        targets = {f"//{part}/": str(project / part) for part in ("passes", "out", "deep", "a", "b")}
        job = client.render(blend, project / own, frames, targets=targets)
        done = client.until_state(job, "done", "failed")
        assert done["state"] == "done", done["text"]
        assert done["blender"] == blender.name
        blend.unlink()
        return project

    yield on_node
    client.close()
    node.close()


@pytest.mark.parametrize(
    "name", ["cycles_png", "cycles_exr", "workbench_png", "workbench_exr", "layers", "stereo", "name_unicode"]
)
def test_frames_are_those_of_plain_blender(render: Render, plain_render: Render, name: str) -> None:
    assert files_below(render(name, "3")) == files_below(plain_render(name, 3))


def test_what_file_output_nodes_write_comes_back_too(render: Render, plain_render: Render) -> None:
    on_node, plain = files_below(render("compositor", "3")), files_below(plain_render("compositor", 3))
    assert {Path(path).name for path in on_node} == {Path(path).name for path in plain}
    assert sorted(on_node.values()) == sorted(plain.values())


@pytest.mark.parametrize(("name", "frames"), [("movie", "1-12"), ("movie_stereo", "1-3")])
def test_a_movie_is_made_on_the_node_under_blenders_name(
    render: Render, plain_render: Render, name: str, frames: str
) -> None:
    on_node, plain = render(name, frames), plain_render(name, None)
    movies = files_below(on_node)
    assert movies.keys() == {path for path in files_below(plain) if not path.endswith(".wav")}
    for movie in movies:
        verify(on_node / movie)


def test_one_frame_of_a_movie_scene_comes_back_as_a_picture(render: Render) -> None:
    (picture,) = (path for path in render("movie", "5").rglob("*") if path.is_file())
    assert picture.name == "clip0005.png"
    verify(picture)

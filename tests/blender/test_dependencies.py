# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a scene needs is found on the artist's disk, and on the node every path leads to it: the same picture."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import OpenEXR
import pytest

from addon.client.gather import Dependency, Gathered, gather
from addon.client.tree import plan_tree
from addon.protocol.codec import build
from server.blenders import Blender
from tests.conftest import RunInBlender

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORKER_SCRIPTS = ROOT / "server" / "blender_scripts"
SCENES = ("Shot", "Edit")

Pixels = npt.NDArray[np.float32]
Pictures = dict[str, Pixels]

NOWHERE: dict[str, set[str]] = {scene: set() for scene in SCENES}

RENDER = """
for name in ("Shot", "Edit"):
    scene = bpy.data.scenes[name]
    scene.render.filepath = os.environ["PICTURES"] + "/" + name
    bpy.ops.render.render(write_still=True, scene=name)
"""

AT_THE_ARTISTS = f"""
import json, os, sys
from dataclasses import asdict
import bpy
bpy.ops.wm.open_mainfile(filepath=os.environ["BLEND"], load_ui=False, use_scripts=False)
sys.path.insert(0, {str(ROOT)!r})
from addon.blender.dependencies import dependencies
with open(os.environ["DEPENDENCIES"], "w") as file:
    json.dump([asdict(each) for each in dependencies()], file)
{RENDER}
"""

ON_THE_NODE = f"""
import json, os, sys
import bpy
sys.path.insert(0, {str(WORKER_SCRIPTS)!r})
from relay_worker.references import library_reference, read_libraries, references
from relay_worker.scene_file import missing_files, open_scene
open_scene(os.environ["BLEND"], None, os.environ["TREE"], json.loads(os.environ["ROOTS"]))
found = [*map(library_reference, read_libraries()), *references()]
with open(os.environ["ANSWER"], "w") as file:
    json.dump({{"paths": [each.absolute for each in found], "notice": missing_files()}}, file)
{RENDER}
"""


def pictures_in(folder: Path) -> Pictures:
    """The pixels of each scene's picture, rows by columns by channels."""
    found = {}
    for scene in SCENES:
        with OpenEXR.File(str(folder / f"{scene}.exr")) as file:
            (channels,) = file.channels().values()
            found[scene] = channels.pixels
    return found


class Project:
    """What make_dependencies.py left: the artist's folder, and what is to be expected of it."""

    def __init__(self, folder: Path, blender: Blender, run: RunInBlender, scratch: Callable[[], Path]) -> None:
        self.folder, self._blender, self._run, self._scratch = folder, blender, run, scratch
        self.film = folder / "film"
        told = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        self.kinds: dict[str, dict[str, Any]] = told["kinds"]
        self.missing: dict[str, str] = told["missing"]
        self.columns, self.field_pixels = told["fields"]

    @property
    def blend(self) -> Path:
        return self.film / "shots" / "shot.blend"

    def files(self) -> set[tuple[Path, str]]:
        """Every file that the scene uses, and the data-block that does."""
        return {(self._now(name), kind["owner"]) for kind in self.kinds.values() for name in kind["files"]}

    def lost(self) -> set[tuple[Path, str]]:
        return {(self._now(name), owner) for owner, name in self.missing.items()}

    def _now(self, name: str) -> Path:
        """`name` is below the project's folder, where the film may have been moved."""
        return self.film / name.removeprefix("film/") if name.startswith("film/") else self.folder / name

    def unequal(self, one: Pictures, other: Pictures) -> dict[str, set[str]]:
        """The kinds in whose fields two renders differ in any bit, by scene; an empty field is called by its number."""
        names = {(kind["picture"], kind["field"]): name for name, kind in self.kinds.items()}
        found = {}
        for scene in SCENES:
            assert one[scene].shape == other[scene].shape
            rows, columns, _ = np.nonzero(one[scene] != other[scene])
            fields = (self.columns - 1 - rows // self.field_pixels) * self.columns + columns // self.field_pixels
            found[scene] = {names.get((scene, field), str(field)) for field in fields.tolist()}
        return found

    def open(self) -> tuple[Gathered, Pictures]:
        """What a fresh Blender of the artist's says it uses, as found on the disk, and what it renders."""
        scratch = self._scratch()
        told = scratch / "dependencies.json"
        self._run(
            self._blender, AT_THE_ARTISTS, BLEND=str(self.blend), DEPENDENCIES=str(told), PICTURES=str(scratch)
        )  # fmt: skip
        found = gather([build(Dependency, each) for each in json.loads(told.read_text("utf-8"))])
        return found, pictures_in(scratch)

    def render_on_node(self, files: list[Path]) -> tuple[dict[str, Any], Pictures, Path]:
        """What a node that has `files` says and renders, while nothing is left at the artist's places; and its tree."""
        scratch = self._scratch()
        tree = scratch / "job"
        planned = plan_tree(str(self.blend), map(str, files))
        for path, (root, name) in planned.places.items():
            place = tree / str(root) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
        root, name = planned.places[str(self.blend)]
        with self._away():
            self._run(
                self._blender, ON_THE_NODE, BLEND=str(tree / str(root) / name), TREE=str(tree),
                ROOTS=json.dumps(planned.roots), ANSWER=str(scratch / "answer.json"), PICTURES=str(scratch),
            )  # fmt: skip
        return json.loads((scratch / "answer.json").read_text("utf-8")), pictures_in(scratch), tree

    @contextlib.contextmanager
    def _away(self) -> Iterator[None]:
        away = self.folder.rename(self.folder.with_name("away"))
        try:
            yield
        finally:
            away.rename(self.folder)

    @contextlib.contextmanager
    def moved(self, film: Path) -> Iterator[None]:
        """The film in another place; what is elsewhere stays."""
        film.parent.mkdir(parents=True)
        former, self.film = self.film, self.film.rename(film)
        try:
            yield
        finally:
            self.film = film.rename(former)


@pytest.fixture(scope="session")
def project(blender: Blender, run_in_blender: RunInBlender, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("artist") / "ada"
    folder.mkdir()
    run_in_blender(blender, (HERE / "make_dependencies.py").read_text("utf-8"), PROJECT=str(folder))
    return Project(folder, blender, run_in_blender, lambda: tmp_path_factory.mktemp("scratch"))


@pytest.fixture(scope="session")
def at_the_artists(project: Project) -> tuple[Gathered, Pictures]:
    return project.open()


def listed(found: Gathered) -> set[tuple[Path, str]]:
    return {(Path(os.path.normpath(each.path)), each.owner) for each in found.files}


def test_every_file_is_found_and_no_other(project: Project, at_the_artists: tuple[Gathered, Pictures]) -> None:
    # GIVEN a scene with files of every kind that this Blender can make, opened in a fresh one
    # WHEN what it says it uses is looked for THEN that is just these files, each by its data-block
    found, _ = at_the_artists
    assert listed(found) == project.files()


def test_what_is_missing_is_told_by_data_block(project: Project, at_the_artists: tuple[Gathered, Pictures]) -> None:
    found, _ = at_the_artists
    missing = {(Path(os.path.normpath(each.path)), each.owner) for each in found.missing}
    assert missing == project.lost()
    assert {each.reason for each in found.missing} == {"is not there"}


def test_the_node_renders_what_the_artist_renders(
    project: Project, at_the_artists: tuple[Gathered, Pictures]
) -> None:
    # GIVEN the artist's own pictures, and a node with the files in a tree unlike the artist's
    found, expected = at_the_artists
    # WHEN it renders, while there is nothing left at the artist's places
    answer, rendered, tree = project.render_on_node([each.path for each in found.files])
    # THEN the pictures are the same to the last bit
    assert project.unequal(rendered, expected) == NOWHERE
    # AND no path leads out of the tree, and what was missing from the start is told
    assert [path for path in answer["paths"] if not path.startswith(f"{tree}/")] == []
    assert answer["notice"] == (
        'Files that the scene uses did not reach the node: Image "lost", Library "gone.blend".'
    )


def test_the_node_renders_what_the_artist_renders_after_a_move(project: Project, tmp_path: Path) -> None:
    # GIVEN a film that was moved to another place, while what it uses by absolute paths stayed
    with project.moved(project.folder / "archive" / "2026" / "the film"):
        found, expected = project.open()
        assert {file for file, _ in listed(found)} >= {file for file, _ in project.files()}
        # WHEN the node renders it THEN it is what the artist renders there
        _, rendered, _ = project.render_on_node([each.path for each in found.files])
    assert project.unequal(rendered, expected) == NOWHERE


def test_every_file_shows_in_the_picture(project: Project, at_the_artists: tuple[Gathered, Pictures]) -> None:
    """Or the same picture would prove nothing."""
    # GIVEN a node that has nothing but the .blend WHEN it renders
    _, expected = at_the_artists
    answer, rendered, _ = project.render_on_node([])
    # THEN each field of the picture that is for a kind of file is another, and the node says that files are missing
    unequal = project.unequal(rendered, expected)
    same = [name for name, kind in project.kinds.items() if kind["picture"] and name not in unequal[kind["picture"]]]
    assert same == []
    assert "more." in answer["notice"]

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

exr: Any = pytest.importorskip("OpenEXR", reason="OpenEXR is not installed: pip install '.[dev]'")

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


def pixels_of(path: Path) -> Pixels:
    """Rows by columns by channels."""
    with exr.File(str(path)) as file:
        (channels,) = file.channels().values()
        pixels: Pixels = channels.pixels
    return pixels


def _pictures(folder: Path) -> Pictures:
    return {scene: pixels_of(folder / f"{scene}.exr") for scene in SCENES}


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
        return found, _pictures(scratch)

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
        return json.loads((scratch / "answer.json").read_text("utf-8")), _pictures(scratch), tree

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


def test_the_node_renders_what_the_artist_renders(project: Project, at_the_artists: tuple[Gathered, Pictures]) -> None:
    # GIVEN the artist's own pictures, and a node with the files in a tree unlike the artist's
    found, expected = at_the_artists
    # WHEN it renders, while there is nothing left at the artist's places
    answer, rendered, tree = project.render_on_node([each.path for each in found.files])
    # THEN the pictures are the same to the last bit
    assert project.unequal(rendered, expected) == NOWHERE
    # AND no path leads out of the tree, and what was missing from the start is told
    assert [path for path in answer["paths"] if not path.startswith(f"{tree}/")] == []
    assert answer["notice"] == ('Files that the scene uses did not reach the node: Image "lost", Library "gone.blend".')


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
    # GIVEN a node that has the .blend and, as Blender 5.2.2 crashes on an image strip without them, a strip's pictures
    _, expected = at_the_artists
    there = project.kinds["strip_image"]["files"]
    # WHEN it renders
    answer, rendered, _ = project.render_on_node([project.folder / name for name in there])
    # THEN each field of the pictures that is for another kind of file differs, and the node says that files are missing
    unequal = project.unequal(rendered, expected)
    shown = {name for name, kind in project.kinds.items() if kind["picture"] and name != "strip_image"}
    assert len(shown) > 20
    assert shown - unequal["Shot"] - unequal["Edit"] == set()
    assert "more." in answer["notice"]


RENDER_HOSTILE = f"""
import json, os, sys
import bpy
sys.path.insert(0, {str(WORKER_SCRIPTS)!r})
from relay_worker.references import library_reference, read_libraries, references
from relay_worker.scene_file import open_scene
open_scene(os.environ["BLEND"], None, os.environ["TREE"], ["/home/mallory"])
scene = bpy.context.scene
editor = scene.sequence_editor
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
scene.render.filepath = os.environ["PICTURE"]
bpy.ops.render.render(write_still=True)
found = [*map(library_reference, read_libraries()), *references()]
with open(os.environ["ANSWER"], "w") as file:
    json.dump({{
        "paths": [each.absolute for each in found],
        "cube": any(item.name == "Cube" and not item.is_missing for item in bpy.data.objects),
        "elements": [each.filename for strip in strips for each in strip.elements],
    }}, file)
"""


def test_no_file_outside_the_tree_is_read(blender: Blender, run_in_blender: RunInBlender, tmp_path: Path) -> None:
    # GIVEN a .blend whose paths lead, in every way, to a red picture and a library beside the tree
    tree = tmp_path / "job"
    outside = tmp_path / "outside"
    (tree / "0").mkdir(parents=True)
    outside.mkdir()
    blend = tree / "0" / "hostile.blend"
    places = {"BLEND": str(blend), "OUTSIDE": str(outside)}
    run_in_blender(blender, (HERE / "make_hostile.py").read_text("utf-8"), TREE=str(tree), **places)

    def render(tree: str) -> tuple[dict[str, Any], Pixels]:
        answer = tmp_path / "answer.json"
        run_in_blender(
            blender, RENDER_HOSTILE, TREE=tree, ANSWER=str(answer), PICTURE=str(tmp_path / "picture.exr"), **places
        )
        return json.loads(answer.read_text("utf-8")), pixels_of(tmp_path / "picture.exr")[4, 4::8]

    # WHEN it renders as it is, every wall is red; WHEN it is led into the tree, none is
    answer, walls = render("")
    assert answer["cube"]
    assert {tuple(wall[:3]) for wall in walls} == {(1, 0, 0)}
    answer, walls = render(str(tree))
    assert {tuple(wall[:3]) for wall in walls} == {(1, 0, 1)}  # Blender's colour for a missing picture
    # THEN no path leads out of the tree, the library's object is not there, and a strip's names are but names
    assert [path for path in answer["paths"] if not path.startswith(f"{tree}/")] == []
    assert not answer["cube"]
    assert answer["elements"] == ["secret.png"]


FROM_WINDOWS = """
import os
from pathlib import Path
import bpy

shots = Path(os.environ["BLEND"]).parent
film = shots.parent
bpy.data.libraries.write(str(film / "Lib" / "Props.blend"), {bpy.data.objects["Cube"]})
bpy.data.objects.remove(bpy.data.objects["Cube"])
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
paths = {"absolute": "c:\\\\film\\\\TEXTURES\\\\wood.PNG", "relative": "//..\\\\textures\\\\Wood.png"}
for name, path in paths.items():
    image = bpy.data.images.new(name, 4, 4)
    image.source, image.filepath, image.use_fake_user = "FILE", path, True
with bpy.data.libraries.load(str(film / "Lib" / "Props.blend"), link=True) as (_, wanted):
    wanted.objects = ["Cube"]
bpy.context.scene.collection.objects.link(bpy.data.objects["Cube"])
bpy.data.libraries[0].filepath = "C:\\\\Film\\\\lib\\\\props.blend"
bpy.ops.wm.save_mainfile()
"""

OPEN_FROM_WINDOWS = f"""
import os, sys
import bpy
sys.path.insert(0, {str(WORKER_SCRIPTS)!r})
from relay_worker.scene_file import missing_files, open_scene
open_scene(os.environ["BLEND"], None, os.environ["TREE"], ["C:/Film"])
assert [tuple(bpy.data.images[name].size) for name in ("absolute", "relative")] == [(3, 2), (3, 2)]
assert len(bpy.data.objects["Cube"].data.vertices) == 8
assert missing_files() is None, missing_files()
"""


def test_the_paths_of_a_windows_artist_lead_to_the_files_on_any_node(
    blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN a tree, and a .blend in it with paths as they are on Windows, spelled otherwise than the files
    blend = tmp_path / "0" / "shots" / "shot.blend"
    for folder in ("shots", "textures", "Lib"):
        (tmp_path / "0" / folder).mkdir(parents=True)
    make_picture = "import bpy\nimage = bpy.data.images.new('Wood', 3, 2)\nimage.filepath_raw = PATH\nimage.save()\n"
    path = str(tmp_path / "0" / "textures" / "Wood.png")
    run_in_blender(blender, make_picture.replace("PATH", repr(path)) + FROM_WINDOWS, BLEND=str(blend))
    # WHEN it is opened in the tree THEN the pictures and the library are found
    run_in_blender(blender, OPEN_FROM_WINDOWS, BLEND=str(blend), TREE=str(tmp_path))


WITH_ASSET = """
import os, sys
from pathlib import Path
import bpy
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
assets = Path(bpy.utils.system_resource("DATAFILES"), "assets")
asset = next((path for path in sorted(assets.rglob("*.blend")) if "brushes" not in path.parts), None)
if asset is None:
    print("NO ASSETS")
    sys.exit()
with bpy.data.libraries.load(str(asset), link=True, relative=True) as (found, wanted):
    wanted.node_groups = found.node_groups[:1]
modifier = bpy.data.objects["Cube"].modifiers.new("Asset", "NODES")
modifier.node_group = wanted.node_groups[0]
library = bpy.data.libraries[0]
bpy.ops.wm.save_mainfile()
sys.path.insert(0, os.environ["ROOT"])
from addon.blender.dependencies import dependencies
assert dependencies() == [], dependencies()
library.filepath = "/Applications/Blender.app/Contents/Resources/9.9/datafiles/assets/" + str(asset.relative_to(assets))
bpy.ops.wm.save_mainfile()
sys.path.insert(0, os.environ["SCRIPTS"])
from relay_worker.scene_file import missing_files, open_scene
open_scene(os.environ["BLEND"], None, os.environ["TREE"], ["/Users/ada"])
assert bpy.data.libraries[0].filepath == str(asset), bpy.data.libraries[0].filepath
assert not bpy.data.objects["Cube"].modifiers["Asset"].node_group.is_missing
assert missing_files() is None, missing_files()
"""


def test_assets_that_come_with_blender_are_not_sent_and_are_the_nodes_own(
    blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN an object with one of Blender's own node groups
    (tmp_path / "0").mkdir()
    blend = tmp_path / "0" / "shot.blend"
    # WHEN it is collected THEN the asset is not among the files; WHEN it is opened where Blender is elsewhere, it works
    done = run_in_blender(
        blender, WITH_ASSET, BLEND=str(blend), TREE=str(tmp_path), ROOT=str(ROOT), SCRIPTS=str(WORKER_SCRIPTS)
    )
    if "NO ASSETS" in done.stdout:
        pytest.skip("this Blender came without node groups among its assets")


UNSET = """
import os, sys
import bpy
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"])
cube = bpy.data.objects["Cube"]
cube.modifiers.new("Cache", "MESH_CACHE")
cube.modifiers.new("Nodes", "NODES")
cloth = cube.modifiers.new("Cloth", "CLOTH").point_cache
cloth.use_disk_cache = cloth.use_external = True
image = bpy.data.images.new("Unset", 4, 4)
image.source, image.use_fake_user = "FILE", True
bpy.data.volumes.new("Unset").use_fake_user = True
lamp = bpy.data.lights["Light"]
lamp.use_nodes = True
lamp.node_tree.nodes.new("ShaderNodeTexIES").mode = "EXTERNAL"
script = lamp.node_tree.nodes.new("ShaderNodeScript")
script.mode, script.filepath = "EXTERNAL", "node_built_into_cycles"
bpy.ops.wm.save_mainfile()
sys.path.insert(0, os.environ["ROOT"])
from addon.blender.dependencies import dependencies
assert dependencies() == [], dependencies()
"""


def test_a_path_that_was_never_set_is_nothing_to_send(
    blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    run_in_blender(blender, UNSET, BLEND=str(tmp_path / "shot.blend"), ROOT=str(ROOT))

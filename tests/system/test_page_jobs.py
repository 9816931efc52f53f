# SPDX-License-Identifier: GPL-3.0-or-later
"""A file that comes by HTTP is rendered, and goes home by HTTP; the client is a program, not the page."""

import io
import zipfile
from pathlib import Path

import pytest

from server.blenders import Blender
from tests.conftest import RunInBlender
from tests.system.harness import NodeProcess, Scene, StartNode
from tests.system.page import Browserless, Follower

TEXTURED = """
import os, bpy
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 1, False
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 32, 32, 50
scene.render.fps, scene.frame_start, scene.frame_end = 12, 5, 6
scene.render.filepath = "//frames/shot_###"
scene.view_settings.view_transform = "Standard"
bpy.data.objects.remove(bpy.data.objects["Cube"])
tree = scene.world.node_tree
sky = tree.nodes.new("ShaderNodeTexEnvironment")
sky.image = bpy.data.images.new("sky", 8, 8)
sky.image.pixels = [1.0, 0.0, 0.0, 1.0] * 64
sky.image.filepath_raw, sky.image.file_format = os.environ["SKY"], "PNG"
sky.image.save()
sky.image.source = "FILE"
sky.image.filepath = os.environ["NAMED"]
background = next(node for node in tree.nodes if node.type == "BACKGROUND")
tree.links.new(sky.outputs["Color"], background.inputs["Color"])
bpy.ops.wm.save_as_mainfile(filepath=os.environ["BLEND"], relative_remap=False)
"""
"""All that is to be seen is red, if the texture is there; else pink."""


@pytest.fixture
def page(node: NodeProcess) -> Browserless:
    return Browserless(node)


def test_a_file_becomes_pictures(page: Browserless, any_blender: Blender, scene: Scene) -> None:
    # GIVEN somebody who follows what happens
    follower = Follower(page)
    # WHEN a .blend is sent
    upload = page.upload({"shot.blend": scene()})
    # THEN the node says what is in it
    (blend,) = upload["blends"]
    (found,) = blend["scenes"]
    assert (blend["blend"], blend["text"], blend["missing"]) == ("shot.blend", "", [])
    assert (found["frame_start"], found["frame_end"], found["engine"]) == (1, 12, "CYCLES")
    assert (found["width"], found["height"], found["samples"], found["active"]) == (96, 64, 1, True)
    # WHEN two frames of it are rendered
    job = page.submit(upload, frames="1-2")
    assert (job["title"], job["total"], job["mine"]) == ("shot.blend", 2, True)
    done = page.until_over(job["job"])
    # THEN they are there, as pictures and as files
    assert (done["state"], done["done"], done["blender"]) == ("done", 2, any_blender.name), done
    frames = page.get(f"/api/jobs/{job['job']}/frames")
    assert (frames["frames"], frames["states"]) == ([1, 2], "dd")
    assert all(seconds > 0 for seconds in frames["seconds"])
    frame = page.get(f"/api/jobs/{job['job']}/frames/2")
    (output,) = frame["outputs"]
    assert (output["name"], output["type"], output["shown"]) == ("shot_002.png", "image/png", True)
    picture = page.ask("GET", f"/api/jobs/{job['job']}/frames/2/picture")
    assert (picture.headers["content-type"], picture.body[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    part = page.ask(
        "GET",
        f"/api/outputs/{output['output']}",
        headers={"Authorization": f"Bearer {page.token}", "Range": "bytes=0-7"},
    )
    assert (part.status, part.body) == (206, b"\x89PNG\r\n\x1a\n")
    # AND all of them in a zip
    zipped = zipfile.ZipFile(io.BytesIO(page.ask("GET", f"/api/jobs/{job['job']}/zip").body))
    assert zipped.testzip() is None
    assert zipped.namelist() == ["shot_001.png", "shot_002.png"]
    assert zipped.read("shot_002.png") == picture.body
    # AND who followed has heard of each step
    follower.until("job", job=job["job"], state="done")
    moves = [change for name, data in follower.seen if name == "frames" for change in data["changes"]]
    assert [2, "d"] in moves
    assert follower.until("preview", job=job["job"])["version"] >= 1
    # AND Blender's words can be read
    log = page.ask("GET", f"/api/jobs/{job['job']}/log")
    assert (log.status, log.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    # AND those about one frame
    about = page.ask("GET", f"/api/jobs/{job['job']}/frames/2/log")
    assert b"shot_002.png" in about.body
    assert b"shot_001.png" not in about.body
    # WHEN it is taken off the list
    assert page.ask("DELETE", f"/api/jobs/{job['job']}").status == 204
    # THEN nothing is left of it
    follower.until("gone", job=job["job"])
    assert page.ask("GET", f"/api/jobs/{job['job']}").status == 404
    assert page.ask("GET", f"/api/outputs/{output['output']}").status == 404


@pytest.mark.parametrize(
    ("named", "sent_as"),
    [
        ("//textures/sky.png", "film/textures/sky.png"),
        ("//textures/sky.png", "film/sky.png"),
        ("//../../elsewhere/sky.png", "film/textures/sky.png"),
        ("/home/ada/film/textures/sky.png", "film/textures/sky.png"),
        (r"C:\film\textures\sky.png", "film/textures/sky.png"),
    ],
)
def test_textures_are_found_wherever_they_were(
    page: Browserless, any_blender: Blender, run_in_blender: RunInBlender, tmp_path: Path, named: str, sent_as: str
) -> None:
    # GIVEN a scene that is red if its texture is found
    blend, sky = tmp_path / "shot.blend", tmp_path / "sky.png"
    run_in_blender(any_blender, TEXTURED, BLEND=str(blend), SKY=str(sky), NAMED=named)
    # WHEN it is sent without the texture
    alone = page.upload({"film/shot.blend": blend})["blends"][0]
    # THEN the node says what is missing
    (missing,) = alone["missing"]
    assert "sky" in missing["owner"]
    assert (alone["scenes"][0]["fps"], alone["scenes"][0]["width"]) == (12.0, 16)
    # WHEN it is sent with it, in whatever folder
    upload = page.upload({"film/shot.blend": blend, sent_as: sky})
    assert upload["blends"][0]["missing"] == []
    job = page.submit(upload, frames="5")
    assert page.until_over(job["job"])["state"] == "done"
    # THEN the frame is red
    picture = page.ask("GET", f"/api/jobs/{job['job']}/frames/5/picture").body
    path = tmp_path / "frame.png"
    path.write_bytes(picture)
    said = run_in_blender(
        any_blender,
        "import bpy, os; print('PIXEL', [round(v, 2) for v in bpy.data.images.load(os.environ['P']).pixels[:3]])",
        P=str(path),
    )
    assert "PIXEL [1.0, 0.0, 0.0]" in said.stdout


def test_a_zip_is_unpacked(page: Browserless, scene: Scene) -> None:
    # GIVEN a zip, as macOS makes them
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(scene(), "film/shot.blend")
        archive.writestr("__MACOSX/film/._shot.blend", b"clutter")
    # WHEN it is sent
    upload = page.upload({"film.zip": packed.getvalue()})
    # THEN what was in it can be rendered
    assert [each["blend"] for each in upload["blends"]] == ["film/shot.blend"]
    job = page.submit(upload)
    assert page.until_over(job["job"])["state"] == "done"


@pytest.mark.parametrize(
    "wrong", [{"job": "shot"}, {"priority": 11}, {"title": "two\nlines"}, {"scene": "s" * 1001}, {"engine": "luxcore"}]
)
def test_a_job_that_makes_no_sense_gets_a_sentence(node: NodeProcess, wrong: dict[str, object]) -> None:
    wanted = {"upload": "0" * 32, "blend": "shot.blend", "frames": "1", **wrong}
    answer = Browserless(node).ask("POST", "/api/jobs", wanted)
    assert (answer.status, bool(answer.json["error"])) == (422, True)


def test_an_upload_goes_on_after_a_kill(any_blender: Blender, start_node: StartNode, scene: Scene) -> None:
    # GIVEN half a file
    node = start_node(any_blender)
    page = Browserless(node)
    content = scene().read_bytes()
    half = len(content) // 2
    upload = page.post("/api/uploads", status=201)["upload"]
    assert page.send(upload, "shot.blend", content[:half], length=len(content)).status == 204
    # WHEN the node is killed and comes back
    node.kill()
    node.said = ""
    node.start()
    page = Browserless(node)
    # THEN it says how much it has
    there = page.ask("HEAD", f"/api/uploads/{upload}/files/shot.blend")
    assert (there.headers["upload-offset"], there.headers["upload-length"]) == (str(half), str(len(content)))
    # AND refuses what does not fit to that
    wrong = page.send(upload, "shot.blend", content[half + 1 :], half + 1, len(content))
    assert (wrong.status, wrong.headers["upload-offset"]) == (409, str(half))
    assert page.ask("POST", f"/api/uploads/{upload}/complete", {}).status == 422
    # WHEN the rest comes
    assert page.send(upload, "shot.blend", content[half:], half, len(content)).status == 204
    # THEN it renders
    job = page.submit(page.post(f"/api/uploads/{upload}/complete"))
    assert page.until_over(job["job"])["state"] == "done"


def test_a_job_is_stopped_and_said_twice_is_one(page: Browserless, scene: Scene) -> None:
    # GIVEN a long job
    upload = page.upload({"shot.blend": scene(SAMPLES="4096", SIZE="640x480")})
    name = "0123456789abcdef" * 2
    job = page.submit(upload, job=name)
    assert page.submit(upload, job=name)["job"] == name
    assert len(page.get("/api/jobs")["jobs"]) == 1
    # WHEN it is taken off the list
    refused = page.ask("DELETE", f"/api/jobs/{job['job']}")
    # THEN it has to be cancelled first
    assert (refused.status, refused.json["error"]) == (409, "This job is not finished: cancel it first.")
    assert page.post(f"/api/jobs/{name}/cancel")["state"] == "cancelled"
    assert page.ask("DELETE", f"/api/jobs/{name}").status == 204

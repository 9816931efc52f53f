# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's page in a real browser, at a real node with a real Blender."""

import random
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, Route, expect

from addon.keyring import Keyring
from addon.protocol.address import parse_address
from server.blenders import Blender
from tests.conftest import RunInBlender
from tests.system.browser.looks import drop, is_drawn, opened, photograph, render, state
from tests.system.harness import NodeProcess, Scene, StartClient
from tests.system.page import Browserless
from tests.system.test_page_jobs import TEXTURED
from tests.system.test_pairing import ask_to_pair

LONG = {"SAMPLES": "256", "SIZE": "320x200", "EVERY_SAMPLE": "1"}
"""Frames of which each takes a second or so."""


def test_a_dropped_file_becomes_a_video(page: Page, scene: Scene, tmp_path: Path) -> None:
    # GIVEN somebody who has only a browser
    photograph(page, "empty")
    # WHEN a file is dropped
    drop(page, {"shot.blend": scene(**LONG).read_bytes()})
    # THEN the page says what is in it
    expect(page.get_by_label("Engine").locator("option").first).to_have_text("Cycles, as the scene has it")
    expect(page.get_by_label("Frames", exact=True)).to_have_value("1-12")
    photograph(page, "form")
    # WHEN it is to be rendered
    render(page, "1-4")
    # THEN the bar moves, samples are counted, and pictures come
    expect(state(page, "rendering")).to_be_visible()
    bar = page.locator("main progress")
    page.wait_for_function("(bar) => bar.value > 0 && bar.value < 1", arg=bar.element_handle())
    early = float(bar.evaluate("(bar) => bar.value"))
    page.wait_for_function("([bar, early]) => bar.value > early", arg=[bar.element_handle(), early])
    expect(page.get_by_text("sample")).to_be_visible()
    photograph(page, "rendering")
    expect(state(page, "done")).to_be_visible()
    expect(page.get_by_text("4 of 4 frames")).to_be_visible()
    first = page.get_by_role("button", name="Frame 1", exact=True).locator("img")
    page.wait_for_function("(image) => image.complete && image.naturalWidth === 320", arg=first.element_handle())
    photograph(page, "done")
    # AND the seconds of each frame are drawn, and listed
    expect(page.get_by_role("img", name="Seconds for each frame")).to_be_visible()
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row")).to_have_count(5)
    # AND the video goes home
    page.get_by_role("button", name="Make an H.264 video").click()
    link = page.get_by_role("link", name="Save the h264 video")
    expect(link).to_be_visible()
    with page.expect_download() as download:
        link.click()
    download.value.save_as(tmp_path / "shot.mp4")
    assert (tmp_path / "shot.mp4").read_bytes()[4:8] == b"ftyp"
    # AND so does everything in a zip
    with page.expect_download() as download:
        page.get_by_role("link", name="Save all as a zip").click()
    download.value.save_as(tmp_path / "all.zip")
    assert (tmp_path / "all.zip").read_bytes()[:2] == b"PK"


def test_a_folder_brings_its_textures(
    page: Page, any_blender: Blender, run_in_blender: RunInBlender, tmp_path: Path
) -> None:
    # GIVEN a project whose scene uses a texture
    film = tmp_path / "film"
    (film / "textures").mkdir(parents=True)
    blend, sky = film / "shot.blend", film / "textures" / "sky.png"
    run_in_blender(any_blender, TEXTURED, BLEND=str(blend), SKY=str(sky), NAMED="//textures/sky.png")
    # WHEN the .blend is chosen alone
    page.get_by_label("Files to render").set_input_files(blend)
    # THEN the form says what is missing
    expect(page.get_by_text("did not come along")).to_be_visible()
    expect(page.get_by_text("sky.png")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    # WHEN its folder is
    page.get_by_label("A folder to render").set_input_files(film)
    # THEN nothing is, and the frame is rendered
    expect(page.get_by_role("heading", name="Render", exact=True)).to_be_visible()
    expect(page.get_by_text("did not come along")).to_have_count(0)
    render(page, "5")
    expect(state(page, "done")).to_be_visible()


def test_two_saves_of_a_shot_are_compared(page: Page, api: Browserless, scene: Scene) -> None:
    # GIVEN two jobs of one shot
    for size in ("96x64", "96x96"):
        assert api.until_over(api.submit(api.upload({"shot.blend": scene(SIZE=size)}), frames="1-2")["job"])
    # WHEN one is looked at
    page.get_by_role("heading", name="shot.blend").first.get_by_role("link").click()
    page.get_by_role("button", name="Frame 2", exact=True).click()
    viewer = page.get_by_role("dialog")
    expect(viewer.get_by_text("Frame 2")).to_be_visible()
    # AND compared with the other
    viewer.get_by_label("Compare with").select_option(index=1)
    second = viewer.locator("img.second")
    page.wait_for_function("(image) => image.complete && image.naturalHeight === 64", arg=second.element_handle())
    # THEN the cut between them goes where it is put
    wipe = viewer.get_by_label("How much of the first picture is shown")
    wipe.focus()
    page.keyboard.press("Home")
    assert second.evaluate("(image) => image.style.clipPath") == "inset(0px 0px 0px 0%)"
    page.keyboard.press("End")
    assert second.evaluate("(image) => image.style.clipPath") == "inset(0px 0px 0px 100%)"
    page.keyboard.press("ArrowLeft")
    photograph(page, "compare")
    # AND a key shows one or the other
    viewer.get_by_role("button", name="Frame before").focus()
    page.keyboard.press("x")
    expect(second).to_be_hidden()
    # AND the frames are played at the scene's speed
    viewer.get_by_role("button", name="Play").click()
    expect(viewer.get_by_text("24 frames a second")).to_be_visible()
    viewer.get_by_role("button", name="Stop").click()
    # AND Escape leads back
    page.keyboard.press("Escape")
    expect(viewer).to_have_count(0)


def test_a_job_is_cancelled_and_deleted(page: Page, scene: Scene) -> None:
    drop(page, {"shot.blend": scene(SAMPLES="4096", SIZE="640x480").read_bytes()})
    render(page, "1-12")
    expect(state(page, "rendering")).to_be_visible()
    page.get_by_role("button", name="Cancel shot.blend").click()
    expect(state(page, "cancelled")).to_be_visible()
    page.get_by_role("button", name="Delete shot.blend").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("Nothing is rendered here yet.")).to_be_visible()


def test_a_node_that_goes_away_comes_back(page: Page, api: Browserless, node: NodeProcess, scene: Scene) -> None:
    # GIVEN a job under way
    job = api.submit(api.upload({"shot.blend": scene(**LONG)}), frames="1-4")["job"]
    expect(state(page, "rendering")).to_be_visible()
    # WHEN the node is killed
    node.kill()
    # THEN the page says so
    expect(page.get_by_text("Reconnecting to the node")).to_be_visible()
    photograph(page, "lost")
    # WHEN it is there again, at the same address
    node.start()
    # THEN the page goes on by itself, as the job does
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="shot.blend")).to_be_visible()
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    expect(state(page, "done")).to_be_visible()
    expect(page.get_by_text("4 of 4 frames")).to_be_visible()


def test_an_upload_goes_on_when_the_node_is_back(page: Page, api: Browserless, node: NodeProcess, scene: Scene) -> None:
    # GIVEN a file of three pieces, the second of which finds nobody
    content = random.Random(1).randbytes(20 << 20)
    pieces = 0

    def meet(route: Route) -> None:
        nonlocal pieces
        pieces += route.request.method == "PATCH"
        if pieces == 2 and route.request.method == "PATCH":
            node.kill()
        route.continue_()

    page.route("**/api/uploads/*/files/noise.png", meet)
    # WHEN it is dropped
    drop(page, {"noise.png": content, "shot.blend": scene().read_bytes()})
    # THEN the page waits for the node
    expect(page.get_by_text("Waits for the node; goes on where it was")).to_be_visible()
    node.start()
    # AND goes on by itself
    expect(page.get_by_role("heading", name="Render", exact=True)).to_be_visible()
    (upload,) = (each for each in (node.data / "uploads").iterdir())
    assert (upload / "files" / "noise.png").read_bytes() == content


def test_names_are_only_ever_text(page: Page, scene: Scene) -> None:
    name = '<img src=x onerror="document.title=1">.blend'
    drop(page, {name: scene().read_bytes()})
    render(page, "1")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    expect(state(page, "done")).to_be_visible()
    assert page.locator('img[src="x"]').count() == 0
    assert page.title() != "1"


def test_it_fits_on_a_phone(page: Page, api: Browserless, scene: Scene) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    job = api.submit(api.upload({"shot.blend": scene()}), frames="1-2", title="a_very_long_name_" * 6)["job"]
    api.until_over(job)
    for where in ("#/", f"#/jobs/{job}", "#/node"):
        page.goto(f"http://127.0.0.1:{api.port}/{where}")
        expect(page.locator("main").get_by_role("heading").first).to_be_visible()
        if where == "#/node":
            expect(page.get_by_text("Processor:")).to_be_visible()  # With it comes the widest table.
        photograph(page, f"phone-{where.split('/')[1] or 'jobs'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, where
    page.get_by_role("button", name="Render a file").click()
    expect(page.get_by_role("button", name="Files")).to_be_in_viewport()


def test_the_keyboard_is_enough(page: Page, api: Browserless, scene: Scene) -> None:
    # GIVEN a job that is done
    api.until_over(api.submit(api.upload({"shot.blend": scene()}), frames="1-3")["job"])
    expect(state(page, "done")).to_be_visible()
    # WHEN somebody goes through the page with the Tab key
    page.locator("body").press("Tab")
    expect(page.get_by_role("link", name="Skip to the jobs")).to_be_focused()
    for _ in range(30):
        if page.evaluate("document.activeElement.getAttribute('role')") == "slider":
            break
        page.keyboard.press("Tab")
    strip = page.get_by_role("slider", name="Frames")
    expect(strip).to_be_focused()
    # THEN the frames are told one by one
    assert (strip.get_attribute("aria-valuetext") or "").startswith("Frame 1, done")
    page.keyboard.press("ArrowRight")
    assert strip.get_attribute("aria-valuenow") == "2"
    # AND one can be opened, left, and the place is kept
    page.keyboard.press("Enter")
    viewer = page.get_by_role("dialog")
    expect(viewer.get_by_text("Frame 2")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(viewer.get_by_text("Frame 3")).to_be_visible()
    page.keyboard.press("Escape")
    expect(strip).to_be_focused()


def test_who_asks_to_be_let_in_is_allowed_on_the_page(
    context: BrowserContext, any_blender: Blender, start_client: StartClient, tmp_path: Path
) -> None:
    # GIVEN another account's node, and its page
    node = NodeProcess(tmp_path / "node", any_blender, home=tmp_path / "owner")
    try:
        page = opened(context, Browserless(node))
        page.get_by_role("link", name="Node", exact=True).click()
        expect(page.get_by_text("Nobody.")).to_be_visible()
        # WHEN an artist asks to be let in
        artist = start_client(node.address)
        digits = ask_to_pair(artist, node)
        # THEN the page shows the same digits, by itself
        expect(page.get_by_text(digits)).to_be_visible()
        photograph(page, "pairing")
        # WHEN the artist says that they are the same, and the owner lets them in
        artist.send(command="compared", same=True)
        page.get_by_role("button", name="Allow").click()
        # THEN they are in, and can be let in no more
        artist.until_connected()
        # AND by a link of their own they see the page, and nothing of the node itself
        page.get_by_role("button", name="Link for").click()
        link = page.get_by_role("dialog").get_by_role("textbox").input_value()
        page.get_by_role("dialog").get_by_role("button", name="Close").click()
        assert context.browser is not None
        other = context.browser.new_context().new_page()
        other.goto(re.sub(r"//[^:]+:", "//127.0.0.1:", link))  # A name need not lead anywhere from here.
        expect(other.get_by_text("Connected", exact=True)).to_be_visible()
        expect(other.get_by_role("link", name="Node", exact=True)).to_be_hidden()
        page.get_by_role("button", name="Let in no more").click()
        page.get_by_role("dialog").get_by_role("button", name="Let in no more").click()
        artist.until(lambda line: line["event"] == "connection" and line["state"] == "unpaired")
        expect(other.get_by_text("its owner gave you")).to_be_visible()
        other.context.close()
        # AND somebody without the extension is let in by a link
        page.get_by_label("Name", exact=True).fill("Bert")
        page.get_by_role("button", name="Let in by a link").click()
        expect(page.get_by_role("dialog").get_by_text("With this link Bert sends files")).to_be_visible()
    finally:
        node.close()
        Keyring().forget(parse_address(node.address))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(
    page: Page, context: BrowserContext, api: Browserless, scene: Scene, scheme: str
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    job = api.submit(api.upload({"shot.blend": scene()}), frames="1-3")["job"]
    api.until_over(job)
    found = {}
    for where in ("#/", f"#/jobs/{job}", "#/node"):
        page.goto(f"http://127.0.0.1:{api.port}/{where}")
        expect(page.locator("main").get_by_role("heading").first).to_be_visible()
        photograph(page, f"{scheme}-{where.split('/')[1] or 'jobs'}")
        found[where] = serious(page)
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    page.get_by_role("button", name="Frame 1", exact=True).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    found["viewer"] = serious(page)
    page.keyboard.press("Escape")
    drop(page, {"shot.blend": scene().read_bytes()})
    expect(page.get_by_role("heading", name="Render", exact=True)).to_be_visible()
    found["form"] = serious(page)
    assert not any(found.values()), found


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """What axe calls serious or critical: the rule, and where."""
    violations = Axe().run(page).response["violations"]
    return [
        (each["id"], [str(node["html"])[:120] for node in each["nodes"]])
        for each in violations
        if each["impact"] in ("serious", "critical")
    ]


def test_ten_thousand_frames_are_a_few_elements(page: Page, api: Browserless, scene: Scene) -> None:
    # GIVEN a job of ten thousand frames
    job = api.submit(api.upload({"shot.blend": scene(SAMPLES="4096", SIZE="640x480")}), frames="1-10000")["job"]
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    strip = page.get_by_role("slider", name="Frames")
    expect(strip).to_have_attribute("aria-valuemax", "10000")
    assert page.evaluate("document.querySelectorAll('*').length") < 600
    # AND the page says how it is drawn
    assert is_drawn(page.locator(".brand img"))
    strip.focus()
    page.keyboard.press("End")
    assert strip.get_attribute("aria-valuenow") == "10000"
    api.post(f"/api/jobs/{job}/cancel")

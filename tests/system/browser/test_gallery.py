# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's pictures of frames that are in an artist's folder already."""

from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.system.browser.looks import photograph, state
from tests.system.harness import ClientProcess, Scene
from tests.system.page import Browserless

LOADED = "image => image.complete && image.naturalWidth"


def frame(page: Page, number: int) -> Locator:
    """A frame in the gallery."""
    return page.get_by_role("button", name=f"Frame {number}", exact=True)


def job_page(page: Page, api: Browserless, job: str) -> None:
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    expect(state(page, "done")).to_be_visible()


def test_two_saves_that_are_home_are_looked_at_and_compared(
    page: Page, api: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    # GIVEN two saves, rendered into the artist's folder
    jobs = [client.render(scene(), tmp_path / name, "1-3") for name in ("one", "other")]
    for job in jobs:
        client.until_state(job, "done")
    # WHEN somebody looks at the second
    job_page(page, api, jobs[1])
    # THEN each frame has its small picture
    for number in (1, 2, 3):
        picture = frame(page, number).locator("img")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate(LOADED) > 0
        assert "small" in str(picture.get_attribute("src"))
    photograph(page, "home")
    # AND in the full view the frame itself, beside that of the first save, and its file
    frame(page, 2).click()
    viewer = page.get_by_role("dialog")
    expect(viewer.get_by_role("link", name="Save shot_002.png")).to_be_visible()
    assert viewer.locator("img").first.evaluate(LOADED) == 96
    viewer.get_by_label("Compare with").select_option(jobs[0])
    expect(viewer.locator("img.second")).to_have_js_property("complete", True)
    assert viewer.locator("img.second").evaluate(LOADED) == 96
    viewer.get_by_label("Compare with").select_option("")
    # WHEN the owner has deleted them
    api.post("/api/store/shrink", {"to": 0})
    # THEN it says what it has not
    viewer.get_by_role("button", name="Frame before").click()
    expect(viewer.get_by_text("The node has no picture of this frame.")).to_be_visible()


def test_of_openexr_the_page_has_small_pictures_and_says_so(
    page: Page, api: Browserless, client: ClientProcess, scene: Scene, tmp_path: Path
) -> None:
    job = client.render(scene(FORMAT="OPEN_EXR"), tmp_path / "frames", "1-2")
    client.until_state(job, "done")
    job_page(page, api, job)
    for number in (1, 2):
        picture = frame(page, number).locator("img:not(.gone)")
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate(LOADED) > 0
    frame(page, 1).click()
    viewer = page.get_by_role("dialog")
    expect(viewer.get_by_text("A small picture: browsers do not show this format.")).to_be_visible()
    expect(viewer.get_by_role("link", name="Save shot_001.exr")).to_be_visible()

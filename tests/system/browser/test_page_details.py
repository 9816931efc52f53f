# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's page where news comes while somebody does something, and where something breaks off."""

import random
from pathlib import Path

from playwright.sync_api import Page, Route, expect

from tests.system.browser.looks import photograph, state
from tests.system.harness import Scene
from tests.system.page import Browserless

SLOW = {"SAMPLES": "4096", "SIZE": "640x480"}
"""A frame that is still being rendered when the test is over."""

EARLY_NEWS = """
async () => {
    const { empty, expectFrames, keepFrames, take } = await import("/static/store.js");
    const state = empty();
    const first = expectFrames(state, "j");
    take(state, "frames", { job: "j", changes: [[2, "d"], [9, "d"]] });
    keepFrames(state, "j", { frames: [1, 2, 3], states: "drq", seconds: [] }, first);
    const kept = state.frames.get("j").states.join("");
    const stale = expectFrames(state, "j");
    take(state, "hello", { node: {}, jobs: [] });
    keepFrames(state, "j", { frames: [1], states: "q", seconds: [] }, stale);
    return [kept, state.frames.size];
}
"""

ORDERS = """
async () => {
    const { moved } = await import("/static/store.js");
    const jobs = ["a", "b", "c"];
    return [moved(jobs, "c", "a"), moved(jobs, "a", "b"), moved(jobs, "a", "c"), moved(jobs, "b", "b") === undefined];
}
"""

PEAK = """
async () => {
    const { thinned } = await import("/static/plot.js");
    const points = Array.from({ length: 10000 }, (_, frame) => [frame, frame === 4321 ? 99 : 1]);
    const kept = thinned(points, 600);
    return [kept.length <= 600, kept.some(([frame, seconds]) => frame === 4321 && seconds === 99)];
}
"""


CAPTIONS = """
() => new Promise((done) => {
    const caption = document.querySelector("dialog.viewer .caption"), seen = [];
    const observer = new MutationObserver(() => {
        seen.push(caption.textContent);
        if (seen.length === 12) { observer.disconnect(); done(seen); }
    });
    observer.observe(caption, { childList: true, characterData: true, subtree: true });
})
"""


REFILLED = """
async () => {
    const { h, refill } = await import("/static/dom.js");
    const box = h("div");
    document.body.append(box);
    const asks = (digits) => h("button", { class: "primary", "aria-label": `Allow ${digits}` }, "Allow");
    const at = () => document.activeElement.getAttribute("aria-label");
    refill(box, asks("111 111"));
    box.firstChild.focus();
    refill(box, asks("222 222"), asks("111 111"));
    const same = at();
    refill(box, asks("333 333"));
    return [same, at()];
}
"""


def test_the_keyboard_never_comes_to_allow_somebody_else(page: Page) -> None:
    assert page.evaluate(REFILLED) == ["Allow 111 111", None]


def test_news_that_comes_before_the_frames_is_kept(page: Page) -> None:
    assert page.evaluate(EARLY_NEWS) == ["ddq", 0]


def test_a_job_takes_the_place_that_it_is_put_at(page: Page) -> None:
    assert page.evaluate(ORDERS) == ["a", "c", None, True]


def test_a_slow_frame_is_seen_among_thousands(page: Page) -> None:
    assert page.evaluate(PEAK) == [True, True]


def test_the_keyboard_stays_where_it_is(page: Page, api: Browserless, scene: Scene) -> None:
    # GIVEN somebody who is at a button of the node's page
    page.get_by_role("link", name="Node", exact=True).click()
    prune = page.get_by_role("button", name="Delete what no job needs")
    prune.focus()
    # WHEN the page looks at the node again
    for _ in range(2):
        with page.expect_response("**/api/store"):
            pass
    # THEN the button has the keyboard still
    expect(prune).to_be_focused()
    # WHEN a job is paused with the keyboard
    job = api.submit(api.upload({"shot.blend": scene(**SLOW)}), frames="1-4")["job"]
    page.get_by_role("link", name="Jobs", exact=True).click()
    page.get_by_role("button", name="Pause shot.blend").press("Enter")
    # THEN the button that lets it go on has the keyboard
    expect(state(page, "paused")).to_be_visible()
    resume = page.get_by_role("button", name="Go on with shot.blend")
    expect(resume).to_be_focused()
    api.post(f"/api/jobs/{job}/cancel")


def test_a_table_stays_open_while_frames_get_done(page: Page, api: Browserless, scene: Scene) -> None:
    job = api.submit(api.upload({"shot.blend": scene(SAMPLES="256", SIZE="320x200")}), frames="1-6")["job"]
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    page.get_by_text("As a table").click()
    expect(page.get_by_role("row")).to_have_count(7)
    expect(state(page, "done")).to_be_visible()


def test_jobs_are_pulled_to_another_place(page: Page, api: Browserless, scene: Scene) -> None:
    # GIVEN three jobs that wait
    upload = api.upload({"shot.blend": scene(**SLOW)})
    jobs = [api.submit(upload, frames="1-4", title=title)["job"] for title in ("first", "second", "third")]
    titles = page.get_by_role("list", name="Jobs").get_by_role("heading")
    expect(titles).to_have_text(["first", "second", "third"])
    # WHEN the last is pulled onto the second
    page.locator(f'[data-job="{jobs[2]}"]').drag_to(page.locator(f'[data-job="{jobs[1]}"]'))
    # THEN it comes before it, for the node as well
    expect(titles).to_have_text(["first", "third", "second"])
    assert api.get(f"/api/jobs/{jobs[2]}")["place"] < api.get(f"/api/jobs/{jobs[1]}")["place"]
    for job in jobs:
        api.post(f"/api/jobs/{job}/cancel")


def test_a_frame_that_the_other_save_lacks_is_told_of(page: Page, api: Browserless, scene: Scene) -> None:
    upload = api.upload({"shot.blend": scene()})
    jobs = [api.until_over(api.submit(upload, frames=frames)["job"])["job"] for frames in ("1", "1-2")]
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{jobs[1]}")
    page.get_by_role("button", name="Frame 2", exact=True).click()
    viewer = page.get_by_role("dialog")
    viewer.get_by_label("Compare with").select_option(jobs[0])
    expect(viewer.get_by_text("The other save has no picture of this frame.")).to_be_visible()
    viewer.get_by_role("button", name="Frame before").click()
    expect(viewer.get_by_text("The other save has no picture of this frame.")).to_have_count(0)


def test_a_reload_goes_on_with_the_upload(page: Page, api: Browserless, scene: Scene, tmp_path: Path) -> None:
    # GIVEN a list that is not empty, and an upload of which one piece has come
    api.until_over(api.submit(api.upload({"old.blend": scene()}), frames="1")["job"])
    noise = tmp_path / "noise.png"
    noise.write_bytes(random.Random(2).randbytes(12 << 20))
    files = [noise, scene()]
    offsets: list[str] = []

    def meet(route: Route) -> None:
        if route.request.method == "PATCH":
            offsets.append(route.request.headers["upload-offset"])
            if len(offsets) == 2:
                return  # Never answered: the page goes away.
        route.continue_()

    page.route("**/api/uploads/*/files/noise.png", meet)
    with page.expect_request(lambda request: request.headers.get("upload-offset") == str(8 << 20)):
        page.get_by_label("Files to render").set_input_files(files)
    # WHEN the page is loaded anew
    page.reload()
    # THEN it says what was interrupted
    expect(page.get_by_text("was interrupted")).to_be_visible()
    # AND the same files go on where they were
    page.get_by_label("Files to render").set_input_files(files)
    expect(page.get_by_role("heading", name="Render", exact=True)).to_be_visible()
    assert offsets == ["0", str(8 << 20), str(8 << 20)]


def test_what_a_client_may_is_changed(page: Page, api: Browserless) -> None:
    # GIVEN somebody who is let in
    anna = api.post("/api/clients", {"name": "Anna"}, status=201)["client"]
    page.get_by_role("link", name="Node", exact=True).click()
    page.get_by_role("button", name="Change Anna").click()
    form = page.get_by_role("dialog")
    photograph(page, "client")
    # WHEN the owner writes what is no quota
    form.get_by_label("Quota, such as").fill("plenty")
    form.get_by_role("button", name="Save").click()
    # THEN the form says so, and stays
    expect(form.get_by_role("alert")).not_to_be_empty()
    # AND takes what makes sense
    form.get_by_label("Quota, such as").fill("jobs=3")
    form.get_by_label("Trusted").check()
    form.get_by_label("Quota, such as").press("Enter")
    expect(form).to_have_count(0)
    expect(page.get_by_text("Anna (trusted)")).to_be_visible()
    (known,) = (each for each in api.get("/api/clients")["clients"] if each["client"] == anna)
    assert (known["name"], known["quota"], known["manages"], known["scripts"]) == ("Anna", "jobs=3", True, False)


def test_a_range_of_frames_is_played(page: Page, api: Browserless, scene: Scene) -> None:
    job = api.until_over(api.submit(api.upload({"shot.blend": scene()}), frames="1-6")["job"])["job"]
    page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
    page.get_by_role("button", name="Frame 1", exact=True).click()
    viewer = page.get_by_role("dialog")
    first, last = (viewer.get_by_label(f"The {which} frame to play") for which in ("first", "last"))
    expect(first).to_have_value("1")
    expect(last).to_have_value("6")
    # WHEN a part is played
    first.fill("3")
    last.fill("4")
    viewer.get_by_role("button", name="Play").click()
    # THEN it is that part, again and again
    shown = page.evaluate(CAPTIONS)
    assert {text.split(",")[0] for text in shown} == {"Frame 3", "Frame 4"}
    viewer.get_by_role("button", name="Stop").click()
    # AND a range without frames gets a sentence
    first.fill("9")
    viewer.get_by_role("button", name="Play").click()
    expect(viewer.get_by_text("No frame of this range is done")).to_be_visible()


def test_a_form_that_was_closed_can_be_opened_again(page: Page, api: Browserless, scene: Scene) -> None:
    heading = page.get_by_role("heading", name="Render", exact=True)
    # GIVEN a file that has come, and its form, closed by mistake
    with page.expect_request(lambda request: request.url.endswith("/complete")) as completed:
        page.get_by_label("Files to render").set_input_files([scene()])
    upload = completed.value.url.split("/")[-2]
    expect(heading).to_be_visible()
    page.keyboard.press("Escape")
    # THEN the page says that it is there, also when it is loaded anew
    for _ in range(2):
        expect(page.get_by_text("shot.blend is on the node, and was not rendered yet.")).to_be_visible()
        page.reload()
    # AND keeps saying so when the node cannot be asked
    page.route("**/complete", lambda route: route.abort())
    page.get_by_role("button", name="Render shot.blend").click()
    expect(page.get_by_text("The node does not answer")).to_be_visible()
    page.unroute("**/complete")
    # AND opens the form again, by a button or by the same file
    page.get_by_role("button", name="Render shot.blend").click()
    expect(heading).to_be_visible()
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Files to render").set_input_files([scene()])
    expect(heading).to_be_visible()
    # WHEN it is rendered, with another engine than its own
    expect(page.get_by_label("Engine").locator("option")).to_have_text(
        ["Cycles, as the scene has it", "Eevee", "Workbench"]
    )
    page.get_by_label("Frames", exact=True).fill("1")
    page.get_by_label("Engine").select_option("workbench")
    page.get_by_role("dialog").get_by_role("button", name="Render", exact=True).click()
    expect(state(page, "done")).to_be_visible()
    expect(page.get_by_text("with workbench")).to_be_visible()
    # THEN the page speaks of it no more
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.get_by_role("list", name="Jobs").get_by_text("shot.blend")).to_be_visible()
    expect(page.get_by_text("was not rendered yet")).to_have_count(0)
    assert api.ask("GET", f"/api/uploads/{upload}").status == 200
    # AND what is not wanted after all leaves the node
    page.get_by_label("Files to render").set_input_files([scene()])
    expect(heading).to_be_visible()
    page.keyboard.press("Escape")
    with page.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        page.get_by_role("button", name="Forget the upload of shot.blend").click()
    assert deleted.value.status == 204
    assert api.ask("GET", deleted.value.url.partition(str(api.port))[2]).status == 404

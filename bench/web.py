# SPDX-License-Identifier: GPL-3.0-or-later
"""The node's page: how soon it is there, how soon it shows what happens, and what open pages and uploads cost."""

import statistics
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from server.blenders import Blender
from tests.conftest import real_blenders
from tests.system.browser.conftest import CHROMIUM, chromium_arguments
from tests.system.browser.looks import opened
from tests.system.harness import NodeProcess
from tests.system.page import Browserless

from .measures import Measure
from .memory import Growth, why_no_memory
from .scenes import default_cubes
from .serving import cpu_share
from .shelf import fill

WEIGHT = Measure("The page's first load: bytes", "KB", "a limit", limit=150.0)
LOAD = Measure("The page's first load, until it shows the jobs, on loopback", "s", "a limit", limit=0.5)
PIXEL = Measure("From an event at the node to the page showing it, while a frame renders", "ms", "a limit", limit=200.0)
PAGES = Measure("What 100 open pages cost the node while frames render, of one core", "%", "none open", limit=10.0)
SCROLL = Measure("Scrolling 10,000 pictures: time between two drawings, 95th percentile", "ms", "at rest", limit=34.0)
SCROLL_LONGEST = Measure("The longest of them", "ms", "at rest", limit=100.0)
UPLOAD = Measure("Node's memory over rest while 2 GB come from a browser", "MB", "a limit", limit=100.0)
UPLOAD_RATE = Measure("Those 2 GB, sent: seconds", "ratio", "a copy on this disk")

VISITS = 5
"""A round; the first of all waits for the browser, too."""
OPEN_PAGES = 100
EVENTS = 30
LOOK_S = 15.0
FRAMES = 10_000
UPLOAD_BYTES = 2 * 10**9
PIECE = 8 << 20


def run(rounds: int, only: Collection[str] = ()) -> Iterator[Measure]:
    """Yield the figures; `only`: names of the parts, all if empty."""
    blenders = real_blenders()
    parts = {"load": load, "events": events, "pages": pages, "scroll": scroll, "upload": upload}
    for name, measure in parts.items():
        if not only or name in only:
            with tempfile.TemporaryDirectory(prefix="relay-bench-") as folder:
                yield from measure(blenders[-1], Path(folder), rounds)


@contextmanager
def _node(blender: Blender, folder: Path, data: Path | None = None) -> Iterator[tuple[NodeProcess, Browserless]]:
    node = NodeProcess(data or folder / "node", blender)
    try:
        yield node, Browserless(node)
    finally:
        node.close()


@contextmanager
def _browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=chromium_arguments())
        yield browser
        browser.close()


def _why_no_browser() -> str:
    return "" if CHROMIUM else "there is no Chromium here: apt install chromium"


# The browser's side


def load(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """A browser that has never seen the page, again and again."""
    if why := _why_no_browser():
        yield from (WEIGHT.missing(why), LOAD.missing(why))
        return
    weights, times = [], []
    with _node(blender, folder) as (_, api), _browser() as browser:
        _submitted(api, blender, folder, "1")
        for _ in range(VISITS * rounds):
            context = browser.new_context()
            page = context.new_page()
            began = time.perf_counter()
            page.goto(f"http://127.0.0.1:{api.port}/?token={api.token}", wait_until="commit")
            page.locator("article.job").first.wait_for()
            times.append(time.perf_counter() - began)
            page.wait_for_load_state("load")
            weights.append(float(page.evaluate(_WEIGHT)) / 1e3)
            context.close()
    yield WEIGHT.measured(statistics.median(weights), f"all files of the page, {len(weights)} visits")
    yield LOAD.measured(statistics.median(times), f"{min(times):.2f} to {max(times):.2f}, {len(times)} visits")


_WEIGHT = """
() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
    .filter((entry) => !entry.name.includes("/api/"))
    .reduce((sum, entry) => sum + entry.encodedBodySize, 0)
"""

_SEEN = """
() => {
    window.seen = {};
    const look = () => {
        for (const card of document.querySelectorAll("li[data-job]")) {
            const chip = card.querySelector(".chip");
            if (chip?.dataset.state === "cancelled" && !(card.dataset.job in window.seen)) {
                const name = card.dataset.job;
                window.seen[name] = -1;
                // After the next drawing it is on the screen.
                requestAnimationFrame(() => requestAnimationFrame(() => { window.seen[name] = Date.now(); }));
            }
        }
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
}
"""


def events(blender: Blender, folder: Path, rounds: int) -> Iterator[Measure]:
    """Jobs that wait are cancelled one by one; the clock runs from before the node is asked."""
    if why := _why_no_browser():
        yield PIXEL.missing(why)
        return
    delays: list[float] = []
    with _node(blender, folder) as (_, api), _browser() as browser:
        upload = _submitted(api, blender, folder, "1-1000")
        waiting = [str(api.submit(upload, frames="1")["job"]) for _ in range(EVENTS * rounds)]
        page = opened(browser.new_context(), api)
        page.locator("li[data-job]").first.wait_for()
        page.evaluate(_SEEN)
        for job in waiting:
            began = time.time()
            api.post(f"/api/jobs/{job}/cancel")
            page.wait_for_function("(job) => window.seen[job] > 0", arg=job)
            delays.append(float(page.evaluate("(job) => window.seen[job]", job)) - began * 1000)
    detail = f"{len(delays)} events, {min(delays):.0f} to {max(delays):.0f} ms"
    yield PIXEL.measured(statistics.median(delays), detail)


def scroll(blender: Blender, folder: Path, __: int) -> Iterator[Measure]:
    """A finished job of 10,000 frames: its pictures are scrolled through, with a wheel that turns all the time."""
    if why := _why_no_browser():
        yield from (SCROLL.missing(why), SCROLL_LONGEST.missing(why))
        return
    job = fill(folder / "node", FRAMES)
    with _node(blender, folder) as (_, api), _browser() as browser:
        page = opened(browser.new_context(viewport={"width": 1200, "height": 800}), api)
        page.goto(f"http://127.0.0.1:{api.port}/#/jobs/{job}")
        gallery = page.locator(".gallery")
        expect(gallery.locator(".cell").first).to_be_visible()
        gallery.scroll_into_view_if_needed()
        rest = _gaps(page, turn=False)
        turning = _gaps(page, turn=True)
        elements = page.evaluate("document.querySelectorAll('*').length")
    at = sorted(turning)[int(len(turning) * 0.95)]
    detail = (
        f"{len(turning)} drawings, median {statistics.median(turning):.1f} ms; at rest {statistics.median(rest):.1f}"
    )
    yield SCROLL.measured(at, f"{detail}; {elements} elements in the page")
    yield SCROLL_LONGEST.measured(max(turning), f"at rest {max(rest):.1f} ms")


_GAPS = """
(turn) => new Promise((give) => {
    const gallery = document.querySelector(".gallery"), gaps = [];
    let last = performance.now(), left = 240;
    const step = (now) => {
        gaps.push(now - last);
        last = now;
        if (turn) gallery.scrollTop += 90;
        left -= 1;
        if (left) requestAnimationFrame(step);
        else give(gaps.slice(1));
    };
    requestAnimationFrame(step);
})
"""


def _gaps(page: Page, *, turn: bool) -> Sequence[float]:
    found: list[float] = page.evaluate(_GAPS, turn)
    return found


# The node's side


def pages(blender: Blender, folder: Path, _: int) -> Iterator[Measure]:
    """A job of quick frames, with nobody looking and with many."""
    with _node(blender, folder) as (node, api), ExitStack() as stack:
        assert node.process is not None
        _submitted(api, blender, folder, "1-100000")
        _until_rendering(api)
        alone = cpu_share(node.process.pid, LOOK_S)
        for _page in range(OPEN_PAGES):
            stack.enter_context(_reading(api))
        watched = cpu_share(node.process.pid, LOOK_S)
    detail = f"{watched:.1%} with {OPEN_PAGES}, {alone:.1%} without, {LOOK_S:g} s each"
    yield PAGES.measured((watched - alone) * 100, detail)


@contextmanager
def _reading(api: Browserless) -> Iterator[None]:
    """An open page, as far as the node can tell."""
    with api.events() as lines:
        next(lines)

        def read() -> None:
            try:
                for _ in lines:
                    pass
            except (OSError, ValueError, AttributeError):
                return  # It was closed.

        threading.Thread(target=read, daemon=True).start()
        yield


def upload(blender: Blender, folder: Path, _: int) -> Iterator[Measure]:
    """A .blend and 2 GB beside it, sent, looked at, taken into the store and rendered."""
    if why := why_no_memory():
        yield from (UPLOAD.missing(why), UPLOAD_RATE.missing(why))
        return
    big = folder / "noise.vdb"
    with big.open("wb") as file, Path("/dev/urandom").open("rb") as noise:
        for _piece in range(UPLOAD_BYTES // (1 << 20)):
            file.write(noise.read(1 << 20))
    with _node(blender, folder) as (node, api):
        assert node.process is not None
        (blend,) = default_cubes(blender, folder, 1)
        copied = _copied(big, folder / "copy")
        with Growth(node.process.pid) as growth:
            began = time.perf_counter()
            upload = str(api.post("/api/uploads", status=201)["upload"])
            size = big.stat().st_size
            with big.open("rb") as file:
                for offset in range(0, size, PIECE):
                    assert api.send(upload, big.name, file.read(PIECE), offset, size).status == 204
            sent = time.perf_counter() - began
            assert api.send(upload, "shot.blend", blend.read_bytes()).status == 204
            found = api.post(f"/api/uploads/{upload}/complete")
            done = api.until_over(str(api.submit(found)["job"]))
            assert done["state"] == "done", done
    whole = time.perf_counter() - began
    yield UPLOAD.measured(
        growth.bytes / 1e6, f"RssAnon at its worst; sent in {sent:.1f} s, rendered after {whole:.1f} s"
    )
    yield UPLOAD_RATE.ratio([(sent, copied)], f"{UPLOAD_BYTES / 1e6 / sent:.0f} MB/s")


def _copied(path: Path, copy: Path) -> float:
    began = time.perf_counter()
    with path.open("rb") as source, copy.open("wb") as target:
        while piece := source.read(PIECE):
            target.write(piece)
    taken = time.perf_counter() - began
    copy.unlink()
    return taken


def _submitted(api: Browserless, blender: Blender, folder: Path, frames: str) -> dict[str, object]:
    upload: dict[str, object] = api.upload({"shot.blend": default_cubes(blender, folder, 1)[0]})
    api.submit(upload, frames=frames)
    return upload


def _until_rendering(api: Browserless) -> None:
    with api.events() as lines:
        for name, data in lines:
            if name == "job" and data["done"] > 0:
                return

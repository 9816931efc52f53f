# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the page do in it."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.system.page import Browserless

ARTEFACTS = Path(os.environ.get("RELAY_ARTEFACTS", Path(__file__).parents[3] / "artefacts")) / "page"

DROP = """
(files) => {
    const transfer = new DataTransfer();
    for (const [name, text] of Object.entries(files)) {
        const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name));
    }
    const target = document.body;
    for (const kind of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
    }
}
"""


def opened(context: BrowserContext, api: Browserless) -> Page:
    """The page of a node, come to by its link."""
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{api.port}/?token={api.token}")
    expect(page.get_by_text("Connected", exact=True)).to_be_visible()
    return page


def photograph(page: Page, name: str) -> None:
    """Keep a picture, for people to look at."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTEFACTS / f"{name}.png")


def drop(page: Page, files: Mapping[str, bytes]) -> None:
    """Let files go over the page."""
    page.evaluate(DROP, {name: base64.b64encode(content).decode() for name, content in files.items()})


def render(page: Page, frames: str) -> None:
    """Fill the form in, and send it."""
    expect(page.get_by_role("heading", name="Render", exact=True)).to_be_visible()
    page.get_by_label("Frames", exact=True).fill(frames)
    page.get_by_role("dialog").get_by_role("button", name="Render", exact=True).click()


def state(page: Page, word: str) -> Locator:
    """The job's state, once it is this."""
    return page.locator("main").locator(f'.chip[data-state="{word}"]').first


def is_drawn(image: Locator) -> bool:
    """Whether a picture is there, and not only its frame."""
    return bool(image.evaluate("(image) => image.complete && image.naturalWidth > 0"))

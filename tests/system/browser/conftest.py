# SPDX-License-Identifier: GPL-3.0-or-later
"""A real browser, Debian's Chromium driven by Playwright, at the page of a real node."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.system.browser.looks import opened
from tests.system.harness import NodeProcess
from tests.system.page import Browserless

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PATIENCE_MS = 60_000

expect.set_options(timeout=PATIENCE_MS)


def chromium_arguments() -> list[str]:
    """Chromium's own sandbox refuses to run for root."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Not for longer: while Playwright runs, the thread has a loop, and other tests could have none."""
    if CHROMIUM is None:
        reason = "needs a browser: apt install chromium"
        if os.environ.get("RELAY_REQUIRE_BLENDER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=chromium_arguments())
        yield browser
        browser.close()


@pytest.fixture
def api(node: NodeProcess) -> Browserless:
    return Browserless(node)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, api: Browserless) -> Iterator[Page]:
    """The page, opened with the node's link. What the browser complains of fails the test."""
    wrong: list[str] = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
    yield opened(context, api)
    assert wrong == []

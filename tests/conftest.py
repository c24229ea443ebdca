"""Fixtures that every room's tests share."""

from __future__ import annotations

import importlib.resources
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

# One thread each: results do not depend on the machine, and two cores serve the tests' own processes.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

PROJECT = Path(__file__).resolve().parents[1]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
PAPER = {"width": 720, "height": 1000}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real files by others, read where they lie; a test that needs them skips where they are absent."""
    folder = PROJECT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the folder of real files, ../shared/data, is not here")
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    """One headless Chromium for all tests of a process; they skip where there is none."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium is installed; Debian's package chromium would do")
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright, which drives the browser, is not here")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def check_page(browser) -> Callable[..., None]:
    """Give a function of a page's path that opens it and asserts what every page promises.

    No error on the console, no request but for the file itself, figures drawn, tables sorted and the theme switched by
    their buttons, nothing serious found by axe-core in either theme, and no sideways scrolling on a phone. With
    `RADBOOST_SCREENSHOTS` naming a folder, pictures of the page are left there.
    """

    def check(path: Path) -> None:
        context = browser.new_context(viewport=DESKTOP, color_scheme="light")
        page = context.new_page()
        told, asked = [], []
        page.on("console", lambda message: told.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.resolve().as_uri())
        try:
            look(page, path)
        finally:
            context.close()
        assert told == []
        assert [url for url in asked if not url.startswith("data:")] == [path.resolve().as_uri()]

    return check


def look(page, path: Path) -> None:
    keep = os.environ.get("RADBOOST_SCREENSHOTS")
    for theme in ("light", "dark"):
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
        assert serious(page) == []
        if keep:
            page.screenshot(path=Path(keep) / f"{path.stem}-desktop-{theme}.png", full_page=True)
        drawn(page)
        page.click("#theme")
    for table in page.query_selector_all(".table")[:3]:
        sorts(table)
    page.set_viewport_size(PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], "scrolls sideways on a phone"
    if keep:
        page.screenshot(path=Path(keep) / f"{path.stem}-phone.png", full_page=True)
    page.set_viewport_size(PAPER)
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light", "paper is white"
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"], "wider than a sheet of paper"


def serious(page) -> list[str]:
    """Say what axe-core takes for a serious or critical fault, and where."""
    if not page.evaluate("'axe' in window"):
        source = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
        page.evaluate(source)
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"][:3]
    ]


def drawn(page) -> None:
    """Assert that figures and pictures have a size and are not of one colour."""
    from PIL import Image

    for figure in page.query_selector_all(".drawing, .pictures img"):
        figure.scroll_into_view_if_needed()
        shown = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("L"), float)
        assert min(shown.shape) > 40
        assert shown.std() > 2, "a figure is blank"


def sorts(table) -> None:
    """Assert that the last column's button sorts the table, and says so."""
    head = table.query_selector_all("thead th")[-1]
    button = head.query_selector("button")
    numeric = "num" in (head.get_attribute("class") or "")
    seen = []
    for state in ("ascending", "descending"):
        button.click()
        assert head.get_attribute("aria-sort") == state
        cells = table.eval_on_selector_all("tbody tr", "rows => rows.map(r => [...r.cells].at(-1).dataset.key || '')")
        seen.append([float(cell) for cell in cells if cell])
    if numeric:
        assert seen[0] == sorted(seen[0])
        assert seen[1] == sorted(seen[1], reverse=True)
    button.click()
    assert head.get_attribute("aria-sort") is None

"""Looks at a file in the JupyterLab at $ADDRESS with the browser $CHROMIUM; for the Python of JupyterLab's folder.

What was seen goes to $REPORT as JSON, or why not. $PATIENCE is how many milliseconds it waits for anything. If $SHOT is
set, a picture of the screen goes there, as it stands in the README.
"""

import json
import os
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, TimeoutError, sync_playwright

SQUIGGLE = ".cm-lintRange-error"
HOVER = ".lsp-hover, .lsp-tooltip, .jp-Tooltip"
TRIES = 5


def look(page: Page) -> dict[str, str]:
    # A busy machine may take long to show the page, also where nothing is expected to be seen in it.
    page.goto(os.environ["ADDRESS"], timeout=60_000)
    squiggle = page.locator(SQUIGGLE).first
    squiggle.wait_for()
    seen = {"underlined": squiggle.inner_text()}
    squiggle.hover(position={"x": 30, "y": 5})
    page.locator(".cm-tooltip-lint").first.wait_for()
    seen["message"] = page.locator(".cm-tooltip-lint").first.inner_text()
    page.keyboard.down("Control")
    seen["hover"] = hover(page, squiggle)
    page.keyboard.up("Control")
    return seen


def hover(page: Page, squiggle: Locator) -> str:
    """What is told of the thing beneath the mouse, asked for again and again: a busy JupyterLab misses a move."""
    # It is shown before there is anything in it.
    shown = page.locator(HOVER).filter(has_text=re.compile(r"\S")).first
    for attempt in range(TRIES):
        squiggle.hover(position={"x": 40 + 3 * (attempt % 2), "y": 5})
        page.keyboard.press("Control")
        try:
            shown.wait_for(timeout=int(os.environ["PATIENCE"]) / TRIES)
            break
        except TimeoutError:
            continue
    return shown.inner_text()


def main() -> None:
    report: dict[str, str | None] = {"error": None}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 640})
        page.set_default_timeout(int(os.environ["PATIENCE"]))
        try:
            report.update(look(page))
        except Exception as error:
            report["error"] = str(error)
        if "SHOT" in os.environ:
            page.screenshot(path=os.environ["SHOT"])
        browser.close()
    Path(os.environ["REPORT"]).write_text(json.dumps(report), encoding="utf-8")


main()

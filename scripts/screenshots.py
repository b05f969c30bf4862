#!/usr/bin/env python3
"""Makes the pictures of the playground in docs/, of the demo with both bundled models.

    RERANK_PROXY_BIN=target/debug/rerank-proxy target/venv/bin/python scripts/screenshots.py

Needs what the tests of the playground need: Chromium, and tests/e2e/requirements.txt. Look at what comes out."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import browser as browser_control
import demo

DESK = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
# The bundled pair takes a second on a small machine, and the demo measures meanwhile.
PATIENCE = 60_000


def opened(browser, url, **options):
    page = browser.new_context(reduced_motion="reduce", **options).new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(url)
    page.locator("#after .hit").first.wait_for()
    # Once more: the times of a search whose scores are known.
    page.reload()
    page.locator("#after .hit").first.wait_for()
    page.evaluate("document.activeElement.blur()")
    return page


def judge(page):
    """Grades as the demo's own judgements have them, and the best hit opened."""
    for title in ("Garlic kept in oil", "Garlic that turns blue", "Shelf life of seasonings", "Order inside the fridge"):
        grade = 3 if title == "Garlic kept in oil" else 0
        page.locator("#after .hit", has_text=title).locator(".grade").nth(grade).click()
    page.locator("#after .title").first.click()
    page.mouse.move(0, 0)


def picture(page, name):
    file = ROOT / "docs" / f"playground-{name}.png"
    page.screenshot(path=file)
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size // 1024} KiB")


def main():
    with demo.running() as addresses, browser_control.running() as browser:
        url = addresses["playground"]
        base = "http://" + urlsplit(url).netloc
        picture(opened(browser, url, **DESK), "light")
        query = "mouth+on+fire+after+vindaloo+what+should+i+drink"
        picture(opened(browser, f"{base}/_rerank/ui#q={query}&blend=linear&weight=0.6", color_scheme="dark", **DESK), "dark")
        picture(opened(browser, url, **PHONE), "phone")
        page = opened(browser, url, **DESK)
        judge(page)
        picture(page, "judging")


if __name__ == "__main__":
    main()

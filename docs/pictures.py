"""Writes README's pictures beside this file, as a browser shows the pages.

    python docs/pictures.py VIDEO [ROOT]

The report of ROOT (this folder), where `make repro` has run, and the page of VIDEO, separated by what is trained there:
docs/pictures/report.jpg and sounds.jpg.  It takes what the tests take: playwright, and a Chromium, as $CHROMIUM or on
the PATH.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from avsep import Separator

PICTURES = Path(__file__).parent / "pictures"
WIDTH = 1200  # of the window, in pixels
SHOWN = 900  # of a picture
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def photograph(browser: Browser, address: str, path: Path, height: int) -> None:
    """The first screen of a page, `height` pixels of it."""
    page = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme="light")
    page.goto(address)
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(500)  # pictures that are drawn when they are seen
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "page.png"
        page.screenshot(path=raw)
        with Image.open(raw) as image:
            small = image.convert("RGB").resize((SHOWN, round(height * SHOWN / WIDTH)), Image.Resampling.LANCZOS)
    path.parent.mkdir(exist_ok=True)
    small.save(path, quality=85, optimize=True)
    page.close()


def main(video: Path, root: Path) -> None:
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        Separator.from_pretrained(root).write(video, Path(folder) / "sounds")
        browser = playwright.chromium.launch(executable_path=executable, args=list(QUIET))
        photograph(browser, (root / "metrics/report/index.html").absolute().as_uri(), PICTURES / "report.jpg", 900)
        photograph(browser, (Path(folder) / "sounds/index.html").as_uri(), PICTURES / "sounds.jpg", 900)
        browser.close()


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(f"error: python docs/pictures.py VIDEO [ROOT], not {' '.join(sys.argv[1:]) or 'nothing'}")
    main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) == 3 else "."))

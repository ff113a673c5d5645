"""Tiny real videos, and a project folder around them."""

import csv
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from avsep.media.ffmpeg import ffmpeg
from tests.helpers.website import Site, open_site

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CLASSES = ("cello", "flute", "trumpet", "tuba")


def _make_video(
    path: Path, *, seconds: float = 7, sound: str | None = "sine=440", pictures: bool = True, size: str = "64x48"
) -> Path:
    """A real video: a test pattern of `size` pixels at 8 fps; `sound` is an ffmpeg source, None for no stream."""
    command = [ffmpeg(), "-y", "-nostdin", "-loglevel", "error"]
    if pictures:
        command += ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=8:duration={seconds}"]
    if sound is not None:
        command += ["-f", "lavfi", "-t", str(seconds), "-i", sound]
    path.parent.mkdir(parents=True, exist_ok=True)
    # the header first, so that a file that is cut off can still be opened
    movflags = ["-movflags", "+faststart"] if path.suffix == ".mp4" else []
    subprocess.run([*command, "-threads", "1", *movflags, f"file:{path}"], check=True)
    return path


def _write_manifest(folder: Path) -> None:
    with (folder / "manifest.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["class", "id", "file", "seconds", "sha256"])
        for path in sorted(folder.glob("*/*.*")):
            rows.writerow([path.parent.name, path.stem, f"{path.parent.name}/{path.name}", "", ""])


@pytest.fixture(scope="session")
def make_video() -> Callable[..., Path]:
    return _make_video


@pytest.fixture(scope="session")
def write_manifest() -> Callable[[Path], None]:
    """Writes manifest.csv for the <class>/<id>.<container> files of a folder."""
    return _write_manifest


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 3 videos of 7 s of each of 4 classes, with a manifest; not to be written to."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(3 * len(CLASSES)):
        category = CLASSES[number // 3]
        _make_video(folder / category / f"{category}_{number % 3}.mp4", sound=f"sine={200 + 50 * number}")
    _write_manifest(folder)
    return folder


@pytest.fixture
def site() -> Iterator[Site]:
    """A web site of one's own."""
    with open_site() as own:
        yield own


@pytest.fixture
def project(tiny_videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, the working directory from now on, with a copy of the tiny videos in data/videos."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_videos, tmp_path / "data/videos")
    return tmp_path


# --- A real browser, without a window


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """The machine's own Chromium, which reaches no network. Without one its tests are skipped, or, where
    AVSEP_NEEDS_BROWSER is set, as .ci/run does, they fail."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        word = "no Chromium on this machine: install Debian's package chromium, or set CHROMIUM to one's path"
        if os.environ.get("AVSEP_NEEDS_BROWSER"):
            pytest.fail(word)
        pytest.skip(word)
    from playwright.sync_api import sync_playwright  # here, since it takes a second

    words = [
        *("--no-sandbox", "--disable-gpu", "--no-first-run", "--mute-audio"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--autoplay-policy=no-user-gesture-required",
    ]
    with sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=found, args=words)
        yield own
        own.close()


@pytest.fixture
def browser_page(browser: "Browser", request: pytest.FixtureRequest) -> Iterator["Page"]:
    """An empty tab, 1400 pixels wide, or as wide as the test asks:

        @pytest.mark.parametrize("browser_page", [390, 1400], indirect=True)

    At the end the page's scripts must have raised nothing, and the page have asked nothing of another machine.
    """
    width = getattr(request, "param", 1400)
    context = browser.new_context(
        viewport={"width": width, "height": 900}, has_touch=width < 600, accept_downloads=True
    )
    page, faults = context.new_page(), list[str]()
    page.set_default_timeout(60_000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    near = ("file:", "data:", "blob:", "about:", "http://127.0.0.1:", "http://localhost:")
    page.on("request", lambda asked: None if asked.url.startswith(near) else faults.append(f"asks for {asked.url}"))
    yield page
    context.close()
    assert not faults

"""`avsep web`, clicked through in a real browser, with tiny random networks."""

import base64
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from avsep import Separator
from avsep.separating import video as whole
from avsep.web import app as pages
from avsep.web.desk import Desk, Limits
from tests.helpers.serving import served
from tests.helpers.trained import write_measured, write_trained

if TYPE_CHECKING:
    from playwright.sync_api import Frame, Page

ROOT = Path(__file__).parents[3]
MUTED = "[...document.querySelectorAll('audio')].map((one) => one.muted)"


def until(page: "Page | Frame", expression: str) -> None:
    """Playwright's own waiting evaluates text, which the page's policy refuses."""
    end = time.monotonic() + 60
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never: {expression}"
        time.sleep(0.05)


def answer(page: "Page", number: int) -> "Frame":
    """The page of an answer, when it is there."""
    place = page.locator("iframe").nth(number)
    place.wait_for(state="attached")
    frame = place.element_handle().content_frame()
    assert frame is not None
    frame.wait_for_url("**/index.html")
    return frame


pytestmark = pytest.mark.slow  # a browser and a server start


def look(self: whole.Separator, frames: list[object]) -> np.ndarray:
    """In a detector's place: two things, at the same places in all pictures."""
    boxes = [[1, 0.9, 2, 4, 30, 46], [2, 0.8, 34, 6, 60, 44]]
    return np.array([[number, *box] for number in range(1, len(frames) + 1) for box in boxes], np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_measured(write_trained(tmp_path_factory.mktemp("run") / "trained"))


@pytest.fixture(scope="module")
def address(trained: Path, tmp_path_factory: pytest.TempPathFactory, make_video: Callable[..., Path]) -> Iterator[str]:
    """Of the page, with one example."""
    folder = tmp_path_factory.mktemp("web")
    example = make_video(folder / "examples/example.mp4", seconds=2, sound="anoisesrc=a=0.2:r=44100:seed=1")
    (folder / "desk").mkdir()
    separator = Separator.from_pretrained(trained, look=True)
    desk = Desk(separator, separator, folder / "desk", Limits(bytes=500_000, seconds=12, kept=600))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whole.Separator, "look", look)
        with served(pages.make_app(desk, examples=[example])) as own:
            yield own
        desk.close()


@pytest.mark.parametrize("browser_page", [390, 1400], indirect=True)
def test_a_video_is_dropped_an_object_clicked_a_phrase_typed(
    browser_page: "Page", address: str, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    page = browser_page
    page.goto(address)
    video = make_video(tmp_path / "my <video>.mp4", seconds=4, sound="anoisesrc=a=0.2:r=44100:seed=1")
    dropped = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0)), given = new DataTransfer();
            given.items.add(new File([bytes], name));
            return given;
        }""",
        [video.name, base64.b64encode(video.read_bytes()).decode()],
    )
    page.dispatch_event("#drop", "drop", {"dataTransfer": dropped})
    page.wait_for_selector("#work:not([hidden]), iframe")
    frame = answer(page, 0)
    assert page.is_hidden("#wrong") and page.is_hidden("#work")
    until(frame, "document.querySelectorAll('#boxes rect').length === 2")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    until(page, "(({clientHeight, contentDocument}) => clientHeight >= contentDocument.body.scrollHeight)"
          "(document.querySelector('iframe'))")  # no bar of its own to scroll  # fmt: skip

    # an object is clicked: it alone is heard, and it plays
    assert frame.evaluate(MUTED).count(False) == 0
    frame.click("#boxes g:last-of-type rect")
    muted = frame.evaluate(MUTED)
    assert muted.count(False) == 1, "it alone"
    heard = "[...document.querySelectorAll('audio')].some((one) => !one.muted && !one.paused)"
    until(frame, f"by('clock').currentTime > 0.2 && {heard}")
    assert frame.locator(".track .drawn img").first.evaluate("(one) => one.naturalWidth > 10"), "its spectrogram"
    assert "sounds: " in (frame.text_content("#tracks") or ""), "its probability"
    frame.click("#look")
    assert frame.evaluate("by('looks').getContext('2d').getImageData(0, 0, 2, 1).data.length") == 8
    assert frame.is_visible("#looks")
    with page.expect_download() as downloaded:
        frame.click("a[href$='.wav'] >> nth=0")
    wave, rate = soundfile.read(downloaded.value.path())
    assert rate == 44100 and np.isfinite(wave).all() and len(wave) > 3 * rate

    # a phrase is typed
    page.fill("#phrase", "cello, a dog barks")
    page.click("#ask button")
    words = answer(page, 1)
    until(words, "document.querySelectorAll('.solo').length === 3")
    assert "a dog barks" in (words.text_content("#tracks") or "") and "%" in (words.text_content("#tracks") or "")
    assert page.locator("#tabs button").count() == 2 and page.locator("iframe:visible").count() == 1
    with page.expect_download() as downloaded:
        page.click("#tabs a")
    assert downloaded.value.suggested_filename == "my_video.zip"


@pytest.mark.parametrize("browser_page", [390, 1400], indirect=True)
def test_a_box_is_drawn_around_what_was_missed(browser_page: "Page", address: str) -> None:
    page = browser_page
    page.goto(address)
    assert page.is_hidden("#draw")
    page.click("#examples button")
    frame = answer(page, 0)
    until(frame, "by('clock').readyState > 1")
    frame.evaluate("by('clock').currentTime = 1.5")
    page.click("#draw summary")
    until(page, "by('still').readyState > 1 && !by('still').seeking && by('still').currentTime > 1.4")
    assert page.text_content("#second") == "1.5", "where the answer was looked at"

    # with a mouse or a finger, from any corner; a slip draws nothing
    page.locator("#film").scroll_into_view_if_needed()
    film = page.locator("#film").bounding_box()
    assert film and abs(film["width"] / film["height"] - 64 / 48) < 0.05
    left, top = film["x"], film["y"]
    across, down = film["width"] / 64, film["height"] / 48
    for start, end in (((40, 30), (40, 30)), ((62, 46), (50, 38)), ((4, 4), (500, 20))):
        page.mouse.move(left + start[0] * across, top + start[1] * down)
        page.mouse.down()
        page.mouse.move(left + end[0] * across, top + end[1] * down, steps=3)
        page.mouse.up()
    assert page.input_value("#corners") == "50,38,62,46@1.5 4,4,64,20@1.5"
    assert page.locator("#film rect").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    page.click("#back")
    assert page.locator("#film rect").count() == 1

    page.click("#places .main")
    boxed = answer(page, 1)
    assert "Box at 1.5 s" in (page.text_content("#tabs") or "") and page.get_attribute("#draw", "open") is None
    until(boxed, "document.querySelectorAll('#boxes rect').length === 3")
    assert boxed.evaluate("data.tracks[2].boxes[0]") == [50, 38, 62, 46]

    # with keys alone; what is no box is told
    page.focus("#draw summary")
    page.keyboard.press("Enter")
    for text, said in {"1,2,3": "1,2,3 is no box", "1,2,900,40": "has no area within the picture"}.items():
        page.fill("#corners", text)
        page.keyboard.press("Enter")
        until(page, f"by('wrong').textContent.includes({said!r})")
    page.fill("#corners", "2,4,20,30")
    page.keyboard.press("Enter")
    until(page, "by('tabs').textContent.includes('Box') && document.querySelectorAll('iframe').length === 3")
    assert page.is_hidden("#wrong")


def test_what_cannot_be_used_gets_words(
    browser_page: "Page", address: str, tmp_path: Path, make_video: Callable[..., Path]
) -> None:
    page = browser_page
    page.goto(address)
    (tmp_path / "bad.mp4").write_text("no video", encoding="utf-8")
    (tmp_path / "large.mp4").write_bytes(bytes(600_000))
    make_video(tmp_path / "long.mp4", seconds=14)
    for name, said in {
        "bad.mp4": "bad.mp4 cannot be used: unreadable",
        "large.mp4": "large.mp4 is too large: 1 MB of at most 0.5 MB",
        "long.mp4": "long.mp4 lasts 0.2 minutes: at most 0.2 are taken",
    }.items():
        page.set_input_files("#file", tmp_path / name)
        until(page, f"by('wrong').textContent.includes({said!r})")
        assert page.is_hidden("#work")
    soundfile.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(22050), 22050)
    page.set_input_files("#file", tmp_path / "song.wav")
    page.wait_for_selector("#ask:not([hidden])")
    page.fill("#phrase", "tuba")
    page.keyboard.press("Enter")
    page.wait_for_selector("iframe")
    assert page.is_hidden("#wrong")
    page.click("#examples button")
    until(page, "by('tabs').textContent.includes('What is seen')")
    assert page.locator("iframe").count() == 1


def test_the_command_serves_it_and_leaves_nothing(trained: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "avsep", "web", "--model", str(trained), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), line
    with urllib.request.urlopen(line.split()[1], timeout=60) as answer:
        assert "The sounds of a video" in answer.read().decode()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert not list(tmp_path.iterdir()), "what was brought is gone"

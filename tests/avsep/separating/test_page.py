"""The page of a separated video, clicked through in a real browser, from the disk."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from avsep import Separator
from avsep.separating import video as whole
from avsep.separating.page import Drawing
from tests.helpers.trained import write_trained

if TYPE_CHECKING:
    from playwright.sync_api import Page

MUTED = "[...document.querySelectorAll('audio')].map((one) => one.muted)"


def test_a_drawing_shows_a_tone_where_it_is() -> None:
    rate = 22050
    drawing = Drawing(rate, 3.0)
    seconds = np.arange(3 * rate) / rate
    wave = np.where(seconds >= 1.5, np.sin(2 * np.pi * 1000 * seconds), 0).astype(np.float32)
    for block in np.array_split(wave, 7):
        drawing.add(block)
    levels = drawing.decibels()
    rows, columns = levels.shape
    place = np.log(1000 / 40) / np.log(rate / 2 / 40) * rows
    assert abs(int(levels[:, columns * 3 // 4].argmax()) - place) < 2
    assert levels[:, : columns // 3].max() < -90 and levels[:, columns * 3 // 4].max() > 0


@pytest.mark.slow  # a browser starts
@pytest.mark.parametrize("browser_page", [390, 1400], indirect=True)
def test_the_page_is_clicked_through(
    browser_page: "Page", tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(self: whole.Separator, frames: list[object]) -> np.ndarray:
        boxes = [[1, 0.9, 2, 4, 30, 46], [2, 0.8, 34, 6, 60, 44]]
        return np.array([[number, *box] for number in range(1, len(frames) + 1) for box in boxes], np.float32)

    monkeypatch.setattr(whole.Separator, "look", look)
    video = make_video(tmp_path / "a <b> & 'c'.mp4", seconds=4, sound="anoisesrc=a=0.2:r=44100:seed=1")
    folder = tmp_path / "out"
    Separator.from_pretrained(write_trained(tmp_path / "trained")).write(video, folder, videos=False)
    page = browser_page
    page.goto((folder / "index.html").as_uri())
    assert page.text_content("h1") == "a <b> & 'c'.mp4"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    assert page.evaluate(MUTED) == [True] * 3 and not page.evaluate("by('clock').muted"), "the video's own sound"
    assert page.locator("#boxes rect").count() == 2
    page.click("#play")
    started = "by('clock').currentTime > 0.3 && [...document.querySelectorAll('audio')].every((one) => !one.paused)"
    page.wait_for_function(started)
    page.click("#boxes g:nth-of-type(1) rect")
    assert sorted(page.evaluate(MUTED)) == [False, True, True], "one is heard alone"
    assert page.evaluate("by('clock').muted"), "and not the video's own sound"
    assert not page.evaluate("by('clock').paused"), "and it plays on"
    page.keyboard.press("Digit2")
    assert page.evaluate(MUTED) == [True, False, True]
    page.keyboard.press("Digit1")
    assert page.evaluate(MUTED) == [False, True, True], "a solo, by its key"
    page.keyboard.press("Shift+Digit2")
    assert page.evaluate(MUTED) == [False, False, True], "a mix"
    page.keyboard.press("Digit2")
    page.keyboard.press("Digit2")
    assert page.evaluate(MUTED) == [True] * 3 and not page.evaluate("by('clock').muted"), "again: everything"
    page.keyboard.press("r")
    assert page.evaluate(MUTED) == [True, True, False]
    page.click(".track .drawn img >> nth=0")
    page.wait_for_function("Math.abs(by('clock').currentTime - 2) < 1.9")
    apart = "[...document.querySelectorAll('audio')].map((one) => Math.abs(one.currentTime - by('clock').currentTime))"
    page.wait_for_function(f"by('clock').paused || {apart}.every((one) => one < 0.2)")

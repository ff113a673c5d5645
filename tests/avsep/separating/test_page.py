"""The page of a separated video, clicked through in a real browser, from the disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avsep import Separator
from avsep.separating import video as whole
from avsep.separating.page import Drawing
from tests.helpers.browser import CHROMIUM, opened
from tests.helpers.trained import write_trained

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


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize("width", [390, 1400])
def test_the_page_is_clicked_through(
    width: int, tmp_path: Path, make_video: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(self: whole.Separator, frames: list[object]) -> np.ndarray:
        boxes = [[1, 0.9, 2, 4, 30, 46], [2, 0.8, 34, 6, 60, 44]]
        return np.array([[number, *box] for number in range(1, len(frames) + 1) for box in boxes], np.float32)

    monkeypatch.setattr(whole.Separator, "look", look)
    video = make_video(tmp_path / "a <b> & 'c'.mp4", seconds=4, sound="anoisesrc=a=0.2:r=44100:seed=1")
    folder = tmp_path / "out"
    Separator.from_pretrained(write_trained(tmp_path / "trained")).write(video, folder, videos=False)
    with opened(folder / "index.html", tmp_path / "profile", width) as tab:
        assert tab.value("document.querySelector('h1').textContent") == "a <b> & 'c'.mp4"
        assert tab.value("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
        assert tab.value(MUTED) == [True] * 3 and not tab.value("by('clock').muted"), "the video's own sound"
        assert tab.value("document.querySelectorAll('#boxes rect').length") == 2
        tab.click("#play")
        tab.wait("by('clock').currentTime > 0.3 && [...document.querySelectorAll('audio')].every((one) => !one.paused)")
        tab.click("#boxes g:nth-of-type(1) rect")
        alone = tab.value(MUTED)
        assert sorted(alone) == [False, True, True] and tab.value("by('clock').muted"), "one is heard alone"
        assert not tab.value("by('clock').paused"), "and it plays on"
        tab.press("2", "Digit2")
        assert tab.value(MUTED) == [True, False, True]
        tab.press("1", "Digit1", shift=True)
        assert tab.value(MUTED) == [False, False, True], "a mix"
        tab.press("2", "Digit2")
        tab.press("2", "Digit2")
        assert tab.value(MUTED) == [True] * 3 and not tab.value("by('clock').muted"), "again: everything"
        tab.press("r", "KeyR")
        assert tab.value(MUTED) == [True, True, False]
        tab.click(".track .drawn img")
        tab.wait("Math.abs(by('clock').currentTime - 2) < 1.9")
        apart = (
            "[...document.querySelectorAll('audio')].map((one) => Math.abs(one.currentTime - by('clock').currentTime))"
        )
        tab.wait(f"by('clock').paused || {apart}.every((one) => one < 0.2)")
        assert not tab.faults

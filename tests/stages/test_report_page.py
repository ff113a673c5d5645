"""The page in a real browser, from the disk: clicked, typed at, listened to."""

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from avsep.params.loading import load
from avsep.params.stages import ReportParams
from stages import report
from tests.helpers.report_inputs import write_inputs

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[2]
SAMPLES = 11025  # a second: long enough to switch while it plays
SHOWN = "[...document.querySelectorAll('.mixture')].filter((one) => !one.hidden).map((one) => one.id)"
SOUNDING = """[...document.querySelectorAll('audio')].filter((one) => !one.paused && !one.muted)
              .map((one) => one.getAttribute('aria-label'))"""
DRIFT = """(() => { const playing = [...document.querySelectorAll('audio')].filter((one) => !one.paused && !one.ended);
           const heard = playing.find((one) => !one.muted);
           return heard ? Math.max(...playing.map((one) => Math.abs(one.currentTime - heard.currentTime))) : 9; })()"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("page")
    write_inputs(root, ["cello", "flute", "tuba", "erhu", "<b>viola</b>"], mixtures=4, examples=3, samples=SAMPLES)
    with contextlib.chdir(root):
        report.main(load(ReportParams, ROOT / "params.yaml"))
    return root / "metrics/report/index.html"


def until(page: "Page", expression: str, seconds: float = 30) -> None:
    """Waits for JavaScript's `expression`; the browser's own way is eval, which the page forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never: {expression}; sounding: {page.evaluate(SOUNDING)}"
        page.wait_for_timeout(30)


def opened(page: "Page", index: Path, anchor: str = "") -> list[str]:
    """Opens the page from the disk; what its console tells of comes into the list."""
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("requestfailed", lambda request: told.append(f"failed: {request.url}"))
    page.goto(index.as_uri() + anchor)
    return told


@pytest.mark.parametrize("browser_page", [390, 1400], indirect=True)
def test_it_fits_is_heard_at_once_and_switches_while_it_plays(browser_page: "Page", index: Path) -> None:
    page = browser_page
    told = opened(page, index)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    play = page.locator("#first-player .play")
    place = play.bounding_box()
    assert place is not None and place["y"] + place["height"] < 900, "on the first screen"
    assert page.evaluate("[...document.querySelectorAll('audio')].every((one) => !one.readyState)"), "loaded on demand"

    play.click()
    until(page, f"{SOUNDING}.length === 1")
    assert page.evaluate(SOUNDING) == ["The first mixture, Mixture"]
    until(page, f"{DRIFT} < 0.05")
    page.evaluate("document.querySelectorAll('audio').forEach((one) => { one.loop = true; })")  # a busy machine is slow
    separated = page.locator("#first-player figure .choose", has_text="Separated").first
    separated.click()
    assert page.evaluate(SOUNDING) and page.evaluate(SOUNDING) != ["The first mixture, Mixture"], "at once"
    assert page.evaluate("document.querySelectorAll('#first-player audio').length") == 7
    assert separated.get_attribute("aria-pressed") == "true" and play.text_content() == "Pause"
    page.keyboard.press("r")
    assert page.evaluate(SOUNDING)[0].endswith(", True sound")
    page.keyboard.press("m")
    assert page.evaluate(SOUNDING) == ["The first mixture, Mixture"]
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Space")
    assert page.evaluate(SOUNDING) == [] and play.text_content() == "Play"

    # every part opened, at this width and in the dark
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing sticks out"
    small = page.evaluate(
        "[...document.querySelectorAll('button')].filter((one) => one.getBoundingClientRect().height < 38).length"
    )
    assert small == 0, "for a finger"
    assert not told


def test_mixtures_are_filtered_sorted_linked_and_played_by_keys(browser_page: "Page", index: Path) -> None:
    page = browser_page
    told = opened(page, index, "#mixture-1")
    until(page, "document.querySelector('#mixture-1').open")
    assert page.evaluate(SHOWN) == ["mixture-0", "mixture-1", "mixture-2"]

    nsdr = page.evaluate("[...document.querySelectorAll('.mixture')].map((one) => JSON.parse(one.dataset.nsdr))")
    worst = sorted(range(3), key=lambda number: nsdr[number]["cyclic"])
    page.locator("#by-system").select_option("cyclic")
    page.locator("#by-order").select_option("worst")
    assert page.evaluate(SHOWN) == [f"mixture-{number}" for number in worst]
    page.locator("#by-order").select_option("best")
    assert page.evaluate(SHOWN) == [f"mixture-{number}" for number in reversed(worst)]
    hidden = page.evaluate(
        "[...document.querySelectorAll('#mixture-1 .sound[hidden]')].map((one) => one.dataset.system)"
    )
    assert hidden and "cyclic" not in hidden and "" not in hidden, "the mixture and the true sound stay"
    limit = (nsdr[worst[0]]["cyclic"] + nsdr[worst[1]]["cyclic"]) / 2
    page.locator("#by-nsdr").fill(f"{limit:.2f}")
    assert page.evaluate(SHOWN) == [f"mixture-{worst[0]}"]
    assert page.locator("#shown").text_content() == "1 of 3 shown"
    page.evaluate(f"location.hash = '#mixture-{worst[2]}'")
    until(page, f"!document.querySelector('#mixture-{worst[2]}').hidden")
    assert len(page.evaluate(SHOWN)) == 3, "a link brings back what was filtered out"

    classes = page.evaluate("JSON.parse(document.querySelector('#mixture-0').dataset.classes)")
    page.locator("#by-class").select_option(classes[0])
    assert "mixture-0" in page.evaluate(SHOWN)
    assert all(
        classes[0] in page.evaluate(f"JSON.parse(document.querySelector('#{name}').dataset.classes)")
        for name in page.evaluate(SHOWN)
    )
    page.locator("#by-class").select_option("")
    page.locator("#by-system").select_option("")
    page.locator("#by-order").select_option("")

    page.locator("#mixture-1-A-player .play").click()
    until(page, f"{SOUNDING}.length === 1")
    page.keyboard.press("3")
    (third,) = page.evaluate(SOUNDING)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(SOUNDING) != [third]
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(SOUNDING) == [third]
    page.keyboard.press("n")
    until(page, f"{SOUNDING}.length === 1 && {SOUNDING}[0].startsWith('Mixture 2')")
    assert page.evaluate("document.querySelector('#mixture-2').open")
    until(page, "document.querySelectorAll('audio').length > 0 && document.querySelector('.deck.playing')")
    until(page, "document.querySelector('.deck.playing audio').currentTime > 0.2")
    page.locator("#repeat").focus()
    page.keyboard.press("l")
    until(page, f"{SOUNDING}.length === 0")  # it ends, and is not repeated
    until(page, "!document.querySelector('.deck.playing')")
    assert not told


def test_a_scenes_objects_are_heard_by_clicking_their_boxes(browser_page: "Page", index: Path) -> None:
    page = browser_page
    told = opened(page, index)
    page.locator("#scene-plain_00 .mark").first.click()
    until(page, f"{SOUNDING}.length === 1")
    (heard,) = page.evaluate(SOUNDING)
    page.locator("#scene-plain_00 .mark.missed").click()
    assert page.evaluate(SOUNDING) not in ([], [heard]), "of one that was missed, what it truly plays"
    assert not told


def test_without_its_sounds_the_page_says_what_is_missing(browser_page: "Page", index: Path, tmp_path: Path) -> None:
    alone = tmp_path / "index.html"
    alone.write_bytes(index.read_bytes())
    browser_page.goto(alone.as_uri())
    browser_page.locator("#first-player .play").click()
    until(browser_page, "document.querySelector('#first-player .time').textContent.startsWith('no sound')")

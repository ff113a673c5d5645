"""Downloads from a web site of the test's own, through yt-dlp: what is retried, what is final, what stops the run."""

import errno
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yt_dlp.utils import DownloadError, ExtractorError

from avsep.errors import InputError
from avsep.files.ledgers import Item, Ledger
from avsep.media.ffmpeg import ffmpeg, probe
from avsep.sources import download as module
from avsep.sources.download import COLUMNS, LEDGER, Failed, Refused, Settings, Unavailable, download, fetch
from tests.helpers.website import Site

ITEM = ("cello", "AAAAAAAAAAA")
NAMES = [f"{number:0>11}" for number in range(8)]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory, make_video: Callable[..., Path]) -> Path:
    return make_video(tmp_path_factory.mktemp("video") / "v.mp4", seconds=7)


def settings(site: Site, retries: int = 2) -> Settings:
    return Settings(url=site.url, height=360, rate=None, sleep=0.0, retries=retries, pause=0.001)


class Waits(list[float]):
    """Stands in for time.sleep between tries."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def test_a_video_comes_whole_and_nothing_else_stays(site: Site, video: Path) -> None:
    site.files[ITEM[1]] = video
    assert fetch(ITEM, settings(site)) == Path("data/downloads/arrived/cello/AAAAAAAAAAA.mp4")
    assert Path("data/downloads/arrived/cello/AAAAAAAAAAA.mp4").read_bytes() == video.read_bytes()
    assert not [path for path in Path("data").rglob("*") if path.is_file() and path.suffix != ".mp4"]


def test_a_busy_site_is_asked_again_after_pauses_that_double(site: Site, video: Path) -> None:
    site.files[ITEM[1]] = video
    site.answers[ITEM[1]] = [503, 503]
    waits = Waits()
    fetch(ITEM, settings(site)._replace(pause=5.0), waits)
    assert waits == [5.0, 10.0]
    assert module.back_off(5.0, 20) == module.LONGEST_PAUSE


def test_a_connection_that_breaks_is_taken_up_where_it_broke(site: Site, video: Path) -> None:
    site.files[ITEM[1]] = video
    site.answers[ITEM[1]] = [("cut", 9_000), ("cut", 20_000)]  # of the page, of the video
    path = fetch(ITEM, settings(site))
    assert path.read_bytes() == video.read_bytes()
    assert [int(asked[6:-1]) > 0 for _, asked in site.asked if asked] == [True], "from a later byte on"


def test_pictures_and_sound_that_come_apart_are_put_together(site: Site, video: Path, tmp_path: Path) -> None:
    """As YouTube has them: an index that names two streams, of which one is too high here."""
    folder = tmp_path / "dash"
    folder.mkdir()
    command = [ffmpeg(), "-loglevel", "error", "-i", str(video), "-map", "0:v", "-map", "0:v", "-map", "0:a"]
    command += ["-s:v:1", "640x480", "-c:v:0", "copy", "-f", "dash", "x.mpd"]
    subprocess.run(command, cwd=folder, check=True)
    site.files = {path.name: path for path in folder.iterdir()}
    asked = settings(site)._replace(url=site.url.replace("{id}", "x.mpd"))
    path = fetch(ITEM, asked)
    ends = probe(path)
    assert ends.pictures == pytest.approx(7, abs=0.1) and ends.sound == pytest.approx(7, abs=0.2)
    assert not [name for name in site.gets if "stream1" in name], "the higher one is left"


def test_a_page_that_is_not_there_is_final_and_asked_for_once(site: Site) -> None:
    waits = Waits()
    with pytest.raises(Unavailable, match="HTTP Error 404"):
        fetch(ITEM, settings(site), waits)
    assert site.gets[ITEM[1]] == 1 and waits == []
    assert not list(Path("data/downloads").rglob("*.part"))


def test_what_is_no_video_is_final(site: Site, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html><body>no video</body></html>")
    site.files[ITEM[1]] = page
    with pytest.raises(Unavailable):
        fetch(ITEM, settings(site))


def bring(site: Site, names: list[str], retries: int = 0, *, retry_unavailable: bool = False) -> list[Item]:
    with Ledger(LEDGER, COLUMNS) as ledger:
        items = [("cello", name) for name in names]
        return download(items, ledger, settings(site, retries), retry_unavailable=retry_unavailable, wait=Waits())


def states() -> dict[str, str]:
    with Ledger(LEDGER, COLUMNS) as ledger:
        return {name: entry.values["status"] for (_, name), entry in ledger.entries.items()}


def test_one_id_without_an_answer_does_not_stop_the_run_and_is_asked_again(site: Site, video: Path) -> None:
    site.files = dict.fromkeys(NAMES, video)
    del site.files[NAMES[2]]
    site.answers[NAMES[5]] = [503]
    bring(site, NAMES)
    assert [states()[name] for name in NAMES] == [
        *["available"] * 2, "unavailable", *["available"] * 2, "failed", *["available"] * 2
    ]  # fmt: skip
    site.asked.clear()
    assert [name for _, name in bring(site, NAMES)] == [NAMES[5]]
    assert set(site.gets) == {NAMES[5]}
    site.files[NAMES[2]] = video
    assert [name for _, name in bring(site, NAMES, retry_unavailable=True)] == [NAMES[2]]
    assert set(states().values()) == {"available"}


def test_many_in_a_row_stop_the_run_and_what_is_there_stays(site: Site, video: Path) -> None:
    site.files = dict.fromkeys(NAMES, video)
    site.answers = {name: [503] * 9 for name in NAMES[2:]}
    with pytest.raises(InputError, match=r"3 ids in a row could not be fetched, last 0+4: .*503.*what is there stays"):
        bring(site, NAMES)
    assert set(site.gets) == set(NAMES[:5]), "no more than these were asked for"
    site.answers = {}
    site.asked.clear()
    assert [name for _, name in bring(site, NAMES)] == [*NAMES[5:], *NAMES[2:5]], "those that failed come last"
    assert not {NAMES[0], NAMES[1]} & set(site.gets)


def test_ids_that_fail_each_time_do_not_keep_others_from_being_asked(site: Site, video: Path) -> None:
    site.files = dict.fromkeys(NAMES, video)
    failing = [NAMES[0], NAMES[2], NAMES[4]]
    site.answers = {name: [503] * 99 for name in failing}
    bring(site, NAMES[:6])
    site.asked.clear()
    assert [name for _, name in bring(site, NAMES)] == [*NAMES[6:], *failing]
    assert [name for name, state in states().items() if state == "failed"] == failing
    site.answers[NAMES[0]] = [429] * 9
    with pytest.raises(InputError, match="the site refuses"):
        bring(site, NAMES)


def test_a_site_that_refuses_is_left_alone_at_once(site: Site, video: Path) -> None:
    site.files = dict.fromkeys(NAMES, video)
    site.answers[NAMES[1]] = [429] * 9
    with pytest.raises(InputError, match=r"the site refuses, last 0+1: .*429"):
        bring(site, NAMES, retries=2)
    assert set(site.gets) == set(NAMES[:2]) and site.gets[NAMES[1]] == 1


def test_what_is_known_of_other_ids_stays(site: Site, video: Path) -> None:
    """A mistaken list has not cost the answers to the right one."""
    site.files = dict.fromkeys(NAMES[1:], video)
    bring(site, NAMES[:4])
    bring(site, NAMES[4:])
    site.asked.clear()
    assert bring(site, NAMES) == [] and site.asked == []


def test_another_height_asks_again(site: Site, video: Path) -> None:
    site.files = dict.fromkeys(NAMES, video)
    bring(site, NAMES)
    with Ledger(LEDGER, COLUMNS) as ledger:
        items = [("cello", name) for name in NAMES]
        assert len(download(items, ledger, settings(site)._replace(height=240))) == len(NAMES)


@pytest.mark.parametrize(
    ("words", "expected", "verdict"),
    [
        ("Private video. Sign in if you've been granted access to this video", True, Unavailable),
        ("Video unavailable. This video has been removed by the uploader", True, Unavailable),
        ("The uploader has not made this video available in your country", True, Unavailable),
        ("Sign in to confirm your age", True, Unavailable),
        ("Sign in to confirm you're not a bot", True, Refused),
        ("Video unavailable. This content isn't available, try again later. Rate-limited for an hour", True, Refused),
        ("Requested format is not available", True, Failed),
        ("Unable to extract title", False, Failed),  # yt-dlp no longer knows the site
    ],
)
def test_what_a_sites_words_mean(words: str, expected: bool, verdict: type[Exception]) -> None:
    raised = ExtractorError(words, expected=expected, video_id="AAAAAAAAAAA", ie="youtube")
    wrapped = DownloadError(f"ERROR: [youtube] AAAAAAAAAAA: {words}", (ExtractorError, raised, None))
    told = module._verdict(wrapped)
    assert type(told) is verdict and str(told) == words


def test_a_fault_of_yt_dlps_is_that_ids_alone(site: Site, video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files = dict.fromkeys(NAMES, video)
    work = module.YoutubeDL.extract_info

    def faulty(self: module.YoutubeDL, url: str, *others: Any, **more: Any) -> Any:
        if url.endswith(NAMES[1]):
            raise TypeError("'NoneType' object is not subscriptable")
        return work(self, url, *others, **more)

    monkeypatch.setattr(module.YoutubeDL, "extract_info", faulty)
    bring(site, NAMES[:3])
    assert list(states().values()) == ["available", "failed", "available"]


def test_a_full_disk_stops_the_run_in_one_line() -> None:
    wrapped = DownloadError("unable to write", (OSError, OSError(errno.ENOSPC, "No space left on device"), None))
    told = module._verdict(wrapped)
    assert isinstance(told, InputError) and "cannot be written: No space left on device" in str(told)

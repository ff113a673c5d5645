"""What the authors publish comes whole, is remembered, and is refused if it is another file: from a Drive-like site."""

import hashlib
import json
import logging
import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import torch

from avsep import fetch as fetching
from avsep.errors import InputError
from avsep.fetch import DRIVE, SOURCES, STAGING, Remote, Source, fetch
from avsep.published import CCOL_NETS, VAST_NETS, main
from tests.helpers import drive
from tests.helpers.website import Site, open_site

KEY = "1aBcDeFgHiJkLmNoPqRsTuVwXyZ_-0123"  # as long as Drive's
OTHER = KEY[::-1]
NAMES = ("sound_best.pth", "frame_best.pth")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with open_site() as own:
        drive.redirect(monkeypatch, own)
        yield own


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    return tmp_path / "pages"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "authors/vast"


def weights(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest() * 3000  # 96 kB


def zipped(path: Path, folder: str = "ckpt/MODEL_ID/", times: int = 1) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in NAMES:
            info = zipfile.ZipInfo(f"{folder}{name}")
            archive.writestr(info, weights(name) * times)
    return path.read_bytes()


def source(**changed: Any) -> Source:
    """One file on Drive, as VAST's."""
    given = {"title": "VAST's weights", "files": [Remote(f"{DRIVE}/file/d/{KEY}/view")], "holds": NAMES}
    return Source(**{**given, "then": "import {folder}", **changed})


def plain(site: Site) -> Source:
    """Files of a web site, as Sound of Pixels'."""
    return source(files=[Remote(site.url.format(id=f"release/{name}"), name) for name in NAMES])


def offer(site: Site, pages: Path) -> None:
    pages.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (pages / name).write_bytes(weights(name))
        site.files[f"release/{name}"] = pages / name


def ledger(out: Path) -> dict[str, Any]:
    return dict(json.loads((out.parent / "published.json").read_text()))


def test_the_links_are_the_authors() -> None:
    assert SOURCES["ccol"].holds == tuple(f"{net}_best.pth" for net in CCOL_NETS)
    assert SOURCES["vast"].holds == tuple(f"{net}_best.pth" for net in VAST_NETS)
    for one in SOURCES.values():
        assert "{folder}" in one.then
        for link in [one.folder] if one.folder else [remote.link for remote in one.files]:
            assert re.match(r"https://drive\.google\.com/|http://sound-of-pixels\.csail\.mit\.edu/release/", link or "")


@pytest.mark.parametrize("confirm", [False, True])
def test_an_archive_comes_from_drive_and_is_unpacked(
    site: Site, pages: Path, out: Path, confirm: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    content = zipped(pages / "x.zip")
    drive.put_file(site, pages, KEY, "ckpt.zip", content, confirm)
    found = fetch(source(), "vast", out, retries=0)
    assert found == out / "ckpt/MODEL_ID"
    assert {p.name: p.read_bytes() for p in found.iterdir()} == {name: weights(name) for name in NAMES}
    assert [p.name for p in out.iterdir()] == ["ckpt"], "neither the archive nor anything on its way stays"
    known = ledger(out)["vast"]
    hashes = {name: hashlib.sha256(weights(name)).hexdigest() for name in NAMES}
    hashes[f"{DRIVE}/file/d/{KEY}/view"] = hashlib.sha256(content).hexdigest()
    assert {name: entry["sha256"] for name, entry in known.items()} == hashes
    assert f"{len(content):,} bytes, SHA-256 {hashlib.sha256(content).hexdigest()}" in caplog.text
    assert f"{DRIVE}/file/d/{KEY}/view" in caplog.text and f"next: import {found}" in caplog.text


def test_what_is_there_is_not_asked_for_again(site: Site, pages: Path, out: Path) -> None:
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    fetch(source(), "vast", out)
    asked, before = len(site.asked), (out.parent / "published.json").read_bytes()
    fetch(source(), "vast", out)
    assert len(site.asked) == asked and (out.parent / "published.json").read_bytes() == before


def test_another_file_is_refused_later_in_a_line(site: Site, pages: Path, out: Path) -> None:
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    fetch(source(), "vast", out)
    moved = out.rename(out.parent / "old")
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip", folder="other/"))
    for _ in range(2):
        with pytest.raises(
            InputError, match=r"what came first had .*: another file; if you trust it, remove http"
        ) as told:
            fetch(source(), "vast", out)
        assert len(str(told.value).splitlines()) == 1
        assert not [p for p in out.rglob("*") if p.is_file()]
    moved_weights = moved / "ckpt/MODEL_ID/sound_best.pth"
    moved_weights.write_bytes(b"\x80changed")
    with pytest.raises(InputError, match=r"sound_best\.pth has the SHA-256 .*: another file"):
        fetch(source(), "vast", moved)


def test_what_was_cut_off_goes_on(site: Site, pages: Path, out: Path) -> None:
    content = zipped(pages / "x.zip", times=8)
    at = drive.put_file(site, pages, KEY, "ckpt.zip", content)
    site.answers[at] = [("cut", 1_200_000)]
    with pytest.raises(InputError, match=r"did not come from .*incomplete"):
        fetch(source(), "vast", out, retries=0)
    assert not list(out.glob("*.zip")) and len(list((out / STAGING).rglob("*.part"))) == 1
    fetch(source(), "vast", out, retries=0)
    assert [range for name, range in site.asked if range] == [f"bytes={1 << 20}-"], "gdown keeps whole blocks"
    assert ledger(out)["vast"][f"{DRIVE}/file/d/{KEY}/view"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_part_that_was_whole_is_begun_anew(site: Site, pages: Path, out: Path) -> None:
    content = zipped(pages / "x.zip")
    at = drive.put_file(site, pages, KEY, "ckpt.zip", content)
    site.answers[at] = [("cut", 40_000)]
    with pytest.raises(InputError):
        fetch(source(), "vast", out, retries=0)
    (part,) = (out / STAGING).rglob("*.part")
    part.write_bytes(content)  # a kill before it got its name
    fetch(source(), "vast", out, retries=0)
    assert (out / "ckpt/MODEL_ID/sound_best.pth").read_bytes() == weights("sound_best.pth")


QUOTA = '<html><p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently.</p></html>'


@pytest.mark.parametrize(
    ("page", "told"),
    [
        (QUOTA, r"\(Too many users have viewed or downloaded this file recently\): try again later, or open that"),
        ("<html><body>Sign in</body></html>", r"\(Cannot retrieve the public link of the file"),
        (None, r"\(Cannot retrieve the public link of the file"),
    ],
)
def test_drives_refusals_are_told_with_what_to_do(
    site: Site, pages: Path, out: Path, page: str | None, told: str
) -> None:
    if page is not None:
        drive.put_page(site, pages, f"drive.google.com/uc?id={KEY}", page)
    with pytest.raises(InputError, match=told) as error:
        fetch(source(), "vast", out, retries=0)
    text = str(error.value)
    assert len(text.splitlines()) == 1 and f"/file/d/{KEY}/view" in text and f"into {out}, and run this again" in text
    assert not (out.parent / "published.json").exists()


def test_a_site_that_is_not_there_is_told(site: Site, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object, **__: object) -> None:
        raise requests.ConnectionError("no route\nto host")

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", down)
    for one in (source(), plain(site), SOURCES["ccol-data"]):
        with pytest.raises(InputError, match=r"did not come from .* \(no route to host\): try again later"):
            fetch(one, "x", out, retries=0)


def test_files_of_a_web_site_come_under_their_names(site: Site, pages: Path, out: Path) -> None:
    offer(site, pages)
    assert fetch(plain(site), "pixels", out) == out
    assert {p.name: p.read_bytes() for p in out.iterdir()} == {name: weights(name) for name in NAMES}
    (out / "frame_best.pth").unlink()
    fetch(plain(site), "pixels", out)
    assert site.gets == {"release/sound_best.pth": 1, "release/frame_best.pth": 2}, "the other one was there"


def test_a_missing_file_leaves_the_others_and_a_line(site: Site, pages: Path, out: Path) -> None:
    offer(site, pages)
    del site.files["release/frame_best.pth"]
    with pytest.raises(InputError, match=r"did not come from http.*frame_best\.pth \(404 Client Error"):
        fetch(plain(site), "pixels", out, retries=0)
    assert [p.name for p in out.iterdir() if p.is_file()] == ["sound_best.pth"]


@pytest.mark.parametrize("page", ["<!DOCTYPE html><html>log in to the network</html>", "  <HTML>", ""])
def test_a_web_page_is_no_file(site: Site, pages: Path, out: Path, page: str) -> None:
    offer(site, pages)
    (pages / "sound_best.pth").write_text(page)
    for _ in range(2):
        with pytest.raises(InputError, match=r"\((a web page came|it is empty)\): try again later"):
            fetch(plain(site), "pixels", out)
    assert not (out / "sound_best.pth").exists() and not (out.parent / "published.json").exists()


def test_what_was_fetched_by_hand_is_recognised(site: Site, pages: Path, out: Path) -> None:
    zipped(out / "from my browser.zip")
    assert fetch(source(), "vast", out) == out / "ckpt/MODEL_ID"
    assert not site.asked and (out / "from my browser.zip").exists(), "the user's file stays"
    assert set(ledger(out)["vast"]) == {"from my browser.zip", *NAMES}
    before = (out.parent / "published.json").read_bytes()
    fetch(source(), "vast", out)
    assert (out.parent / "published.json").read_bytes() == before
    (out / "ckpt/MODEL_ID/sound_best.pth").rename(out / "sound_best.pth")
    (out / "ckpt/MODEL_ID/frame_best.pth").rename(out / "frame_best.pth")
    assert fetch(source(), "vast", out) == out and not site.asked, "in whatever folder"


def test_by_hand_too_another_file_is_refused(site: Site, pages: Path, out: Path) -> None:
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    fetch(source(), "vast", out)
    elsewhere = out.parent / "vast2"
    zipped(elsewhere / "ckpt.zip", folder="other/")
    with pytest.raises(InputError, match=r"ckpt\.zip has the SHA-256 .*: another file"):
        fetch(source(), "vast", elsewhere)


def test_weights_in_one_file_of_torchs_are_not_unpacked(site: Site, pages: Path, out: Path, tmp_path: Path) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "whole.pth")
    drive.put_file(site, pages, KEY, "whole.pth", (tmp_path / "whole.pth").read_bytes())
    for _ in range(2):
        with pytest.raises(InputError, match=r"no folder in it holds sound_best\.pth, frame_best\.pth: put what came"):
            fetch(source(), "vast", out)
    assert [p.name for p in out.iterdir()] == ["whole.pth"]
    assert site.gets[f"drive.google.com/uc?id={KEY}"] == 1, "it is there, and not asked for again"


def test_an_archive_that_leads_out_is_refused(site: Site, pages: Path, out: Path) -> None:
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip", folder="../"))
    with pytest.raises(InputError, match="is no path inside"):
        fetch(source(), "vast", out)
    assert not list(out.rglob("*.pth")) and not list(out.parent.glob("*.pth"))
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    with pytest.raises(InputError, match="holds more than the 1,000 bytes that such an archive should hold"):
        fetch(source(most_bytes=1000), "vast", out.parent / "small")


def test_nothing_of_the_users_is_replaced(site: Site, pages: Path, out: Path) -> None:
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    own = out / "ckpt/MODEL_ID/sound_best.pth"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"the user's")
    with pytest.raises(InputError, match=r"holds ckpt/MODEL_ID/sound_best\.pth, and another one is in"):
        fetch(source(), "vast", out)
    assert own.read_bytes() == b"the user's" and not (own.parent / "frame_best.pth").exists()


# --- A folder of Drive's: CCoL's frames and detections

FOLDER = "1FoLdEr_of-frames-and-detections1"
INNER = "1FoLdEr_of-frames-and-detections2"
BOXES = {"detection_results/flute/a.mp4.npy": b"\x93NUMPY boxes"}
FRAMES = {"frames/flute/a.mp4/000001.jpg": b"\xff\xd8 one", "frames/flute/a.mp4/000002.jpg": b"\xff\xd8 two"}


def of_frames() -> Source:
    return source(
        title="Frames", files=[], holds=("frames", "detection_results"), folder=f"{DRIVE}/drive/folders/{FOLDER}"
    )


def put_frames(site: Site, pages: Path) -> None:
    """An archive of frames, and the detections file by file in folders."""
    pages.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(pages / "frames.zip", "w") as archive:
        for name, content in FRAMES.items():
            archive.writestr(name, content)
    drive.put_file(site, pages, KEY, "frames.zip", (pages / "frames.zip").read_bytes())
    drive.put_file(site, pages, OTHER, "a.mp4.npy", BOXES["detection_results/flute/a.mp4.npy"])
    drive.put_folder(site, pages, FOLDER, {"frames.zip": KEY}, {"detection_results": INNER})
    drive.put_folder(site, pages, INNER, {}, {"flute": INNER[::-1]}, "detection_results")
    drive.put_folder(site, pages, INNER[::-1], {"a.mp4.npy": OTHER}, title="flute")


def held(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_comes_with_its_folders(site: Site, pages: Path, out: Path) -> None:
    put_frames(site, pages)
    assert fetch(of_frames(), "ccol-data", out) == out
    assert held(out) == {**FRAMES, **BOXES}
    asked = dict(site.gets)
    fetch(of_frames(), "ccol-data", out)
    assert {name for name, n in site.gets.items() if n > asked[name]} == {n for n in asked if "embeddedfolderview" in n}


def test_a_folder_that_came_in_part_goes_on(site: Site, pages: Path, out: Path) -> None:
    put_frames(site, pages)
    lacking = site.files.pop(f"drive.google.com/uc?id={OTHER}")
    with pytest.raises(InputError, match="did not come from"):
        fetch(of_frames(), "ccol-data", out, retries=0)
    site.files[f"drive.google.com/uc?id={OTHER}"] = lacking
    fetch(of_frames(), "ccol-data", out, retries=0)
    assert held(out) == {**FRAMES, **BOXES} and site.gets[f"drive.google.com/uc?id={KEY}"] == 1


def test_frames_by_hand_need_no_network(site: Site, out: Path) -> None:
    for name, content in {**FRAMES, **BOXES}.items():
        place = out / "Music" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    assert fetch(of_frames(), "ccol-data", out) == out / "Music" and not site.asked


def test_names_in_a_folder_lead_nowhere_else(site: Site, pages: Path, out: Path) -> None:
    drive.put_folder(site, pages, FOLDER, {"..": KEY, "a/../../b": OTHER})
    drive.put_file(site, pages, KEY, "x", b"\x801")
    drive.put_file(site, pages, OTHER, "x", b"\x802")
    with pytest.raises(InputError, match="no folder in it holds"):
        fetch(of_frames(), "ccol-data", out)
    assert not [p for p in out.parent.iterdir() if p.name not in (out.name, "published.json")]
    drive.put_folder(site, pages, FOLDER, {})
    with pytest.raises(InputError, match="the folder is empty, or its page has changed"):
        fetch(of_frames(), "ccol-data", out)


# --- The command


def test_the_command_fetches(site: Site, pages: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "vast", source())
    drive.put_file(site, pages, KEY, "ckpt.zip", zipped(pages / "x.zip"))
    main(["fetch", "vast", str(out)])
    assert (out / "ckpt/MODEL_ID/sound_best.pth").is_file()
    (out.parent / "published.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"^error: .*published\.json holds no hashes that can be read"):
        main(["fetch", "vast", str(out)])
    with pytest.raises(SystemExit, match="is no folder"):
        main(["fetch", "vast", str(out.parent / "published.json")])


def test_without_gdown_the_line_says_what_to_install(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    with pytest.raises(InputError, match=r"gdown is not installed: pip install -r requirements\.txt"):
        fetch(source(), "vast", out)


def test_a_terminal_gets_a_bar_and_a_file_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(fetching, "TOLD_EVERY", 0.0)
    lines = fetching._Lines()
    lines(1_500_000, 3_000_000)
    lines(2_000_000, None)
    assert caplog.messages == ["1.5 MB of 3.0 MB", "2.0 MB"]

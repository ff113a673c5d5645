from pathlib import Path

import pytest

from avsep.clips.index import (
    OBJECTS,
    PAIRS,
    SILENT,
    SOUNDING,
    Mixture,
    Video,
    read_index,
    read_mixtures,
    video,
    write_index,
    write_mixtures,
)
from avsep.errors import InputError
from tests.helpers.factories import write_archive

CLASSES = ("cello", "flute", "trumpet", "tuba")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def videos(root: Path) -> list[Video]:
    """One video of 24 frames for each class, as extract leaves it: an empty sound, frames that are no pictures."""
    made = [video(root, category, f"{category}_a.b", 24) for category in CLASSES]
    for one in made:
        one.audio.parent.mkdir(parents=True)
        one.audio.touch()
        one.frames.parent.mkdir(parents=True)
        write_archive(one.frames, {f"{number:06d}.jpg": b"" for number in range(1, 25)})
    return made


def test_what_is_written_is_read(root: Path, videos: list[Video]) -> None:
    write_index(root / "train.csv", videos)
    assert (root / "train.csv").read_text().splitlines()[0] == "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24"
    assert read_index(root / "train.csv", root) == videos
    assert videos[0].name == "cello/cello_a.b"
    assert videos[0].detections == root / "detection_results/cello/cello_a.b.mp4.npy"


@pytest.mark.parametrize(
    "row",
    [
        "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24",
        "./data/audio/cello/cello_a.b.wav,./data/frames/cello/cello_a.b.mp4,24",
        "  /cello/cello_a.b.wav ,\t/cello/cello_a.b.mp4, 24 \r",  # hazard 1
        '"/cello/cello_a.b.wav", "/cello/cello_a.b.mp4", 24',
        "\ufeff/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24\n\n",
    ],
)
def test_forms_met_in_the_wild(root: Path, videos: list[Video], row: str) -> None:
    (root / "train.csv").write_text(row + "\n", encoding="utf-8")
    assert read_index(root / "train.csv", root) == videos[:1]


def test_sound_of_another_format(root: Path, videos: list[Video]) -> None:
    videos[0].audio.rename(videos[0].audio.with_suffix(".mp3"))
    (root / "train.csv").write_text("./data/audio/cello/cello_a.b.mp3,./data/frames/cello/cello_a.b.mp4,24\n")
    assert read_index(root / "train.csv", root)[0].audio.suffix == ".mp3"


BAD_ROWS = {
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4": "2 fields",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24,1": "4 fields",
    "audio;frames;number": "1 fields",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,many": "'many' is no number",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,0": "'0' is no number",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,-3": "'-3' is no number",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,2.5": "'2.5' is no number",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4,25": r"cello_a\.b\.mp4\.zip holds 24 frames, not 25",
    "/cello/cello_a.b.wav,/cello/cello_a.b.mp4.zip,24": "not of one video",
    "/cello/gone.wav,/cello/gone.mp4,24": r"gone\.wav is missing",
    "/cello/cello_a.b.wav,/flute/flute_a.b.mp4,24": "not of one video",
    "/../cello.wav,/cello/cello_a.b.mp4,24": "no path inside",
    "/cello/..,/cello/cello_a.b.mp4,24": "no path inside",
    "../data/audio/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24": "no path of the form",
    "/etc/ssl/private/key,/cello/cello_a.b.mp4,24": "no path of the form",
    "//etc/passwd,/cello/cello_a.b.mp4,24": "no path of the form",
    "cello_a.b.wav,/cello/cello_a.b.mp4,24": "no path of the form",
    ",,": "no path of the form",
    '"/cello/cello_a.b.wav,/cello/cello_a.b.mp4,24': "no CSV file",
}


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_row_is_named(root: Path, videos: list[Video], row: str) -> None:
    write_index(root / "train.csv", videos[1:])
    text = (root / "train.csv").read_text()
    (root / "train.csv").write_text(text + row + "\n")
    where = "train.csv" if "no CSV" in BAD_ROWS[row] else "train.csv line 4"
    with pytest.raises(InputError, match=f"{where}.*{BAD_ROWS[row]}"):
        read_index(root / "train.csv", root)


def test_bad_lists(root: Path, videos: list[Video]) -> None:
    with pytest.raises(InputError, match="is missing"):
        read_index(root / "train.csv", root)
    (root / "train.csv").write_text("\n")
    with pytest.raises(InputError, match="has no rows"):
        read_index(root / "train.csv", root)
    (root / "train.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="no list that can be read"):
        read_index(root / "train.csv", root)
    write_index(root / "train.csv", [*videos, videos[1]])
    with pytest.raises(InputError, match=r"line 5: flute/flute_a\.b is listed already at .* line 2"):
        read_index(root / "train.csv", root)


def test_mixtures_written_and_read(root: Path, videos: list[Video]) -> None:
    mixtures = [Mixture(*videos), Mixture(*videos[::-1])]
    write_mixtures(root / "test_sep.csv", mixtures)
    assert read_mixtures(root / "test_sep.csv", videos, root) == mixtures
    assert (root / "test_sep.csv").read_text().startswith("/cello/cello_a.b.wav,/flute/flute_a.b.wav,/trumpet/")


@pytest.mark.parametrize(
    ("row", "match"),
    [
        ("/cello/cello_a.b.wav,/flute/flute_a.b.wav,/trumpet/trumpet_a.b.wav", "3 fields"),
        ("/cello/cello_a.b.wav,/flute/flute_a.b.wav,/trumpet/trumpet_a.b.wav,/tuba/x.wav", "no video of this split"),
        (",".join(["/cello/cello_a.b.wav", "/flute/flute_a.b.wav"] * 2), "four different classes"),
    ],
)
def test_bad_mixtures(root: Path, videos: list[Video], row: str, match: str) -> None:
    (root / "test_sep.csv").write_text(row + "\n")
    with pytest.raises(InputError, match=f"test_sep.csv line 1: .*{match}"):
        read_mixtures(root / "test_sep.csv", videos, root)


def test_the_roles_are_consistent() -> None:
    assert sorted(SOUNDING + SILENT) == sorted(OBJECTS) == sorted(name for pair in PAIRS for name in pair)
    assert all(first in SOUNDING and second in SILENT for first, second in PAIRS)

"""Open Images' boxes: which are kept, under which names, and what is told of the rest."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avsep.errors import InputError
from avsep.media import annotations
from avsep.media.annotations import DESCRIPTIONS, TRAIN, VALIDATION, OpenImages, read_open_images, read_picture

CELLO, GUITAR, HORN, DOG = "/m/01xqw", "/m/0342h", "/m/0319l", "/m/0bt9lr"
NAMES = f"LabelName,DisplayName\n{CELLO},Cello\n{GUITAR},Guitar\n{HORN},French horn\n{DOG},Dog\n"
HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
CLICKS = ",XClick1X,XClick2X,XClick3X,XClick4X,XClick1Y,XClick2Y,XClick3Y,XClick4Y"  # of the training table alone
CLASSES = ["erhu", "acoustic_guitar", "cello"]
CALLED = {"acoustic_guitar": "Guitar"}


def row(image: str, label: str, box: tuple[float, float, float, float], group: int = 0, clicks: str = "") -> str:
    """A box x1, y1, x2, y2."""
    x1, y1, x2, y2 = box
    return f"{image},xclick,{label},1,{x1},{x2},{y1},{y2},0,0,{group},0,0{clicks}"


def write(folder: Path, train: list[str], validation: list[str], pictures: list[str]) -> Path:
    (folder / "images").mkdir(parents=True)
    (folder / DESCRIPTIONS).write_text(NAMES)
    (folder / TRAIN).write_text("\n".join([HEADER + CLICKS, *(line + 8 * ",0.5" for line in train)]) + "\n")
    (folder / VALIDATION).write_text("\n".join([HEADER, *validation]) + "\n")
    for name in pictures:
        Image.new("RGB", (8, 6)).save(folder / f"images/{name}.jpg")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    train = [
        row("00b", GUITAR, (0.25, 0.5, 0.75, 1)),
        row("00a", DOG, (0, 0, 1, 1)),
        row("00b", CELLO, (0, 0, 0.5, 0.25)),
        row("1e5", CELLO, (0.1, 0.1, 0.2, 0.2)),  # a number, to some readers of tables
        row("00c", CELLO, (0, 0, 1, 1), group=1),
        row("00b", CELLO, (0.5, 0.5, 0.5, 0.9)),
        row("00d", CELLO, (0.5, 0.5, 0.9, 0.9), group=-1),  # -1: nobody has looked whether it is a group
        row("gone", GUITAR, (0, 0, 1, 1)),
    ]
    validation = [row("0ff", GUITAR, (0, 0, 1, 0.5))]
    return write(tmp_path, train, validation, ["00a", "00b", "1e5", "00c", "00d", "0ff"])


def test_boxes_of_the_classes_alone_are_kept(folder: Path) -> None:
    found = read_open_images(folder, CLASSES, CALLED)
    assert (found.classes, found.unknown) == (["acoustic_guitar", "cello"], ["erhu"])
    assert [one.path.name for one in found.train.pictures] == ["00b.jpg", "00d.jpg", "1e5.jpg"]
    both = found.train.pictures[0]
    assert both.labels.tolist() == [1, 2]
    np.testing.assert_array_equal(both.boxes, [[0.25, 0.5, 0.75, 1], [0, 0, 0.5, 0.25]])
    assert (found.train.groups, found.train.flat) == (1, 1)
    assert found.boxes() == {"acoustic_guitar": 1, "cello": 3}
    (seen,) = found.validation.pictures
    assert seen.labels.tolist() == [1] and seen.path == folder / "images/0ff.jpg"


def test_missing_pictures_are_listed_as_the_downloader_takes_them(folder: Path) -> None:
    (folder / "images/0ff.jpg").unlink()
    found = read_open_images(folder, CLASSES, CALLED)
    assert found.missing == ["train/gone", "validation/0ff"] and found.missing_share == 2 / 5


def test_pieces_of_any_size_give_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(found: OpenImages) -> list[tuple[str, list, list]]:
        return [(one.path.name, one.boxes.tolist(), one.labels.tolist()) for one in found.train.pictures]

    whole = plain(read_open_images(folder, CLASSES, CALLED))
    monkeypatch.setattr(annotations, "ROWS", 2)
    assert plain(read_open_images(folder, CLASSES, CALLED)) == whole


def test_memory_holds_the_boxes_kept_and_no_whole_table(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 100_000
    with (folder / TRAIN).open("a") as file:
        file.writelines(row(f"{number:016x}", DOG, (0, 0, 1, 1)) + 8 * ",0.5" + "\n" for number in range(rows))

    def peak(piece: int) -> int:
        monkeypatch.setattr(annotations, "ROWS", piece)
        tracemalloc.start()
        read_open_images(folder, CLASSES, CALLED)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(2_000) < peak(rows) / 4


def test_descriptions_without_a_header_and_other_classes_by_name(folder: Path) -> None:
    (folder / DESCRIPTIONS).write_text(NAMES.split("\n", 1)[1])
    found = read_open_images(folder, ["Cello", "horn"], {"horn": "french HORN"})
    assert found.classes == ["Cello", "horn"] and found.boxes() == {"Cello": 3, "horn": 0}
    with pytest.raises(InputError, match=r"class-descriptions-boxable\.csv has none of erhu, tuba: name others"):
        read_open_images(folder, ["erhu", "tuba"], {})


@pytest.mark.parametrize(
    ("line", "message"),
    {
        "../../etc,xclick,/m/01xqw,1,0,1,0,1,0,0,0,0,0": r"a picture '\.\./\.\./etc': an ImageID is letters and digits",
        "00b,xclick,/m/01xqw,1,0,1.5,0,1,0,0,0,0,0": r"a box of '00b' is not within 0 to 1",
        "00b,xclick,/m/01xqw,1,0,nan,0,1,0,0,0,0,0": r"is no table of boxes as Open Images publishes them",
        "00b,xclick,/m/01xqw,1,0,wide,0,1,0,0,0,0,0": r"is no table of boxes as Open Images publishes them",
        "00b,xclick,/m/01xqw,1,0,1,0,1,0,0,,0,0": r"is no table of boxes as Open Images publishes them",
    }.items(),
)
def test_a_line_that_is_not_as_published_is_refused(line: str, message: str, folder: Path) -> None:
    with (folder / VALIDATION).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        read_open_images(folder, CLASSES, CALLED)
    assert VALIDATION in str(caught.value)


def test_files_that_are_missing_or_others_are_refused(folder: Path) -> None:
    (folder / TRAIN).write_text("ImageID,LabelName\n00b,/m/01xqw\n")
    with pytest.raises(InputError, match="is no table of boxes"):
        read_open_images(folder, CLASSES, CALLED)
    (folder / TRAIN).unlink()
    with pytest.raises(InputError, match=r"oidv6-train-annotations-bbox\.csv is missing"):
        read_open_images(folder, CLASSES, CALLED)
    (folder / "images").rename(folder / "pictures")
    with pytest.raises(InputError, match=r"images is missing: it is for the pictures"):
        read_open_images(folder, CLASSES, CALLED)
    (folder / DESCRIPTIONS).write_text("/m/01xqw,Cello,and more\n")
    with pytest.raises(InputError, match=r"each line is LabelName,DisplayName"):
        read_open_images(folder, CLASSES, CALLED)
    (folder / DESCRIPTIONS).unlink()
    with pytest.raises(InputError, match=r"oidv7-class-descriptions-boxable\.csv is missing"):
        read_open_images(folder, CLASSES, CALLED)


def test_a_picture_that_is_none_is_told(tmp_path: Path) -> None:
    Image.new("L", (8, 6)).save(tmp_path / "grey.jpg")
    assert read_picture(tmp_path / "grey.jpg").mode == "RGB"
    (tmp_path / "page.jpg").write_text("<html>not found</html>")
    with pytest.raises(InputError, match=r"page\.jpg is no picture that can be read .*: download it again"):
        read_picture(tmp_path / "page.jpg")

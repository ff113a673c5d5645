"""The published lists, with names that are made up: CCoL's shape, the forms met in the wild, and faults."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from avsep.errors import InputError
from avsep.sources.published import FILES, SPLITS, find_lists, keep_lists, read_lists

CLASSES = ("accordion", "cello", "flute", "tuba")
LISTS = {
    **{f"{split}.csv": "".join(f"/{c}/-{split}.wav,/{c}/-{split}.mp4,24\n" for c in CLASSES) for split in SPLITS},
    "test_sep.csv": ", ".join(f"/{c}/-test.wav" for c in CLASSES) + "\n",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def ccol_like(folder: Path) -> None:
    """Lists of CCoL's shape: 468, 52 and 26 videos of 11 classes, two and 24 of test's in the others, 260 mixtures; and
    the two lists of mixtures that it has beside."""
    classes = [f"class_{number}" for number in range(11)]
    names = [f"/{classes[number % 11]}/-{number:010d}" for number in range(468 + 52)]
    splits = {"train": names[:468], "val": names[468:], "test": [*names[468:492], *names[:2]]}
    for split, members in splits.items():
        text = "\n".join(f"{name}.wav,{name}.mp4,{20 + number}" for number, name in enumerate(members))
        (folder / f"{split}.csv").write_text(
            text if split == "test" else text + "\n"
        )  # as theirs: without a line's end
    random = np.random.default_rng(0)
    drawn = (random.permutation(splits["test"]).tolist() for _ in itertools.count())
    four = [row for row in itertools.islice(drawn, 2000) if len({name.split("/")[1] for name in row[:4]}) == 4]
    (folder / "test_sep.csv").write_text("".join(", ".join(f"{n}.wav" for n in row[:4]) + "\n" for row in four[:260]))
    for name in ("train_sep.csv", "val_sep.csv"):
        (folder / name).write_text("/class_0/a.wav, /class_0/b.wav, /class_1/c.wav\n")


def test_lists_of_ccols_shape_are_read(tmp_path: Path) -> None:
    ccol_like(tmp_path)
    lists = read_lists(find_lists(tmp_path, "here"))
    assert {split: len(rows) for split, rows in lists.videos.items()} == {"train": 468, "val": 52, "test": 26}
    assert len(lists.mixtures) == 260 and len(lists.keys()) == 520
    keys = {split: {row.key for row in rows} for split, rows in lists.videos.items()}
    assert len(keys["test"] & keys["val"]) == 24 and len(keys["test"] & keys["train"]) == 2
    assert lists.videos["test"][-1].line == 26 and lists.videos["test"][-1].key == ("class_1", "-0000000001")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize(
    ("row", "mixture"),
    [
        ("/{0}/x.wav,/{0}/x.mp4,24", "/{0}/x.wav"),
        ("/{0}/x.mp3, /{0}/x.mp4, 24", " /{0}/x.wav"),
        ("./data/audio/{0}/x.wav,./data/frames/{0}/x.mp4,24 ", "./data/audio/{0}/x.mp3"),
    ],
)
def test_forms_met_in_the_wild(place: Path, row: str, mixture: str, end: str) -> None:
    (place / "test.csv").write_text("\n".join(row.format(name) for name in CLASSES) + end)
    (place / "test_sep.csv").write_text(",".join(mixture.format(name) for name in CLASSES) + end)
    lists = read_lists(place)
    assert [one.key for one in lists.videos["test"]] == [(name, "x") for name in CLASSES]
    assert lists.mixtures[0].keys == tuple((name, "x") for name in CLASSES)


BAD = {
    ("test.csv", "/tuba/b.wav,/tuba/b.mp4"): r"test\.csv line 5: 2 fields, not AUDIO,FRAMES,NUMBER_OF_FRAMES",
    ("val.csv", "/tuba/b.wav,/tuba/c.mp4,24"): r"val\.csv line 5: the sound .* are not of one video",
    ("val.csv", "/tuba/b.wav,/tuba/b.mp4,many"): r"val\.csv line 5: 'many' is no number of frames",
    (
        "train.csv",
        "/tuba/-train.mp3,/tuba/-train.mp4,24",
    ): r"train\.csv line 5: tuba/-train is listed already at line 4",
    ("train.csv", "/../../tuba/a.wav,/tuba/a.mp4,24"): r"train\.csv line 5: .* is no path of the form",
    ("train.csv", '"/tuba/a.wav'): r"train\.csv is no CSV file",
    ("test_sep.csv", "/cello/-test.wav, /tuba/-test.wav, /flute/-test.wav"): r"test_sep\.csv line 2: 3 fields, not",
    ("test_sep.csv", ", ".join(f"/{name}/-val.wav" for name in CLASSES)): (
        r"test_sep\.csv line 2: accordion/-val is no video of test\.csv"
    ),
    ("test_sep.csv", ", ".join(["/cello/-test.wav", "/tuba/-test.wav"] * 2)): (
        r"test_sep\.csv line 2: cello, tuba, cello, tuba: a mixture needs four different classes"
    ),
}


@pytest.mark.parametrize(("name", "row"), BAD)
def test_a_bad_row_is_named(place: Path, name: str, row: str) -> None:
    with (place / name).open("a") as file:
        file.write(row + "\n")
    with pytest.raises(InputError, match=BAD[name, row]) as caught:
        read_lists(place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_list_is_refused(place: Path, name: str) -> None:
    (place / name).write_text("\n")
    with pytest.raises(InputError, match=rf"{name} has no rows|no video of test\.csv"):
        read_lists(place)


def test_lists_lie_in_the_folder_or_in_its_index(place: Path) -> None:
    assert find_lists(place, "here") == place
    (place / "test_sep.csv").unlink()
    with pytest.raises(
        InputError, match=r"^here: it has no test_sep\.csv: index\.lists published needs train\.csv, val"
    ):
        find_lists(place, "here")
    (place / "index").mkdir()
    with pytest.raises(InputError, match=r"it has no train\.csv, val\.csv, test\.csv, test_sep\.csv"):
        find_lists(place / "index", "here")
    for name, text in LISTS.items():
        (place / "index" / name).write_text(text)
    with pytest.raises(
        InputError, match=r"^here: lists lie both in it \(train\.csv\) and in its index/ \(train\.csv\)"
    ):
        find_lists(place, "here")
    for name in SPLITS:
        (place / f"{name}.csv").unlink()
    assert find_lists(place, "here") == place / "index"


def test_lists_are_kept_as_they_are(place: Path) -> None:
    (place / "val_sep.csv").write_text("of no use\n")
    keep_lists(place, place / "kept")
    assert {path.name: path.read_text() for path in (place / "kept").iterdir()} == LISTS

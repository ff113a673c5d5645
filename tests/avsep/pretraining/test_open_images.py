"""What of Open Images is enough to learn from."""

from pathlib import Path

import pytest
import torch

from avsep.errors import InputError
from avsep.media.annotations import OpenImages, read_open_images
from avsep.pretraining.open_images import annotated_item, described, read_annotations
from tests.helpers.open_images import LABELS, write_open_images


def read(folder: Path, *classes: str, max_missing: float = 0.1) -> OpenImages:
    names = {"acoustic_guitar": "Guitar"}
    return read_annotations(
        folder, classes, names, max_missing=max_missing, missing_list=folder / "metrics/missing.txt"
    )


def test_a_boxs_target_is_in_pixels_of_its_picture(tmp_path: Path) -> None:
    found = read_open_images(write_open_images(tmp_path / "oi"), list(LABELS), {"acoustic_guitar": "Guitar"})
    for one in found.train.pictures:
        picture, target = annotated_item(one)
        assert picture.shape[0] == 3 and picture.min() >= 0 and picture.max() <= 1
        assert target["labels"].tolist() == one.labels.tolist() and target["boxes"].dtype == torch.float32
        for x1, y1, x2, y2 in target["boxes"].round().int().tolist():
            assert picture[:, y1 + 2 : y2 - 2, x1 + 2 : x2 - 2].mean() > 0.7
        assert picture.mean() < 0.7


def test_what_there_is_to_learn_from_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = read(write_open_images(tmp_path / "oi"), "cello", "acoustic_guitar", "erhu")
    assert "Open Images has no boxes of erhu" in caplog.text
    assert described(found) == {
        "pictures": {"train": 6, "validation": 2, "missing": 0},
        "boxes": {"cello": 6, "acoustic_guitar": 3},
        "group_boxes": 0,
        "flat_boxes": 0,
        "unknown_classes": ["erhu"],
    }
    assert (tmp_path / "oi/metrics/missing.txt").read_text() == ""


def test_missing_pictures_are_listed_and_refused_where_they_are_too_many(tmp_path: Path) -> None:
    folder = write_open_images(tmp_path / "oi")
    gone = sorted((folder / "images").iterdir())[-4:]
    for path in gone:
        path.unlink()
    with pytest.raises(InputError, match=r"lacks 4 pictures \(50%, .*max_missing is 0\.1\): \S+missing\.txt lists"):
        read(folder, *LABELS)
    listed = (folder / "metrics/missing.txt").read_text().splitlines()
    assert sorted(line.split("/")[1] for line in listed) == [path.stem for path in gone]
    assert len(read(folder, *LABELS, max_missing=0.6).missing) == 4


def test_a_part_without_pictures_is_refused(tmp_path: Path) -> None:
    folder = write_open_images(tmp_path / "oi", validation=1)  # of a cello alone
    with pytest.raises(InputError, match=r"has no validation picture of acoustic_guitar: choose other classes"):
        read(folder, "acoustic_guitar")

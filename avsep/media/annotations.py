"""Boxes of Open Images (Kuznetsova et al., IJCV 2020) as its version 7 publishes them, for a detector to learn from.

A folder holds the files under their published names, and the pictures that were downloaded:

    oidv6-train-annotations-bbox.csv       ImageID,...,LabelName,...,XMin,XMax,YMin,YMax,...,IsGroupOf,...: a row a box
    validation-annotations-bbox.csv        the same
    oidv7-class-descriptions-boxable.csv   LabelName,DisplayName: what /m/01xqw is called
    images/<ImageID>.jpg                   of both

The first has 14 million rows: it is read piece by piece, and only boxes of the classes asked for are kept.  Boxes
around groups of things go, since they are around no single one, and so do boxes without an area.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from avsep.errors import InputError
from avsep.files.reading import MOST_TEXT, reading
from avsep.media.frames import MOST_BYTES, decode

TRAIN = "oidv6-train-annotations-bbox.csv"
VALIDATION = "validation-annotations-bbox.csv"
DESCRIPTIONS = "oidv7-class-descriptions-boxable.csv"
PICTURES = "images"

SIDES = ["XMin", "YMin", "XMax", "YMax"]  # shares of the picture's width and height
COLUMNS = {"ImageID": str, "LabelName": str, **dict.fromkeys(SIDES, np.float32), "IsGroupOf": np.int8}
PUBLISHED = "it is published on Open Images' page of downloads"
ROWS = 500_000  # read at once: some 50 MB


class Annotated(NamedTuple):
    """A picture, and the boxes that are known of it."""

    path: Path
    boxes: NDArray[np.float32]  # (N, 4): x1, y1, x2, y2 as shares of the picture's width and height
    labels: NDArray[np.int64]  # (N,): from 1


class Part(NamedTuple):
    """What one CSV tells of the classes that were asked for."""

    pictures: list[Annotated]  # sorted by ImageID
    missing: list[str]  # ImageIDs of pictures that are not there
    groups: int  # boxes that went since they are around a group
    flat: int  # and since they have no area


@dataclass(frozen=True)
class OpenImages:
    """All that is known of the classes that were asked for."""

    classes: list[str]  # the names of labels 1, 2, ...
    unknown: list[str]  # classes that Open Images has no boxes of
    train: Part
    validation: Part

    @property
    def missing(self) -> list[str]:
        """The missing pictures as Open Images' own downloader takes them, one a line: train/<ImageID>."""
        parts = {"train": self.train, "validation": self.validation}
        return [f"{name}/{image}" for name, part in parts.items() for image in part.missing]

    @property
    def missing_share(self) -> float:
        present = len(self.train.pictures) + len(self.validation.pictures)
        return len(self.missing) / max(len(self.missing) + present, 1)

    def boxes(self) -> dict[str, int]:
        """How many boxes there are to learn each class from."""
        counts = Counter(int(label) for picture in self.train.pictures for label in picture.labels)
        return {name: counts[label] for label, name in enumerate(self.classes, start=1)}


def read_open_images(folder: Path, classes: Sequence[str], names: Mapping[str, str]) -> OpenImages:
    """The boxes of `classes`, which `names` tells by another name where that is not the class's own words.

    Case and underscores do not count in names.  Raises InputError for files that are missing or not as published, and
    if none of the classes is known.
    """
    described = {_plain(name): label for label, name in _descriptions(folder / DESCRIPTIONS)}
    told = {name: described.get(_plain(names.get(name, name))) for name in classes}
    labels = {name: label for name, label in told.items() if label is not None}
    if not labels:
        raise InputError(f"{folder / DESCRIPTIONS} has none of {', '.join(classes)}: name others")
    numbers = {label: number for number, label in enumerate(labels.values(), start=1)}
    pictures = folder / PICTURES
    if not pictures.is_dir():
        raise InputError(f"{pictures} is missing: it is for the pictures, <ImageID>.jpg")
    present = {path.name for path in pictures.iterdir()}
    return OpenImages(
        classes=list(labels),
        unknown=[name for name in classes if name not in labels],
        train=_read_part(folder / TRAIN, numbers, pictures, present),
        validation=_read_part(folder / VALIDATION, numbers, pictures, present),
    )


def read_picture(path: Path) -> Image.Image:
    """A picture of a list of annotations, RGB. Raises InputError if it cannot be read."""
    hint = "download it again, or remove it"
    with reading(path, "picture", hint, most=MOST_BYTES):
        return decode(path.read_bytes(), path, hint)


def _read_part(path: Path, numbers: Mapping[str, int], pictures: Path, present: set[str]) -> Part:
    boxes = _read_boxes(path, numbers)
    group = boxes["IsGroupOf"] == 1
    flat = ~group & ((boxes["XMin"] >= boxes["XMax"]) | (boxes["YMin"] >= boxes["YMax"]))
    found: list[Annotated] = []
    missing: list[str] = []
    for image, own in boxes[~group & ~flat].groupby("ImageID", sort=True):
        name = f"{image}.jpg"
        if not re.fullmatch(r"[0-9A-Za-z_-]+", str(image)):
            raise InputError(f"{path} tells of a picture {str(image)[:60]!r}: an ImageID is letters and digits")
        if name not in present:
            missing.append(str(image))
            continue
        labels = np.array([numbers[label] for label in own["LabelName"]], np.int64)
        found.append(Annotated(pictures / name, own[SIDES].to_numpy(np.float32), labels))
    return Part(found, missing, int(group.sum()), int(flat.sum()))


def _read_boxes(path: Path, labels: Mapping[str, int]) -> pd.DataFrame:
    """The rows of `labels`, in the file's order, COLUMNS alone. Raises InputError."""
    kept = []
    with (
        reading(path, "table of boxes as Open Images publishes them", PUBLISHED),
        pd.read_csv(path, usecols=list(COLUMNS), dtype=COLUMNS, keep_default_na=False, chunksize=ROWS) as pieces,
    ):
        for piece in pieces:
            kept.append(piece[piece["LabelName"].isin(list(labels))])
        boxes = pd.concat(kept, ignore_index=True)
    sides = boxes[SIDES].to_numpy()
    if (wrong := ~((sides >= 0) & (sides <= 1)).all(axis=1)).any():
        image = str(boxes["ImageID"].to_numpy()[wrong][0])[:60]
        raise InputError(f"{path}: a box of {image!r} is not within 0 to 1: its sides are shares of the picture's")
    return boxes


def _descriptions(path: Path) -> list[tuple[str, str]]:
    """(LabelName, DisplayName) of all classes that have boxes. Raises InputError."""
    with (
        reading(path, "table of class names", PUBLISHED, most=MOST_TEXT),
        path.open(newline="", encoding="utf-8") as file,
    ):
        rows = [row for row in csv.reader(file) if row]
    if any(len(row) != 2 for row in rows):
        raise InputError(f"{path} is no table of class names: each line is LabelName,DisplayName")
    return [(label, name) for label, name in rows]


def _plain(name: str) -> str:
    return name.replace("_", " ").casefold()

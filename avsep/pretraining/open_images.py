"""What a detector learns from Open Images: the pictures that are there, those that are missing, and the boxes.

avsep/media/annotations.py reads the tables; here is said what of them is enough to learn from.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from avsep.errors import InputError
from avsep.media.annotations import Annotated, OpenImages, read_open_images, read_picture


def read_annotations(
    folder: Path, classes: Sequence[str], names: Mapping[str, str], *, max_missing: float, missing_list: Path
) -> OpenImages:
    """The boxes to learn from and to be measured on, of `classes`, which `names` tells by Open Images' own names.

    Writes the pictures that are missing to `missing_list`, one a line, as Open Images' downloader takes them.  Raises
    InputError if more of the pictures than the share `max_missing` are missing, or no picture is there.
    """
    logging.info("pretrained: reading the boxes in %s", folder)
    found = read_open_images(folder, classes, names)
    missing_list.parent.mkdir(parents=True, exist_ok=True)
    missing_list.write_text("".join(f"{picture}\n" for picture in found.missing), encoding="utf-8")
    if found.unknown:
        logging.warning(
            "pretrained: Open Images has no boxes of %s: the detector learns none", ", ".join(found.unknown)
        )
    if found.missing_share > max_missing:
        raise InputError(
            f"{folder / 'images'} lacks {len(found.missing)} pictures ({found.missing_share:.0%}, and"
            f" pretrained.open_images_max_missing is {max_missing:g}): {missing_list} lists them for Open Images'"
            " downloader"
        )
    if found.missing:
        logging.warning("pretrained: %d pictures are missing, see %s", len(found.missing), missing_list)
    for name, part in (("train", found.train), ("validation", found.validation)):
        if not part.pictures:
            raise InputError(f"{folder} has no {name} picture of {', '.join(found.classes)}: choose other classes")
    return found


def annotated_item(one: Annotated) -> tuple[Tensor, dict[str, Tensor]]:
    """A picture (3, H, W) in [0, 1], read from the disk, and its target: boxes (N, 4) in pixels, and labels (N,).

    Raises InputError if it cannot be read.
    """
    picture = pil_to_tensor(read_picture(one.path)).float() / 255
    height, width = picture.shape[1:]
    sides = torch.from_numpy(one.boxes) * torch.tensor([width, height, width, height], dtype=torch.float32)
    return picture, {"boxes": sides, "labels": torch.from_numpy(one.labels)}


def described(annotations: OpenImages) -> dict[str, Any]:
    """What there was to learn from, for metrics/pretrained.json."""
    train, validation = annotations.train, annotations.validation
    return {
        "pictures": {
            "train": len(train.pictures),
            "validation": len(validation.pictures),
            "missing": len(annotations.missing),
        },
        "boxes": annotations.boxes(),
        "group_boxes": train.groups + validation.groups,
        "flat_boxes": train.flat + validation.flat,
        "unknown_classes": annotations.unknown,
    }

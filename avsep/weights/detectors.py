"""The detector that stage pretrained has left: a trained Faster R-CNN, or one that is asked in words.

`checkpoints/pretrained/detector.safetensors` tells which (avsep/weights/about.py).  Of a Faster R-CNN it holds the
weights, and tells the `classes` that its labels 1, 2, ... stand for.  Of a zero-shot detector it holds no weights, and
tells as `zero_shot` which kind it is and the hash of its files, which lie in `checkpoints/pretrained/zero_shot`.  Where
all detections are imported there may be no detector: it holds no weights, and `classes` are none.  So a
stage that depends on the one file depends on the bytes of the folder, which is there for such a detector alone.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import nn
from torchvision.transforms.functional import pil_to_tensor

from avsep.errors import InputError
from avsep.files.ledgers import digest
from avsep.files.reading import refuse_other_kinds, refusing
from avsep.files.whole import whole_folder
from avsep.media.detections import Rows
from avsep.models.detector import build_detector
from avsep.weights.about import PRETRAINED, About, Kind, describe, read_about, refuse_other
from avsep.weights.checkpoints import load_into, load_weights, refuse_not_finite, save_weights
from avsep.weights.phrases import phrase_of

DETECTOR = Path("checkpoints/pretrained/detector.safetensors")
ZERO_SHOT = Path("checkpoints/pretrained/zero_shot")
KIND = Kind(
    system="detector",
    sizes={
        "width": "resnet.width",
        **{name: f"detector.{name}" for name in ("backbone", "channels", "min_size", "max_size")},
    },
    own={"classes": 0},
)

# What is taken over of a zero-shot detector's folder: weights, sizes and words, no code and no pickles.
FILES = (
    *("config.json", "model.safetensors", "preprocessor_config.json", "processor_config.json", "tokenizer.json"),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt"),
)


def learned_classes(path: Path = DETECTOR) -> list[str] | None:
    """The names of the detector's labels 1, 2, ...: none if there is no detector, None for one that is asked in words.

    Raises InputError.
    """
    about = read_about(path)
    return None if about.zero_shot is not None else list(about.classes)


def load_detector(
    path: Path = DETECTOR,
    folder: Path = ZERO_SHOT,
    *,
    classes: Sequence[str],
    phrase: str,
    threshold: float,
    nms: float,
    device: str,
    backbone: Literal["resnet18", "resnet50"],
    width: int,
    channels: int,
    min_size: int,
    max_size: int,
    enlarge: float = 1.0,
) -> nn.Module:
    """The detector, in eval mode; its label k is the k-th of `classes`, from 1.

    A zero-shot detector is asked for each of `classes` in `phrase`.  A Faster R-CNN is built as
    avsep.models.detector.build_detector says, and sees pictures `enlarge` times as large as in training: of several
    players each is smaller than a soloist.  Raises InputError.
    """
    if (zero_shot := read_about(path).zero_shot) is not None:
        if digest([folder]) != zero_shot["contents"]:
            raise InputError(f"{folder} is not what {path} tells of: run stage pretrained again")
        phrases = [phrase_of(name, phrase) for name in classes]
        return _load_zero_shot(zero_shot["kind"], folder, phrases, threshold, nms).to(device)
    sizes: dict[str, Any] = dict(backbone=backbone, channels=channels, min_size=min_size, max_size=max_size)
    refuse_other(path, KIND, {"detector": sizes, "resnet": {"width": width}})
    detector = build_detector(**sizes, width=width, classes=len(classes), threshold=threshold, nms=nms)
    load_into(detector, load_weights(path), path)
    seen = detector.transform  # its sides alone: the anchors stay those that it has learned
    seen.min_size, seen.max_size = (round(enlarge * seen.min_size[0]),), round(enlarge * seen.max_size)
    return detector.to(device).eval()


@torch.inference_mode()
def look(detector: nn.Module, pictures: Iterable[Image.Image], batch: int) -> Rows:
    """What the detector sees in a video's frames, `batch` at once: rows (N, 7), see avsep/media/detections.py."""
    device = next(detector.parameters()).device
    remaining, number = iter(pictures), 0
    rows = [torch.empty(0, 7)]
    while some := list(islice(remaining, batch)):
        for found in detector([pil_to_tensor(picture).to(device).float() / 255 for picture in some]):
            number += 1
            frame = torch.full_like(found["scores"], number)
            rows.append(torch.column_stack([frame, found["labels"], found["scores"], found["boxes"]]).cpu())
    return torch.cat(rows).numpy()


def save_no_detector(path: Path = DETECTOR, folder: Path = ZERO_SHOT) -> None:
    """Tells that there is none, in place of any other detector."""
    shutil.rmtree(folder, ignore_errors=True)
    save_weights(path, {}, _nothing().entry)


def save_detector(
    detector: nn.Module,
    classes: Sequence[str],
    params: Mapping[str, Any],
    path: Path = DETECTOR,
    folder: Path = ZERO_SHOT,
) -> None:
    """Writes a Faster R-CNN, whose labels 1, 2, ... are `classes`, in place of any other detector.

    `params`: what it was built of, the sections `detector` and `resnet` of params.yaml as plain values.
    """
    shutil.rmtree(folder, ignore_errors=True)
    about = describe(KIND, PRETRAINED, params, classes=classes, sizes={"classes": len(classes)})
    save_weights(path, detector.state_dict(), about.entry)


def find_zero_shot(path: str, revision: str | None) -> Path:
    """The folder of a zero-shot detector's files: `path`, or, with a revision, what the Hugging Face hub has of it.

    Raises InputError.
    """
    if revision is None:
        return Path(path)
    from httpx2 import HTTPError  # here, since nothing else needs the hub
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=list(FILES)))
    except (OSError, ValueError, HTTPError) as error:  # the hub lets its client's errors through
        raise InputError(
            f"{path} at revision {revision} could not be downloaded ({error}): try again with a network, or give a"
            " folder as pretrained.zero_shot_path and no revision"
        ) from None


def check_zero_shot(kind: str, source: Path) -> None:
    """Raises InputError if FILES in `source` are not those of a detector of this kind."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in _taken(source):
            (folder / path.name).symlink_to(path.absolute())
        _load_zero_shot(kind, folder, ["a cello", "a tuba"], 0.5, 0.5, named=source)


def save_zero_shot(kind: str, source: Path, path: Path = DETECTOR, folder: Path = ZERO_SHOT) -> None:
    """Copies the files of a zero-shot detector from `source`, and writes `path`, which tells of them."""
    with whole_folder(folder) as temporary:
        for file in _taken(source):
            shutil.copyfile(file, temporary / file.name)
    save_weights(path, {}, _nothing(zero_shot={"kind": kind, "contents": digest([folder])}).entry)


def _nothing(**told: Any) -> About:
    """Of a file without weights."""
    return About(system=KIND.system, stage=PRETRAINED, sizes={}, params={}, **told)


def _taken(source: Path) -> list[Path]:
    """What there is of FILES. Raises InputError for a link that leads nowhere, and for what is no plain file."""
    there = [source / name for name in FILES if os.path.lexists(source / name)]
    for path in there:
        refuse_other_kinds(path, "file of a detector")
    return there


def _load_zero_shot(
    kind: str, folder: Path, phrases: Sequence[str], threshold: float, nms: float, named: Path | None = None
) -> nn.Module:
    """Of the files in `folder`, which a user knows as `named`."""
    from avsep.models.zero_shot import load_zero_shot  # here, since importing transformers' networks takes seconds

    known = named or folder
    try:
        with refusing(f"{known} cannot be used as a detector {kind}"):
            detector = load_zero_shot(kind, folder, phrases, threshold=threshold, nms=nms)
    except InputError as error:
        raise InputError(str(error).replace(str(folder), str(known))) from None
    refuse_not_finite(detector.state_dict(), known)
    return detector

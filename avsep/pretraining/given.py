"""Weights that are taken over, checked by hash: torchvision's and OpenAI's, downloaded, or files of yours.

Messages name the params by which stage pretrained is told of a file: pretrained.<name>_path, pretrained.<name>_sha256.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from open_clip.model import CLIP
from open_clip.pretrained import download_pretrained_from_url, get_pretrained_url
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from avsep.errors import InputError
from avsep.files.reading import reading, refuse_other_kinds
from avsep.models.resnet import ResNet18
from avsep.weights.checkpoints import load_into, load_torch


def take_over_resnet(resnet: ResNet18, path: str | None, sha256: str | None) -> None:
    """Loads torchvision's ImageNet weights, or the file `path`, whose hash is `sha256`. Raises InputError."""
    if path is None:
        _load_counted(resnet, download_resnet(), "torchvision's ResNet-18")
    else:
        assert sha256 is not None  # checked with the params
        _load_counted(resnet, read_checked(Path(path), sha256, "resnet"), path)


def take_over_clip(clip: CLIP, path: str | None, sha256: str | None) -> None:
    """Loads OpenAI's RN50, or the file `path`, whose hash is `sha256`. Raises InputError."""
    if path is None:
        _load_counted(clip, download_clip(), "OpenAI's CLIP RN50")
    else:
        assert sha256 is not None  # checked with the params
        _load_counted(clip, read_checked(Path(path), sha256, "clip"), path)


def read_coco_detector(path: str | None) -> dict[str, Tensor]:
    """torchvision's Faster R-CNN of COCO, with COCO's classes; downloaded, or from `path`, a file of the same hash.

    Raises InputError if it cannot be had, or is not that of its hash.
    """
    published = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    name = published.url.rpartition("/")[2]  # <what it is>-<first digits of its SHA-256>.pth
    if path is not None:
        if not _sha256_of(Path(path), "open_images_start").startswith(name.removesuffix(".pth").rpartition("-")[2]):
            raise InputError(f"pretrained.open_images_start {path} is not torchvision's {name}: its SHA-256 is another")
        weights = _read_state_dict(Path(path))
    else:
        try:
            weights = dict(published.get_state_dict(check_hash=True))
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"torchvision's {name} could not be downloaded ({error}): give the file as pretrained.open_images_start"
            ) from None
    return _without_counts(weights)


def read_checked(path: Path, sha256: str, name: str) -> dict[str, Tensor]:
    """The state dict of pretrained.<name>_path, its bytes checked before they are read. Raises InputError."""
    refuse_other(path, sha256, name)
    return _read_state_dict(path)


def refuse_other(path: Path, sha256: str, name: str) -> None:
    """Raises InputError if the file of pretrained.<name>_path has not pretrained.<name>_sha256, or cannot be read."""
    found = _sha256_of(path, f"{name}_path")
    if found != sha256.lower():
        raise InputError(f"{path} has the SHA-256 {found}, pretrained.{name}_sha256 is {sha256}: another file")


def download_resnet() -> dict[str, Tensor]:
    """torchvision's ImageNet weights. Raises InputError if they cannot be had, or are not those of its hash."""
    try:
        return dict(ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True))
    except (OSError, RuntimeError) as error:
        name = ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
        raise InputError(
            f"torchvision's {name} could not be downloaded ({error}): try again with a network, or put the file"
            f" into {torch.hub.get_dir()}/checkpoints"
        ) from None


def download_clip() -> dict[str, Tensor]:
    """OpenAI's CLIP RN50 as float32. Raises InputError if it cannot be had, or is not that of its hash."""
    url = get_pretrained_url("RN50", "openai")
    try:
        path = download_pretrained_from_url(url)  # checks the SHA-256 that the URL names
        archive = torch.jit.load(path, map_location="cpu").state_dict()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"OpenAI's CLIP {url.rpartition('/')[2]} could not be downloaded ({error}): try again with a network, or"
            " put the file into ~/.cache/clip"
        ) from None
    sizes = ("input_resolution", "context_length", "vocab_size")
    return {name: value.float() for name, value in archive.items() if name not in sizes}


def _load_counted(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Loads a state dict that may lack the counts of training steps. Raises InputError if it does not fit."""
    counts = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_into(network, {**counts, **weights}, origin)


def _sha256_of(path: Path, param: str) -> str:
    """The hash of a file that a param names. Raises InputError."""
    try:
        if path.exists():
            refuse_other_kinds(path, "file of weights")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"pretrained.{param} {path} cannot be read ({error.strerror})") from None


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict saved by torch or as safetensors. Raises InputError."""
    if path.suffix != ".safetensors":
        return _without_counts(load_torch(path))
    with reading(path, "safetensors file"):
        return _without_counts(safetensors.torch.load_file(path))


def _without_counts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict less batch norm's counts of training steps, which a frozen one has not."""
    return {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}

"""Squares of rendered stills as the ResNet and CLIP are shown them, and what varies them in training."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from avsep.demo.stills import Views
from avsep.media.frames import normalise

Item = TypeVar("Item")


def squares(views: Sequence[Views]) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of V views, uint8 (3 V, size, size, 3), and what they show, (3 V,)."""
    pictures = np.stack([picture for view in views for picture in (view.whole, view.around, view.near)])
    return pictures, np.repeat([view.label for view in views], 3)


def network_input(pictures: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) -> ImageNet-normalised (B, 3, H, W), with the channels last in memory, which is faster."""
    return torch.from_numpy(normalise(pictures)).to(memory_format=torch.channels_last)


def varied(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures (B, 3, H, W) mirrored; contrast, brightness and hue of each moved a little."""
    count = len(pictures)
    mirrored = torch.as_tensor(rng.random(count) < 0.5).view(count, 1, 1, 1)
    contrast = torch.as_tensor(rng.uniform(0.7, 1.3, (count, 3, 1, 1)), dtype=torch.float32)
    brightness = torch.as_tensor(rng.normal(0, 0.2, (count, 1, 1, 1)), dtype=torch.float32)
    return torch.where(mirrored, pictures.flip(3), pictures) * contrast + brightness


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`size` items at once; the last batch may be smaller."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk

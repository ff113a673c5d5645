"""Squares of rendered stills as the ResNet and CLIP are shown them, and what varies them in training."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from avsep.demo.stills import Views
from avsep.media.frames import MEAN, STD

Item = TypeVar("Item")


class Squares(NamedTuple):
    """What a network learns from."""

    pictures: NDArray[np.uint8]  # (P, size, size, 3)
    labels: NDArray[np.int64]  # (P,)


def squares(stills: Iterable[Sequence[Views]], count: int, shown: Sequence[Sequence[str]]) -> list[Squares]:
    """Of each size that `count` stills have views of, those views that are named in `shown` beside it."""
    pictures: list[NDArray[np.uint8]] = []  # (count, V, size, size, 3) of each size
    labels = np.empty(count, np.int64)
    for number, views in enumerate(stills):
        pictures = pictures or [
            np.empty((count, len(names), *view.whole.shape), np.uint8) for view, names in zip(views, shown, strict=True)
        ]
        for into, view, names in zip(pictures, views, shown, strict=True):
            into[number] = [getattr(view, name) for name in names]
        labels[number] = views[0].label
    return [Squares(of.reshape(-1, *of.shape[2:]), np.repeat(labels, of.shape[1])) for of in pictures]


def network_input(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 (B, H, W, 3) -> ImageNet-normalised (B, 3, H, W), with the channels last in memory, which is faster."""
    one = np.ones((len(pictures), 3), np.float32)
    return _scaled(pictures, one / (255 * STD), -MEAN / STD * one)


def varied(
    pictures: NDArray[np.uint8], rng: np.random.Generator, mean: ArrayLike = MEAN, std: ArrayLike = STD
) -> Tensor:
    """uint8 (B, H, W, 3) -> (B, 3, H, W), normalised: half of the pictures mirrored; contrast, brightness and hue of
    each moved a little."""
    count, means, deviations = len(pictures), np.asarray(mean, np.float32), np.asarray(std, np.float32)
    mirrored = np.flatnonzero(rng.random(count) < 0.5)
    contrast, brightness = rng.uniform(0.7, 1.3, (count, 3)), rng.normal(0, 0.2, (count, 1))
    turned = pictures.copy()
    turned[mirrored] = pictures[mirrored, :, ::-1]
    return _scaled(turned, contrast / (255 * deviations), brightness - means / deviations * contrast)


def _scaled(pictures: NDArray[np.uint8], scale: NDArray[np.floating], shift: NDArray[np.floating]) -> Tensor:
    """uint8 (B, H, W, 3) times `scale` (B, 3) plus `shift` (B, 3), as (B, 3, H, W) with the channels last in memory.

    Whole rows at once, and in place: three channels at once take ten times as long.
    """
    count, height, width, _ = pictures.shape
    rows = torch.from_numpy(pictures).float().view(count, height, width * 3)
    by, up = (torch.from_numpy(x.astype(np.float32)).repeat(1, width)[:, None] for x in (scale, shift))  # (B, 1, 3 W)
    return rows.mul_(by).add_(up).view(count, height, width, 3).permute(0, 3, 1, 2)


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """`size` items at once; the last batch may be smaller."""
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk

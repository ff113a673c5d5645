"""The frames that CCoL's networks see: their crop, and the features that are kept of them."""

from collections.abc import Iterator

from avsep.params.sections import Params


def crop(p: Params) -> Iterator[str]:
    if p.frames.resize < p.frames.size:
        yield f"frames.resize is {p.frames.resize}: smaller than the crop, frames.size {p.frames.size}"


def cache(p: Params) -> Iterator[str]:
    if p.frames.cache and p.frames.augment != "none":
        yield "frames.cache is true: a cache holds no random crops, so frames.augment must be none"
    if p.baseline.cache and p.frames.augment != "none":
        yield "baseline.cache is true: a cache holds no random crops, so frames.augment must be none"
    if p.baseline.cache and p.baseline.lr_resnet > 0:
        yield "baseline.cache is true: a cache holds what a ResNet saw that rests, so baseline.lr_resnet must be 0"
    if p.frames.cache and p.objective.as_published:
        yield "frames.cache is true: objective.as_published moves the frozen networks' batch norm"


def rates(p: Params) -> Iterator[str]:
    """Each system sees one of so many frames that are kept."""
    for name, fps in (("frames.fps", p.frames.fps), ("baseline.fps", p.baseline.fps), ("vast.fps", p.vast.fps)):
        if p.extract.fps % fps:
            yield f"{name} is {fps}: extract.fps, {p.extract.fps}, is no multiple of it"


CHECKS = (crop, cache, rates)

"""The frames that CCoL's networks see: their crop, and the features that are kept of them."""

from collections.abc import Iterator

from avsep.params.sections import Params


def crop(p: Params) -> Iterator[str]:
    if p.frames.resize < p.frames.size:
        yield f"frames.resize is {p.frames.resize}: smaller than the crop, frames.size {p.frames.size}"


def cache(p: Params) -> Iterator[str]:
    if p.frames.cache and p.frames.augment:
        yield "frames.cache is true: a cache holds no random crops, so frames.augment must be false"
    if p.frames.cache and p.objective.as_published:
        yield "frames.cache is true: objective.as_published moves the frozen networks' batch norm"


CHECKS = (crop, cache)

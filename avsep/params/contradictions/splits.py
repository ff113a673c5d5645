"""Which videos are used, and for what: the shares of the split, and how long a video must be."""

from collections.abc import Iterator

from avsep.params.sections import Params


def shares(p: Params) -> Iterator[str]:
    if p.index.val + p.index.test >= 1:
        yield f"index.val + index.test is {p.index.val + p.index.test:g}: nothing is left to train on"


def lists(p: Params) -> Iterator[str]:
    if p.index.lists == "published" and p.videos.source != "imported":
        yield (
            f"index.lists is published: videos.source is {p.videos.source}, and imported alone comes with lists"
            " that say what trains, validates and tests"
        )
    if p.index.allow_leaks and p.index.lists == "split":
        yield "index.allow_leaks is true: index.lists split never has a video in two splits, only published lists may"


def centre_frames(p: Params) -> Iterator[str]:
    """Frames lie around the one at the middle of a window of sound: docs/ccol.md, centre frame."""
    margins = {
        "frames.count, frames.stride": p.frames.count // 2 * p.frames.stride,
        "vast.frames, vast.stride": p.vast.frames // 2 * p.vast.stride,
    }
    for names, frames in margins.items():
        margin = max(p.extract.fps, frames)
        if p.index.min_seconds * p.extract.fps < 2 * margin:
            yield (
                f"index.min_seconds is {p.index.min_seconds:g}: a centre frame needs {margin} frames at both sides"
                f" (extract.fps, {names}), so {2 * margin / p.extract.fps:g} s"
            )


CHECKS = (shares, lists, centre_frames)

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
    spans = {
        "frames.count, frames.stride, frames.fps": p.frames.count // 2 * p.frames.stride / p.frames.fps,
        "baseline.frames, baseline.stride, baseline.fps": p.baseline.frames // 2 * p.baseline.stride / p.baseline.fps,
        "vast.frames, vast.stride, vast.fps": p.vast.frames // 2 * p.vast.stride / p.vast.fps,
    }
    for names, seconds in spans.items():
        if p.index.min_seconds < 2 * seconds:
            yield (
                f"index.min_seconds is {p.index.min_seconds:g}: a centre frame needs {seconds:g} s of frames at both"
                f" sides ({names}), so {2 * seconds:g} s"
            )


CHECKS = (shares, lists, centre_frames)

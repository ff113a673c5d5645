"""Which videos are used, and for what."""

from typing import Any

import pytest

from avsep.params.contradictions import splits
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "index.min_seconds is 6: a centre frame needs 5 s of frames": changed(frames__count=11),
    "index.val + index.test": changed(index__val=0.5, index__test=0.5),
    "index.min_seconds is 6: a centre frame needs 4 s of frames": changed(vast__stride=4),
    "(baseline.frames, baseline.stride, baseline.fps), so 8 s": changed(baseline__stride=4),
    "index.lists is published: videos.source is demo, and imported alone": changed(index__lists="published"),
    "index.lists is published: videos.source is folder": changed(
        index__lists="published", videos__source="folder", videos__path="/videos"
    ),
    "index.allow_leaks is true: index.lists split never": changed(index__allow_leaks=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(splits.CHECKS, REFUSED.values())

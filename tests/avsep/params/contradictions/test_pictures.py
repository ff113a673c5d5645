"""The frames that CCoL's networks see."""

from typing import Any

import pytest

from avsep.params.contradictions import pictures
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "frames.resize": changed(frames__resize=64),
    "frames.cache": changed(frames__augment="video"),
    "baseline.cache is true: a cache holds no random crops": changed(frames__augment="sample", frames__cache=False),
    "baseline.cache is true: a cache holds what a ResNet saw": changed(baseline__lr_resnet=0.1),
    "frames.fps is 2: extract.fps, 1, is no multiple of it": changed(frames__fps=2),
    "baseline.fps is 4: extract.fps, 6, is no multiple": changed(extract__fps=6, baseline__fps=4),
    "vast.fps is 8": changed(vast__fps=8),
    "frames.cache is true: objective.as_published moves": changed(objective__as_published=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(pictures.CHECKS, REFUSED.values())

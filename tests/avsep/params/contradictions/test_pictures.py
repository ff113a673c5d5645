"""The frames that CCoL's networks see."""

from typing import Any

import pytest

from avsep.params.contradictions import pictures
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "frames.resize": changed(frames__resize=64),
    "frames.cache": changed(frames__augment=True),
    "frames.cache is true: objective.as_published moves": changed(objective__as_published=True),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(pictures.CHECKS, REFUSED.values())

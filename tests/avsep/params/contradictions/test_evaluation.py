"""Which systems are scored, and on what."""

from typing import Any

import pytest

from avsep.params.contradictions import evaluation
from avsep.params.loading import check
from avsep.systems.catalogue import STAGES
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "scenes.players is (4, 3)": changed(scenes__players=[4, 3]),
    "scenes.players is (2, 11): videos.classes has 11": changed(scenes__players=[2, 11]),
    "report.mixtures": changed(report__mixtures=9),
    "evaluate.sources is [2, 2]: names a number twice": changed(evaluate__sources=[2, 2]),
    "evaluate.sources is [2, 12]: videos.classes has 11": changed(evaluate__sources=[2, 12]),
    "evaluate.systems.1 is 'x': input should be 'baseline', 'colearning', 'cyclic', 'trimodal' or 'finetune'": changed(
        evaluate__systems=["cyclic", "x"]
    ),
    "evaluate.systems is ['cyclic', 'cyclic']: names a system twice": changed(evaluate__systems=["cyclic", "cyclic"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(evaluation.CHECKS, REFUSED.values())


@pytest.mark.parametrize("stage", STAGES)
def test_any_system_may_be_scored_alone(stage: str) -> None:
    assert check(changed(evaluate__systems=[stage])).evaluate.systems == [stage]

"""Which systems are scored, and on what."""

from typing import Any

import pytest

from avsep.params.contradictions import evaluation
from avsep.params.loading import check
from avsep.systems.catalogue import CONTROLS, GATE_CONTROLS, SCENE_CONTROLS, STAGES, SYSTEMS, Drawn
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "scenes.players is (4, 3)": changed(scenes__players=[4, 3]),
    "scenes.players is (2, 11): videos.classes has 11": changed(scenes__players=[2, 11]),
    "report.mixtures": changed(report__mixtures=9),
    "evaluate.sources is [2, 2]: names a number twice": changed(evaluate__sources=[2, 2]),
    "evaluate.sources is [2, 12]: videos.classes has 11": changed(evaluate__sources=[2, 12]),
    "evaluate.systems.1 is 'x': input should be 'baseline', 'ungated', 'colearning', 'cyclic', 'trimodal' or": changed(
        evaluate__systems=["cyclic", "x"]
    ),
    "evaluate.systems is ['cyclic', 'cyclic']: names a system twice": changed(evaluate__systems=["cyclic", "cyclic"]),
    "package.systems.0 is 'x': input should be 'baseline'": changed(package__systems=["x"]),
    "package.systems is ['cyclic', 'cyclic']: names a system twice": changed(package__systems=["cyclic", "cyclic"]),
    "evaluate.external names 'Open-Unmix': a row": changed(evaluate__external={"Open-Unmix": "/waves"}),
    "evaluate.external names '': a row": changed(evaluate__external={"": "/waves"}),
    r"evaluate.external names 'a\nb': a row": changed(evaluate__external={"a\nb": "/waves"}),
    "evaluate.external.unmix is '': give the folder of its waves": changed(evaluate__external={"unmix": ""}),
    "evaluate.external.unmix is ' ': give the folder": changed(evaluate__external={"unmix": " "}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(evaluation.CHECKS, REFUSED.values())


@pytest.mark.parametrize("one", [*SYSTEMS, *CONTROLS, *GATE_CONTROLS, *SCENE_CONTROLS], ids=lambda one: one.name)
def test_an_external_system_has_no_name_of_ours(one: Drawn) -> None:
    assert_refused(
        f"evaluate.external.{one.name}: a system of ours has this name",
        changed(evaluate__external={one.name: "/waves"}),
    )


def test_an_external_system_has_no_name_of_a_metric() -> None:
    """Each key of what stages evaluate and evaluate_scenes measure is a system's name, or would be taken for one."""
    for key in (
        *("grounding_colearning", "silent_colearning", "published_colearning", "grounding", "silent", "published"),
        *("phrases", "gates", "phrase_threshold", "pairs", "scenes", "detection", "mixture"),
    ):
        assert_refused(f"evaluate.external.{key}: a ", changed(evaluate__external={key: "/waves"}))


def test_external_systems_are_taken_as_they_are_named() -> None:
    given = {"unmix_2": "/waves/a b", "7": "waves"}
    assert check(changed(evaluate__external=given)).evaluate.external == given


@pytest.mark.parametrize("stage", STAGES)
def test_any_system_may_be_scored_alone(stage: str) -> None:
    assert check(changed(evaluate__systems=[stage])).evaluate.systems == [stage]

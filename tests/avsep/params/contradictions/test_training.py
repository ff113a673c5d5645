"""How the networks are trained."""

from typing import Any

import pytest

from avsep.params.contradictions import training
from avsep.systems.catalogue import TRAINING
from tests.helpers.params import DEMO, assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "objective.symmetric": changed(frames__cache=False, objective__symmetric=True, objective__as_published=True),
    "model.query_std": changed(frames__cache=False, objective__symmetric=False, objective__as_published=True),
    "train.gain": changed(train__gain=[1.5, 0.5]),
    "cyclic.milestones": changed(cyclic__milestones=[14, 10]),
    "vast.batch": changed(device="cuda", train__devices=3),
    "train.batch is 16: no multiple of train.devices x train.nodes, 6": changed(train__devices=2, train__nodes=3),
    "trimodal.milestones": changed(trimodal__milestones=[24]),
    "trimodal.schedule cosine has none": changed(trimodal__schedule="cosine", trimodal__milestones=[4]),
    "cyclic.schedule one_cycle has none": changed(cyclic__schedule="one_cycle", cyclic__milestones=[4]),
    "objective.gates is likelier": changed(objective__gates="likelier", objective__as_published=True),
    "finetune.milestones": changed(finetune__milestones=[2, 1]),
    "baseline.milestones": changed(baseline__milestones=[10_000]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(training.CHECKS, REFUSED.values())


@pytest.mark.parametrize("stage", [stage.name for stage in TRAINING])
def test_milestones_of_each_stage_rise_and_end_before_its_epochs(stage: str) -> None:
    epochs = DEMO[stage]["epochs"]
    refused = changed(**{f"{stage}__milestones": [2, 1]}), changed(**{f"{stage}__milestones": [epochs]})
    assert_refused(f"{stage}.milestones is [2, 1]: not rising", refused[0])
    assert_refused(f"{stage}.milestones is [{epochs}]: {stage}.epochs ends at {epochs}", refused[1])

"""The type and the range of each param."""

from typing import Any

import pytest

from tests.helpers.params import REMOVED, assert_refused, changed

REFUSED: dict[str, dict[str, Any]] = {
    # wrong types
    "train.lr": changed(train__lr="1e-05"),  # what `-S train.lr=1e-5` writes without Hydra
    "train.batch": changed(train__batch=8.5),
    "objective.as_published": changed(objective__as_published="no"),
    "videos.classes.0": changed(videos__classes=[1, 2, 3, 4]),
    "train": changed(train=None),
    "seed": changed(seed=True),
    "evaluate.external.unmix": changed(evaluate__external={"unmix": 3}),
    "evaluate.systems.0": changed(evaluate__systems=[1]),
    # out of range
    "train.workers": changed(train__workers=-1),
    "index.max_rejected": changed(index__max_rejected=1.0),
    "detect.nms": changed(detect__nms=1.5),
    "evaluate.gate": changed(evaluate__gate=float("nan")),
    "train.precision": changed(train__precision="8-bit"),
    "device": changed(device="tpu"),
    "videos.source is 'dmeo'": changed(videos__source="dmeo"),
    "download.rate": changed(download__rate=0.0),
    "pretrained.detector": changed(pretrained__detector="yolo"),
    "clip.image_size": changed(clip__image_size=112),
    "clip.width": changed(clip__width=7),
    "clip.layers.3": changed(clip__layers=[1, 1, 1]),
    "clip.context": changed(clip__context=3),
    "scenes.players.0": changed(scenes__players=[1, 3]),
    "evaluate_scenes.link": changed(evaluate_scenes__link=0.0),
    "evaluate.sources.1": changed(evaluate__sources=[2, 1]),
    "resnet.width": changed(resnet__width=4),
    "train.nodes": changed(train__nodes=0),
    "pretrained.clip_max_scale": changed(pretrained__clip_max_scale=1.0),
    "evaluate.systems is []": changed(evaluate__systems=[]),
    # unknown and missing
    "train.learning_rate": changed(train__learning_rate=1e-3),
    "tarin": changed(tarin={}),
    "extract.rate": changed(extract__rate=REMOVED),
    "finetune.consistency_weight is no param": changed(finetune__consistency_weight=1.0),
    "evaluate.external is missing": changed(evaluate__external=REMOVED),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])

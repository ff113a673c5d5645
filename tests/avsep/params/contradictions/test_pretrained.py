"""ResNet-18, detector and CLIP."""

from typing import Any

import pytest

from avsep.params.contradictions import pretrained
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "detector.backbone": changed(detector__backbone="resnet50"),
    "pretrained.detector is none: videos.source imported alone": changed(pretrained__detector="none"),
    "pretrained.open_images_path is needed": changed(pretrained__detector="open_images"),
    "pretrained.open_images_classes is needed": changed(
        pretrained__detector="open_images", pretrained__open_images_path="/oi", pretrained__open_images_classes=[]
    ),
    "pretrained.open_images_classes names a class twice": changed(
        pretrained__open_images_classes=["acoustic_guitar", "guitar"]
    ),
    "pretrained.open_images_start is of a resnet50": changed(
        pretrained__detector="open_images", pretrained__open_images_path="/oi", pretrained__open_images_start="a.pth"
    ),
    "pretrained.zero_shot_sha256 is needed for pretrained.detector owlv2": changed(pretrained__detector="owlv2"),
    "pretrained.zero_shot_revision is 'main': it must be a commit": changed(
        pretrained__detector="grounding_dino", pretrained__zero_shot_revision="main"
    ),
    "pretrained.zero_shot_path is given: pretrained.detector demo has no use": changed(pretrained__zero_shot_path="x"),
    "pretrained.detector_path is given: pretrained.detector owlv2 has no use": changed(
        pretrained__detector="owlv2", pretrained__detector_path="x"
    ),
    "detect.phrase is 'a violin'": changed(detect__phrase="a violin"),
    "detect.phrase is 'a {}.': to Grounding DINO": changed(
        pretrained__detector="grounding_dino", detect__phrase="a {}."
    ),
    "detector.min_size": changed(detector__min_size=10_000),
    "pretrained.detector_path is needed for pretrained.detector file": changed(pretrained__detector="file"),
    "clip.image_size is 128: OpenAI's RN50 has 224; clip.width is": changed(pretrained__source="published"),
    "pretrained.resnet_sha256": changed(pretrained__source="published", pretrained__resnet_path="resnet18.pth"),
    "pretrained.clip_sha256": changed(pretrained__source="published", pretrained__clip_path="clip.pth"),
    "clip.text_width is 64: no multiple of clip.text_heads, 3": changed(clip__text_heads=3),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(pretrained.CHECKS, REFUSED.values())

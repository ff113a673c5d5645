"""ResNet-18, detector and CLIP: which params give each of them, and which sizes a given one has."""

import dataclasses
import re
from collections.abc import Iterator

from avsep.params.sections import RN50, Params

# Which params of pretrained give each detector, and which of them it cannot do without.
DETECTORS = {
    "demo": ((), ()),
    "none": ((), ()),
    "file": (("detector_path", "detector_sha256", "detector_classes"),) * 2,
    "open_images": (("open_images_path", "open_images_start"), ("open_images_path", "open_images_classes")),
    "owlv2": (("zero_shot_path", "zero_shot_revision", "zero_shot_sha256"), ("zero_shot_path", "zero_shot_sha256")),
}
DETECTORS["grounding_dino"] = DETECTORS["owlv2"]


def detector_given(p: Params) -> Iterator[str]:
    kind = p.pretrained.detector
    given, needed = DETECTORS[kind]
    for name in needed:
        if not getattr(p.pretrained, name):
            yield f"pretrained.{name} is needed for pretrained.detector {kind}"
    for name in sorted({name for own, _ in DETECTORS.values() for name in own} - set(given)):
        if getattr(p.pretrained, name):
            yield f"pretrained.{name} is given: pretrained.detector {kind} has no use for it"
    if kind == "none" and p.videos.source != "imported":
        yield "pretrained.detector is none: videos.source imported alone comes with detections"


def detector_network(p: Params) -> Iterator[str]:
    if p.pretrained.detector == "demo" and p.detector.backbone != "resnet18":
        yield "detector.backbone is resnet50: pretrained.detector demo trains one over resnet18 only"
    if p.pretrained.open_images_start is not None and p.detector.backbone != "resnet50":
        yield "pretrained.open_images_start is of a resnet50: detector.backbone is resnet18"
    if p.detector.min_size > p.detector.max_size:
        yield f"detector.min_size is {p.detector.min_size}: above detector.max_size, {p.detector.max_size}"


def open_images_classes(p: Params) -> Iterator[str]:
    names = [p.pretrained.open_images_names.get(name, name) for name in p.pretrained.open_images_classes]
    if len({name.replace("_", " ").casefold() for name in names}) < len(names):
        yield "pretrained.open_images_classes names a class twice"


def zero_shot(p: Params) -> Iterator[str]:
    revision, phrase = p.pretrained.zero_shot_revision, p.detect.phrase
    if revision is not None and not re.fullmatch("[0-9a-f]{40}", revision):
        yield (
            f"pretrained.zero_shot_revision is {revision!r}: it must be a commit of 40 hexadecimal digits, which stays"
            " what it is"
        )
    if "{}" not in phrase:
        yield f"detect.phrase is {phrase!r}: {{}} must stand where the class's name goes"
    elif p.pretrained.detector == "grounding_dino" and set(phrase) & set(".?"):
        yield f"detect.phrase is {phrase!r}: to Grounding DINO a . or ? ends a phrase, leave it out"


def published_resnet(p: Params) -> Iterator[str]:
    if p.pretrained.source != "published":
        return
    if p.resnet.width != 64:
        yield f"resnet.width is {p.resnet.width}: the published ResNet-18 has 64"
    if p.pretrained.resnet_path is not None and p.pretrained.resnet_sha256 is None:
        yield "pretrained.resnet_sha256 is needed for pretrained.resnet_path"


def published_clip(p: Params) -> Iterator[str]:
    if p.pretrained.source != "published":
        return
    if p.pretrained.clip_path is None:
        for field in dataclasses.fields(RN50):
            ours, theirs = getattr(p.clip, field.name), getattr(RN50, field.name)
            if ours != theirs:
                yield f"clip.{field.name} is {ours}: OpenAI's RN50 has {theirs}"
    elif p.pretrained.clip_sha256 is None:
        yield "pretrained.clip_sha256 is needed for pretrained.clip_path"


def clip_heads(p: Params) -> Iterator[str]:
    if p.clip.text_width % p.clip.text_heads:
        yield f"clip.text_width is {p.clip.text_width}: no multiple of clip.text_heads, {p.clip.text_heads}"


CHECKS = (
    detector_given,
    detector_network,
    open_images_classes,
    zero_shot,
    published_resnet,
    published_clip,
    clip_heads,
)

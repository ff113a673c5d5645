"""What learns from rendered stills in stage pretrained, in processes of its own, which import this file by its name."""

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from open_clip.model import CLIP
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from avsep.demo.stills import Still, render_stills, render_views
from avsep.media.annotations import OpenImages
from avsep.models.clip import build_clip
from avsep.models.detector import build_detector
from avsep.models.resnet import ResNet18
from avsep.parallel import spread
from avsep.params.stages import PretrainedParams
from avsep.pretraining.clip import train_clip
from avsep.pretraining.detector import start_from_coco, start_from_resnet, still_item, train_detector
from avsep.pretraining.fitting import Log
from avsep.pretraining.open_images import annotated_item
from avsep.pretraining.pictures import Squares, squares
from avsep.pretraining.resnet import train_resnet
from avsep.training.seeds import seed_everything
from avsep.weights.checkpoints import load_into

RESNET_SEES = ("whole", "around", "near")  # views of a still: Views
CLIP_SEES = ("whole", "near")  # VAST asks by whole pictures

Learned = TypeVar("Learned")


class Given(NamedTuple):
    """Of the detector, what is read before anything is trained; None where another way was chosen."""

    weights: dict[str, Tensor] | None = None  # file: its own; open_images: what it starts from, where not our ResNet
    annotations: OpenImages | None = None
    zero_shot: Path | None = None  # the folder of its files


def scene(params: PretrainedParams) -> dict[str, Any]:
    """What all rendered stills have in common."""
    videos = params.videos
    return {"seed": params.seed, "width": videos.width, "height": videos.height, "classes": videos.classes}


def learn(params: PretrainedParams, log: Log, kept: Path | None) -> tuple[ResNet18, FasterRCNN | None, CLIP]:
    """What learns from rendered stills: the ResNet and the detector that starts from it (None for another one), and
    CLIP.

    Beside each other, in a process each with half of params.threads (one after the other, where there is one): networks
    as small as these gain little from a second thread.  The curves are logged when both have learned.  `kept`: the
    folder of their states after each epoch, from which one that was stopped goes on.
    """
    p = params.pretrained
    sizes = (p.still_size, params.clip.image_size)
    views = render_views("stills", p.stills, sizes=sizes, jitter=True, **scene(params))
    of_resnet, of_clip = squares(views, p.stills, [RESNET_SEES, CLIP_SEES])
    kept = kept and kept.absolute()  # for processes in other folders
    tasks = [
        partial(learn_eyes, params, of_resnet, drawn_stills(params), kept),
        partial(learn_clip, params, of_clip, kept),
    ]
    learned = spread(
        learned_alone,
        [(params.seed, task) for task in tasks],
        desc="learn",
        unit="training",
        inner_threads=max(1, params.threads // 2),
        jobs=min(2, params.threads),
        local=True,
    )
    ((resnet, detector), of_eyes), (clip, of_teacher) = learned
    for name, losses in of_eyes + of_teacher:
        log(name, losses)
    return resnet, detector, clip


def learned_alone(call: tuple[int, Callable[[Log], Learned]]) -> tuple[Learned, list[tuple[str, Mapping[str, float]]]]:
    """What a training gives, from a seed on whatever ran before it, and what it logs."""
    seed, task = call
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)  # in a process of its own
    seed_everything(seed)
    logged: list[tuple[str, Mapping[str, float]]] = []
    return task(lambda name, losses: logged.append((name, losses))), logged


def learn_eyes(
    params: PretrainedParams, shown: Squares, stills: Sequence[Still], kept: Path | None, log: Log
) -> tuple[ResNet18, FasterRCNN | None]:
    """A ResNet that has learned the demo's instruments from squares, and a detector of them, if there are `stills`."""
    p = params.pretrained
    resnet = ResNet18(params.resnet.width, len(params.videos.classes))
    resnet.to(params.device).to(memory_format=torch.channels_last)
    train_resnet(resnet, shown, epochs=p.epochs, batch=p.batch, lr=p.lr, seed=params.seed, log=log, kept=kept)
    detector = make_detector(params, Given(), resnet, stills, log, kept)[0] if stills else None
    return resnet, detector


def drawn_stills(params: PretrainedParams) -> list[Still]:
    """Those that the demo's detector learns from; none for another one."""
    if params.pretrained.detector != "demo":
        return []
    return list(render_stills("detector stills", params.pretrained.detector_stills, **scene(params)))


def make_detector(
    params: PretrainedParams, given: Given, resnet: ResNet18, stills: Sequence[Still], log: Log, kept: Path | None
) -> tuple[FasterRCNN | None, list[str]]:
    """The Faster R-CNN and the names of its labels; None where the detector is asked in words, or there is none.

    `kept`: as of `learn`.
    """
    p, classes = params.pretrained, params.videos.classes
    if p.detector == "file":
        classes = p.detector_classes
    elif given.annotations is not None:
        classes = given.annotations.classes
    elif given.zero_shot is not None or p.detector == "none":
        return None, []
    detector = build_detector(width=params.resnet.width, classes=len(classes), **asdict(params.detector))
    if p.detector == "file":
        assert given.weights is not None
        load_into(detector, given.weights, str(p.detector_path))
        return detector, classes
    detector.to(params.device)
    if given.weights is None:
        start_from_resnet(detector, resnet)
    else:
        start_from_coco(detector, given.weights)
    settings: dict[str, Any] = {"epochs": p.detector_epochs, "batch": p.detector_batch, "lr": p.detector_lr}
    settings |= {"seed": params.seed, "log": log, "kept": kept}
    if given.annotations is None:
        train_detector(detector, stills, still_item, **settings)
    else:
        train_detector(detector, given.annotations.train.pictures, annotated_item, **settings)
    return detector, classes


def learn_clip(params: PretrainedParams, shown: Squares, kept: Path | None, log: Log) -> CLIP:
    """A CLIP that has learned the demo's instruments from squares of its size."""
    p = params.pretrained
    clip = build_clip(**asdict(params.clip)).to(params.device).to(memory_format=torch.channels_last)
    train_clip(
        clip,
        shown,
        classes=params.videos.classes,
        text_steps=p.clip_text_steps,
        epochs=p.clip_epochs,
        batch=p.clip_batch,
        text_lr=p.clip_text_lr,
        lr=p.clip_lr,
        max_scale=p.clip_max_scale,
        tokens_weight=p.clip_tokens_weight,
        seed=params.seed,
        log=log,
        kept=kept,
    )
    return clip

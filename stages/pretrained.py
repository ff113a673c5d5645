"""Stage pretrained: the weights that nobody trains for a paper -> checkpoints/pretrained/*.safetensors.

`resnet18.safetensors` sees the objects, `detector.safetensors` finds them (avsep/weights/detectors.py tells what is in
it), `clip.safetensors` puts pictures and phrases into one space.  How each is learned or taken over: avsep/pretraining.

`pretrained.source` published: torchvision's ImageNet ResNet-18 and OpenAI's CLIP RN50, downloaded or files of
yours, all hash-checked.
`pretrained.source` demo: both are trained here on rendered stills, none of them a frame of the pipeline's videos.

`pretrained.detector` demo: a Faster R-CNN that starts from the ResNet and learns from rendered stills.
`pretrained.detector` open_images: one that learns from Open Images' boxes, and is measured on its validation pictures.
`pretrained.detector` file, owlv2, grounding_dino: one of yours, and two that are asked in words, all hash-checked.
`pretrained.detector` none: where all videos are imported with what others detected in them.

What is given is checked before anything is trained, and all is there before anything is written.
metrics/pretrained.json has what was trained here on pictures held out.
"""

import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from dvclive import Live
from open_clip.model import CLIP
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from avsep.demo.stills import Still, render_stills, render_views
from avsep.files.metrics import write_metrics
from avsep.media.annotations import OpenImages
from avsep.parallel import spread
from avsep.params.stages import PretrainedParams
from avsep.pretraining.clip import measure_clip, train_clip
from avsep.pretraining.detector import measure_detector, start_from_coco, start_from_resnet, still_item, train_detector
from avsep.pretraining.fitting import Log
from avsep.pretraining.given import read_checked, read_coco_detector, refuse_other, take_over_clip, take_over_resnet
from avsep.pretraining.open_images import annotated_item, described, read_annotations
from avsep.pretraining.pictures import Squares, squares
from avsep.pretraining.resnet import measure_resnet, train_resnet
from avsep.run import run
from avsep.training.seeds import seed_everything
from avsep.weights import clip as clip_weights
from avsep.weights import resnet as resnet_weights
from avsep.weights.about import PRETRAINED, describe
from avsep.weights.checkpoints import load_into, save_weights
from avsep.weights.detectors import check_zero_shot, find_zero_shot, save_detector, save_no_detector, save_zero_shot
from models.clip import build_clip
from models.detector import build_detector
from models.resnet import ResNet18

RESNET = Path("checkpoints/pretrained/resnet18.safetensors")
CLIP_WEIGHTS = Path("checkpoints/pretrained/clip.safetensors")
PLOTS = Path("metrics/pretrained/plots")
MISSING = Path("metrics/pretrained/missing_pictures.txt")  # as Open Images' downloader.py takes it

RESNET_SEES = ("whole", "around", "near")  # views of a still: Views
CLIP_SEES = ("whole", "near")  # VAST asks by whole pictures

Learned = TypeVar("Learned")


class Given(NamedTuple):
    """Of the detector, what is read before anything is trained; None where another way was chosen."""

    weights: dict[str, Tensor] | None = None  # file: its own; open_images: what it starts from, where not our ResNet
    annotations: OpenImages | None = None
    zero_shot: Path | None = None  # the folder of its files


def main(params: PretrainedParams) -> None:
    seed_everything(params.seed)
    given = read_given(params)
    p = params.pretrained
    with Live(dir=str(PLOTS.parent), dvcyaml=None, save_dvc_exp=False, report=None) as live:
        if p.source == "published":
            clip = build_clip(**asdict(params.clip))
            take_over_clip(clip, p.clip_path, p.clip_sha256)
            resnet = ResNet18(params.resnet.width)
            take_over_resnet(resnet, p.resnet_path, p.resnet_sha256)
            detector, classes = make_detector(params, given, resnet, drawn_stills(params), log_to(live))
        else:
            resnet, detector, clip = learn(params, log_to(live))
            classes = params.videos.classes
            if detector is None:
                detector, classes = make_detector(params, given, resnet, [], log_to(live))
    metrics = measure(params, given, resnet, detector, classes, clip)
    values = asdict(params)
    of_resnet = describe(resnet_weights.KIND, PRETRAINED, values, sizes={"classes": resnet.fc.out_features})
    save_weights(RESNET, resnet.state_dict(), of_resnet.entry)
    save_weights(CLIP_WEIGHTS, clip.state_dict(), describe(clip_weights.KIND, PRETRAINED, values).entry)
    if detector is not None:
        save_detector(detector, classes, values)
    elif given.zero_shot is not None:
        save_zero_shot(p.detector, given.zero_shot)
    else:
        save_no_detector()
    PLOTS.mkdir(parents=True, exist_ok=True)  # an output, also of a run that trains nothing
    write_metrics("pretrained", metrics)


def scene(params: PretrainedParams) -> dict[str, Any]:
    """What all rendered stills have in common."""
    videos = params.videos
    return {"seed": params.seed, "width": videos.width, "height": videos.height, "classes": videos.classes}


def read_given(params: PretrainedParams) -> Given:
    """Reads what the detector comes from, as far as it is given. Raises InputError for what cannot be used."""
    p = params.pretrained
    if p.detector == "file":
        assert p.detector_path is not None and p.detector_sha256 is not None  # avsep/params has seen to it
        return Given(weights=read_checked(Path(p.detector_path), p.detector_sha256, "detector"))
    if p.detector == "open_images":
        assert p.open_images_path is not None
        annotations = read_annotations(
            Path(p.open_images_path),
            p.open_images_classes,
            p.open_images_names,
            max_missing=p.open_images_max_missing,
            missing_list=MISSING,
        )
        start = read_coco_detector(p.open_images_start) if params.detector.backbone == "resnet50" else None
        return Given(weights=start, annotations=annotations)
    if p.detector in ("demo", "none"):
        return Given()
    assert p.zero_shot_path is not None and p.zero_shot_sha256 is not None
    folder = find_zero_shot(p.zero_shot_path, p.zero_shot_revision)
    refuse_other(folder / "model.safetensors", p.zero_shot_sha256, "zero_shot")
    check_zero_shot(p.detector, folder)
    return Given(zero_shot=folder)


def log_to(live: Live) -> Log:
    """Plots each training's losses as metrics/pretrained/plots/metrics/<what is learned>/<loss>.tsv."""
    steps: Counter[str] = Counter()

    def log(name: str, losses: Mapping[str, float]) -> None:
        live.step = steps[name]
        for loss, value in losses.items():
            live.log_metric(f"{name}/{loss}", value)
        steps[name] += 1

    return log


def learn(params: PretrainedParams, log: Log) -> tuple[ResNet18, FasterRCNN | None, CLIP]:
    """What learns from rendered stills: the ResNet and the detector that starts from it (None for another one), and
    CLIP.

    Beside each other, in a process each with half of params.threads (one after the other, where there is one): networks
    as small as these gain little from a second thread.  The curves are logged when both have learned.
    """
    p = params.pretrained
    sizes = (p.still_size, params.clip.image_size)
    views = render_views("stills", p.stills, sizes=sizes, jitter=True, **scene(params))
    of_resnet, of_clip = squares(views, p.stills, [RESNET_SEES, CLIP_SEES])
    tasks = [partial(learn_eyes, params, of_resnet, drawn_stills(params)), partial(learn_clip, params, of_clip)]
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
    params: PretrainedParams, shown: Squares, stills: Sequence[Still], log: Log
) -> tuple[ResNet18, FasterRCNN | None]:
    """A ResNet that has learned the demo's instruments from squares, and a detector of them, if there are `stills`."""
    p = params.pretrained
    resnet = ResNet18(params.resnet.width, len(params.videos.classes))
    resnet.to(params.device).to(memory_format=torch.channels_last)
    train_resnet(resnet, shown, epochs=p.epochs, batch=p.batch, lr=p.lr, seed=params.seed, log=log)
    detector = make_detector(params, Given(), resnet, stills, log)[0] if stills else None
    return resnet, detector


def drawn_stills(params: PretrainedParams) -> list[Still]:
    """Those that the demo's detector learns from; none for another one."""
    if params.pretrained.detector != "demo":
        return []
    return list(render_stills("detector stills", params.pretrained.detector_stills, **scene(params)))


def make_detector(
    params: PretrainedParams, given: Given, resnet: ResNet18, stills: Sequence[Still], log: Log
) -> tuple[FasterRCNN | None, list[str]]:
    """The Faster R-CNN and the names of its labels; None where the detector is asked in words, or there is none."""
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
    settings |= {"seed": params.seed, "log": log}
    if given.annotations is None:
        train_detector(detector, stills, still_item, **settings)
    else:
        train_detector(detector, given.annotations.train.pictures, annotated_item, **settings)
    return detector, classes


def learn_clip(params: PretrainedParams, shown: Squares, log: Log) -> CLIP:
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
    )
    return clip


def measure(
    params: PretrainedParams,
    given: Given,
    resnet: ResNet18,
    detector: FasterRCNN | None,
    classes: Sequence[str],
    clip: CLIP,
) -> dict[str, Any]:
    """metrics/pretrained.json: what was trained here, on pictures held out, and what there was to train on."""
    p, demo = params.pretrained, params.pretrained.source == "demo"
    metrics: dict[str, Any] = {"source": p.source}
    if demo:
        sizes = (p.still_size, params.clip.image_size)
        views = list(render_views("held-out stills", p.held_out, sizes=sizes, jitter=False, **scene(params)))
        of_resnet, of_clip = zip(*views, strict=True)
        metrics |= {"held_out": p.held_out, "resnet18": measure_resnet(resnet, of_resnet, batch=p.batch)}
    if given.annotations is not None and detector is not None:
        pictures = given.annotations.validation.pictures
        measured = measure_detector(detector, pictures, annotated_item, batch=p.detector_batch)
        metrics["detector"] = {**measured, **described(given.annotations)}
    elif p.detector == "demo" and detector is not None:
        stills = list(render_stills("held-out detector stills", p.held_out, **scene(params)))
        metrics["detector"] = measure_detector(detector, stills, still_item, batch=p.detector_batch)
    else:
        metrics["detector"] = {"kind": p.detector, "classes": len(classes)}
    if demo:
        metrics["clip"] = measure_clip(clip, of_clip, classes=params.videos.classes, batch=p.batch)
    return metrics


if __name__ == "__main__":
    run(main, PretrainedParams)

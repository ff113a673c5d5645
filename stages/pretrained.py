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

What is given is checked before anything is trained, and all is there before anything is written.  A run that was
stopped goes on behind the last epoch of each training: their states lie in checkpoints/resume/pretrained until all is
written.
metrics/pretrained.json has what was trained here on pictures held out.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dvclive import Live
from open_clip.model import CLIP
from torchvision.models.detection import FasterRCNN

from avsep.demo.stills import render_stills, render_views
from avsep.files.metrics import write_metrics
from avsep.files.working import refuse_changed
from avsep.models.clip import build_clip
from avsep.models.resnet import ResNet18
from avsep.params.stages import PretrainedParams
from avsep.pretraining.clip import measure_clip
from avsep.pretraining.detector import measure_detector, still_item
from avsep.pretraining.fitting import Log
from avsep.pretraining.given import read_checked, read_coco_detector, refuse_other, take_over_clip, take_over_resnet
from avsep.pretraining.open_images import annotated_item, described, read_annotations
from avsep.pretraining.resnet import measure_resnet
from avsep.run import run
from avsep.training.resume import ResumeFolder, fingerprint
from avsep.training.seeds import seed_everything
from avsep.weights import clip as clip_weights
from avsep.weights import resnet as resnet_weights
from avsep.weights.about import PRETRAINED, describe
from avsep.weights.checkpoints import save_weights
from avsep.weights.detectors import check_zero_shot, find_zero_shot, save_detector, save_no_detector, save_zero_shot
from stages._pretrained import Given, drawn_stills, learn, make_detector, scene

RESNET = Path("checkpoints/pretrained/resnet18.safetensors")
CLIP_WEIGHTS = Path("checkpoints/pretrained/clip.safetensors")
PLOTS = Path("metrics/pretrained/plots")
MISSING = Path("metrics/pretrained/missing_pictures.txt")  # as Open Images' downloader.py takes it


def main(params: PretrainedParams) -> None:
    seed_everything(params.seed)
    given = read_given(params)
    p = params.pretrained
    trains = p.source == "demo" or p.detector in ("demo", "open_images")
    resume = ResumeFolder("pretrained", made_from(params, given)) if trains else None
    kept = None if resume is None else resume.path
    with Live(dir=str(PLOTS.parent), dvcyaml=None, save_dvc_exp=False, report=None) as live:
        if p.source == "published":
            clip = build_clip(**asdict(params.clip))
            take_over_clip(clip, p.clip_path, p.clip_sha256)
            resnet = ResNet18(params.resnet.width)
            take_over_resnet(resnet, p.resnet_path, p.resnet_sha256)
            detector, classes = make_detector(params, given, resnet, drawn_stills(params), log_to(live), kept)
        else:
            resnet, detector, clip = learn(params, log_to(live), kept)
            classes = params.videos.classes
            if detector is None:
                detector, classes = make_detector(params, given, resnet, [], log_to(live), kept)
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
    if resume is not None:
        refuse_changed()  # while the states are there
        resume.clear()


def made_from(params: PretrainedParams, given: Given) -> str:
    """A hash of all that trainings depend on: params, code, and Open Images' boxes; what else is given, params tell by
    its hash."""
    boxes = hashlib.sha256()
    for part in () if given.annotations is None else (given.annotations.train, given.annotations.validation):
        for one in part.pictures:
            boxes.update(b"\0".join([one.path.name.encode(), one.boxes.tobytes(), one.labels.tobytes()]))
    return fingerprint("pretrained", {**asdict(params), "boxes": boxes.hexdigest()}, [])


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

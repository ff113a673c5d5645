"""Stage pretrained: the weights that nobody trains for a paper -> checkpoints/pretrained/*.safetensors.

`resnet18.safetensors` sees the objects, `detector.safetensors` finds them (avsep/weights/detectors.py tells what is in
it), `clip.safetensors` puts pictures and phrases into one space.

`pretrained.source` published: torchvision's ImageNet ResNet-18 and OpenAI's CLIP RN50, downloaded or files of
yours, all hash-checked.
`pretrained.source` demo: both are trained here on rendered stills, none of them a frame of the pipeline's videos.  The
ResNet learns to tell the instruments in whole pictures and in crops, since the baseline sees the ones and CCoL the
others; CLIP learns which captions go with the same pictures.

`pretrained.detector` demo: a Faster R-CNN that starts from the ResNet and learns from rendered stills.
`pretrained.detector` open_images: one that learns from Open Images' boxes, and is measured on its validation pictures.
`pretrained.detector` file, owlv2, grounding_dino: one of yours, and two that are asked in words, all hash-checked.
`pretrained.detector` none: where all videos are imported with what others detected in them.

What is given is checked before anything is trained, and all is there before anything is written.
metrics/pretrained.json has what was trained here on pictures held out.
"""

import hashlib
import itertools
import logging
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import safetensors.torch
import torch
from dvclive import Live
from open_clip.model import CLIP
from open_clip.modified_resnet import Bottleneck
from open_clip.pretrained import download_pretrained_from_url, get_pretrained_url
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_Weights
from torchvision.transforms.functional import pil_to_tensor

from avsep.demo.captions import caption
from avsep.demo.stills import Still, Views, render_stills, render_views
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.media.annotations import Annotated, OpenImages, read_open_images, read_picture
from avsep.media.frames import normalise
from avsep.params.stages import PretrainedParams
from avsep.progress import progress
from avsep.run import run
from avsep.scoring.detection import average_precision, first_is_right, recall
from avsep.training.seeds import seed_everything, seed_step
from avsep.weights.checkpoints import load_into, load_torch, save_weights
from avsep.weights.detectors import (
    check_zero_shot,
    find_zero_shot,
    save_detector,
    save_no_detector,
    save_zero_shot,
)
from avsep.weights.phrases import phrase_of, tokenise
from models.clip import FrozenCLIP, build_clip, clip_normalised
from models.detector import build_detector
from models.resnet import ResNet18
from models.vast import visual_query

RESNET = Path("checkpoints/pretrained/resnet18.safetensors")
CLIP_WEIGHTS = Path("checkpoints/pretrained/clip.safetensors")
PLOTS = Path("metrics/pretrained/plots")
MISSING = Path("metrics/pretrained/missing_pictures.txt")  # as Open Images' downloader.py takes it

PHRASE = "a person playing the {}"  # that the metrics ask for
PREDICTOR = "roi_heads.box_predictor."  # of a Faster R-CNN, whose rows are its classes

Target = tuple[Tensor, dict[str, Tensor]]  # a picture (3, H, W) in [0, 1]; its boxes (N, 4) and labels (N,)
Labelled = TypeVar("Labelled")


class Given(NamedTuple):
    """Of the detector, what is read before anything is trained; None where another way was chosen."""

    weights: dict[str, Tensor] | None = None  # file: its own; open_images: what it starts from, where not our ResNet
    annotations: OpenImages | None = None
    zero_shot: Path | None = None  # the folder of its files


def main(params: PretrainedParams) -> None:
    seed_everything(params.seed)
    given = read_given(params)
    with Live(dir=str(PLOTS.parent), dvcyaml=None, save_dvc_exp=False, report=None) as live:
        if params.pretrained.source == "published":
            clip, resnet = read_clip(params), read_resnet(params)
            detector, classes = make_detector(params, given, resnet, live)
        else:
            p = params.pretrained
            pictures, labels = squares(render_squares(params, "stills", p.stills, p.still_size, jitter=True))
            resnet = demo_resnet(params, pictures, labels, live)
            detector, classes = make_detector(params, given, resnet, live)
            clip = demo_clip(params, pictures, labels, live)
    metrics = measure(params, given, resnet, detector, classes, clip)
    save_weights(RESNET, resnet.state_dict())
    save_weights(CLIP_WEIGHTS, clip.state_dict())
    if detector is not None:
        save_detector(detector, classes)
    elif given.zero_shot is not None:
        save_zero_shot(params.pretrained.detector, given.zero_shot)
    else:
        save_no_detector()
    PLOTS.mkdir(parents=True, exist_ok=True)  # an output, also of a run that trains nothing
    write_metrics("pretrained", metrics)


def read_given(params: PretrainedParams) -> Given:
    """Reads what the detector comes from, as far as it is given. Raises InputError for what cannot be used."""
    p = params.pretrained
    if p.detector == "file":
        assert p.detector_path is not None and p.detector_sha256 is not None  # avsep/params has seen to it
        return Given(weights=read_checked(Path(p.detector_path), p.detector_sha256, "detector"))
    if p.detector == "open_images":
        assert p.open_images_path is not None
        annotations = read_annotations(
            Path(p.open_images_path), p.open_images_classes, p.open_images_names, p.open_images_max_missing
        )
        start = read_start(p.open_images_start) if params.detector.backbone == "resnet50" else None
        return Given(weights=start, annotations=annotations)
    if p.detector in ("demo", "none"):
        return Given()
    assert p.zero_shot_path is not None and p.zero_shot_sha256 is not None
    folder = find_zero_shot(p.zero_shot_path, p.zero_shot_revision)
    refuse_other(folder / "model.safetensors", p.zero_shot_sha256, "zero_shot")
    check_zero_shot(p.detector, folder)
    return Given(zero_shot=folder)


def make_detector(
    params: PretrainedParams, given: Given, resnet: ResNet18, live: Live
) -> tuple[FasterRCNN | None, list[str]]:
    """The Faster R-CNN and the names of its labels; None where the detector is asked in words, or there is none."""
    p, classes = params.pretrained, params.videos.classes
    if p.detector == "file":
        classes = p.detector_classes
    elif given.annotations is not None:
        classes = given.annotations.classes
    elif given.zero_shot is not None or p.detector == "none":
        return None, []
    detector = build_detector(
        params.detector.backbone,
        width=params.resnet.width,
        channels=params.detector.channels,
        classes=len(classes),
        min_size=params.detector.min_size,
        max_size=params.detector.max_size,
    )
    if p.detector == "file":
        assert given.weights is not None
        load_into(detector, given.weights, str(p.detector_path))
        return detector, classes
    detector.to(params.device)
    if given.weights is None:
        body = {name: value for name, value in resnet.state_dict().items() if not name.startswith("fc.")}
        detector.backbone.body.load_state_dict(body)
    else:  # all but the layer whose rows are the classes
        own = {name: value for name, value in detector.state_dict().items() if name.startswith(PREDICTOR)}
        load_into(detector, {**given.weights, **own}, "torchvision's detector of COCO")
    settings = dict(epochs=p.detector_epochs, batch=p.detector_batch, lr=p.detector_lr, seed=params.seed, live=live)
    if given.annotations is None:
        stills = render_detector_stills(params, "detector stills", p.detector_stills)
        train_detector(detector, stills, detector_item, **settings)  # type: ignore[arg-type]
    else:
        train_detector(detector, given.annotations.train.pictures, annotated_item, **settings)  # type: ignore[arg-type]
    return detector, classes


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
        held_out = render_squares(params, "held-out stills", p.held_out, p.still_size, jitter=False)
        metrics |= {"held_out": p.held_out, "resnet18": measure_resnet(resnet, held_out, batch=p.batch)}
    if given.annotations is not None and detector is not None:
        pictures = given.annotations.validation.pictures
        measured = measure_detector(detector, pictures, annotated_item, batch=p.detector_batch)
        metrics["detector"] = {**measured, **described(given.annotations)}
    elif p.detector == "demo" and detector is not None:
        stills = render_detector_stills(params, "held-out detector stills", p.held_out)
        metrics["detector"] = measure_detector(detector, stills, detector_item, batch=p.detector_batch)
    else:
        metrics["detector"] = {"kind": p.detector, "classes": len(classes)}
    if demo:
        # the same stills as the ResNet's, as CLIP is shown them
        seen = render_squares(params, "held-out stills", p.held_out, params.clip.image_size, jitter=False)
        metrics["clip"] = measure_clip(clip, seen, classes=params.videos.classes, batch=p.batch)
    return metrics


# -- published


def read_clip(params: PretrainedParams) -> CLIP:
    """OpenAI's CLIP, or yours. Raises InputError."""
    p = params.pretrained
    clip = build_clip(**asdict(params.clip))
    if p.clip_path is None:
        load_counted(clip, download_clip(), "OpenAI's CLIP RN50")
    else:
        assert p.clip_sha256 is not None  # avsep/params has seen to it
        load_counted(clip, read_checked(Path(p.clip_path), p.clip_sha256, "clip"), p.clip_path)
    return clip


def read_resnet(params: PretrainedParams) -> ResNet18:
    """torchvision's ResNet-18, or yours. Raises InputError."""
    p = params.pretrained
    resnet = ResNet18(params.resnet.width)
    if p.resnet_path is None:
        load_counted(resnet, download_resnet(), "torchvision's ResNet-18")
    else:
        assert p.resnet_sha256 is not None
        load_counted(resnet, read_checked(Path(p.resnet_path), p.resnet_sha256, "resnet"), p.resnet_path)
    return resnet


def download_resnet() -> dict[str, Tensor]:
    """torchvision's ImageNet weights. Raises InputError if they cannot be had, or are not those of its hash."""
    try:
        return dict(ResNet18_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True))
    except (OSError, RuntimeError) as error:
        name = ResNet18_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
        raise InputError(
            f"torchvision's {name} could not be downloaded ({error}): try again with a network, or put the file"
            f" into {torch.hub.get_dir()}/checkpoints"
        ) from None


def download_clip() -> dict[str, Tensor]:
    """OpenAI's CLIP RN50 as float32. Raises InputError if it cannot be had, or is not that of its hash."""
    url = get_pretrained_url("RN50", "openai")
    try:
        path = download_pretrained_from_url(url)  # checks the SHA-256 that the URL names
        archive = torch.jit.load(path, map_location="cpu").state_dict()
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"OpenAI's CLIP {url.rpartition('/')[2]} could not be downloaded ({error}): try again with a network, or"
            " put the file into ~/.cache/clip"
        ) from None
    sizes = ("input_resolution", "context_length", "vocab_size")
    return {name: value.float() for name, value in archive.items() if name not in sizes}


def load_counted(network: nn.Module, weights: Mapping[str, Tensor], origin: str) -> None:
    """Loads a state dict that may lack the counts of training steps. Raises InputError if it does not fit."""
    counts = {name: value for name, value in network.state_dict().items() if name.endswith("num_batches_tracked")}
    load_into(network, {**counts, **weights}, origin)


def read_start(path: str | None) -> dict[str, Tensor]:
    """torchvision's Faster R-CNN of COCO without the layer whose rows are COCO's classes; downloaded, or from `path`.

    Raises InputError if it cannot be had, or is not that of its hash.
    """
    published = FasterRCNN_ResNet50_FPN_Weights.COCO_V1
    name = published.url.rpartition("/")[2]  # <what it is>-<first digits of its SHA-256>.pth
    if path is not None:
        if not sha256_of(Path(path), "open_images_start").startswith(name.removesuffix(".pth").rpartition("-")[2]):
            raise InputError(f"pretrained.open_images_start {path} is not torchvision's {name}: its SHA-256 is another")
        weights = read_state_dict(Path(path))
    else:
        try:
            weights = dict(published.get_state_dict(check_hash=True))
        except (OSError, RuntimeError) as error:
            raise InputError(
                f"torchvision's {name} could not be downloaded ({error}): give the file as pretrained.open_images_start"
            ) from None
    return {name: value for name, value in without_counts(weights).items() if not name.startswith(PREDICTOR)}


def read_checked(path: Path, sha256: str, name: str) -> dict[str, Tensor]:
    """The state dict of pretrained.<name>_path, its bytes checked before they are read. Raises InputError."""
    refuse_other(path, sha256, name)
    return read_state_dict(path)


def refuse_other(path: Path, sha256: str, name: str) -> None:
    """Raises InputError if the file of pretrained.<name>_path has not pretrained.<name>_sha256, or cannot be read."""
    found = sha256_of(path, f"{name}_path")
    if found != sha256.lower():
        raise InputError(f"{path} has the SHA-256 {found}, pretrained.{name}_sha256 is {sha256}: another file")


def sha256_of(path: Path, param: str) -> str:
    """The hash of a file that a param names. Raises InputError."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"pretrained.{param} {path} cannot be read ({error.strerror})") from None


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """A state dict saved by torch or as safetensors. Raises InputError."""
    if path.suffix != ".safetensors":
        return without_counts(load_torch(path))
    try:
        return without_counts(safetensors.torch.load_file(path))
    except (OSError, safetensors.SafetensorError) as error:
        raise InputError(f"{path} is no safetensors file, or damaged ({error})") from None


def without_counts(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict less batch norm's counts of training steps, which a frozen one has not."""
    return {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}


# -- Open Images


def read_annotations(folder: Path, classes: Sequence[str], names: Mapping[str, str], max_missing: float) -> OpenImages:
    """The boxes to learn from and to be measured on. Raises InputError if more pictures than `max_missing` are missing.

    Writes the list of those that are missing to MISSING.
    """
    logging.info("pretrained: reading the boxes in %s", folder)
    found = read_open_images(folder, classes, names)
    MISSING.parent.mkdir(parents=True, exist_ok=True)
    MISSING.write_text("".join(f"{picture}\n" for picture in found.missing), encoding="utf-8")
    if found.unknown:
        logging.warning(
            "pretrained: Open Images has no boxes of %s: the detector learns none", ", ".join(found.unknown)
        )
    if found.missing_share > max_missing:
        raise InputError(
            f"{folder / 'images'} lacks {len(found.missing)} pictures ({found.missing_share:.0%}, and"
            f" pretrained.open_images_max_missing is {max_missing:g}): {MISSING} lists them for Open Images' downloader"
        )
    if found.missing:
        logging.warning("pretrained: %d pictures are missing, see %s", len(found.missing), MISSING)
    for name, part in (("train", found.train), ("validation", found.validation)):
        if not part.pictures:
            raise InputError(f"{folder} has no {name} picture of {', '.join(found.classes)}: choose other classes")
    return found


def described(annotations: OpenImages) -> dict[str, Any]:
    """What there was to learn from, for metrics/pretrained.json."""
    train, validation = annotations.train, annotations.validation
    return {
        "pictures": {
            "train": len(train.pictures),
            "validation": len(validation.pictures),
            "missing": len(annotations.missing),
        },
        "boxes": annotations.boxes(),
        "group_boxes": train.groups + validation.groups,
        "flat_boxes": train.flat + validation.flat,
        "unknown_classes": annotations.unknown,
    }


def annotated_item(one: Annotated) -> Target:
    """A picture (3, H, W) in [0, 1] and its target, read from the disk."""
    picture = pil_to_tensor(read_picture(one.path)).float() / 255
    height, width = picture.shape[1:]
    sides = torch.from_numpy(one.boxes) * torch.tensor([width, height, width, height], dtype=torch.float32)
    return picture, {"boxes": sides, "labels": torch.from_numpy(one.labels)}


# -- demo


def render_squares(params: PretrainedParams, purpose: str, count: int, size: int, jitter: bool) -> list[Views]:
    """Stills in three views, squares of `size` pixels."""
    videos = params.videos
    rendered = render_views(
        purpose,
        count,
        size=size,
        jitter=jitter,
        seed=params.seed,
        width=videos.width,
        height=videos.height,
        classes=videos.classes,
    )
    return list(rendered)


def render_detector_stills(params: PretrainedParams, purpose: str, count: int) -> list[Still]:
    """Whole stills, each with one instrument."""
    videos = params.videos
    rendered = render_stills(
        purpose, count, seed=params.seed, width=videos.width, height=videos.height, classes=videos.classes
    )
    return list(rendered)


def demo_resnet(params: PretrainedParams, pictures: np.ndarray, labels: np.ndarray, live: Live) -> ResNet18:
    """A ResNet that has learned the demo's instruments from P squares (P, size, size, 3) and their labels (P,)."""
    p = params.pretrained
    resnet = ResNet18(params.resnet.width, len(params.videos.classes))
    resnet.to(params.device).to(memory_format=torch.channels_last)
    train_resnet(resnet, pictures, labels, epochs=p.epochs, batch=p.batch, lr=p.lr, seed=params.seed, live=live)
    return resnet


def demo_clip(params: PretrainedParams, pictures: np.ndarray, labels: np.ndarray, live: Live) -> CLIP:
    """A CLIP that has learned the demo's instruments from the same squares."""
    p = params.pretrained
    clip = build_clip(**asdict(params.clip)).to(params.device).to(memory_format=torch.channels_last)
    train_clip(
        clip,
        pictures,
        labels,
        classes=params.videos.classes,
        text_steps=p.clip_text_steps,
        epochs=p.clip_epochs,
        batch=p.clip_batch,
        text_lr=p.clip_text_lr,
        lr=p.clip_lr,
        max_scale=p.clip_max_scale,
        seed=params.seed,
        live=live,
    )
    return clip


def squares(views: Sequence[Views]) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of V views, uint8 (3 V, size, size, 3), and what they show, (3 V,)."""
    pictures = np.stack([picture for view in views for picture in (view.whole, view.around, view.near)])
    return pictures, np.repeat([view.label for view in views], 3)


def train_resnet(
    resnet: ResNet18,
    pictures: np.ndarray,
    labels: np.ndarray,
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    live: Live,
) -> None:
    """Learns the instruments by cross entropy; an epoch shows each of a still's three views once."""
    device = next(resnet.parameters()).device

    def losses(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        batch_pictures = varied(network_input(pictures[chosen]), rng).to(device)
        logits = resnet(batch_pictures)
        target = torch.as_tensor(labels[chosen], device=device)
        return {"cross_entropy": F.cross_entropy(logits, target, label_smoothing=0.1)}

    optimiser = torch.optim.AdamW(resnet.parameters(), betas=(0.9, 0.99), weight_decay=0.05)
    resnet.train()
    fit("resnet18", losses, optimiser, [lr], len(labels), epochs=epochs, batch=batch, seed=seed, live=live)
    resnet.eval()


def train_detector(
    detector: FasterRCNN,
    items: Sequence[Labelled],
    read: Callable[[Labelled], Target],
    *,
    epochs: int,
    batch: int,
    lr: float,
    seed: int,
    live: Live,
) -> None:
    """Learns the instruments' boxes and classes; what the ResNet knows already moves ten times slower.

    `read` gives an item's picture and boxes when a step needs them.
    """
    device = next(detector.parameters()).device

    def losses(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        pictures, targets = [], []
        for index in chosen:
            picture, target = read(items[index])
            if rng.random() < 0.5:  # mirror
                picture = picture.flip(2)
                x1, y1, x2, y2 = target["boxes"].unbind(1)
                target["boxes"] = torch.stack([picture.shape[2] - x2, y1, picture.shape[2] - x1, y2], dim=1)
            pictures.append(picture.to(device))
            targets.append({name: value.to(device) for name, value in target.items()})
        return detector(pictures, targets)

    body = detector.backbone.body
    for name in ("conv1", "layer1"):
        body[name].requires_grad_(False)
    known = [p for p in body.parameters() if p.requires_grad]
    new = [p for name, p in detector.named_parameters() if not name.startswith("backbone.body.")]
    optimiser = torch.optim.AdamW([{"params": new}, {"params": known}], weight_decay=0.01)
    detector.train()
    fit("detector", losses, optimiser, [lr, lr / 10], len(items), epochs=epochs, batch=batch, seed=seed, live=live)
    detector.eval()


def train_clip(
    clip: CLIP,
    pictures: np.ndarray,
    labels: np.ndarray,
    *,
    classes: Sequence[str],
    text_steps: int,
    epochs: int,
    batch: int,
    text_lr: float,
    lr: float,
    max_scale: float,
    seed: int,
    live: Live,
) -> None:
    """Learns first which captions go together, for at most `text_steps` steps, then which pictures go with them.

    An epoch shows each picture once, with a caption drawn for it.  Both towers at once stay at chance for long: at the
    start all captions have nearly the same embedding.  Captions alone soon lie apart (`text_steps` are few against the
    pictures'), and pictures then learn as from a classifier whose weights are given.

    `max_scale` of the cosines, 100 for CLIP, decides how near pictures come to their captions: at a high one it is
    enough that other captions are farther away.
    """
    device = next(clip.parameters()).device
    for block in clip.visual.modules():
        if isinstance(block, Bottleneck):  # open_clip starts them as nothing, for long trainings
            nn.init.ones_(block.bn3.weight)

    def read(chosen: list[int], rng: np.random.Generator) -> Tensor:
        captions = [caption(rng, classes[label]) for label in labels[chosen]]
        return clip.encode_text(tokenise(captions, clip.context_length).to(device), normalize=True)

    def kinds(chosen: list[int]) -> Tensor:
        return torch.as_tensor(labels[chosen], device=device)

    def captions_alike(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        scale = clip.logit_scale.exp().detach()
        return {"contrastive": contrastive(scale * read(chosen, rng) @ read(chosen, rng).T, kinds(chosen))}

    def captions_and_pictures(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        seen = clip_input(varied(network_input(pictures[chosen]), rng).to(device), clip.visual.image_size)
        with torch.no_grad():
            clip.logit_scale.clamp_(max=math.log(max_scale))
            said = read(chosen, rng)
        logits = clip.logit_scale.exp() * clip.encode_image(seen, normalize=True) @ said.T
        return {"contrastive": contrastive(logits, kinds(chosen))}

    def optimiser(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, betas=(0.9, 0.98), weight_decay=0.05)

    visual = [*clip.visual.parameters(), clip.logit_scale]
    text = [p for name, p in clip.named_parameters() if not name.startswith(("visual.", "logit_scale"))]
    count = min(text_steps * batch, len(labels))
    clip.train()
    fit("clip_text", captions_alike, optimiser(text), [text_lr], count, epochs=1, batch=batch, seed=seed, live=live)
    fit(
        "clip",
        captions_and_pictures,
        optimiser(visual),
        [lr],
        len(labels),
        epochs=epochs,
        batch=batch,
        seed=seed,
        live=live,
    )
    clip.eval()
    some = np.random.default_rng([seed, zlib.crc32(b"level")]).permutation(len(labels))[:256].tolist()
    captions = [caption(np.random.default_rng([seed, index]), classes[labels[index]]) for index in some]
    seen = resized(network_input(pictures[some]).to(device), clip.visual.image_size)
    level(clip, seen, tokenise(captions, clip.context_length).to(device))


@torch.no_grad()
def level(clip: CLIP, pictures: Tensor, captions: Tensor) -> None:
    """Scales both towers' last projections so that a query of VAST's varies by 1 a value, by pictures (B, 3, H, W),
    ImageNet-normalised, and by captions (B, context) alike: as the maps do that its U-Net sets a query beside.

    No cosine changes.  Without it a query by picture varies five times as much as one by caption, and both share a
    decoder and its batch norm.
    """
    pool, frozen = clip.visual.attnpool, FrozenCLIP(clip)
    asked, told = visual_query(frozen.tokens(pictures)[:, None]), frozen.text(captions)
    for query, parameters in ((asked, [pool.c_proj.weight, pool.c_proj.bias]), (told, [clip.text_projection])):
        for parameter in parameters:
            parameter.div_(query.std(0).square().mean().sqrt())


def contrastive(logits: Tensor, labels: Tensor) -> Tensor:
    """InfoNCE in both directions over scaled cosines of pictures and captions (B, B) of classes `labels` (B,).

    All captions of a picture's class are right for it, to equal shares: none is a negative of its own kind.
    """
    same = (labels[:, None] == labels[None]).to(logits.dtype)  # (B, B), symmetric
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def fit(
    name: str,
    losses: Callable[[list[int], np.random.Generator], dict[str, Tensor]],
    optimiser: torch.optim.Optimizer,
    lr: list[float],
    count: int,
    *,
    epochs: int,
    batch: int,
    seed: int,
    live: Live,
) -> None:
    """Minimises the sum of `losses(items, rng)` over `count` items, with one cycle of the learning rates `lr`.

    The items' order is a function of (seed, name, epoch), a step's other randomness one of (seed, name, step).
    """
    steps = max(count // batch, 1)  # of an epoch
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=lr, total_steps=epochs * steps)
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    salt = zlib.crc32(name.encode())
    orders = [np.random.default_rng([seed, salt, epoch]).permutation(count) for epoch in range(epochs)]
    batches = [order[at * batch : (at + 1) * batch].tolist() for order in orders for at in range(steps)]
    live.step = 0
    for step, items in enumerate(progress(batches, desc=f"train {name}", total=len(batches), unit="step")):
        seed_step(seed, step)  # torchvision's samplers of boxes draw from torch's own generator
        named = losses(items, np.random.default_rng([seed, salt, epochs, step]))
        optimiser.zero_grad()
        torch.stack(list(named.values())).sum().backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 10 == 0 or step + 1 == len(batches):
            for term, value in named.items():
                live.log_metric(f"{name}/{term}", value.item())
            live.next_step()


def network_input(pictures: np.ndarray) -> Tensor:
    """uint8 (B, H, W, 3) -> ImageNet-normalised (B, 3, H, W), with the channels last in memory, which is faster."""
    return torch.from_numpy(normalise(pictures)).to(memory_format=torch.channels_last)


def resized(pictures: Tensor, size: int) -> Tensor:
    """Squares (B, 3, H, H) -> (B, 3, size, size)"""
    return F.interpolate(pictures, (size, size), mode="bicubic", antialias=True)


def clip_input(pictures: Tensor, size: int) -> Tensor:
    """ImageNet-normalised squares (B, 3, H, H) -> CLIP's (B, 3, size, size)."""
    return clip_normalised(resized(pictures, size)).contiguous(memory_format=torch.channels_last)


def varied(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Half of the pictures mirrored; contrast, brightness and hue of each moved a little."""
    count = len(pictures)
    mirrored = torch.as_tensor(rng.random(count) < 0.5).view(count, 1, 1, 1)
    contrast = torch.as_tensor(rng.uniform(0.7, 1.3, (count, 3, 1, 1)), dtype=torch.float32)
    brightness = torch.as_tensor(rng.normal(0, 0.2, (count, 1, 1, 1)), dtype=torch.float32)
    return torch.where(mirrored, pictures.flip(3), pictures) * contrast + brightness


def detector_item(still: Still) -> Target:
    """A picture (3, H, W) in [0, 1] and its target."""
    picture = torch.from_numpy(still.picture).permute(2, 0, 1).float() / 255
    return picture, {"boxes": torch.tensor([still.box], dtype=torch.float32), "labels": torch.tensor([still.label + 1])}


def batched(items: Iterable, size: int) -> Iterator[list]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


@torch.no_grad()
def measure_resnet(resnet: ResNet18, views: Sequence[Views], *, batch: int) -> dict[str, float]:
    """Accuracy on whole pictures and on crops to the instrument."""
    device = next(resnet.parameters()).device
    right = {"accuracy_whole": 0, "accuracy_near": 0}
    for some in batched(views, batch):
        labels = torch.tensor([view.label for view in some], device=device)
        for name, pictures in (("accuracy_whole", [v.whole for v in some]), ("accuracy_near", [v.near for v in some])):
            logits = resnet(network_input(np.stack(pictures)).to(device))
            right[name] += int((logits.argmax(dim=1) == labels).sum())
    return {name: count / len(views) for name, count in right.items()}


@torch.no_grad()
def measure_clip(clip: CLIP, views: Sequence[Views], *, classes: Sequence[str], batch: int) -> dict[str, float]:
    """How often a picture is nearest to its class's phrase, by its embedding and by its dense tokens; and the cosines.

    `accuracy_*` for whole pictures and crops to the instrument, `tokens_accuracy_*` for the query that VAST makes of
    their tokens; `cosine_same` and `cosine_other` are whole pictures' means with their own and with other phrases.
    """
    device = next(clip.parameters()).device
    frozen = FrozenCLIP(clip)
    phrases = tokenise([phrase_of(name, PHRASE) for name in classes], frozen.context).to(device)
    texts = F.normalize(frozen.text(phrases), dim=-1)  # (classes, Q)
    cosines: dict[str, list[Tensor]] = {name: [] for name in ("whole", "near", "tokens_whole", "tokens_near")}
    for some in batched(views, batch):
        for name, pictures in (("whole", [v.whole for v in some]), ("near", [v.near for v in some])):
            seen = network_input(np.stack(pictures)).to(device)
            query = visual_query(frozen.tokens(seen)[:, None])  # of one frame each
            cosines[name].append(F.normalize(frozen.picture(seen), dim=-1) @ texts.T)
            cosines[f"tokens_{name}"].append(F.normalize(query, dim=-1) @ texts.T)
    labels = torch.tensor([view.label for view in views], device=device)
    joined = {name: torch.cat(parts) for name, parts in cosines.items()}  # (V, classes) each
    right = {name: float((values.argmax(dim=1) == labels).float().mean()) for name, values in joined.items()}
    own = F.one_hot(labels, len(classes)).bool()
    return {
        "accuracy_whole": right["whole"],
        "accuracy_near": right["near"],
        "tokens_accuracy_whole": right["tokens_whole"],
        "tokens_accuracy_near": right["tokens_near"],
        "cosine_same": float(joined["whole"][own].mean()),
        "cosine_other": float(joined["whole"][~own].mean()),
    }


@torch.no_grad()
def measure_detector(
    detector: FasterRCNN, items: Sequence[Labelled], read: Callable[[Labelled], Target], *, batch: int
) -> dict[str, float]:
    """Recall, and precision in two forms, at an IoU of 0.5."""
    device = next(detector.parameters()).device
    found: list[dict[str, Tensor]] = []
    truth: list[dict[str, Tensor]] = []
    batches = math.ceil(len(items) / batch)
    for some in progress(batched(items, batch), "measure detector", batches, "batch"):
        pictures, targets = zip(*(read(item) for item in some), strict=True)
        found += [
            {k: v.cpu() for k, v in one.items()} for one in detector([picture.to(device) for picture in pictures])
        ]
        truth += targets
    return {
        "recall": recall(found, truth),
        "first_is_right": first_is_right(found, truth),
        "average_precision": average_precision(found, truth),
    }


if __name__ == "__main__":
    run(main, PretrainedParams)

"""Stage pretrained: the weights that nobody trains for a paper -> checkpoints/pretrained/*.safetensors.

`resnet18.safetensors` sees the objects, `detector.safetensors` finds them; the latter's metadata `classes` is the
JSON list of the names of its labels 1, 2, ...  `clip.safetensors` puts pictures and phrases into one space.

`pretrained.source` published: torchvision's ImageNet ResNet-18 and OpenAI's CLIP RN50, downloaded or, as your detector,
files of yours, all hash-checked.
`pretrained.source` demo: all are trained here on rendered stills, none of them a frame of the pipeline's videos.
The ResNet learns to tell the instruments in whole pictures and in crops, since the baseline sees the ones and CCoL
the others; the detector starts from it; CLIP learns which captions go with the same pictures.
metrics/pretrained.json has all on held-out stills.
"""

import hashlib
import itertools
import json
import math
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from dvclive import Live
from open_clip.model import CLIP
from open_clip.modified_resnet import Bottleneck
from open_clip.pretrained import download_pretrained_from_url, get_pretrained_url
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN

from avsep.clips.phrases import phrase_of, tokenise
from avsep.demo.captions import caption
from avsep.demo.stills import Still, Views, render_stills, render_views
from avsep.errors import InputError
from avsep.media.frames import normalise
from avsep.params import PretrainedParams
from avsep.run import progress, run, write_metrics
from avsep.scoring.detection import average_precision, first_is_right, recall
from avsep.training.checkpoints import load_into, load_weights, save_weights
from avsep.training.seeds import seed_everything, seed_step
from models.clip import FrozenCLIP, build_clip, clip_normalised
from models.detector import build_detector
from models.resnet import ResNet18
from models.vast import visual_query

RESNET = Path("checkpoints/pretrained/resnet18.safetensors")
DETECTOR = Path("checkpoints/pretrained/detector.safetensors")
CLIP_WEIGHTS = Path("checkpoints/pretrained/clip.safetensors")

PHRASE = "a person playing the {}"  # that the metrics ask for


def main(params: PretrainedParams) -> None:
    seed_everything(params.seed)
    if params.pretrained.source == "published":
        publish(params)
    else:
        train(params)


# -- published


def publish(params: PretrainedParams) -> None:
    """Takes the published weights over, each checked before it is read, and all before one is written."""
    p = params.pretrained
    assert p.detector_path is not None and p.detector_sha256 is not None  # avsep/params.py has seen to it
    detector = build_detector(
        params.detector.backbone,
        width=params.resnet.width,
        channels=params.detector.channels,
        classes=len(p.detector_classes),
        min_size=params.detector.min_size,
        max_size=params.detector.max_size,
    )
    load_into(detector, read_checked(Path(p.detector_path), p.detector_sha256, "detector"), p.detector_path)
    clip = build_clip(**asdict(params.clip))
    if p.clip_path is None:
        load_counted(clip, download_clip(), "OpenAI's CLIP RN50")
    else:
        assert p.clip_sha256 is not None
        load_counted(clip, read_checked(Path(p.clip_path), p.clip_sha256, "clip"), p.clip_path)
    resnet = ResNet18(params.resnet.width)
    if p.resnet_path is None:
        load_counted(resnet, download_resnet(), "torchvision's ResNet-18")
    else:
        assert p.resnet_sha256 is not None
        load_counted(resnet, read_checked(Path(p.resnet_path), p.resnet_sha256, "resnet"), p.resnet_path)
    save_weights(RESNET, resnet.state_dict())
    save_weights(CLIP_WEIGHTS, clip.state_dict())
    save_weights(DETECTOR, detector.state_dict(), metadata=("classes", json.dumps(p.detector_classes)))
    Path("metrics/pretrained/plots").mkdir(parents=True, exist_ok=True)  # an output of the stage, here without curves
    write_metrics("pretrained", {"source": "published", "classes": len(p.detector_classes)})


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


def read_checked(path: Path, sha256: str, name: str) -> dict[str, Tensor]:
    """The state dict of pretrained.<name>_path, its bytes checked before they are read. Raises InputError."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"pretrained.{name}_path {path} cannot be read ({error.strerror})") from None
    if found != sha256.lower():
        raise InputError(f"{path} has the SHA-256 {found}, pretrained.{name}_sha256 is {sha256}: another file")
    if path.suffix == ".safetensors":
        weights = load_weights(path)
    else:
        try:
            weights = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise InputError(f"{path} is no state dict saved by torch ({str(error).splitlines()[0]})") from None
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"{path} is no state dict: save `model.state_dict()`")
    # counts of training steps, which frozen batch norm has not
    return {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}


# -- demo


def train(params: PretrainedParams) -> None:
    """Renders the stills, trains the networks, and measures them on stills held out."""
    p, videos, device = params.pretrained, params.videos, torch.device(params.device)
    scene = dict(seed=params.seed, width=videos.width, height=videos.height, classes=videos.classes)

    def views(purpose: str, count: int, size: int, jitter: bool) -> list[Views]:
        return list(render_views(purpose, count, size=size, jitter=jitter, **scene))  # type: ignore[arg-type]

    def stills(purpose: str, count: int) -> list[Still]:
        return list(render_stills(purpose, count, **scene))  # type: ignore[arg-type]

    with Live(dir="metrics/pretrained", dvcyaml=None, save_dvc_exp=False, report=None) as live:
        pictures, labels = squares(views("stills", p.stills, p.still_size, jitter=True))
        resnet = ResNet18(params.resnet.width, len(videos.classes)).to(device).to(memory_format=torch.channels_last)
        train_resnet(
            resnet,
            pictures,
            labels,
            epochs=p.epochs,
            batch=p.batch,
            lr=p.lr,
            seed=params.seed,
            live=live,
        )
        detector = build_detector(
            params.detector.backbone,
            width=params.resnet.width,
            channels=params.detector.channels,
            classes=len(videos.classes),
            min_size=params.detector.min_size,
            max_size=params.detector.max_size,
        ).to(device)
        body = {name: value for name, value in resnet.state_dict().items() if not name.startswith("fc.")}
        detector.backbone.body.load_state_dict(body)
        train_detector(
            detector,
            stills("detector stills", p.detector_stills),
            epochs=p.detector_epochs,
            batch=p.detector_batch,
            lr=p.detector_lr,
            seed=params.seed,
            live=live,
        )
        clip = build_clip(**asdict(params.clip)).to(device).to(memory_format=torch.channels_last)
        train_clip(
            clip,
            pictures,
            labels,
            classes=videos.classes,
            text_steps=p.clip_text_steps,
            epochs=p.clip_epochs,
            batch=p.clip_batch,
            text_lr=p.clip_text_lr,
            lr=p.clip_lr,
            max_scale=p.clip_max_scale,
            seed=params.seed,
            live=live,
        )
    held_out = views("held-out stills", p.held_out, p.still_size, jitter=False)
    seen = views("held-out stills", p.held_out, params.clip.image_size, jitter=False)  # the same, as CLIP is shown them
    metrics = {
        "source": "demo",
        "held_out": p.held_out,
        "resnet18": measure_resnet(resnet, held_out, batch=p.batch),
        "detector": measure_detector(detector, stills("held-out detector stills", p.held_out), batch=p.detector_batch),
        "clip": measure_clip(clip, seen, classes=videos.classes, batch=p.batch),
    }
    save_weights(RESNET, resnet.state_dict())
    save_weights(CLIP_WEIGHTS, clip.state_dict())
    save_weights(DETECTOR, detector.state_dict(), metadata=("classes", json.dumps(videos.classes)))
    write_metrics("pretrained", metrics)


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
    detector: FasterRCNN, stills: Sequence[Still], *, epochs: int, batch: int, lr: float, seed: int, live: Live
) -> None:
    """Learns the instruments' boxes and classes; what the ResNet knows already moves ten times slower."""
    device = next(detector.parameters()).device

    def losses(chosen: list[int], rng: np.random.Generator) -> dict[str, Tensor]:
        pictures, targets = [], []
        for index in chosen:
            picture, target = detector_item(stills[index])
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
    fit("detector", losses, optimiser, [lr, lr / 10], len(stills), epochs=epochs, batch=batch, seed=seed, live=live)
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


def detector_item(still: Still) -> tuple[Tensor, dict[str, Tensor]]:
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
def measure_detector(detector: FasterRCNN, stills: Sequence[Still], *, batch: int) -> dict[str, float]:
    """Recall, and precision in two forms, at an IoU of 0.5."""
    device = next(detector.parameters()).device
    found: list[dict[str, Tensor]] = []
    truth: list[dict[str, Tensor]] = []
    for some in batched(stills, batch):
        pictures, targets = zip(*(detector_item(still) for still in some), strict=True)
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

"""Stage pretrained: the weights that nobody trains for a paper -> checkpoints/pretrained/*.safetensors.

`resnet18.safetensors` sees the objects, `detector.safetensors` finds them; the latter's metadata `classes` is the
JSON list of the names of its labels 1, 2, ...

`pretrained.source` published: torchvision's ImageNet ResNet-18, downloaded and hash-checked, and your detector.
`pretrained.source` demo: both are trained here on rendered stills, none of them a frame of the pipeline's videos.
The ResNet learns to tell the instruments in whole pictures and in crops, since the baseline sees the ones and CCoL
the others; the detector starts from it.  metrics/pretrained.json has both on held-out stills.
"""

import hashlib
import itertools
import json
import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from dvclive import Live
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import ResNet18_Weights
from torchvision.models.detection import FasterRCNN

from avsep.demo.stills import Still, Views, render_stills, render_views
from avsep.errors import InputError
from avsep.media.frames import normalise
from avsep.params import PretrainedParams
from avsep.run import progress, run, write_metrics
from avsep.scoring.detection import average_precision, first_is_right, recall
from avsep.training.checkpoints import load_into, load_weights, save_weights
from avsep.training.seeds import seed_everything, seed_step
from models.detector import build_detector
from models.resnet import ResNet18

RESNET = Path("checkpoints/pretrained/resnet18.safetensors")
DETECTOR = Path("checkpoints/pretrained/detector.safetensors")


def main(params: PretrainedParams) -> None:
    seed_everything(params.seed)
    if params.pretrained.source == "published":
        publish(params)
    else:
        train(params)


# -- published


def publish(params: PretrainedParams) -> None:
    """Takes the published weights over, each checked before it is read, and both before one is written."""
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
    load_into(detector, read_checked(Path(p.detector_path), p.detector_sha256), p.detector_path)
    resnet = ResNet18(params.resnet.width)
    load_into(resnet, download_resnet(), "torchvision's ResNet-18")
    save_weights(RESNET, resnet.state_dict())
    save_weights(DETECTOR, detector.state_dict(), metadata=("classes", json.dumps(p.detector_classes)))
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


def read_checked(path: Path, sha256: str) -> dict[str, Tensor]:
    """A detector's state dict, its bytes checked before they are read. Raises InputError."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"pretrained.detector_path {path} cannot be read ({error.strerror})") from None
    if found != sha256.lower():
        raise InputError(f"{path} has the SHA-256 {found}, pretrained.detector_sha256 is {sha256}: another file")
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
    """Renders the stills, trains both networks, and measures them on stills held out."""
    p, videos, device = params.pretrained, params.videos, torch.device(params.device)
    scene = dict(seed=params.seed, width=videos.width, height=videos.height, classes=videos.classes)

    def views(purpose: str, count: int, jitter: bool) -> list[Views]:
        rendered = render_views(purpose, count, size=p.still_size, jitter=jitter, **scene)  # type: ignore[arg-type]
        return list(progress(rendered, desc=f"render {purpose}", total=count, unit="still"))

    def stills(purpose: str, count: int) -> list[Still]:
        rendered = render_stills(purpose, count, **scene)  # type: ignore[arg-type]
        return list(progress(rendered, desc=f"render {purpose}", total=count, unit="still"))

    with Live(dir="metrics/pretrained", dvcyaml=None, save_dvc_exp=False, report=None) as live:
        resnet = ResNet18(params.resnet.width, len(videos.classes)).to(device).to(memory_format=torch.channels_last)
        train_resnet(
            resnet,
            views("stills", p.stills, jitter=True),
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
    metrics = {
        "source": "demo",
        "held_out": p.held_out,
        "resnet18": measure_resnet(resnet, views("held-out stills", p.held_out, jitter=False), batch=p.batch),
        "detector": measure_detector(detector, stills("held-out detector stills", p.held_out), batch=p.detector_batch),
    }
    save_weights(RESNET, resnet.state_dict())
    save_weights(DETECTOR, detector.state_dict(), metadata=("classes", json.dumps(videos.classes)))
    write_metrics("pretrained", metrics)


def train_resnet(
    resnet: ResNet18, views: Sequence[Views], *, epochs: int, batch: int, lr: float, seed: int, live: Live
) -> None:
    """Learns the instruments by cross entropy; an epoch shows each of a still's three views once."""
    device = next(resnet.parameters()).device
    pictures = np.stack([picture for view in views for picture in (view.whole, view.around, view.near)])
    labels = np.repeat([view.label for view in views], 3)

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

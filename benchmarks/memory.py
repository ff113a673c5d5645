"""What each training stage of a profile needs in memory, computed from its sizes (avsep/training/memory.py).

    OMP_NUM_THREADS=2 python -m benchmarks.memory demo music     # a table for each
    OMP_NUM_THREADS=1 python -m benchmarks.memory --measure cyclic demo

Each stage's own `main` runs up to where it would train, with stand-ins for its data and for the weights that it starts
from: no pipeline has to have run.  --measure prints bytes of a step, told and then measured, on this CPU (Linux).  What
came out stands in docs/training.md.
"""

import argparse
import contextlib
import dataclasses
import importlib
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import yaml
from dvc.utils.hydra import compose_and_dump
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from avsep.clips.index import Video, video
from avsep.params import loading, sections
from avsep.params import stages as reading
from avsep.training import vast
from avsep.training.loop import _loss
from avsep.training.memory import Needed, gigabytes, needed
from models.clip import FrozenCLIP, build_clip
from models.resnet import ResNet18

STAGES = ("grounding", "colearning", "cyclic", "baseline", "trimodal", "finetune")
VIDEOS = 700  # with a latent caption, about as many as MUSIC has
FILE = {  # what `pretrained.detector: file`, music's, asks its user for
    "pretrained.detector_path": "/detector.pth",
    "pretrained.detector_sha256": "none",
    "pretrained.detector_classes": "[cello]",
}


class Shapes(Dataset[dict[str, Any]]):
    """Samples as avsep.training.data's, of zeros."""

    def __init__(self, frames: Any, options: Mapping[str, Any]) -> None:
        pictures = torch.zeros(options["count"], 3, options["size"], options["size"])
        self.cached = tuple(frames.eval()(pictures)) if options["cache"] else ()
        self.sample: dict[str, Any] = {
            "waves": {name: 0.1 * torch.randn(options["samples"]) for name in options["heard"]},
            "videos": dict.fromkeys(options["seen"], "cello/0"),
        }
        kind, values = ("features", self.cached) if self.cached else ("pictures", pictures)
        self.sample[kind] = dict.fromkeys(options["seen"], values)

    def __getitem__(self, item: Any) -> dict[str, Any]:
        return self.sample


def composed(profile: str) -> tuple[sections.Params, torch.device]:
    """A profile's params, and the kind of device that it names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        conf = str(Path("conf").absolute())
        compose_and_dump(path, conf, None, "config", "", [f"profile={profile}"])
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        given = {"device": "cpu"}  # always there
        if values["pretrained"]["detector"] == "file":
            given |= FILE
        overrides = [f"{name}={value}" for name, value in given.items()]
        compose_and_dump(path, conf, None, "config", "", [f"profile={profile}", *overrides])
        return loading.read(path), torch.device(values["device"])


def videos(index: Path) -> list[Video]:
    """Of a split, train or val; a sample's is the first of train's."""
    first = 0 if index.stem == "train" else VIDEOS
    return [video(Path("data"), "cello", str(first + number), 60) for number in range(VIDEOS)]


def training(stage: str, all_params: sections.Params) -> tuple[Any, dict[str, Any]]:
    """The networks and keywords that a stage gives to avsep.training.loop.fit, and its stand-in samples as `train`."""
    module = importlib.import_module(f"stages.{stage}")
    stage_params = getattr(reading, f"{stage.capitalize()}Params")
    given = stage_params(**{field.name: getattr(all_params, field.name) for field in dataclasses.fields(stage_params)})

    def shapes(frames: Any, **options: Any) -> tuple[Shapes, Shapes]:
        made = Shapes(frames, options)
        return made, made

    stand_ins = {
        "fingerprint": lambda *_: "",
        "training_data": shapes,
        "load_weights": lambda _: ResNet18(all_params.resnet.width).state_dict(),
        "load_into": lambda *_: None,
    }
    of_vast = {
        "load_weights": lambda _: {},
        "load_into": lambda *_: None,
        "load_teacher": lambda **sizes: FrozenCLIP(build_clip(**sizes)),
        "captions_of": lambda names, _: torch.zeros(len(names), all_params.clip.embedding),
        "read_index": videos,
        "digest": lambda _: "",
    }
    with contextlib.ExitStack() as stack:
        for name, stand_in in stand_ins.items():
            if hasattr(module, name):
                stack.enter_context(mock.patch.object(module, name, stand_in))
        for name, stand_in in of_vast.items():
            stack.enter_context(mock.patch.object(vast, name, stand_in))
        stack.enter_context(mock.patch.object(vast.data, "training_data", shapes))
        fit = stack.enter_context(mock.patch.object(module, "fit"))
        module.main(given)
    (_, networks), keywords = fit.call_args
    networks.to(memory_format=torch.channels_last)
    networks.requires_grad_(False)
    for group in keywords["groups"].values():
        for parameter in group.parameters:
            parameter.requires_grad_(True)
    return networks, keywords


def loss_of(keywords: Mapping[str, Any]) -> Callable[[Any, Any], Tensor]:
    """What a step minimises, of the networks and a batch."""
    return partial(_loss, objective=keywords["objective"], hear=keywords["hear"], see=keywords["see"])


def need_of(networks: Any, keywords: Mapping[str, Any], device: torch.device) -> tuple[Needed, int]:
    """What a process needs, and the samples of its step."""
    share = keywords["batch"] // (keywords["devices"] * keywords["nodes"])
    need = needed(
        loss_of(keywords),
        networks,
        keywords["train"].sample,
        share,
        device=device,
        optimizer=keywords.get("optimizer", torch.optim.Adam),
        precision=keywords["precision"],
    )
    return need, share


def tell(profile: str) -> None:
    """A table in Markdown."""
    all_params, device = composed(profile)
    print(f"\n{profile}, {device.type}:\n")
    print("| stage | parameters | trained | samples | weights | optimiser | step | a device's | a cached frame |")
    print("| --- " + "| ---: " * 8 + "|")
    for stage in STAGES:
        networks, keywords = training(stage, all_params)
        need, share = need_of(networks, keywords, device)
        count = sum(parameter.numel() for parameter in networks.parameters())
        trained = sum(parameter.numel() for parameter in networks.parameters() if parameter.requires_grad)
        frame = sum(values[0].nbytes for values in keywords["train"].cached)
        cells = [f"{count / 1e6:.1f} M", f"{trained / 1e6:.1f} M", str(share)]
        cells += [gigabytes(size) for size in (need.weights, need.optimizer, need.step, need.device)]
        print("| " + " | ".join([stage, *cells, f"{frame / 1e3:.0f} kB" if frame else "none"]) + " |", flush=True)


def kilobytes(name: str) -> int:
    """A line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(stage: str, profile: str) -> None:
    """Prints what a step is told to take beyond the networks, and what three steps took."""
    networks, keywords = training(stage, composed(profile)[0])
    need, share = need_of(networks, keywords, torch.device("cpu"))
    loss = loss_of(keywords)
    trained = [parameter for parameter in networks.parameters() if parameter.requires_grad]
    optimizer = keywords.get("optimizer", torch.optim.Adam)(trained, lr=1e-4)
    loss(networks, default_collate([keywords["train"].sample] * 2)).backward()  # chooses kernels
    networks.zero_grad()
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    batch = default_collate([keywords["train"].sample] * share)
    for _ in range(3):
        optimizer.zero_grad()
        loss(networks, batch).backward()
        optimizer.step()
    print(need.step + need.optimizer, 1024 * (kilobytes("VmHWM") - before))


def main() -> None:
    parser = argparse.ArgumentParser(description="What each training stage of a profile needs in memory.")
    parser.add_argument("profiles", nargs="+", metavar="profile")
    parser.add_argument("--measure", choices=STAGES, metavar="stage", help="of this stage, told and measured bytes")
    arguments = parser.parse_args()
    for profile in arguments.profiles:
        if arguments.measure:
            measure(arguments.measure, profile)
        else:
            tell(profile)


if __name__ == "__main__":
    main()

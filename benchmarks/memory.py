"""What each training stage of a profile needs in memory, computed from its sizes (avsep/training/memory.py).

    OMP_NUM_THREADS=2 python -m benchmarks.memory demo music     # a table for each
    OMP_NUM_THREADS=1 python -m benchmarks.memory --measure cyclic demo

Each stage's phase is made in a temporary folder, of stand-ins for the videos and for the weights that it starts from:
no pipeline has to have run.  --measure prints bytes of a step, told and then measured, on this CPU (Linux).  What came
out stands in docs/training.md.
"""

import argparse
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from dvc.utils.hydra import compose_and_dump
from PIL import Image
from torch.utils.data import default_collate

from avsep.clips.datasets import TrainingMixtures
from avsep.clips.index import Mixture, Video, video, write_index, write_mixtures
from avsep.media.detections import write_detections
from avsep.media.frames import frame_name, pack
from avsep.media.wav import write_wav
from avsep.models.clip import build_clip
from avsep.models.resnet import ResNet18
from avsep.params import loading, sections
from avsep.params import stages as reading
from avsep.training.data import INDEX
from avsep.training.loop import Learner
from avsep.training.memory import gigabytes
from avsep.training.phase import Phase
from avsep.weights import clip as clip_weights
from avsep.weights import resnet as resnet_weights
from avsep.weights.about import PRETRAINED, describe
from avsep.weights.captions import Caption, save_captions
from avsep.weights.checkpoints import save_weights
from stages import baseline, colearning, cyclic, finetune, grounding, trimodal, ungated

STAGES: dict[str, tuple[Callable[[Any], Phase], type]] = {
    "grounding": (grounding.phase, reading.GroundingParams),
    "colearning": (colearning.phase, reading.ColearningParams),
    "cyclic": (cyclic.phase, reading.CyclicParams),
    "baseline": (baseline.phase, reading.BaselineParams),
    "ungated": (ungated.phase, reading.UngatedParams),
    "trimodal": (trimodal.phase, reading.TrimodalParams),
    "finetune": (finetune.phase, reading.FinetuneParams),
}
VIDEOS = 700  # with a latent caption, about as many as MUSIC has
FILE = {  # what `pretrained.detector: file`, music's, asks its user for
    "pretrained.detector_path": "/detector.pth",
    "pretrained.detector_sha256": "none",
    "pretrained.detector_classes": "[cello]",
}


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


def stage_phase(stage: str, all_params: sections.Params) -> Phase:
    """A stage's, in the working directory."""
    make, kind = STAGES[stage]
    return make(kind(**{field.name: getattr(all_params, field.name) for field in dataclasses.fields(kind)}))


@contextlib.contextmanager
def stand_ins(all_params: sections.Params, count: int = VIDEOS) -> Iterator[None]:
    """A working directory with all that a phase reads: `count` videos of one frame to train on, a mixture to validate
    on, and networks that have learned nothing."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        write_videos(all_params.extract.rate, count)
        values = dataclasses.asdict(all_params)
        resnet, clip = ResNet18(all_params.resnet.width), build_clip(**values["clip"])
        save_weights(grounding.START, resnet.state_dict(), describe(resnet_weights.KIND, PRETRAINED, values).entry)
        save_weights(clip_weights.CLIP, clip.state_dict(), describe(clip_weights.KIND, PRETRAINED, values).entry)
        nothing = Caption("", torch.zeros(all_params.clip.embedding), 0.0, 0.0)
        save_captions(dict.fromkeys([one.name for one in videos("train", count)], nothing), clip_weights.clip_hash())
        for start in (colearning.START, cyclic.START):
            of_start = stage_phase("grounding", all_params)
            about = dataclasses.replace(of_start.about, stage=start.parent.name)
            save_weights(start, of_start.networks.state_dict(), about.entry)
        trimodal_phase = stage_phase("trimodal", all_params)
        save_weights(finetune.START, trimodal_phase.networks.state_dict(), trimodal_phase.about.entry)
        yield


def videos(split: str, count: int) -> list[Video]:
    """Of train or val, of four classes in turn."""
    return [video(Path("data"), "abcd"[number % 4], f"{split}{number}", 1) for number in range(count)]


def write_videos(rate: int, count: int) -> None:
    """data/index and what it points to: for all videos a second of noise, one picture, and nothing detected in it."""
    sound, archive, detections = Path("sound.wav"), Path("frames.zip"), Path("detections.npy")
    write_wav(sound, 0.1 * np.random.default_rng(0).standard_normal(rate).clip(-3, 3), rate)
    with tempfile.TemporaryDirectory() as folder:
        Image.new("RGB", (32, 32)).save(Path(folder) / frame_name(1))
        pack(Path(folder), archive)
    write_detections(detections, np.zeros((0, 7), np.float32))
    INDEX.mkdir(parents=True)
    for split, number in (("train", count), ("val", 4)):
        for one in videos(split, number):
            for file, path in ((sound, one.audio), (archive, one.frames), (detections, one.detections)):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.link(file, path)
        write_index(INDEX / f"{split}.csv", videos(split, number))
    write_mixtures(INDEX / "val_sep.csv", [Mixture(*videos("val", 4))])


def tell(profile: str) -> None:
    """A table in Markdown."""
    all_params, device = composed(profile)
    print(f"\n{profile}, {device.type}:\n")
    print("| stage | parameters | trained | samples | weights | optimiser | step | a device's | a cached frame |")
    print("| --- " + "| ---: " * 8 + "|")
    with stand_ins(all_params):
        for stage in STAGES:
            phase = stage_phase(stage, all_params)
            train, _ = phase.data()
            learner = Learner(phase)
            need = learner.needs(train[0, 0], device)
            count = sum(parameter.numel() for parameter in phase.networks.parameters())
            trained = sum(parameter.numel() for group in phase.groups.values() for parameter in group.parameters)
            assert isinstance(train, TrainingMixtures)
            frame = sum(values.nbytes for values in next(iter((train.features or {("", 1): ()}).values())))
            cells = [f"{count / 1e6:.1f} M", f"{trained / 1e6:.1f} M", str(learner.share)]
            cells += [gigabytes(size) for size in (need.weights, need.optimizer, need.step, need.device)]
            print("| " + " | ".join([stage, *cells, f"{frame / 1e3:.0f} kB" if frame else "none"]) + " |", flush=True)


def kilobytes(name: str) -> int:
    """A line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def measure(stage: str, profile: str) -> None:
    """Prints what a step is told to take beyond the networks, and what three steps took."""
    all_params, _ = composed(profile)
    with stand_ins(all_params, count=4):
        phase = stage_phase(stage, all_params)
        sample = phase.data()[0][0, 0]
    learner = Learner(phase)
    need = learner.needs(sample, torch.device("cpu"))
    trained = [parameter for group in phase.groups.values() for parameter in group.parameters]
    optimizer = phase.schedule.optimizer(trained, lr=1e-4)
    learner.loss(learner.networks, default_collate([sample] * 2)).backward()  # chooses kernels
    learner.networks.zero_grad()
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    batch = default_collate([sample] * learner.share)
    for _ in range(3):
        optimizer.zero_grad()
        learner.loss(learner.networks, batch).backward()
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

"""A training step at the paper's size beside the published one (benchmarks/published.py), on this machine's CPU.

    OMP_NUM_THREADS=1 python -m benchmarks.step                        # seconds, operations, the machine's peak
    OMP_NUM_THREADS=1 python -m benchmarks.step --parts                # where our own step's time goes
    OMP_NUM_THREADS=1 python -m benchmarks.step --memory --batch 12    # bytes at a step's fullest moment (Linux)

Both are taken in turn in one process, and a step's time is the least of its rounds.  Seconds are the processor's, over
all threads, so that other work on the machine weighs little: with one thread they are those of a clock on an idle
machine.  Ratios are what counts.  What came out stands in docs/performance.md.
"""

import argparse
import gc
import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import hear
from avsep.media.spectrogram import Spectrogram
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.training.loop import keep_freed_memory
from benchmarks import published
from stages import colearning, cyclic, grounding


@dataclass(frozen=True)
class Size:
    """Of samples and networks; as in the paper."""

    samples: int = 65535
    how: Spectrogram = field(default_factory=lambda: Spectrogram(n_fft=1022, hop=256, log_bins=256, align_corners=True))
    frames: int = 3
    pixels: int = 224
    networks: Mapping[str, int] | None = None  # of avsep.models.ccol.CCoL, beside its defaults


PAPER = Size()
OBJECTIVES = {"grounding": grounding.objective, "colearning": colearning.objective, "cyclic": cyclic.objective}
LOOKED_AT = {"grounding": ("A", "B"), "colearning": OBJECTS, "cyclic": OBJECTS}
TRAINED = {
    "grounding": lambda networks: [networks.grounding],
    "colearning": lambda networks: [networks.grounding, networks.separation],
    "cyclic": lambda networks: [networks.grounding, networks.separation],
}
Step = Callable[[], Tensor]  # -> loss, with its graph


@dataclass(frozen=True)
class Given:
    """A batch, alike for both."""

    waves: Mapping[str, Tensor]
    pictures: Mapping[str, Tensor]
    features: Mapping[str, FrameFeatures]  # where frames are computed once


def batch_of(size: Size, count: int) -> Given:
    random = torch.Generator().manual_seed(0)
    waves = {name: 0.1 * torch.randn(count, size.samples, generator=random) for name in SOUNDING}
    shape = (count, size.frames, 3, size.pixels, size.pixels)
    pictures = {name: torch.randn(shape, generator=random) for name in OBJECTS}
    side, channels = -(-size.pixels // 16), 8 * (size.networks or {}).get("resnet_width", 64)
    features = {
        name: FrameFeatures(
            torch.rand(count, size.frames, channels, generator=random),
            torch.rand(count, size.frames, channels, side, side, generator=random),
        )
        for name in OBJECTS
    }
    return Given(waves, pictures, features)


def networks_of(size: Size, stage: str, *, as_published: bool) -> CCoL:
    torch.manual_seed(0)
    several = {"batch_statistics": True, "shared_trunk": False} if as_published else {}
    networks = CCoL(**(size.networks or {}), **several)  # type: ignore[arg-type]
    networks.requires_grad_(False)
    for network in TRAINED[stage](networks):
        network.requires_grad_(True)
    return networks


def see(networks: CCoL, stage: str, given: Given) -> dict[str, Any]:
    """What the frozen networks make of the pictures that the stage looks at."""
    look: Callable[[Tensor], Any] = networks.frames.vectors if stage == "grounding" else networks.frames
    return {name: look(given.pictures[name]) for name in LOOKED_AT[stage]}


def ours(networks: CCoL, stage: str, size: Size, given: Given, *, at_hand: bool = False) -> Tensor:
    """Our loss; `at_hand`: with frozen features that were computed before."""
    heard = hear(given.waves, size.how)
    seen = given.features if at_hand else see(networks, stage, given)
    return OBJECTIVES[stage](networks, heard, seen)["loss"]  # type: ignore[operator]


def steps_of(size: Size, stage: str, count: int) -> dict[str, Step]:
    """The ways that are compared, each of which gives its loss."""
    given = batch_of(size, count)
    theirs = networks_of(size, stage, as_published=True)
    own = networks_of(size, stage, as_published=False).to(memory_format=torch.channels_last)
    return {
        "published": partial(published.STEPS[stage], theirs, given.waves, given.pictures, size.how),
        "ours": partial(ours, own, stage, size, given),
        "ours, features at hand": partial(ours, own, stage, size, given, at_hand=True),
    }


def learn(step: Step) -> None:
    step().backward()


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def multiplications(run: Callable[[], object]) -> float:
    """Of convolutions and products of matrices, forwards and backwards, in thousand millions."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops() / 2e9


def peak() -> dict[str, float]:
    """10^9 multiplications a second that this machine reaches, in a large product and in a large convolution."""
    matrix = torch.randn(2048, 2048)
    convolution, maps = nn.Conv2d(256, 256, 3, padding=1), torch.randn(2, 256, 64, 64)
    with torch.no_grad():
        runs: dict[str, tuple[float, Callable[[], object]]] = {
            "product of matrices": (2048**3 / 1e9, lambda: matrix @ matrix),
            "3x3 convolution": (2 * 64 * 64 * 9 * 256 * 256 / 1e9, lambda: convolution(maps)),
        }
        return {name: count / min(seconds(run) for _ in range(4)) for name, (count, run) in runs.items()}


def tell_times(size: Size, count: int, rounds: int, stages: list[str]) -> None:
    """A table in Markdown: of each phase and way the seconds of a step, their ratio to published, and operations."""
    reached = peak()
    print(f"\n{torch.get_num_threads()} threads, batch {count}, least of {rounds} rounds; peak: ", end="")
    print(", ".join(f"{name} {value:.0f}" for name, value in reached.items()), "thousand million multiplications/s\n")
    print(
        "| step | way | s | times as fast | 10^9 multiplications | at the peak, s |\n| --- | --- " + "| ---: " * 4 + "|"
    )
    for stage in stages:
        steps = steps_of(size, stage, count)
        for step in steps.values():
            learn(step)  # chooses kernels
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(rounds):
            for name, step in steps.items():
                times[name].append(seconds(partial(learn, step)))
        for name, step in steps.items():
            least, counted = min(times[name]), multiplications(partial(learn, step))
            ratio = min(times["published"]) / least
            floor = counted / max(reached.values())
            print(f"| {stage} | {name} | {least:.2f} | {ratio:.2f} | {counted:.0f} | {floor:.2f} |", flush=True)


def parts(size: Size, stage: str, count: int) -> list[float]:
    """Our step's seconds: to hear, to see, for the objective, and backwards."""
    given, networks = batch_of(size, count), networks_of(size, stage, as_published=False)
    networks.to(memory_format=torch.channels_last)
    times = []
    for _ in range(2):  # the first chooses kernels
        moments = [time.process_time()]
        heard = hear(given.waves, size.how)
        moments.append(time.process_time())
        seen = see(networks, stage, given)
        moments.append(time.process_time())
        loss = OBJECTIVES[stage](networks, heard, seen)["loss"]  # type: ignore[operator]
        moments.append(time.process_time())
        loss.backward()
        moments.append(time.process_time())
        times = [end - start for start, end in pairwise(moments)]
    return times


def tell_parts(size: Size, count: int, stages: list[str]) -> None:
    """A table in Markdown: where our step's seconds go."""
    print("| step | sounds heard | frames seen | objective | backward |\n| --- " + "| ---: " * 4 + "|")
    for stage in stages:
        print(f"| {stage} | " + " | ".join(f"{value:.2f}" for value in parts(size, stage, count)) + " |", flush=True)


def _kilobytes(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def _measure(size: Size, stage: str, way: str, count: int, tell: Any) -> None:
    """Tells what two steps took at their fullest moment: networks, optimiser and batch, without the libraries."""
    keep_freed_memory()
    before = _kilobytes("VmRSS")
    step = steps_of(size, stage, count)[way]
    networks = step.args[0]  # type: ignore[attr-defined]
    optimizer = torch.optim.Adam([p for p in networks.parameters() if p.requires_grad], 1e-4)
    gc.collect()
    for _ in range(2):
        optimizer.zero_grad()
        learn(step)
        optimizer.step()
    tell.send(1024 * (_kilobytes("VmHWM") - before))


def memory(size: Size, stage: str, way: str, count: int) -> int:
    """Bytes, measured in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_measure, args=(size, stage, way, count, there))
    process.start()
    there.close()
    try:
        return int(here.recv())
    finally:
        process.join()


def tell_memory(size: Size, count: int, stages: list[str]) -> None:
    print(f"batch {count}\n\n| step | published | ours | ratio |\n| --- " + "| ---: " * 3 + "|")
    for stage in stages:
        theirs, own = (memory(size, stage, way, count) for way in ("published", "ours"))
        print(f"| {stage} | {theirs / 1e9:.2f} GB | {own / 1e9:.2f} GB | {own / theirs:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A training step at the paper's size beside the published one.")
    parser.add_argument("stages", nargs="*", metavar="stage", help="of " + ", ".join(OBJECTIVES))
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="where our step's time goes")
    parser.add_argument("--memory", action="store_true", help="bytes instead of seconds")
    arguments = parser.parse_args()
    stages = arguments.stages or list(OBJECTIVES)
    if unknown := set(stages) - set(OBJECTIVES):
        parser.error(f"{', '.join(sorted(unknown))}: no stage of {', '.join(OBJECTIVES)}")
    if arguments.memory:
        tell_memory(PAPER, arguments.batch, stages)
        return
    keep_freed_memory()
    if arguments.parts:
        tell_parts(PAPER, arguments.batch, stages)
    else:
        tell_times(PAPER, arguments.batch, arguments.rounds, stages)


if __name__ == "__main__":
    main()

"""How fast the phases learn on one GPU, and what holds them back: one table, in some ten minutes.

    python -m benchmarks.gpu                      # at the paper's size, batch 48
    python -m benchmarks.gpu --minutes 5 cyclic

For each phase and way to compute (float32, tf32, bf16, compiled: bf16 by torch.compile): samples a second of whole
steps, the share of the time that the multiplications would take at the speed that a large product reaches here in the
same precision, the memory at the fullest moment, and the longest time in which the GPU has nothing to do, with the
kernels before and after it.  Then whether a step waits for the GPU anywhere (torch refuses it), and the share of the
time in which steps wait for samples that worker processes load.
"""

import argparse
import contextlib
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader

from avsep.clips.datasets import EpochSampler, TrainingMixtures
from avsep.clips.index import OBJECTS, SOUNDING
from avsep.clips.mixtures import hear
from avsep.models.ccol import CCoL
from benchmarks import loading
from benchmarks.step import LOOKED_AT, OBJECTIVES, PAPER, Given, Size, batch_of, multiplications, networks_of

WAYS = ("float32", "tf32", "bf16", "compiled")
STEPS = 12  # at most, for one line of the table
Step = Callable[[], object]


@contextlib.contextmanager
def computing(way: str, kind: str) -> Iterator[None]:
    """Products and convolutions in the way's precision; as before, afterwards."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest" if way == "float32" else "high")
    torch.backends.cudnn.allow_tf32 = way != "float32"
    try:
        with torch.autocast(kind, torch.bfloat16, enabled=way in ("bf16", "compiled")):
            yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def elapsed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds by the clock, until the device has done it."""
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - start


def product_peak(way: str, device: torch.device, side: int) -> float:
    """10^9 multiplications a second in a large product of matrices."""
    with computing(way, device.type):
        matrix = torch.randn(side, side, device=device)
        least = min(elapsed(lambda: torch.mm(matrix, matrix), device) for _ in range(4))
    return side**3 / least / 1e9


def copy_peak(device: torch.device, values: int) -> float:
    """10^9 bytes a second, read and written."""
    given = torch.zeros(values, device=device)
    return 2 * given.nbytes / min(elapsed(lambda: given.clone(), device) for _ in range(4)) / 1e9


def moved(given: Given, device: torch.device) -> Given:
    return Given(
        {name: wave.to(device) for name, wave in given.waves.items()},
        {name: pictures.to(device) for name, pictures in given.pictures.items()},
        {},
    )


def loss_of(networks: CCoL, stage: str, size: Size, waves: dict[str, Tensor], pictures: dict[str, Tensor]) -> Tensor:
    heard = hear(waves, size.how)
    look: Callable[[Tensor], Any] = networks.frames.vectors if stage == "grounding" else networks.frames
    seen = {name: type(found := look(pictures[name]))(*(v.float() for v in found)) for name in LOOKED_AT[stage]}
    return OBJECTIVES[stage](networks, heard, seen)["loss"]  # type: ignore[operator]


def step_of(size: Size, stage: str, way: str, count: int, device: torch.device) -> Step:
    """A whole step of `count` samples that lie on the device: spectra, frames, objective, gradient, optimiser."""
    networks = networks_of(size, stage, as_published=False).to(device).to(memory_format=torch.channels_last)
    given = moved(batch_of(size, count), device)
    optimizer = torch.optim.Adam([p for p in networks.parameters() if p.requires_grad], 1e-4)
    loss: Callable[..., Tensor] = torch.compile(loss_of) if way == "compiled" else loss_of

    def step() -> None:
        optimizer.zero_grad()
        with computing(way, device.type):
            value = loss(networks, stage, size, given.waves, given.pictures)
        value.backward()
        optimizer.step()

    return step


class Gap(NamedTuple):
    """A time in which the GPU has nothing to do."""

    milliseconds: float
    before: str
    after: str


def longest_gap(kernels: Sequence[tuple[str, float, float]]) -> Gap:
    """`kernels`: name, start and end in microseconds, in any order; several may run at once."""
    longest, busy_until, last = Gap(0.0, "", ""), None, ""
    for name, start, end in sorted(kernels, key=lambda kernel: kernel[1]):
        if busy_until is not None and (start - busy_until) / 1e3 > longest.milliseconds:
            longest = Gap((start - busy_until) / 1e3, last, name)
        if busy_until is None or end > busy_until:
            busy_until, last = end, name
    return longest


def kernels_of(step: Step, device: torch.device) -> list[tuple[str, float, float]]:
    """What the device does in two steps; on a CPU its operations stand for kernels."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        step()
        step()
        wait(device)
    kind = "CUDA" if device.type == "cuda" else "CPU"
    events = [event for event in profiled.events() or [] if str(event.device_type).endswith(kind)]
    return [(event.name, event.time_range.start, event.time_range.end) for event in events]


def waits_within(step: Step, device: torch.device) -> str:
    """Whether a step waits for the GPU, in one word or torch's own."""
    if device.type != "cuda":
        return "not asked: no GPU"
    torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return "nowhere"


@dataclass(frozen=True)
class Line:
    """Of the table."""

    stage: str
    way: str
    samples: float  # a second
    arithmetic: float  # share of the time that the multiplications take at the product's peak
    memory: float  # 10^9 bytes
    gap: Gap
    waits: str

    def __str__(self) -> str:
        cells = [self.stage, self.way, f"{self.samples:.1f}", f"{self.arithmetic:.0%}", f"{self.memory:.1f} GB"]
        gap = f"{self.gap.milliseconds:.2f} ms: {self.gap.before[:40]} ... {self.gap.after[:40]}"
        return "| " + " | ".join([*cells, gap, self.waits]) + " |"


def line(size: Size, stage: str, way: str, count: int, device: torch.device, peak: float, seconds: float) -> Line:
    """Measures for about `seconds`, after two steps that choose kernels or compile."""
    step = step_of(size, stage, way, count, device)
    step()
    step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while len(times) < 2 or (time.perf_counter() < until and len(times) < STEPS):
        times.append(elapsed(step, device))
    needed = multiplications(step_of(size, stage, "float32", count, device)) / peak
    return Line(
        stage=stage,
        way=way,
        samples=count / statistics.median(times),
        arithmetic=needed / statistics.median(times),
        memory=torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0,
        gap=longest_gap(kernels_of(step, device)),
        waits=waits_within(step, device),
    )


def loader_share(size: Size, stage: str, count: int, device: torch.device, workers: int, steps: int) -> float:
    """The share of a training's time in which a step waits for its samples, bf16, of videos of 60 s."""
    with loading.written(60, loading.RATE, 1) as source:
        reader = loading.READER
        mixtures = TrainingMixtures(
            source.videos,
            reader,
            heard=SOUNDING,
            seen=OBJECTS,
            seed=0,
            stage=stage,
            repeats=count * (steps + 2),
            gain=(0.5, 1.5),
            augment="video",
        )
        loader = DataLoader(
            mixtures,
            batch_size=count,
            num_workers=workers,
            sampler=EpochSampler(len(mixtures), 0, stage),
            pin_memory=device.type == "cuda",
            multiprocessing_context=multiprocessing.get_context("fork") if workers else None,
        )
        networks = networks_of(size, stage, as_published=False).to(device).to(memory_format=torch.channels_last)
        batches, moments = iter(loader), []
        for _ in range(steps + 1):
            start = time.perf_counter()
            batch = next(batches)
            given = {
                key: {name: values.to(device, non_blocking=True) for name, values in batch[key].items()}
                for key in ("waves", "pictures")
            }
            waited = time.perf_counter()
            with computing("bf16", device.type):
                value = loss_of(networks, stage, size, given["waves"], given["pictures"])
            value.backward()
            wait(device)
            moments.append((waited - start, time.perf_counter() - start))
        return sum(w for w, _ in moments[1:]) / sum(whole for _, whole in moments[1:])  # the first starts the workers


def tell(
    size: Size, stages: Sequence[str], ways: Sequence[str], count: int, device: torch.device, minutes: float, side: int
) -> None:
    """The table, in Markdown."""
    until = time.monotonic() + 60 * minutes
    peaks = {way: product_peak("bf16" if way == "compiled" else way, device, side) for way in ways}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, batch {count}; a large product: ", end="")
    print(", ".join(f"{way} {value / 1e3:.1f}" for way, value in peaks.items()), "10^12 multiplications/s; ", end="")
    print(f"memory read and written: {copy_peak(device, side * side) / 1e3:.2f} TB/s\n")
    print("| step | way | samples/s | arithmetic | memory | longest gap | waits for the GPU |")
    print("| --- | --- | ---: | ---: | ---: | --- | --- |")
    pairs = [(stage, way) for way in ways for stage in stages]
    for index, (stage, way) in enumerate(pairs):
        left = until - time.monotonic()
        if left <= 0:
            print(f"\nstopped after {minutes:g} minutes, before " + ", ".join(" ".join(pair) for pair in pairs[index:]))
            return
        print(line(size, stage, way, count, device, peaks[way], left / (len(pairs) - index) / 3), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="How fast the phases learn on one GPU, and what holds them back.")
    parser.add_argument("stages", nargs="*", metavar="stage", help="of " + ", ".join(OBJECTIVES))
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--minutes", type=float, default=9.0, help="after which no further line is begun")
    parser.add_argument("--workers", type=int, default=8, help="processes that load samples")
    arguments = parser.parse_args()
    stages = arguments.stages or list(OBJECTIVES)
    if unknown := set(stages) - set(OBJECTIVES):
        parser.error(f"{', '.join(sorted(unknown))}: no stage of {', '.join(OBJECTIVES)}")
    if not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU here: a CPU's table is that of python -m benchmarks.step")
    device = torch.device("cuda")
    tell(PAPER, stages, WAYS, arguments.batch, device, arguments.minutes, 8192)
    share = loader_share(PAPER, stages[-1], arguments.batch, device, arguments.workers, 6)
    print(f"\n{stages[-1]}, bf16, {arguments.workers} workers: {share:.0%} of the time is waiting for samples")


if __name__ == "__main__":
    main()

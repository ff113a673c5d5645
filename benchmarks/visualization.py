"""What showing an epoch costs, beside its training: metrics/<stage>/visualization at the paper's sizes.

    OMP_NUM_THREADS=2 python -m benchmarks.visualization                     # cyclic and trimodal, on this CPU
    OMP_NUM_THREADS=2 python -m benchmarks.visualization --device cuda --batch 48 cyclic

The networks are random and the videos noise (benchmarks/memory.py).  A step of a few samples is timed, and taken for as
much a sample in the published epoch of CCoL: 468 videos, each 40 times, 48 a step, so 390 steps.  What was measured
stands in docs/training.md.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from dvclive import Live
from lightning.fabric.utilities import move_data_to_device
from torch.utils.data import default_collate

from avsep.clips.datasets import FixedMixtures
from avsep.clips.mixtures import hear
from avsep.training.loop import Learner
from avsep.training.visualization import Visualize, at_rest
from benchmarks.memory import STAGES, composed, stage_phase, stand_ins

VIDEOS, REPEATS, BATCH = 468, 40, 48  # of the published epoch
ROUNDS = 3
SHARE = 0.03  # of a training's time that may go into this


class Seconds(NamedTuple):
    passed: float
    computed: float  # by all threads and processes of the CPU: another's load changes it little


def median_seconds(work: Callable[[], object], device: torch.device) -> Seconds:
    passed, computed = [], []
    for _ in range(ROUNDS):
        start, before = time.perf_counter(), sum(os.times()[:4])
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        passed.append(time.perf_counter() - start)
        computed.append(sum(os.times()[:4]) - before)
    return Seconds(statistics.median(passed[1:]), statistics.median(computed[1:]))  # the first one chooses kernels


def measure(stage: str, kind: str, batch: int) -> None:
    all_params, _ = composed("music")
    device = torch.device(kind)
    with stand_ins(all_params, count=4):
        phase = stage_phase(stage, all_params)
        train, val = phase.data()
        assert phase.show and isinstance(val, FixedMixtures)
        one = val.mixtures[0]
        mixtures = FixedMixtures([one] * phase.show.mixtures, val.reader, heard=val.heard, seen=val.seen)
        learner = Learner(phase).to(device)
        trained = [parameter for group in phase.groups.values() for parameter in group.parameters]
        optimizer = phase.schedule.optimizer(trained, lr=1e-6)
        samples = move_data_to_device(default_collate([train[0, number] for number in range(batch)]), device)

        def step() -> None:
            optimizer.zero_grad()
            learner.loss(learner.networks, samples).backward()
            optimizer.step()

        epoch = VIDEOS * REPEATS / batch * median_seconds(step, device).passed
        trainer: Any = SimpleNamespace(
            is_global_zero=True,
            precision_plugin=SimpleNamespace(forward_context=contextlib.nullcontext),
            logger=SimpleNamespace(experiment=Live("live", dvcyaml=None, save_dvc_exp=False)),
            global_step=0,
        )
        shown = Visualize(phase, mixtures, Path("shown"))
        start = time.perf_counter()
        shown.on_train_start(trainer, learner)
        first = time.perf_counter() - start
        whole = median_seconds(lambda: shown._write_epoch(1, trainer, learner), device)

        asked = move_data_to_device(default_collate([mixtures[0]]), device)
        with at_rest(phase.networks):
            answer = phase.show.look(phase.networks, hear(asked["waves"], phase.spectrogram), phase.see(asked))
        known = replace(phase, see=lambda _: {}, show=replace(phase.show, look=lambda *_: answer))
        writing = Visualize(known, mixtures, Path("shown"))
        files = median_seconds(lambda: writing._write_epoch(1, trainer, learner), device)
        size = sum(path.stat().st_size for path in Path("shown/epochs/0001").rglob("*") if path.is_file())
    steps = VIDEOS * REPEATS // BATCH
    print(
        f"{stage}, {device}, {torch.get_num_threads()} threads: {whole.passed:.1f} s to show {len(mixtures)} mixtures;"
        f" before the training once {first:.1f} s\n"
        f"  an epoch of {steps} steps of {BATCH} takes {epoch:.0f} s, by steps of {batch}: the share is"
        f" {100 * whole.passed / epoch:.2f} %\n"
        f"  {size / 1e6:.1f} MB of files, which no GPU makes faster: {files.computed:.1f} s of one core; on two, which"
        f" share them, {100 * SHARE:.0f} % where a step takes {files.computed / 2 / SHARE / steps:.2f} s",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="What showing an epoch costs, beside its training.")
    parser.add_argument("stages", nargs="*", default=["cyclic", "trimodal"], metavar="stage", help=", ".join(STAGES))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=2, help="samples of the steps that are timed")
    arguments = parser.parse_args()
    for stage in arguments.stages:
        measure(stage, arguments.device, arguments.batch)


if __name__ == "__main__":
    main()

"""Seconds of one training step of the demo's separation network, in the ways that were considered.

    OMP_NUM_THREADS=2 python -m benchmarks.training_step

Prints the median over steps and the ratio to the plain way.  Compare ratios of one run: machines are noisy.  What
was learnt stands in CHANGELOG.md.
"""

import statistics
import time
from collections.abc import Callable

import torch

from avsep.clips.index import SOUNDING
from avsep.clips.mixtures import hear
from avsep.media.spectrogram import Spectrogram
from avsep.models.resnet import FrameFeatures
from avsep.models.ungated import Ungated
from avsep.training.loop import keep_freed_memory
from avsep.training.masks import weighted_l1

BATCH, SAMPLES, HOP, STEPS = 16, 31752, 504, 12


def median_seconds(step: Callable[[], None]) -> float:
    times = []
    for _ in range(STEPS):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])  # the first ones choose kernels and fill caches


def training_step(channels_last: bool, bfloat16: bool) -> Callable[[], None]:
    torch.manual_seed(0)
    networks = Ungated(16, unet_levels=5, unet_channels=16, unet_max_channels=256, embedding=16)
    if channels_last:
        networks.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(networks.separation.parameters(), 1e-3)
    waves = {name: 0.1 * torch.randn(BATCH, SAMPLES) for name in SOUNDING}
    seen = {name: FrameFeatures(torch.rand(BATCH, 1, 128), torch.rand(BATCH, 1, 128, 7, 7)) for name in SOUNDING}

    def step() -> None:
        heard = hear(waves, Spectrogram(n_fft=1022, hop=HOP, log_bins=128, align_corners=True))
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            masks = networks.separate(heard.log_mixture, seen)
        loss = sum(weighted_l1(masks[n].float(), heard.target(n, 5.0), heard.weight).mean() for n in SOUNDING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()

    return step


def main() -> None:
    print(f"{torch.get_num_threads()} threads, batch {BATCH}, {SAMPLES} samples, median of {STEPS - 2} steps")
    plain = None
    for name, channels_last, bfloat16, keep in (
        ("float32", False, False, False),
        ("float32, channels last", True, False, False),
        ("bfloat16, channels last", True, True, False),
        ("float32, ..., memory kept", True, False, True),  # last: the process keeps it from now on
    ):
        if keep:
            keep_freed_memory()
        seconds = median_seconds(training_step(channels_last, bfloat16))
        plain = plain or seconds
        print(f"{name:28s} {seconds:6.3f} s a step, {plain / seconds:4.2f} x")


if __name__ == "__main__":
    main()

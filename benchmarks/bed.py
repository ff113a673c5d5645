"""A test bed for separation: how well does the demo's U-Net learn where nothing else can fail?

Each source is asked for by its true class: perfect eyes, no gates, no pictures.  What is left are sounds, network and
steps, so that a change of one of them is seen by itself and within minutes, before it goes into the pipeline:

    python -m benchmarks.bed "" "optimizer=muon lr=0.01" "batch=8 steps=2400" --seeds 0 1

A line changes fields of `Settings`.  All lines of a seed hear the same mixtures in the same order and are scored on the
same mixtures of other videos, so that differences to the first line are paired; their standard error is over mixtures.
A line computes with one thread, and `--jobs` of them side by side.
"""

import argparse
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from time import perf_counter
from typing import NamedTuple

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from avsep.clips.mixtures import Heard, hear, mixed
from avsep.demo import sound
from avsep.media.spectrogram import Spectrogram
from avsep.models.ccol import Synthesizer
from avsep.models.unet import UNet
from avsep.scoring.validation import improvements
from avsep.training.masks import weighted_l1
from avsep.training.optimizers import optimizer

RATE = 11025  # Hz
CLASSES = tuple(sound.PARTS)
HELD_OUT = 1000  # the index of a class's first video that is scored
SCORED_VIDEOS, SCORED_SECONDS, SCORED_MIXTURES = 8, 8.0, 256  # videos are of each class
AUDIBLE = 1e-3  # root mean square of a window that is used
Waves = NDArray[np.float32]


@dataclass(frozen=True)
class Settings:
    """The demo's, but for the steps."""

    steps: int = 600
    batch: int = 16
    optimizer: str = "adam"  # or muon, sgd
    lr: float = 2e-3  # the highest of one cycle
    warm_up: float = 0.3  # share of the steps in which it rises
    levels: int = 5
    channels: int = 16
    max_channels: int = 256
    embedding: int = 16
    samples: int = 31752
    n_fft: int = 1022
    hop: int = 504
    log_bins: int = 128
    scale: float = 1.0  # the network hears log(1 + scale * magnitude)
    power: float = 0.0  # a bin's weight in the loss: its magnitude to this power; 0: log(1 + magnitude), as CCoL has it
    gain: float = 0.5  # each source's is drawn from 1 - gain to 1 + gain
    per_class: int = 28  # videos to learn from
    seconds: float = 8.0  # of each
    timbre: float = 1.0  # of all videos, as videos.timbre


class Asked(nn.Module):
    """CCoL's U-Net and synthesizer, asked by the number of a class."""

    def __init__(self, s: Settings) -> None:
        super().__init__()
        self.unet = UNet(s.levels, s.channels, s.max_channels, s.embedding)
        self.queries = nn.Embedding(len(CLASSES), s.embedding)
        nn.init.normal_(self.queries.weight, std=2.0)
        self.synthesizer = Synthesizer(s.embedding)
        self.scale = s.scale

    def forward(self, mixture: Tensor, asked: Tensor) -> Tensor:
        """Magnitudes (B, 1, F, T) and classes (B, O) -> masks (B, O, F, T)"""
        masks: Tensor = self.synthesizer(self.queries(asked).sigmoid(), self.unet((self.scale * mixture).log1p()))
        return masks


class Batch(NamedTuple):
    """Two sources A and C of different classes."""

    waves: dict[str, Tensor]  # (B, L), as they sound in the mixture
    asked: Tensor  # (B, 2), their classes


def rendered(per_class: int, seconds: float, timbre: float, first: int) -> dict[str, list[Waves]]:
    """Each class's videos' sound, mono."""
    found = {}
    for name in CLASSES:
        streams = [np.random.default_rng([zlib.crc32(name.encode()), first + i]) for i in range(per_class)]
        stereo = [sound.play(rng, name, sound.compose(rng, name, seconds), seconds, timbre) for rng in streams]
        found[name] = [librosa.resample(s.mean(1), orig_sr=sound.RATE, target_sr=RATE) for s in stereo]
    return found


def draw(rng: np.random.Generator, videos: dict[str, list[Waves]], count: int, samples: int, gain: float) -> Batch:
    """Random windows of random videos."""
    asked = np.stack([rng.choice(len(CLASSES), size=2, replace=False) for _ in range(count)])
    windows = [[audible(rng, videos[CLASSES[kind]], samples) for kind in pair] for pair in asked]
    gains = rng.uniform(1 - gain, 1 + gain, size=(count, 2, 1))
    waves = torch.from_numpy(np.clip(np.array(windows) * gains, -1, 1)).float()  # (B, 2, L)
    return Batch(mixed({"A": waves[:, 0], "C": waves[:, 1]}), torch.from_numpy(asked))


def audible(rng: np.random.Generator, videos: Sequence[Waves], samples: int) -> Waves:
    while True:
        wave = videos[int(rng.integers(len(videos)))]
        start = int(rng.integers(len(wave) - samples))
        window = wave[start : start + samples]
        if np.sqrt(np.mean(window**2)) >= AUDIBLE:
            return window


def loss_of(masks: Tensor, heard: Heard, power: float) -> Tensor:
    """L1 of both masks (B, 2, F, T), a scalar."""
    weight = heard.mixture.clamp(1e-3, 100) ** power if power else heard.weight
    pairs = zip(masks.split(1, dim=1), heard.solo, strict=True)
    return torch.stack([weighted_l1(mask, heard.target(name, 5.0), weight).mean() for mask, name in pairs]).mean()


class Found(NamedTuple):
    snri: NDArray[np.float32]  # of each scored mixture, dB
    si_sdri: NDArray[np.float32]
    seconds: float  # a step


def learn(settings: Settings, seed: int) -> Found:
    """Trains and scores a U-Net."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    s, how = settings, Spectrogram(settings.n_fft, settings.hop, settings.log_bins, align_corners=True)
    videos = rendered(s.per_class, s.seconds, s.timbre, 0)
    network = Asked(s).to(memory_format=torch.channels_last)
    steps = optimizer(s.optimizer)(network.parameters(), lr=s.lr)
    rates = torch.optim.lr_scheduler.OneCycleLR(steps, s.lr, s.steps, pct_start=s.warm_up, cycle_momentum=False)
    rng, spent = np.random.default_rng(seed), 0.0
    for _ in range(s.steps):
        batch = draw(rng, videos, s.batch, s.samples, s.gain)
        started = perf_counter()
        heard = hear(batch.waves, how)
        loss = loss_of(network(heard.mixture, batch.asked), heard, s.power)
        steps.zero_grad()
        loss.backward()
        steps.step()
        rates.step()
        spent += perf_counter() - started
    return Found(*score(network.eval(), how, s.samples, s.timbre), spent / s.steps)


@torch.no_grad()
def score(
    network: Asked, how: Spectrogram, samples: int, timbre: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """SNR and SI-SDR improvements of each mixture, the mean of both sources."""
    videos, rng = rendered(SCORED_VIDEOS, SCORED_SECONDS, timbre, HELD_OUT), np.random.default_rng(0)
    found = []
    for _ in range(SCORED_MIXTURES // 32):
        batch = draw(rng, videos, 32, samples, gain=0.0)
        masks = network(hear(batch.waves, how).mixture, batch.asked)
        found.append(improvements(dict(zip(batch.waves, masks.split(1, dim=1), strict=True)), batch.waves, how))
    return torch.cat([f["snri"] for f in found]).numpy(), torch.cat([f["si_sdri"] for f in found]).numpy()


def settings_of(line: str) -> Settings:
    """Raises SystemExit for what is no setting."""
    kinds = {field.name: type(getattr(Settings(), field.name)) for field in fields(Settings)}
    changes = dict(change.partition("=")[::2] for change in line.split())
    if unknown := changes.keys() - kinds.keys():
        raise SystemExit(f"error: {', '.join(sorted(unknown))}: no setting; there are {', '.join(kinds)}")
    return replace(Settings(), **{name: kinds[name](value) for name, value in changes.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="+", metavar="LINE", help='settings as "steps=1200 lr=4e-3"; "" changes none')
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--jobs", type=int, default=1)
    asked = parser.parse_args()
    given = [settings_of(line) for line in asked.lines]
    print("| changed | SNR improvement, dB | re the first | SI-SDR improvement, dB | s a step |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        running = [[pool.submit(learn, settings, seed) for seed in asked.seeds] for settings in given]
        first = None
        for line, of_line in zip(asked.lines, running, strict=True):
            found = [one.result() for one in of_line]
            snri = np.mean([f.snri for f in found], axis=0)  # of each mixture, over the seeds
            first = snri if first is None else first
            apart, error = (snri - first).mean(), (snri - first).std(ddof=1) / len(snri) ** 0.5
            si_sdri, seconds = (np.mean([getattr(f, name) for f in found]) for name in ("si_sdri", "seconds"))
            told = f"{snri.mean():.2f} | {apart:+.2f} +- {error:.2f} | {si_sdri:.2f} | {seconds:.3f}"
            print(f"| {line or 'nothing'} | {told} |", flush=True)


if __name__ == "__main__":
    main()

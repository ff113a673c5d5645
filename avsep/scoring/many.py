"""More sources than training mixes: N test videos of N classes sound at once, and each is asked for, with the same
weights.

Scored are SI-SDR and SNR with their improvements: BSS-eval's projections grow with the square of N, and forgive more
the more sources there are.  No silent object is in sight.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avsep.clips.datasets import AUDIBLE, ClipReader, FixedMixtures, root_mean_square
from avsep.clips.index import Video
from avsep.clips.mixtures import hear, mixed
from avsep.media.spectrogram import Spectrogram
from avsep.scoring import systems
from avsep.scoring.asking import Told
from avsep.scoring.separation import gains, si_sdr, snr
from avsep.scoring.systems import FRAME, GROUNDED, TRAINED

SYSTEMS = (*FRAME, *TRAINED)
SCORES = ("si_sdr", "si_sdri", "snr", "snri")
COLUMNS = ["sources", "mixture", "system", "class", "video", "probability", "muted", *SCORES]


def draw(videos: Sequence[Video], sources: int, count: int, seed: int) -> list[tuple[Video, ...]]:
    """`count` mixtures of `sources` videos of different classes, a function of the seed: classes occur equally often,
    give or take one, and so do a class's videos.  Raises ValueError for fewer classes than sources."""
    classes: dict[str, list[Video]] = {}
    for video in sorted(videos):
        classes.setdefault(video.category, []).append(video)
    if len(classes) < sources:
        raise ValueError(f"{sources} sources out of {len(classes)} classes")
    random = np.random.default_rng([seed, sources])
    uses: Counter[str] = Counter()  # of classes and of videos, by name

    def rarest(names: Sequence[str]) -> list[str]:
        """Sorted by use, at random among equals."""
        drawn = random.random(len(names))
        return [name for _, _, name in sorted(zip((uses[name] for name in names), drawn, names, strict=True))]

    mixtures = []
    for _ in range(count):
        mixture = []
        for category in rarest(list(classes))[:sources]:
            by_name = {video.name: video for video in classes[category]}
            mixture.append(by_name[rarest(list(by_name))[0]])
            uses.update([category, mixture[-1].name])
        mixtures.append(tuple(mixture))
    return mixtures


def silent(mixture: Sequence[Video], reader: ClipReader) -> list[Video]:
    """The videos that make no sound in their windows, which have no ratio to be scored by."""
    return [video for video in mixture if root_mean_square(reader.sound(video, centre(video, reader))) < AUDIBLE]


def centre(video: Video, reader: ClipReader) -> int:
    """The middle frame, around which all test mixtures are."""
    return FixedMixtures([], reader, heard=(), seen=()).centre(video)


class Together(Dataset[dict[str, Any]]):
    """Numbered mixtures in which all that is seen sounds, as samples of `FixedMixtures`, with objects named 1 to N.

    Samples have either what is heard, or, with `seen`, what is seen.
    """

    def __init__(self, mixtures: Mapping[int, tuple[Video, ...]], reader: ClipReader, seen: bool = False) -> None:
        self.numbers, self.mixtures, self.reader, self.seen = list(mixtures), list(mixtures.values()), reader, seen

    def __len__(self) -> int:
        return len(self.mixtures)

    def __getitem__(self, index: int) -> dict[str, Any]:
        videos = {str(number): video for number, video in enumerate(self.mixtures[index], start=1)}
        middles = {name: centre(video, self.reader) for name, video in videos.items()}
        if self.seen:
            frames = {name: self.reader.frames_around(video, middles[name]) for name, video in videos.items()}
            return {"pictures": {name: self.reader.pictures(video, frames[name]) for name, video in videos.items()}}
        sounds = {name: self.reader.sound(video, middles[name]) for name, video in videos.items()}
        return {"waves": mixed({name: torch.from_numpy(wave).float() for name, wave in sounds.items()})}


@torch.no_grad()
def score_all(
    networks: Mapping[str, Any],
    mixtures: Together,
    seen: Mapping[str, Together],
    told: Told,
    gates: Mapping[str, float],
    *,
    spectrogram: Spectrogram,
    max_target: float,
    device: str,
    batch: int,
) -> Iterator[list[dict[str, Any]]]:
    """The rows of metrics/sources.csv, batch by batch.

    `mixtures` and `seen` as in systems.separate_all, none with a silent video; `gates` as in pairs.score.
    """
    at = 0
    for sounds, pictures in systems.together(mixtures, seen, batch, device):
        waves = {name: wave.to(device) for name, wave in sounds["waves"].items()}
        part = slice(at, at + len(waves["1"]))
        numbers, videos = mixtures.numbers[part], mixtures.mixtures[part]
        heard = hear(waves, spectrogram)
        masks = systems.oracles(heard, max_target)
        shown, probabilities, _ = systems.ask_by_frames(networks, heard, pictures)
        masks.update(shown)
        masks.update(systems.ask_vast(networks, heard, dict(zip(waves, zip(*videos, strict=True), strict=True)), told))
        estimates = systems.listen(masks, waves, spectrogram)
        yield _rows(dict(zip(numbers, videos, strict=True)), _scores(estimates, waves), probabilities, gates)
        at += len(videos)


def _scores(
    estimates: Mapping[str, Mapping[str, np.ndarray]], waves: Mapping[str, Tensor]
) -> dict[str, dict[str, np.ndarray]]:
    """System -> each of SCORES, (N, B)."""
    true = torch.stack(list(waves.values())).cpu().double()  # (N, B, L)
    scores: dict[str, dict[str, np.ndarray]] = {}
    for system in (system for system in SYSTEMS if system in estimates):  # the mixture first
        given = torch.stack([torch.from_numpy(estimates[system][name]) for name in waves]).double()
        own = {"si_sdr": si_sdr(given, true).numpy(), "snr": snr(given, true).numpy()}
        scores[system] = {**own, **gains(own, scores.get("mixture", own))}
    return scores


def _rows(
    mixtures: Mapping[int, tuple[Video, ...]],
    scores: Mapping[str, Mapping[str, np.ndarray]],
    probabilities: Mapping[str, Mapping[str, Tensor]],
    gates: Mapping[str, float],
) -> list[dict[str, Any]]:
    """One batch's rows, in the order of its numbered mixtures."""
    rows = []
    for b, (number, videos) in enumerate(mixtures.items()):
        for system, (n, video) in itertools.product(scores, enumerate(videos)):
            row: dict[str, Any] = {"sources": len(videos), "mixture": number, "system": system}
            row |= {"class": video.category, "video": video.name}
            row |= {metric: float(scores[system][metric][n, b]) for metric in SCORES}
            if system in GROUNDED:
                row["probability"] = float(probabilities[system][str(n + 1)][b])
                row["muted"] = int(row["probability"] < gates[system])
            rows.append(row)
    return rows

"""More sources than training mixes: N test videos of N classes sound at once, and each is asked for, with the same
weights.

Scored are SI-SDR and SNR with their improvements: BSS-eval's projections grow with the square of N, and forgive more
the more sources there are.  No silent object is in sight.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from avsep.clips.index import Video
from avsep.errors import InputError
from avsep.scoring.asking import Outcome, Task, source_tasks
from avsep.scoring.separation import gains, si_sdr, snr
from avsep.systems.catalogue import MIXTURE, arranged

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


def draw_tasks(videos: Sequence[Video], numbers: Sequence[int], count: int, seed: int) -> list[list[Task]]:
    """`count` mixtures of each of the `numbers` of sources. Raises InputError for more sources than classes."""
    classes = {video.category for video in videos}
    if numbers and max(numbers) > len(classes):
        raise InputError(
            f"params: evaluate.sources asks for {max(numbers)} sources of different classes:"
            f" the test videos have {len(classes)}"
        )
    return [source_tasks(draw(videos, number, count, seed)) for number in numbers]


def score(outcome: Outcome, gates: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of metrics/sources.csv of one mixture.

    `gates`: of each system that grounds, the probability below which an object is muted.
    """
    names = list(outcome.references)
    true = torch.stack([torch.from_numpy(outcome.references[name]) for name in names]).double()  # (N, L)
    scores: dict[str, dict[str, np.ndarray]] = {}
    rows = []
    for system in (entry.name for entry in arranged(outcome.estimates)):  # the mixture first
        given = torch.stack([torch.from_numpy(outcome.estimates[system][name]) for name in names]).double()
        own = {"si_sdr": si_sdr(given, true).numpy(), "snr": snr(given, true).numpy()}
        scores[system] = {**own, **gains(own, scores.get(MIXTURE, own))}
        silent = ~given.any(dim=-1).numpy()  # an object that an external system takes for silent
        for n, name in enumerate(names):
            video = outcome.videos[name]
            row: dict[str, Any] = {"sources": len(names), "mixture": outcome.number, "system": system}
            row |= {"class": video.category, "video": video.name}
            row |= {metric: float(scores[system][metric][n]) for metric in SCORES}
            if silent[n]:
                row |= {"si_sdr": np.nan, "si_sdri": np.nan}  # not defined
            if system in outcome.probabilities:
                row["probability"] = outcome.probabilities[system][name]
                row["muted"] = int(row["probability"] < gates[system])
            rows.append(row)
    return rows

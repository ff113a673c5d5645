"""What evaluation works on, tiny: networks, mixtures, what CLIP tells of them, and outcomes."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from avsep.clips.datasets import FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video
from avsep.scoring.asking import NOTHING, Told, tell
from avsep.scoring.systems import ASKED, GROUNDED, SHOWN, SYSTEMS, TRAINED, Outcome, separate_all
from avsep.systems.confidence import Confidence
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST
from tests.helpers import factories
from tests.helpers.factories import SPECTROGRAM, UNET, WIDTH, tiny_ccol, tiny_clip, tiny_reader

PROBABILITIES = {"A": 0.9, "B": 0.2, "C": 0.4, "D": 0.7}  # at a gate of 0.5, C is muted and D leaks
SOLO = {"A": 0.8, "B": 0.6, "C": 0.7, "D": 0.1}
GATES = dict.fromkeys(GROUNDED, 0.5)
CONFIDENCE = Confidence(mean=np.zeros(3), deviation=np.ones(3), weights=np.array([1.0, 2.0, -1.0]), bias=-0.5)


def outcome(videos: list[Video], number: int = 0, samples: int = 2000) -> Outcome:
    """As if all systems had left a tenth of the other source in; silent objects are given 1 % of the mixture."""
    random = np.random.default_rng(number)
    a, c = (0.1 * random.standard_normal((2, samples))).astype(np.float32)
    mixture = a + c
    sounding = {"A": a + 0.1 * c, "C": c + 0.1 * a}
    silent = {"B": 0.01 * mixture, "D": 0.01 * mixture}
    mask = np.full((16, 16), 0.5, np.float32)
    return Outcome(
        number,
        dict(zip(OBJECTS, videos, strict=False)),
        {"A": a, "C": c},
        {
            **dict.fromkeys(SYSTEMS, sounding),
            "mixture": {"A": mixture, "C": mixture},
            "oracle": {"A": a, "C": c + 1e-3 * a},
            **{system: {**sounding, **silent} for system in GROUNDED},
        },
        {s: dict.fromkeys(OBJECTS if s in GROUNDED else SOUNDING, mask) for s in SYSTEMS if s != "mixture"},
        dict.fromkeys(GROUNDED, PROBABILITIES),
        dict.fromkeys(GROUNDED, SOLO),
        {},
        {},
        mask,
    )


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    made: dict[str, torch.nn.Module] = {"baseline": SoundOfPixels(WIDTH, **UNET)}
    made |= {"colearning": tiny_ccol(1), "cyclic": tiny_ccol(2)}
    made |= {system: VAST(3, **factories.VAST) for system in ASKED}
    return {name: network.eval() for name, network in made.items()}


def mixtures_of(videos: list[Video]) -> list[Mixture]:
    return [Mixture(*(videos[(first + i) % len(videos)] for i in range(4))) for first in range(3)]


def told(mixtures: Iterable[Sequence[Video]]) -> Told:
    reader = tiny_reader(objects=False, resize=64, size=64, count=2)
    return tell(tiny_clip(), mixtures, reader, "playing the {}", {"violin": "a fiddle"}, ["an empty beach"])


def separate(videos: list[Video], batch: int, systems: Collection[str] = (*SHOWN, *ASKED)) -> list[Outcome]:
    """What `systems` make of all mixtures."""
    test = mixtures_of(videos)
    heard = FixedMixtures(test, tiny_reader(), heard=SOUNDING, seen=())
    seen = {
        name: FixedMixtures(test, tiny_reader(objects=name != "baseline"), heard=(), seen=OBJECTS)
        for name in SHOWN
        if name in systems
    }
    asked = {name: network for name, network in networks().items() if name in systems}
    confidence = CONFIDENCE if "trimodal" in systems else None
    said = told(test) if set(ASKED) & set(systems) else NOTHING
    options = dict(masked="linear", spectrogram=SPECTROGRAM, max_target=5.0, device="cpu")
    return list(separate_all(asked, heard, seen, said, confidence, batch=batch, **options))  # type: ignore[arg-type]


def asked_objects(system: str) -> tuple[str, ...]:
    """The objects that a system is asked for."""
    return OBJECTS if system in TRAINED else SOUNDING

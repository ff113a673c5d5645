"""What evaluation works on, tiny: systems with random weights, mixtures, questions, and outcomes."""

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.ungated import Ungated
from avsep.models.vast import VAST
from avsep.scoring.asking import (
    PAIRS_TABLE,
    MiddleFrame,
    Outcome,
    Phrases,
    Questions,
    Task,
    ask_all,
    pair_tasks,
    source_tasks,
)
from avsep.systems import catalogue
from avsep.systems.confidence import Confidence
from avsep.systems.load import load_systems
from avsep.systems.system import Setup, System
from avsep.weights.clip import CLIP
from tests.helpers import factories
from tests.helpers.factories import FPS, RATE, SAMPLES, SIZE, SPECTROGRAM, UNET, WIDTH, tiny_ccol, tiny_clip
from tests.helpers.weights import save_trained

# Their names, in the order of every table.
REFERENCES = tuple(entry.name for entry in catalogue.SYSTEMS if entry.group == "reference")
TRAINED = tuple(entry.name for entry in catalogue.SYSTEMS if entry.group == "trained")
GROUNDED = tuple(entry.name for entry in catalogue.SYSTEMS if entry.grounds)
CONTROLS = tuple(control.name for control in catalogue.CONTROLS)
GATE_CONTROLS = tuple(control.name for control in catalogue.GATE_CONTROLS)
WRONG = {control.name: control.of for control in catalogue.CONTROLS if control.asked == catalogue.OTHER}
SYSTEMS = (*REFERENCES, *TRAINED, *CONTROLS)

# With these the networks below were trained, as far as their weights tell.
PARAMS: dict[str, dict[str, Any]] = {
    "resnet": {"width": WIDTH},
    "clip": factories.CLIP,
    "extract": {"rate": RATE},
    "audio": {"samples": SAMPLES},
    "spectrogram": asdict(SPECTROGRAM),
    "frames": {"fps": FPS, "count": 1, "stride": 1, "size": SIZE, "square": False},
    "model": {**factories.MODEL, "query_std": None},
    "ungated": {"sees": "objects"},
    "baseline": {"fps": FPS, "frames": 1, "stride": 1, "masks": "ratio"},
    "vast": {
        **{"unet_levels": 3, "unet_channels": 2, "fps": FPS, "frames": 2, "stride": 1, "masked": "linear"},
        "phrase": "playing the {}",
    },
}

PROBABILITIES = {"A": 0.9, "B": 0.2, "C": 0.4, "D": 0.7}  # at a gate of 0.5, C is muted and D leaks
SOLO = {"A": 0.8, "B": 0.6, "C": 0.7, "D": 0.1}
GATES = dict.fromkeys(GROUNDED, 0.5)
CONFIDENCE = Confidence(mean=np.zeros(3), deviation=np.ones(3), weights=np.array([1.0, 2.0, -1.0]), bias=-0.5)
PHRASES = Phrases("playing the {}", sorted(factories.CLASSES), {"violin": "a fiddle"}, ["an empty beach"])


def outcome(videos: list[Video], number: int = 0, samples: int = 2000) -> Outcome:
    """As if all systems had left a tenth of the other source in; silent objects are given 1 % of the mixture."""
    random = np.random.default_rng(number)
    a, c = (0.1 * random.standard_normal((2, samples))).astype(np.float32)
    mixture = a + c
    sounding = {"A": a + 0.1 * c, "C": c + 0.1 * a}
    silent = {"B": 0.01 * mixture, "D": 0.01 * mixture}
    mask = np.full((16, 16), 0.5, np.float32)
    return Outcome(
        Task(PAIRS_TABLE, number, dict(zip(OBJECTS, videos, strict=False)), SOUNDING),
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
        dict.fromkeys(OBJECTS, MiddleFrame(7, 24, 18, None)),
    )


def networks() -> dict[str, torch.nn.Module]:
    """Of each stage whose weights a system takes."""
    torch.manual_seed(0)
    made: dict[str, torch.nn.Module] = {"baseline": SoundOfPixels(WIDTH, **UNET), "ungated": Ungated(WIDTH, **UNET)}
    made |= {"colearning": tiny_ccol(1), "cyclic": tiny_ccol(2)}
    made |= {stage: VAST(3, **factories.VAST) for stage in ("trimodal", "finetune")}
    return {name: network.eval() for name, network in made.items()}


def write_weights(root: Path, params: Mapping[str, Any] = PARAMS) -> None:
    """What the training stages leave of `networks`, and stage pretrained of CLIP."""
    for stage, network in networks().items():
        save_trained(root / f"checkpoints/{stage}/best.safetensors", network, params)
    save_trained(root / CLIP, tiny_clip().clip, params)


def tiny_setup(root: Path = Path(), **options: Any) -> Setup:
    """What systems of the size of `networks` are made with."""
    values: dict[str, Any] = {
        **dict(root=root, device="cpu", params=PARAMS, spectrogram=SPECTROGRAM, max_target=5.0),
        **dict(rate=RATE, samples=SAMPLES, kept_fps=FPS, fps=FPS, frames=1, stride=1, size=SIZE, square=False),
        **dict(ungated_whole=False, baseline_fps=FPS, baseline_frames=1, baseline_stride=1),
        **dict(clip=factories.CLIP, vast_fps=FPS, vast_frames=2, vast_stride=1),
        **dict(masked="linear", phrase=PHRASES.template),
    }
    return Setup(**{**values, **options})


def tiny_systems(stages: Collection[str] = catalogue.STAGES, **options: Any) -> dict[str, System]:
    """What `load_systems` makes of their weights."""
    with tempfile.TemporaryDirectory() as folder:
        write_weights(Path(folder))
        return load_systems(stages, tiny_setup(Path(folder), **options))


def ask(systems: Mapping[str, System], batch: int, phrases: Phrases = PHRASES) -> Questions:
    """Questions to these systems."""
    return Questions(systems, phrases, tiny_setup().reader, SPECTROGRAM, "cpu", batch)


def mixtures_of(videos: list[Video]) -> list[Mixture]:
    return [Mixture(*(videos[(first + i) % len(videos)] for i in range(4))) for first in range(3)]


def separate(
    videos: list[Video],
    batch: int,
    systems: Mapping[str, System] | None = None,
    phrases: Phrases = PHRASES,
) -> list[Outcome]:
    """What `systems`, or all, make of all mixtures of pairs."""
    questions = ask(tiny_systems() if systems is None else systems, batch, phrases)
    confidence = CONFIDENCE if "trimodal_text" in questions.systems else None
    return answers(questions, pair_tasks(mixtures_of(videos)), confidence)


def separate_sources(
    mixtures: Sequence[Sequence[Video]], batch: int, systems: Mapping[str, System] | None = None
) -> list[Outcome]:
    """The same of mixtures of all that is in sight."""
    return answers(ask(tiny_systems() if systems is None else systems, batch), source_tasks(mixtures))


def answers(
    questions: Questions,
    tasks: Sequence[Task],
    confidence: Confidence | None = None,
    silent: Callable[[Task, Video], None] | None = None,
) -> list[Outcome]:
    """What all systems make of each task."""
    return list(ask_all(questions, questions.batches(questions.read(tasks, silent)), confidence))


def asked_objects(system: str) -> tuple[str, ...]:
    """The objects that a system is asked for: a silent one has no truth that a reference could be made from."""
    return OBJECTS if system in TRAINED else SOUNDING

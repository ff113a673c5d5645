"""metrics/examples: a few test mixtures as the report shows them, with sounds, masks, pictures and scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avsep.clips.index import SOUNDING
from avsep.media.detections import squared
from avsep.media.frames import read_jpeg
from avsep.media.wav import write_wav
from avsep.scoring.asking import Outcome, Phrases
from avsep.scoring.separation import SCORES
from avsep.systems.catalogue import MIXTURE, TARGET, Entry, arranged


def write_example(
    folder: Path, outcome: Outcome, rows: Sequence[Mapping[str, Any]], rate: int, phrases: Phrases
) -> None:
    """Everything that the report shows of one mixture, of which `rows` are those of pairs.csv."""
    folder.mkdir(parents=True)
    _write_sounds(folder, outcome, rate)
    arrays: dict[str, Any] = {key: array.astype(np.float16) for key, array in _planes(outcome).items()}
    np.savez_compressed(folder / "arrays.npz", **arrays)
    objects = {name: _object(folder, outcome, name, phrases) for name in outcome.videos}
    scores: dict[str, Any] = {entry.name: {} for entry in arranged(outcome.estimates)}
    for row in rows:
        if row["role"] == "sounding" and row["system"] in scores:
            scores[row["system"]][row["object"]] = {metric: row[metric] for metric in SCORES}
    example = {"mixture": outcome.number, "objects": objects, "scores": scores}
    (folder / "example.json").write_text(json.dumps(example, indent=2) + "\n", encoding="utf-8")


def _shown(outcome: Outcome) -> list[tuple[Entry, str]]:
    """System and object of what can be heard; of silent objects, what grounding says something of."""
    entries = [e for e in arranged(outcome.estimates) if isinstance(e, Entry) and e.name != MIXTURE]
    return [(e, n) for e in entries for n in outcome.estimates[e.name] if n in SOUNDING or e.grounds]


def _write_sounds(folder: Path, outcome: Outcome, rate: int) -> None:
    write_wav(folder / "mixture.wav", outcome.mixture, rate)
    for name, wave in outcome.references.items():
        write_wav(folder / f"{name}_reference.wav", wave, rate)
    for entry, name in _shown(outcome):
        write_wav(folder / f"{name}_{entry.name}.wav", outcome.estimates[entry.name][name], rate)


def _planes(outcome: Outcome) -> dict[str, np.ndarray]:
    """(F, T) of the mixture, masks and targets; (rows, columns) of attention, with the sum 1."""
    planes = {"mixture": outcome.heard}
    shown = [(entry.name, name) for entry, name in _shown(outcome) if entry.name in outcome.masks]
    planes.update({f"mask_{system}_{name}": outcome.masks[system][name] for system, name in shown})
    planes.update({f"target_{name}": outcome.masks[TARGET][name] for name in SOUNDING})
    for entry in arranged(outcome.attention):
        if isinstance(entry, Entry) and entry.asked == "picture":
            for name, logits in outcome.attention[entry.name].items():
                own = torch.from_numpy(logits[0])  # in the object's own picture
                planes[f"attention_{entry.name}_{name}"] = own.flatten().softmax(0).reshape(own.shape).numpy()
    return planes


def _object(folder: Path, outcome: Outcome, name: str, phrases: Phrases) -> dict[str, Any]:
    """What is told of an object; copies its middle frame."""
    video, middle = outcome.videos[name], outcome.middles[name]
    found = middle.detection
    (folder / f"{name}.jpg").write_bytes(read_jpeg(video.frames, middle.number))
    about = {
        "video": video.name,
        "class": video.category,
        "role": "sounding" if name in SOUNDING else "silent",
        "frame": middle.number,
        "box": found and list(found.box),
        "confidence": found and found.confidence,
        "probability": {system: said[name] for system, said in outcome.probabilities.items()},
    }
    if name in SOUNDING and any(e.asked != "object" for e in arranged(outcome.estimates) if isinstance(e, Entry)):
        phrase = phrases.of(video.category)
        about["phrase"] = phrase
        about["phrase_confidence"] = outcome.confidences.get(phrase)
        about["view"] = list(squared((0, 0, middle.width, middle.height), middle.width, middle.height))
    return about

"""metrics/examples: a few test mixtures as the report shows them, with sounds, masks, pictures and scores."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import SOUNDING
from avsep.media.detections import most_confident, read_detections, squared
from avsep.media.frames import read_frame, read_jpeg
from avsep.media.wav import write_wav
from avsep.scoring.asking import Told
from avsep.scoring.separation import SCORES
from avsep.scoring.systems import FRAME, GROUNDED, SYSTEMS, TRAINED, Outcome


def write_example(
    folder: Path, outcome: Outcome, rows: Sequence[Mapping[str, Any]], reader: ClipReader, told: Told
) -> None:
    """Everything that the report shows of one mixture, of which `rows` are those of pairs.csv."""
    folder.mkdir(parents=True)
    _write_sounds(folder, outcome, reader.rate)
    arrays: dict[str, Any] = {key: array.astype(np.float16) for key, array in _planes(outcome).items()}
    np.savez_compressed(folder / "arrays.npz", **arrays)
    objects = {name: _object(folder, outcome, name, reader, told) for name in outcome.videos}
    scores: dict[str, Any] = {system: {} for system in SYSTEMS if system in outcome.estimates}
    for row in rows:
        if row["role"] == "sounding" and row["system"] in scores:
            scores[row["system"]][row["object"]] = {metric: row[metric] for metric in SCORES}
    example = {"mixture": outcome.number, "objects": objects, "scores": scores}
    (folder / "example.json").write_text(json.dumps(example, indent=2) + "\n", encoding="utf-8")


def _shown(outcome: Outcome) -> list[tuple[str, str]]:
    """System and object of what can be heard; of silent objects, what grounding says something of."""
    systems = [system for system in (*FRAME[1:], *TRAINED) if system in outcome.estimates]
    return [(s, n) for s in systems for n in outcome.estimates[s] if n in SOUNDING or s in GROUNDED]


def _write_sounds(folder: Path, outcome: Outcome, rate: int) -> None:
    write_wav(folder / "mixture.wav", outcome.mixture, rate)
    for name, wave in outcome.references.items():
        write_wav(folder / f"{name}_reference.wav", wave, rate)
    for system, name in _shown(outcome):
        write_wav(folder / f"{name}_{system}.wav", outcome.estimates[system][name], rate)


def _planes(outcome: Outcome) -> dict[str, np.ndarray]:
    """(F, T) of the mixture, masks and targets; (rows, columns) of attention, with the sum 1."""
    planes = {"mixture": outcome.heard}
    planes.update({f"mask_{system}_{name}": outcome.masks[system][name] for system, name in _shown(outcome)})
    planes.update({f"target_{name}": outcome.masks["oracle"][name] for name in SOUNDING})
    for name, logits in outcome.attention.get("visual", {}).items():
        own = torch.from_numpy(logits[0])  # in the object's own picture
        planes[f"attention_trimodal_{name}"] = own.flatten().softmax(0).reshape(own.shape).numpy()
    return planes


def _object(folder: Path, outcome: Outcome, name: str, reader: ClipReader, told: Told) -> dict[str, Any]:
    """What is told of an object; copies its middle frame."""
    video = outcome.videos[name]
    frame = FixedMixtures([], reader, heard=(), seen=()).centre(video)
    picture = read_frame(video.frames, frame)
    found = most_confident(read_detections(video.detections, video.frame_count), frame, *picture.size)
    (folder / f"{name}.jpg").write_bytes(read_jpeg(video.frames, frame))
    about = {
        "video": video.name,
        "class": video.category,
        "role": "sounding" if name in SOUNDING else "silent",
        "frame": frame,
        "box": found and list(found.box),
        "confidence": found and found.confidence,
        "probability": {system: said[name] for system, said in outcome.probabilities.items()},
    }
    if name in SOUNDING and told.classes:  # of VAST
        phrase = told.classes[video.category]
        about["phrase"] = phrase
        about["phrase_confidence"] = outcome.confidences.get(phrase)
        about["view"] = list(squared((0, 0, *picture.size), *picture.size))
    return about

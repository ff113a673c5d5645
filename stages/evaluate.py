"""All systems on the same fixed test mixtures A + C beside the silent objects B and D.

Beside the trained systems stand the mixture itself and the oracle ratio mask (same STFT, the mixture's phase).
Separation is scored with each sounding object's own mask; what silent objects are given is scored under a gate on
the grounding probability, as a listener would get it, which validation's mixtures calibrate unless params name one.
Definitions: avsep/scoring.

checkpoints/{baseline,colearning,cyclic}/best.safetensors, data/index/{val,test}_sep.csv
    -> metrics/evaluate.json, metrics/pairs.csv, metrics/skipped.csv, metrics/examples
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import Mixture, Video, read_index, read_mixtures
from avsep.clips.mixtures import hear
from avsep.errors import InputError
from avsep.media.detections import most_confident, read_detections
from avsep.media.frames import frame_path, read_frame
from avsep.media.spectrogram import apply_masks
from avsep.media.wav import write_wav
from avsep.params import EvaluateParams
from avsep.run import progress, run, write_metrics
from avsep.scoring.grounding import calibrated_gate, grounding_scores
from avsep.scoring.separation import score_sources
from avsep.scoring.silence import leakage_db
from avsep.training.checkpoints import load_into, load_weights
from avsep.training.seeds import seed_everything
from models.ccol import OBJECTS, SOUNDING, CCoL
from models.sound_of_pixels import SoundOfPixels

SYSTEMS = ("mixture", "oracle", "baseline", "colearning", "cyclic")
GROUNDED = ("colearning", "cyclic")
SCORES = ("sdr", "sir", "sar", "nsdr", "si_sdr", "si_sdri")
ROUNDED = 0.5  # the decision that training takes, and the threshold of the grounding scores


@dataclass(frozen=True)
class Outcome:
    """What the systems made of one mixture. Waves (L,); masks (F, T) after the log-frequency warp."""

    number: int
    videos: Mapping[str, Video]
    references: Mapping[str, np.ndarray]  # of the sounding objects, as they sound in the mixture
    estimates: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> wave
    masks: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> mask
    probabilities: Mapping[str, Mapping[str, float]]  # grounded system -> object -> that it sounds
    heard: np.ndarray  # log1p magnitude of the mixture, (F, T)

    @property
    def mixture(self) -> np.ndarray:
        return sum(self.references.values())  # type: ignore[return-value]


@torch.no_grad()
def separate_all(
    networks: Mapping[str, Any],
    mixtures: Mapping[str, FixedMixtures],
    *,
    spectrogram: Mapping[str, Any],
    max_target: float,
    device: str,
    batch: int,
) -> Iterator[Outcome]:
    """Each system's masks, estimates and probabilities, mixture by mixture. `mixtures` are what each system sees."""
    reader = mixtures["cyclic"]
    mask_to_wave = partial(
        apply_masks,
        n_fft=spectrogram["n_fft"],
        hop=spectrogram["hop"],
        align_corners=spectrogram["align_corners"],
    )
    loaders = {name: torch.utils.data.DataLoader(data, batch) for name, data in mixtures.items()}
    number = 0
    for batches in zip(*loaders.values(), strict=True):
        samples = dict(zip(loaders, batches, strict=True))
        waves = {name: wave.to(device) for name, wave in samples["cyclic"]["waves"].items()}
        mixture = torch.stack(list(waves.values())).sum(0)
        heard = hear(waves, **spectrogram)
        masks = {"oracle": {name: heard.target(name, max_target) for name in SOUNDING}}
        probabilities = {}
        for system, network in networks.items():
            seen = {n: network.frames(p.to(device)) for n, p in samples[system]["pictures"].items()}
            masks[system] = network.separate(heard.log_mixture, seen)
            if system in GROUNDED:
                g = network.ground({"mixture": heard.log_mixture}, seen)
                probabilities[system] = {name: g.probability("mixture", name).cpu() for name in OBJECTS}
        estimates = {
            system: {name: mask_to_wave(mask.squeeze(1), mixture).cpu().numpy() for name, mask in objects.items()}
            for system, objects in masks.items()
        }
        estimates["mixture"] = {name: mixture.cpu().numpy() for name in SOUNDING}
        for b in range(len(mixture)):
            yield Outcome(
                number,
                dict(zip(OBJECTS, reader.mixtures[number], strict=True)),
                {name: wave[b].cpu().numpy() for name, wave in waves.items()},
                {s: {n: e[b] for n, e in objects.items()} for s, objects in estimates.items()},
                {s: {n: m[b, 0].cpu().numpy() for n, m in objects.items()} for s, objects in masks.items()},
                {s: {n: float(p[b]) for n, p in objects.items()} for s, objects in probabilities.items()},
                heard.log_mixture[b, 0].cpu().numpy(),
            )
            number += 1


@torch.no_grad()
def sounding_probabilities(
    networks: Mapping[str, Any], mixtures: FixedMixtures, *, spectrogram: Mapping[str, Any], device: str, batch: int
) -> dict[str, list[float]]:
    """What each grounded system gives to the objects that sound in the mixtures, by which a gate is calibrated."""
    found: dict[str, list[float]] = {system: [] for system in GROUNDED}
    for samples in torch.utils.data.DataLoader(mixtures, batch):
        heard = hear({name: wave.to(device) for name, wave in samples["waves"].items()}, **spectrogram)
        for system, probabilities in found.items():
            network = networks[system]
            seen = {name: network.frames(pictures.to(device)) for name, pictures in samples["pictures"].items()}
            g = network.ground({"mixture": heard.log_mixture}, seen)
            for name in SOUNDING:
                probabilities += g.probability("mixture", name).tolist()
    return found


def score(outcome: Outcome, gates: Mapping[str, float]) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of metrics/pairs.csv for one mixture, or no rows and the reason why it cannot be scored.

    `gates`: of each grounded system, the probability below which an object is muted.
    """
    references = np.stack([outcome.references[name] for name in SOUNDING])
    mixture = torch.from_numpy(outcome.mixture)
    rows = []
    for system in SYSTEMS:
        estimates = outcome.estimates[system]
        try:
            scores = score_sources(references, np.stack([estimates[name] for name in SOUNDING]), outcome.mixture)
        except InputError as error:
            return [], f"{system}: {error}"
        probabilities = outcome.probabilities.get(system, {})
        for name in estimates:
            video = outcome.videos[name]
            row: dict[str, Any] = {
                "mixture": outcome.number,
                "system": system,
                "object": name,
                "role": "sounding" if name in SOUNDING else "silent",
                "class": video.category,
                "video": video.name,
            }
            if name in probabilities:
                row["probability"] = probabilities[name]
                row["muted"] = int(probabilities[name] < gates[system])
            if name in SOUNDING:
                row.update({metric: values[SOUNDING.index(name)] for metric, values in scores.items()})
            else:
                given = torch.from_numpy(estimates[name]) * (1 - row["muted"])
                row["leakage_db"] = float(leakage_db(given, mixture))
            rows.append(row)
    return rows, None


def summarise(pairs: pd.DataFrame) -> dict[str, Any]:
    """What metrics/evaluate.json tells of the rows of metrics/pairs.csv: means over sounding sources, and counts."""
    sounding = pairs[pairs["role"] == "sounding"]
    summary: dict[str, Any] = {
        system: {metric: float(sounding.loc[sounding["system"] == system, metric].mean()) for metric in SCORES}
        for system in SYSTEMS
    }
    for system in GROUNDED:
        rows = pairs[pairs["system"] == system]
        truth = rows["role"] == "sounding"
        grounding = grounding_scores(rows["probability"].tolist(), truth.tolist(), ROUNDED)
        leakage = rows.loc[~truth, "leakage_db"]
        silent = {
            "leakage_db": float(leakage.mean()),
            "leakage_db_p95": float(leakage.quantile(0.95)),
            "false_mute_rate": float(rows.loc[truth, "muted"].mean()),
        }
        suffix = "" if system == "cyclic" else f"_{system}"
        summary[f"grounding{suffix}"] = grounding
        summary[f"silent{suffix}"] = silent
    return summary


def write_example(folder: Path, outcome: Outcome, rows: Sequence[Mapping[str, Any]], reader: ClipReader) -> None:
    """Everything that the report shows of one mixture."""
    folder.mkdir(parents=True)
    write_wav(folder / "mixture.wav", outcome.mixture, reader.rate)
    for name, wave in outcome.references.items():
        write_wav(folder / f"{name}_reference.wav", wave, reader.rate)
    for system, estimates in outcome.estimates.items():
        for name, wave in estimates.items():
            if system != "mixture":
                write_wav(folder / f"{name}_{system}.wav", wave, reader.rate)

    arrays = {"mixture": outcome.heard}
    for system, masks in outcome.masks.items():
        for name, mask in masks.items():
            arrays[f"mask_{system}_{name}"] = mask
    arrays.update({f"target_{name}": outcome.masks["oracle"][name] for name in SOUNDING})
    half: dict[str, Any] = {key: array.astype(np.float16) for key, array in arrays.items()}
    np.savez_compressed(folder / "arrays.npz", **half)

    objects = {}
    for name, video in outcome.videos.items():
        frame = FixedMixtures([], reader, heard=(), seen=()).centre(video)
        picture = read_frame(video.frames, frame)
        found = most_confident(read_detections(video.detections, video.frame_count), frame, *picture.size)
        shutil.copyfile(frame_path(video.frames, frame), folder / f"{name}.jpg")
        objects[name] = {
            "video": video.name,
            "class": video.category,
            "role": "sounding" if name in SOUNDING else "silent",
            "frame": frame,
            "box": found and list(found.box),
            "confidence": found and found.confidence,
            "probability": {system: outcome.probabilities[system][name] for system in GROUNDED},
        }
    scores: dict[str, Any] = {system: {} for system in SYSTEMS}
    for row in rows:
        if row["role"] == "sounding":
            scores[row["system"]][row["object"]] = {metric: row[metric] for metric in SCORES}
    example = {"mixture": outcome.number, "objects": objects, "scores": scores}
    (folder / "example.json").write_text(json.dumps(example, indent=2) + "\n", encoding="utf-8")


def write_table(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def read_split(split: str, index: Path = Path("data/index")) -> list[Mixture]:
    return read_mixtures(index / f"{split}_sep.csv", read_index(index / f"{split}.csv"))


def main(params: EvaluateParams) -> None:
    seed_everything(params.seed)
    unet: dict[str, Any] = {
        "unet_levels": params.model.unet_levels,
        "unet_channels": params.model.unet_channels,
        "unet_max_channels": params.model.unet_max_channels,
        "embedding": params.model.embedding,
        "query_std": params.model.query_std,
    }
    ccol: dict[str, Any] = {"sound_channels": params.model.sound_channels, "head_std": params.model.head_std}
    networks: dict[str, Any] = {
        "baseline": SoundOfPixels(params.resnet.width, **unet),
        "colearning": CCoL(params.resnet.width, **unet, **ccol),
        "cyclic": CCoL(params.resnet.width, **unet, **ccol),
    }
    for system, network in networks.items():
        path = Path(f"checkpoints/{system}/best.safetensors")
        load_into(network, load_weights(path), path)
        network.to(params.device).eval()

    reader = ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=params.extract.fps,
        count=params.frames.count,
        stride=params.frames.stride,
        resize=params.frames.size,
        size=params.frames.size,
        square=params.frames.square,
    )
    whole = replace(reader, objects=params.baseline.frames == "objects")
    test, val = read_split("test"), FixedMixtures(read_split("val"), reader, heard=SOUNDING, seen=SOUNDING)
    if params.evaluate.gate is not None:
        gates = dict.fromkeys(GROUNDED, params.evaluate.gate)
    else:
        val.mixtures = [mixture for mixture in val.mixtures if val.audible(mixture)]
        probabilities = sounding_probabilities(
            networks,
            val,
            spectrogram=asdict(params.spectrogram),
            device=params.device,
            batch=params.evaluate.batch,
        )
        gates = {s: calibrated_gate(p, params.evaluate.max_false_mutes) for s, p in probabilities.items()}
    ccol_sees = FixedMixtures(test, reader, heard=SOUNDING, seen=OBJECTS)
    outcomes = separate_all(
        networks,
        {
            "baseline": FixedMixtures(test, whole, heard=SOUNDING, seen=SOUNDING),
            "colearning": ccol_sees,
            "cyclic": ccol_sees,
        },
        spectrogram=asdict(params.spectrogram),
        max_target=params.objective.max_target,
        device=params.device,
        batch=params.evaluate.batch,
    )
    examples = Path("metrics/examples.tmp")
    shutil.rmtree(examples, ignore_errors=True)
    examples.mkdir()
    table: list[dict[str, Any]] = []
    skipped: list[tuple[int, str]] = []

    def kept(outcome: Outcome) -> tuple[Outcome, tuple[list[dict[str, Any]], str | None]]:
        return outcome, score(outcome, gates)

    scored = joblib.Parallel(n_jobs=-1, return_as="generator")(joblib.delayed(kept)(outcome) for outcome in outcomes)
    for outcome, (rows, reason) in progress(scored, desc="evaluate", total=len(test), unit="mixture"):
        table.extend(rows)
        if reason is not None:
            skipped.append((outcome.number, reason))
            logging.warning("mixture %d is skipped: %s", outcome.number, reason)
        elif outcome.number < params.evaluate.examples:
            write_example(examples / f"{outcome.number:03d}", outcome, rows, reader)
    if not table:
        raise InputError(f"none of {len(test)} test mixtures can be scored; the first: {skipped[0][1]}")

    columns = ["mixture", "system", "object", "role", "class", "video", "probability", "muted", *SCORES, "leakage_db"]
    pairs = pd.DataFrame(table, columns=columns).round(6)
    write_table(pairs, Path("metrics/pairs.csv"))
    write_table(pd.DataFrame(skipped, columns=["mixture", "reason"]), Path("metrics/skipped.csv"))
    shutil.rmtree("metrics/examples", ignore_errors=True)
    examples.replace("metrics/examples")
    write_metrics(
        "evaluate",
        {
            **summarise(pairs),
            "gates": gates,
            "pairs": {"evaluated": len(test) - len(skipped), "skipped": len(skipped)},
        },
    )


if __name__ == "__main__":
    run(main, EvaluateParams)

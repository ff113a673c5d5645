"""What the stages before `report` leave behind, made up: small, complete, the same for the same arguments."""

import csv
import functools
import io
import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from PIL import Image, ImageDraw

from avsep.report import tables
from avsep.report.measured import PLACES
from avsep.scenes import scoring as scenes
from avsep.scoring import pairs, sources
from avsep.scoring.localisation import COLUMNS as PLACE_COLUMNS
from avsep.scoring.summary import Rows, headline, summarise
from avsep.systems import catalogue

RATE = 11025
TITLES = {system.name: system.title for system in (*catalogue.SYSTEMS, *catalogue.CONTROLS)}
SYSTEMS_OF = {"sounding": tuple(TITLES), "silent": ("colearning", "cyclic")}
PLACED = ("colearning", "cyclic", "trimodal_visual", "trimodal_text", *PLACES)
IN_SCENES = tuple(
    [entry.name for entry in catalogue.SYSTEMS if entry.scenes] + [control.name for control in catalogue.SCENE_CONTROLS]
)
LEVEL = {
    "mixture": 0.0,
    "oracle": 15.0,
    "oracle_binary": 16.0,
    "baseline": 6.0,
    "ungated": 6.5,
    "colearning": 7.0,
    "cyclic": 8.5,
    "trimodal_visual": 7.5,
    "trimodal_text": 5.0,
    "finetune_visual": 7.4,
    "finetune_text": 5.8,
    "trimodal_synonym": 4.0,
    "baseline_wrong_picture": -3.5,
    "cyclic_wrong_picture": -4.5,
    "trimodal_wrong_picture": -4.0,
    "trimodal_wrong_text": -3.0,
}


def write_inputs(root: Path, classes: list[str], mixtures: int = 4, examples: int = 2, samples: int = 4000) -> None:
    """Fills root/metrics and root/data/index for stage report."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(mixtures):
        names = [str(name) for name in rng.choice(classes, 4, replace=False)]
        objects = {letter: _object(rng, letter, name) for letter, name in zip("ABCD", names, strict=True)}
        for letter, about in objects.items():
            beside = objects[pairs.BESIDE[letter]]["class"]
            own = [{**row, "beside": beside} for row in _rows(rng, number, letter, about)]
            rows += own + _gate_controls(own)
        if number < examples:
            _write_example(root / f"metrics/examples/{number:03d}", rng, number, objects, samples)
    table = pd.DataFrame(rows, columns=pairs.COLUMNS).round(6)
    table.to_csv(root / "metrics/pairs.csv", index=False)
    _write_metrics(root / "metrics", table, mixtures)
    write_scenes(root / "metrics")
    write_scene_examples(root / "metrics/scene_examples")
    _phrases().to_csv(root / "metrics/phrases.csv", index=False)
    pd.DataFrame(columns=tables.SKIPPED).to_csv(root / "metrics/skipped.csv", index=False)
    (root / "data/index").mkdir(parents=True)
    with (root / "data/index/rejected.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([tables.REJECTED, [classes[0], "clip_07", "extract", "no sound & <no> picture"]])


def _object(rng: np.random.Generator, letter: str, name: str) -> dict[str, Any]:
    role = "sounding" if letter in "AC" else "silent"
    found = letter != "D"
    probability = {s: float(rng.beta(*((8, 1) if role == "sounding" else (1, 8)))) for s in ("colearning", "cyclic")}
    asked = {"phrase": f"a person playing the {name}", "view": [28.0, 0.0, 196.0, 168.0]}
    about = {
        "video": f"{name}/{name}_{rng.integers(10):02d}",
        "class": name,
        "role": role,
        "frame": int(rng.integers(1, 24)),
        "box": [60.0, 40.0, 150.5, 140.0] if found else None,
        "confidence": 0.93 if found else None,
        "probability": probability,
    }
    return about | asked | {"phrase_confidence": float(rng.beta(4, 2))} if role == "sounding" else about


def _rows(rng: np.random.Generator, number: int, letter: str, about: dict[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for system in SYSTEMS_OF[about["role"]]:
        probability = about["probability"].get(system)
        row = {"mixture": number, "system": system, "object": letter, "probability": probability}
        row |= {"solo_probability": probability}
        row |= {name: probability and 5.0 for name in pairs.AS_PUBLISHED}
        row |= {key: about[key] for key in ("role", "class", "video")}
        if about["role"] == "sounding":
            nsdr = 0.0 if system == "mixture" else float(rng.normal(LEVEL[system], 3))
            row |= {"sdr": nsdr + 0.2, "sir": nsdr + 4, "sar": nsdr + 2, "nsdr": nsdr, "si_sdr": nsdr - 1}
            row |= {"si_sdri": nsdr - 0.9, "muted": probability and int(probability < 0.5)}
            row |= {"snr": nsdr + 0.1, "snri": nsdr}
        else:
            row |= {"leakage_db": float(rng.uniform(-80, -20)), "muted": int(probability < 0.5)}
            row["open_leakage_db"] = row["leakage_db"]
        rows.append(row)
    return rows


def _gate_controls(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cyclic co-learning's row again, with the answer of each control."""
    answers = {"always_sounding": 1.0, "never_sounding": 0.0, "chance": 0.6}
    return [
        {**row, "system": control, "probability": p, "solo_probability": p, "muted": int(p < 0.5)}
        for row in rows
        if row["system"] == "cyclic"
        for control, p in answers.items()
    ]


def _write_example(
    folder: Path, rng: np.random.Generator, number: int, objects: dict[str, dict[str, Any]], samples: int
) -> None:
    folder.mkdir(parents=True)
    time = np.arange(samples) / RATE
    frequency, frame = np.mgrid[0:128, 0:64]
    waves, masks = {}, {}
    for letter, about in objects.items():
        pitch = float(rng.uniform(100, 600))
        waves[letter] = 0.3 * sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 6)) * np.exp(-time)
        masks[letter] = 0.5 + 0.5 * np.sin(frequency / rng.uniform(2, 8) + np.sin(frame / rng.uniform(3, 9)))
        hue = tuple(int(value) for value in rng.integers(60, 220, 3))
        picture = Image.new("RGB", (224, 168), hue)
        draw = ImageDraw.Draw(picture)
        draw.ellipse((70, 50, 140, 130), fill=tuple(255 - value for value in hue), outline="black")
        picture.save(folder / f"{letter}.jpg")
        for system in SYSTEMS_OF[about["role"]]:
            if system != "mixture":
                soundfile.write(folder / f"{letter}_{system}.wav", waves[letter], RATE, subtype="PCM_16")
        if about["role"] == "sounding":
            soundfile.write(folder / f"{letter}_reference.wav", waves[letter], RATE, subtype="PCM_16")
    soundfile.write(folder / "mixture.wav", (waves["A"] + waves["C"]) / 2, RATE, subtype="PCM_16")
    arrays = {"mixture": (masks["A"] + masks["C"]) * np.exp(-frequency / 64), "target_A": masks["A"]}
    arrays["target_C"] = masks["C"]
    row, column = np.mgrid[0:7, 0:7]
    for letter in "AC":
        heat = np.exp(-((row - rng.uniform(2, 4)) ** 2 + (column - rng.uniform(2, 4)) ** 2) / 3)
        arrays[f"attention_trimodal_visual_{letter}"] = heat / heat.sum()
    for letter, about in objects.items():
        for system in SYSTEMS_OF[about["role"]]:
            if system == "mixture":
                continue
            if system == "oracle":
                arrays[f"mask_{system}_{letter}"] = masks[letter]
                continue
            quiet = 1.0 if about["role"] == "sounding" else 0.05
            noisy = masks[letter] * quiet + rng.normal(0, 0.05, masks[letter].shape)
            arrays[f"mask_{system}_{letter}"] = noisy.clip(0, 1)
    np.savez_compressed(folder / "arrays.npz", **{name: array.astype(np.float16) for name, array in arrays.items()})
    example = {"mixture": number, "objects": objects, "scores": {}}
    (folder / "example.json").write_text(json.dumps(example, indent=2), encoding="utf-8")


@functools.cache  # the tests write the same inputs over and over
def _summarised(pairs_csv: str) -> dict[str, pd.DataFrame]:
    rows = pd.read_csv(io.StringIO(pairs_csv))
    return summarise(Rows(rows, _phrases(), _places(rows), _sources(rows)), resamples=20, bins=10, seed=0)


def _phrases() -> pd.DataFrame:
    kinds = ["present", "present", "absent", "absent", "unmatched"]
    confidences = {"confidence": [0.9, 0.3, 0.8, 0.1, 0.2], "accepted": [1, 0, 1, 0, 0]}
    return pd.DataFrame({"mixture": 0, "phrase": [f"phrase {n}" for n in range(5)], "kind": kinds, **confidences})


def _places(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows[(rows["system"] == "cyclic") & (rows["role"] == "sounding")]
    values = {"iou": 0.62, "area": 0.2, "silent_share": 0.1}
    return pd.concat([own.assign(method=method, **values) for method in PLACED])[PLACE_COLUMNS]


def _sources(rows: pd.DataFrame) -> pd.DataFrame:
    own = rows[(rows["role"] == "sounding") & rows["system"].isin([entry.name for entry in catalogue.SYSTEMS])]
    return pd.concat([own.assign(sources=number) for number in (2, 3, 4)])[sources.COLUMNS]


def write_scenes(folder: Path, kinds: tuple[str, ...] = ("plain", "noise")) -> None:
    """What stage evaluate_scenes leaves of one scene of each kind with two players, of whom the second is missed; of
    your own videos, with no `kinds`, empty tables."""
    rows = []
    for kind, system in itertools.product(kinds, IN_SCENES):
        about = {"scene": f"{kind}_00", "kind": kind, "system": system, "role": "player", "class": "tuba"}
        heard = {"snr": 4.0, "snri": 3.21, "sdr": 5.0, "nsdr": 4.5}
        rows.append({**about, "player": 0, "label": "tuba", "playing": 1, "found": 1, "probability": 0.9, **heard})
        rows.append({**about, "player": 1, "playing": 1, "found": 0, "snr": 0.0, "snri": -1.0})
    table = pd.DataFrame(rows, columns=scenes.COLUMNS)
    if not kinds:
        shutil.rmtree(folder / "scene_examples", ignore_errors=True)
    table.to_csv(folder / "scenes.csv", index=False)
    scenes.summarise_kinds(table, resamples=50, seed=0).to_csv(folder / "scenes_by_kind.csv", index=False)
    scenes.detect_kinds(table[table["system"] == "cyclic"]).to_csv(folder / "scenes_found.csv", index=False)
    (folder / "evaluate_scenes.json").write_text(json.dumps({"scenes": len(kinds)}), encoding="utf-8")


def write_scene_examples(folder: Path, kinds: tuple[str, ...] = ("plain", "noise")) -> None:
    """What evaluate_scenes keeps of the scenes that `write_scenes` tells of, with a false object each, and noise."""
    time = np.arange(8000) / RATE
    for kind in kinds:
        own = folder / f"{kind}_00"
        own.mkdir(parents=True)
        Image.new("RGB", (160, 120), "teal").save(own / "frame.jpg")
        names = ["mixture", "player_0", "player_1", *(["noise"] if kind == "noise" else [])]
        names += [
            f"object_{n}_{e.name}" for n in (0, 1) for e in catalogue.SYSTEMS if e.scenes and e.group == "trained"
        ]
        for number, name in enumerate(names):
            wave = 0.3 * np.sin(2 * np.pi * (200 + 20 * number) * time)
            soundfile.write(own / f"{name}.wav", wave, RATE, subtype="PCM_16")
        said = {"probability": {"cyclic": 0.9}, "muted": {"cyclic": 0.0}}
        boxes = [[10.0, 10.0, 60.0, 100.0], [80.0, 20.0, 120.0, 90.0], [125.0, 5.0, 155.0, 60.0]]
        example = {
            "scene": f"{kind}_00",
            "kind": kind,
            "frame": 3,
            "players": [
                {"class": "tuba", "stem": "player_0.wav", "box": boxes[0], "object": 0},
                {"class": "tuba", "stem": "player_1.wav", "box": boxes[1], "object": None},
            ],
            "others": [{"what": "noise", "class": None, "stem": "noise.wav"}] if kind == "noise" else [],
            "objects": [
                {"class": "tuba", "confidence": 0.9, "box": boxes[0], "player": 0, **said},
                {"class": "cello", "confidence": 0.6, "box": boxes[2], "player": None, **said},
            ],
        }
        (own / "example.json").write_text(json.dumps(example), encoding="utf-8")


def _write_metrics(folder: Path, table: pd.DataFrame, mixtures: int) -> None:
    summary = {name: made.copy() for name, made in _summarised(table.to_csv(index=False)).items()}
    known = {
        "grounding.csv": {
            "colearning": {"balanced_accuracy": 0.917, "roc_auc": 0.961, "average_precision": 0.955},
            "cyclic": {"balanced_accuracy": 0.953, "roc_auc": 0.988, "average_precision": 0.981},
        },
        "silence.csv": {
            "colearning": {"leakage_db": -35.0, "leakage_db_p95": -11.5, "false_mute_rate": 0.066},
            "cyclic": {"leakage_db": -43.2, "leakage_db_p95": -17.9, "false_mute_rate": 0.031},
        },
    }
    for name, systems in known.items():
        for system, told in systems.items():
            summary[name].loc[summary[name]["system"] == system, list(told)] = list(told.values())
    worded = {
        "accepted_present": 0.884,
        "accepted_absent": 0.127,
        "accepted_unmatched": 0.046,
        "roc_auc": 0.943,
        "roc_auc_unmatched": 0.871,
        "phrase_nsdr": 5.03,
        "synonym_nsdr": 3.86,
    }
    summary["phrases.csv"] = pd.DataFrame({"name": list(worded), "value": list(worded.values())})
    for name, made in summary.items():
        (folder / "evaluate" / name).parent.mkdir(parents=True, exist_ok=True)
        made.to_csv(folder / "evaluate" / name, index=False)
    evaluated = {
        **headline(summary),
        "gates": {"colearning": 0.31, "cyclic": 0.17},
        "phrase_threshold": 0.417,
        "pairs": {"evaluated": mixtures, "skipped": 0},
    }
    stages: dict[str, Any] = {stage: {"files": 3, "seconds": {"mean": 24.0}} for stage in ("videos", "extract")}
    stages["detect"] = {
        "frames": {"total": 320, "with_object": 300, "without": 20},
        "folders": {"cello": {"total": 160, "without": 5}, "flute": {"total": 160, "without": 15}},
    }
    stages["index"] = {
        "videos": {"train": 1308, "val": 5, "test": 7},
        "classes": {name: {"train": 2, "val": 1, "test": 1} for name in ("cello", "flute", "tuba")},
        "mixtures": {"val": 6, "test": mixtures},
    }
    stages |= {"pretrained": {"accuracy": 0.97}, "captions": {"captions": 132, "cosine": 0.41}, "evaluate": evaluated}
    for number, stage in enumerate(drawn.name for drawn in catalogue.TRAINING):
        stages[stage] = {"best": {"epoch": 2, "val/snri": 5.0 + number}}  # the third of four
        steps = np.arange(1, 17) * 40 - 1
        curves = {"train/loss": 2 * np.exp(-steps / 200) + 0.1 * number, "val/loss": 2 * np.exp(-steps / 220) + 0.2}
        if stage == "grounding":
            curves["val/balanced_accuracy"] = 1 - 0.5 * np.exp(-steps / 150)
        else:
            curves["val/si_sdri"] = (7 + number) * (1 - np.exp(-steps / 180))
        if stage in ("trimodal", "finetune"):
            for term in ("visual_masks", "text_masks", "consistency", "classification"):
                curves[f"train/{term}"] = curves["train/loss"] / 2
            for score in ("snri", "visual_snri", "text_snri"):
                curves[f"val/{score}"] = curves["val/si_sdri"] + 1
        for name, values in {**curves, "epoch": steps // 160}.items():
            path = folder / stage / "plots/metrics" / f"{name}.tsv"
            path.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame({"step": steps, path.stem: values}).to_csv(path, sep="\t", index=False)
    for stage, metrics in stages.items():
        (folder / f"{stage}.json").write_text(json.dumps(metrics, indent=2), encoding="utf-8")


def add_system(root: Path, name: str, like: str, masks: bool = True) -> None:
    """All that the stages before `report` tell of a system, once more, under another name."""
    metrics = root / "metrics"
    for path in (*metrics.glob("*.csv"), *(metrics / "evaluate").rglob("*.csv")):
        table = pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
        named = [column for column in ("system", "method", "against") if column in table]
        again = [table[table[column] == like].assign(**{column: name}) for column in named]
        if "against" in table:  # each is held against the other
            again.append(table[table["system"] == like].drop_duplicates("metric").assign(system=name, against=like))
        pd.concat([table, *again]).to_csv(path, index=False)
    for path in (metrics / "evaluate/gates", metrics / "evaluate/reliability"):
        for curve in path.glob(f"{like}*.csv"):
            curve.with_name(curve.name.replace(like, name)).write_bytes(curve.read_bytes())
    told = json.loads((metrics / "evaluate.json").read_text(encoding="utf-8"))
    if like in told["gates"]:
        told["gates"][name] = 0.25
    (metrics / "evaluate.json").write_text(json.dumps(told), encoding="utf-8")
    for folder in (*(metrics / "examples").iterdir(), *(metrics / "scene_examples").iterdir()):
        for wave in folder.glob(f"*_{like}.wav"):
            wave.with_name(wave.name.replace(like, name)).write_bytes(wave.read_bytes())
        if masks and (folder / "arrays.npz").exists():
            with np.load(folder / "arrays.npz") as archive:
                arrays = dict(archive)
            same = {key.replace(f"_{like}_", f"_{name}_"): array for key, array in arrays.items()}
            np.savez_compressed(folder / "arrays.npz", **{**same, **arrays})
        example = json.loads((folder / "example.json").read_text(encoding="utf-8"))
        objects = example["objects"]
        for about in objects.values() if isinstance(objects, dict) else objects:
            if like in about["probability"]:
                about["probability"][name] = about["probability"][like]
        (folder / "example.json").write_text(json.dumps(example), encoding="utf-8")

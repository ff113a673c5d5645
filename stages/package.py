"""One folder that one can hand on: weights, params, gates, and a model card with scores and limits.

checkpoints/pretrained/detector.safetensors, clip.safetensors for VAST's, best.safetensors of package.systems,
metrics/{evaluate,evaluate_scenes,index}.json, metrics/evaluate/{scores.csv,silence.csv,confidence.json},
metrics/scenes_by_kind.csv,
data/index/train.csv for a detector that is asked in words
    -> checkpoints/package: see avsep/packaging/folder.py
"""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.clips.index import listed_classes
from avsep.errors import InputError
from avsep.files import reading
from avsep.files.metrics import write_metrics
from avsep.packaging.card import Learned, card
from avsep.packaging.folder import Measured, Scores, size_of, write_package
from avsep.params.stages import PackageParams
from avsep.run import run
from avsep.systems.catalogue import asked_of
from avsep.weights.detectors import learned_classes

METRICS = Path("metrics")
PACKAGE = Path("checkpoints/package")


def chosen(wanted: Sequence[str], scored: Sequence[str]) -> list[str]:
    """Of the systems `wanted` those that are `scored`; if none of them is, all that are."""
    both = [name for name in wanted if name in scored]
    if not both:
        logging.warning(
            "package.systems is %s: evaluate.systems scores none of them, so all of its own are packed", wanted
        )
    return both or list(scored)


def read_json(path: Path) -> dict[str, Any]:
    """Metrics. Raises InputError."""
    again = f"run stage {Path(path.relative_to(METRICS).parts[0]).stem} again"
    values: dict[str, Any] = reading.read_json(path, again)
    if not isinstance(values, dict):
        raise InputError(f"{path} is no table of metrics: {again}")
    return values


def read_scores(systems: Sequence[str]) -> Scores:
    """What there is of the systems that take the weights of the stages `systems`. Raises InputError."""
    with reading.refusing("metrics/evaluate or metrics/scenes_by_kind.csv cannot be read", "run stage evaluate again"):
        scores = _rows(METRICS / "evaluate/scores.csv", "system", "metric")
        silence = _rows(METRICS / "evaluate/silence.csv", "system")
        kinds = _rows(METRICS / "scenes_by_kind.csv", "kind", "system")
        told: dict[str, dict[str, Measured]] = {}
        for name in (entry.name for entry in asked_of(systems) if entry.stage is not None):
            own: dict[str, Measured] = {}
            for metric in ("nsdr", "si_sdri"):
                if (name, metric) in scores:
                    own[metric] = _measured(scores[name, metric], "mean", "low", "high")
            if (name,) in silence:
                own["leakage_db"] = _measured(silence[name,], "leakage_db")
                if _gated(name, systems):
                    own["false_mute_rate"] = _measured(silence[name,], "false_mute_rate")
            if ("all", name) in kinds:
                row = kinds["all", name]
                own["scenes_snri"] = _measured(row, "snri")
                own["scenes_leakage_db"] = _number(row, "leakage_db"), None, None
            told[name] = own
    evaluated, scenes = (read_json(METRICS / f"{name}.json") for name in ("evaluate", "evaluate_scenes"))
    with reading.refusing(f"{METRICS / 'evaluate.json'} tells no number of pairs", "run stage evaluate again"):
        return Scores(pairs=evaluated["pairs"]["evaluated"], scenes=scenes.get("scenes", 0), systems=told)


def _rows(path: Path, *keys: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """A table's rows, by the cells of some columns."""
    table = pd.read_csv(path).to_dict(orient="records")
    return {tuple(str(row[key]) for key in keys): {str(name): cell for name, cell in row.items()} for row in table}


def _gated(name: str, systems: Sequence[str]) -> bool:
    return any(entry.name == name and entry.grounds for entry in asked_of(systems))


def _measured(row: Mapping[str, Any], name: str, *ends: str) -> Measured:
    """A value and its interval, in columns that are called after it if `ends` does not name them."""
    low, high = ends or (f"{name}_low", f"{name}_high")
    return _number(row, name), _number(row, low), _number(row, high)


def _number(row: Mapping[str, Any], name: str) -> float | None:
    """A cell; None for what is not defined."""
    return float(row[name]) if math.isfinite(row[name]) else None


def main(params: PackageParams) -> None:
    systems = chosen(params.package.systems, params.evaluate.systems)
    confident = any(entry.confident for entry in asked_of(systems))
    evaluated, index = read_json(METRICS / "evaluate.json"), read_json(METRICS / "index.json")
    classes = learned_classes()
    with reading.refusing("metrics/evaluate.json or index.json lacks what a package tells", "run these stages again"):
        gates = dict(evaluated["gates"])
        learned = Learned(
            source=params.videos.source,
            videos=index["videos"],
            classes=sorted(index["classes"]),
            pretrained=params.pretrained.source,
            detector=params.pretrained.detector,
        )
    package = write_package(
        PACKAGE,
        root=Path(),
        systems=systems,
        dtype=params.package.dtype,
        classes=listed_classes(Path("data/index/train.csv")) if classes is None else classes,
        gates={name: gates[name] for name in (e.name for e in asked_of(systems)) if name in gates},
        confidence=read_json(METRICS / "evaluate/confidence.json") if confident else None,
        params={
            "resnet": asdict(params.resnet),
            "clip": asdict(params.clip),
            "extract": asdict(params.extract),
            "audio": asdict(params.audio),
            "spectrogram": asdict(params.spectrogram),
            "frames": asdict(params.frames),
            "model": asdict(params.model),
            "objective": asdict(params.objective),
            "baseline": asdict(params.baseline),
            "ungated": asdict(params.ungated),
            "vast": asdict(params.vast),
            "detector": asdict(params.detector),
            "detect": asdict(params.detect),
            # others' waves are no part of it
            "evaluate": asdict(replace(params.evaluate, systems=systems, external={})),
            "evaluate_scenes": asdict(params.evaluate_scenes),
        },
        scores=read_scores(systems),
        card=partial(card, learned=learned),
    )
    size = size_of(PACKAGE, package)
    logging.info("%s: %s in %s, %.1f MB", PACKAGE, ", ".join(systems), package.dtype, size / 1e6)
    write_metrics("package", {"bytes": size, "systems": len(systems), "files": len(package.files)})


if __name__ == "__main__":
    run(main, PackageParams)

"""A project folder of which evaluation is all that has not run: tiny data, random weights, and params that fit them."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from tests.helpers import factories, outcomes
from tests.helpers.report_inputs import write_scenes

ROOT = Path(__file__).parents[2]
TINY: dict[str, dict[str, Any]] = {
    "resnet": {"width": factories.WIDTH},
    "extract": {"rate": factories.RATE, "fps": factories.FPS},
    "audio": {"samples": factories.SAMPLES},
    "spectrogram": asdict(factories.SPECTROGRAM),
    "frames": {"fps": factories.FPS, "count": 1, "stride": 1, "resize": 20, "size": factories.SIZE},
    "model": {**factories.MODEL, "query_std": None},
    "clip": factories.CLIP,
    "vast": {"unet_levels": 3, "unet_channels": 2, "fps": factories.FPS, "frames": 1, "batch": 5},
    "baseline": {"fps": factories.FPS, "frames": 1, "stride": 1},
    "evaluate": {"batch": 3, "examples": 1, "sources": [2, 3], "source_mixtures": 2, "resamples": 20},
    "report": {"mixtures": 1},
}


def tiny_values(*systems: str, **sections: dict[str, Any]) -> dict[str, Any]:
    """The demo's params, with these `evaluate.systems`, at the size of the tests' networks and data.

    `sections`: what else is changed, by section.
    """
    values: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for changed in (TINY, sections):
        for section, leaves in changed.items():
            values[section] |= leaves
    values["evaluate"]["systems"] = list(systems)
    return values


def write_project() -> None:
    """Data, weights, and what else the report reads, in the working directory."""
    factories.write_data(Path("data"))
    Path("data/index/rejected.csv").write_text("class,id,stage,reason\n", encoding="utf-8")
    outcomes.write_weights(Path(), tiny_values())
    Path("metrics").mkdir(exist_ok=True)
    counted = {"videos": {"train": 8, "val": 4, "test": 4}, "mixtures": {"val": 4, "test": 8}}
    Path("metrics/index.json").write_text(json.dumps(counted), encoding="utf-8")
    seen = {"total": 8, "without": 0}
    Path("metrics/detect.json").write_text(json.dumps({"frames": seen, "folders": {"cello": seen}}), encoding="utf-8")
    write_scenes(Path("metrics"), kinds=())

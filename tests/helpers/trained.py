"""What a run of the pipeline leaves in a folder, with tiny random networks."""

import contextlib
import copy
import json
from pathlib import Path
from typing import Any

import torch
import yaml

from avsep.models.ccol import CCoL
from avsep.models.detector import build_detector
from avsep.models.vast import VAST
from avsep.params.loading import load
from avsep.params.stages import PackageParams
from stages import package
from tests.helpers import factories
from tests.helpers.factories import tiny_clip
from tests.helpers.weights import save_tiny_detector, save_trained

CLASSES = ["cello", "flute", "trumpet", "tuba"]
METRICS = ("nsdr", "si_sdri")
RATE, FPS, SAMPLES = 8000, 2, 16 * 255
TINY: dict[str, Any] = {
    "resnet": {"width": factories.WIDTH},
    "detector": {"backbone": "resnet18", "channels": 16, "min_size": 48, "max_size": 64},
    "clip": factories.CLIP,
    "extract": {"rate": RATE, "fps": FPS},
    "audio": {"samples": SAMPLES},
    "spectrogram": {"n_fft": 1022, "hop": 272, "log_bins": 16},
    "frames": {"fps": FPS, "count": 1, "stride": 1, "resize": 16, "size": 16},
    "model": {**factories.MODEL, "query_std": None},
    "vast": {"unet_levels": 3, "unet_channels": 2, "frames": 1, "phrase": "playing the {}"},
    "evaluate": {"systems": ["cyclic", "trimodal"]},
    "package": {"systems": ["cyclic", "trimodal"]},
}


def write_trained(folder: Path, **sections: Any) -> Path:
    """Params, weights, gates. `sections`: of params, in place of what they hold."""
    values = copy.deepcopy(yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")))
    for section, own in {**TINY, **sections}.items():
        values[section].update(own)
    (folder / "metrics").mkdir(parents=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (folder / "metrics/evaluate.json").write_text('{"gates": {"cyclic": 0.0}}', encoding="utf-8")
    torch.manual_seed(0)
    for stage, network in {
        "cyclic": CCoL(factories.WIDTH, **factories.MODEL),
        "trimodal": VAST(3, **factories.VAST),
    }.items():
        save_trained(folder / f"checkpoints/{stage}/best.safetensors", network, values)
    save_trained(folder / "checkpoints/pretrained/clip.safetensors", tiny_clip().clip, values)
    detector = build_detector("resnet18", width=factories.WIDTH, channels=16, classes=4, min_size=48, max_size=64)
    save_tiny_detector(detector, CLASSES, folder)
    return folder


def write_measured(folder: Path) -> Path:
    """What stages index, evaluate and evaluate_scenes tell, beside what `write_trained` leaves."""
    metrics = folder / "metrics"
    (metrics / "evaluate").mkdir(exist_ok=True)
    told: dict[str, Any] = {
        "index": {"videos": {"train": 12, "val": 4, "test": 8}, "classes": {name: {"train": 3} for name in CLASSES}},
        "evaluate": {"gates": {"cyclic": 0.0}, "pairs": {"evaluated": 6, "skipped": 0}},
        "evaluate_scenes": {"scenes": 5},
    }
    told["evaluate/confidence"] = {
        **{"threshold": 0.5, "mean": [0.5, 0, 0], "deviation": [0.2, 0.1, 0.1], "weights": [2, 1, 1]},
        "bias": 0,
    }
    for name, values in told.items():
        (metrics / f"{name}.json").write_text(json.dumps(values), encoding="utf-8")
    systems = ("cyclic", "trimodal_visual", "trimodal_text")
    tables = {
        "evaluate/scores.csv": ["system,metric,mean,low,high"]
        + [f"{name},{metric},{1 + place},{place}.25,3" for place, name in enumerate(systems) for metric in METRICS],
        "evaluate/silence.csv": ["system,leakage_db,leakage_db_low,leakage_db_high,false_mute_rate,"
                                 "false_mute_rate_low,false_mute_rate_high"]
        + [f"{name},-20.5,-30,-10,0.02,0,0.05" for name in systems],
        "scenes_by_kind.csv": ["kind,system,snri,leakage_db,snri_low,snri_high"]
        + [f"all,{name},4.5,-12,3,6" for name in systems],
    }  # fmt: skip
    for name, rows in tables.items():
        (metrics / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def pack(folder: Path, dtype: str = "float32") -> Path:
    """Runs stage package on what `write_trained` and `write_measured` have left, and returns the package."""
    values = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    values["package"]["dtype"] = dtype
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with contextlib.chdir(folder):
        package.main(load(PackageParams))
    return folder / package.PACKAGE

"""What a run of the pipeline leaves in a folder, with tiny random networks."""

import copy
from pathlib import Path
from typing import Any

import torch
import yaml

from models.ccol import CCoL
from models.detector import build_detector
from models.vast import VAST
from tests.helpers import factories
from tests.helpers.factories import tiny_clip
from tests.helpers.weights import save_tiny_detector, save_trained

CLASSES = ["cello", "flute", "trumpet", "tuba"]
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

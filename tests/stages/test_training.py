"""The training stages and evaluate, one after the other, on tiny data: each starts from what the one before left."""

import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from avsep import params
from avsep.errors import InputError
from avsep.media.wav import write_wav
from avsep.training.checkpoints import load_weights, save_weights
from avsep.training.data import training_data
from models.resnet import ResNet18
from stages import baseline, colearning, cyclic, evaluate, grounding
from tests import factories

ROOT = Path(__file__).parents[2]
STAGES: dict[str, tuple[Any, Any]] = {
    "grounding": (grounding.main, params.GroundingParams),
    "colearning": (colearning.main, params.ColearningParams),
    "cyclic": (cyclic.main, params.CyclicParams),
    "baseline": (baseline.main, params.BaselineParams),
    "evaluate": (evaluate.main, params.EvaluateParams),
}
TINY: dict[str, dict[str, Any]] = {
    "resnet": {"width": factories.WIDTH},
    "extract": {"rate": factories.RATE, "fps": factories.FPS},
    "audio": {"samples": factories.SAMPLES},
    "spectrogram": factories.SPECTROGRAM,
    "frames": {"count": 1, "stride": 1, "resize": 20, "size": factories.SIZE, "augment": False, "cache": True},
    "model": factories.MODEL,
    "train": {"batch": 5, "repeats": 2, "workers": 0},
    **{stage: {"epochs": 1, "milestones": []} for stage in ("grounding", "colearning", "cyclic", "baseline")},
    "evaluate": {"batch": 3, "examples": 1},
    "report": {"mixtures": 1},
}


def run(stage: str, **changes: dict[str, Any]) -> None:
    """A stage's main with params that were checked as a user's are."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, leaves in [*TINY.items(), *changes.items()]:
        values[section] |= leaves
    checked = params.check(values)
    main, stage_params = STAGES[stage]
    main(stage_params(**{field.name: getattr(checked, field.name) for field in dataclasses.fields(stage_params)}))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All five stages, run once; one test video is silent."""
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        test = factories.write_data(Path("data"))["test"]
        write_wav(test[0].audio, np.zeros(factories.RATE * factories.FRAMES // factories.FPS), factories.RATE)
        torch.manual_seed(0)
        save_weights(grounding.START, ResNet18(factories.WIDTH).state_dict())
        for stage in STAGES:
            run(stage)
        yield folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.parametrize("stage", ["grounding", "colearning", "cyclic", "baseline"])
def test_each_stage_leaves_weights_curves_and_metrics(stage: str) -> None:
    assert {path.name for path in Path(f"checkpoints/{stage}").iterdir()} == {"weights.safetensors", "best.safetensors"}
    metrics = json.loads(Path(f"metrics/{stage}.json").read_text())
    assert metrics["steps"] == 2
    monitor = metrics["best"]["val/solo_balanced_accuracy" if stage == "grounding" else "val/snri"]
    assert math.isfinite(monitor)
    curves = Path(f"metrics/{stage}/plots/metrics")
    assert (curves / "train/loss.tsv").is_file()
    assert any((curves / "val").glob("*.tsv"))
    assert not Path("checkpoints/resume", stage).exists()


def test_the_frozen_encoders_are_the_pretrained_ones_throughout() -> None:
    resnet = load_weights(grounding.START)
    for stage in ("grounding", "colearning", "cyclic", "baseline"):
        weights = load_weights(f"checkpoints/{stage}/weights.safetensors")
        assert torch.equal(weights["frames.trunk.conv1.weight"], resnet["conv1.weight"])
        for name in ("running_mean", "running_var"):
            assert torch.equal(weights[f"frames.trunk.bn1.{name}"], resnet[f"bn1.{name}"])
            assert torch.equal(weights[f"frames.layer4_dilated.0.bn1.{name}"], resnet[f"layer4.0.bn1.{name}"])


def moved(before: str, after: str) -> set[str]:
    """Which networks differ between two stages' last weights."""
    first, second = (load_weights(f"checkpoints/{stage}/weights.safetensors") for stage in (before, after))
    assert first.keys() == second.keys()
    return {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}


def test_each_phase_moves_its_networks_from_where_the_one_before_left_them() -> None:
    assert moved("grounding", "colearning") == {"grounding", "separation"}
    assert moved("colearning", "cyclic") == {"grounding", "separation"}
    for first, second in (("grounding", "colearning"), ("colearning", "cyclic")):
        one, other = (load_weights(f"checkpoints/{stage}/weights.safetensors") for stage in (first, second))
        values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        # Adam moves a weight by at most about its rate a step
        steps = 2 * values["train"]["lr"] * values[second]["lr_grounding"]
        weight = "grounding.fc1.weight"
        assert (one[weight] - other[weight]).abs().max() < 2 * steps


@pytest.mark.parametrize("stage", ["grounding", "baseline"])
def test_queries_start_apart_on_the_maps_that_are_cached(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else training would see other maps than evaluation."""
    main, module = STAGES[stage][0], {"grounding": grounding, "baseline": baseline}[stage]
    made: list[Any] = []

    def kept(*args: Any, **options: Any) -> Any:
        made.append((args[0], training_data(*args, **options)))
        raise InterruptedError

    monkeypatch.setattr(module, "training_data", kept)
    assert main is module.main
    with pytest.raises(InterruptedError):
        run(stage)
    frames, (train, _) = made[0]
    assert frames.standardise.running_mean.abs().max() > 0
    (name, frame), features = next(iter(train.features.items()))
    video = next(video for video in train.videos if video.name == name)
    seen = frames(torch.from_numpy(train.reader.picture(video, frame))[None])
    torch.testing.assert_close(features[1], seen.map[0], rtol=1e-4, atol=1e-4)


def test_evaluation_follows_from_its_files() -> None:
    found = json.loads(Path("metrics/evaluate.json").read_text())
    pairs = pd.read_csv("metrics/pairs.csv")
    skipped = pd.read_csv("metrics/skipped.csv")
    assert found["pairs"] == {"evaluated": pairs["mixture"].nunique(), "skipped": len(skipped)}
    assert found["pairs"]["evaluated"] + found["pairs"]["skipped"] == 4
    assert 0 < len(skipped) < 4, "the silent video sounds in some mixtures"
    assert all("is silent" in reason for reason in skipped["reason"])
    assert not set(skipped["mixture"]) & set(pairs["mixture"])
    assert evaluate.summarise(pairs) == {name: value for name, value in found.items() if name not in ("gates", "pairs")}
    for system, gate in found["gates"].items():
        rows = pairs[pairs["system"] == system]
        assert (rows["muted"] == (rows["probability"] < round(gate, 6))).all()
    assert len(pairs) == 14 * found["pairs"]["evaluated"]


def test_examples_are_of_the_first_mixtures() -> None:
    assert {path.name for path in Path("metrics/examples").iterdir()} <= {"000"}
    assert not Path("metrics/examples.tmp").exists()


def test_running_again_gives_the_same_bytes(project: Path) -> None:
    files = [*Path("checkpoints/baseline").iterdir(), Path("metrics/baseline.json")]
    files += sorted(Path("metrics/baseline/plots").rglob("*.tsv"))
    before = {path: path.read_bytes() for path in files}
    run("baseline")
    assert {path: path.read_bytes() for path in files} == before


def test_weights_of_other_params_are_refused() -> None:
    with pytest.raises(InputError, match=r"checkpoints/grounding/weights.safetensors: .*weights of other params"):
        run("colearning", model={"sound_channels": 3})

"""Stage evaluate_scenes with tiny random networks: all scenes by their videos alone, what is scored, what is kept."""

import dataclasses
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from avsep.models.ccol import CCoL
from avsep.models.detector import build_detector
from avsep.models.sound_of_pixels import SoundOfPixels
from avsep.models.ungated import Ungated
from avsep.models.vast import VAST
from avsep.params.loading import read
from avsep.params.sections import (
    Audio,
    Clip,
    Detect,
    Detector,
    EvaluateScenes,
    Extract,
    Frames,
    Model,
    Objective,
    ResNet,
    Spectrogram,
    Vast,
)
from avsep.params.stages import EvaluateScenesParams
from avsep.scenes.files import read_truth
from avsep.scenes.matching import true_objects
from avsep.scenes.rendering import render_scene
from avsep.scenes.scoring import COLUMNS, INTERVALS, SUMMARY
from avsep.separating.tracks import Object
from avsep.separating.video import Separator
from avsep.weights.detectors import look, save_zero_shot
from stages import evaluate_scenes
from stages.evaluate_scenes import SCENES
from tests.helpers import factories
from tests.helpers.factories import SPECTROGRAM, UNET, tiny_clip
from tests.helpers.outcomes import TRAINED
from tests.helpers.toys import Waves
from tests.helpers.weights import save_tiny_detector, save_trained
from tests.helpers.zero_shot import write_zero_shot

CLASSES = ["cello", "flute", "trumpet", "tuba"]
RATE = 8000
WIDTH = 8  # of the ResNet
FOUND = ["plain_00", "silence_00"]  # the scenes
TRUE_BOXES = "cyclic_true_boxes"
SYSTEMS = ("mixture", "oracle", *TRAINED, TRUE_BOXES)
SYSTEMS_WITH_WEIGHTS = {"baseline", "ungated", "colearning", "cyclic", "trimodal", "finetune"}


def params() -> EvaluateScenesParams:
    demo = read(Path(__file__).parents[2] / "params.yaml")
    vast = {**vars(demo.vast), "unet_levels": 3, "unet_channels": 2, "fps": 2, "frames": 1, "phrase": "playing the {}"}
    return EvaluateScenesParams(
        seed=0,
        device="cpu",
        threads=1,
        resnet=ResNet(width=WIDTH),
        detector=Detector(backbone="resnet18", channels=16, min_size=48, max_size=64),
        clip=Clip(**{**factories.CLIP, "layers": tuple(factories.CLIP["layers"])}),
        extract=Extract(rate=RATE, fps=2),
        audio=Audio(samples=16 * 255),
        spectrogram=Spectrogram(**{**asdict(SPECTROGRAM), "n_fft": 1022, "hop": 272}),
        frames=Frames(fps=2, count=1, stride=1, resize=16, size=16, square=True, augment="none", cache=True),
        detect=Detect(threshold=0.05, nms=0.5, batch=2, phrase="a {}"),
        model=Model(**UNET, sound_channels=2, head_std=None, query_std=None),
        objective=Objective(as_published=False, symmetric=True, gates="each", told="published", max_target=5.0),
        baseline=demo.baseline,
        ungated=demo.ungated,
        vast=Vast(**vast),
        evaluate=demo.evaluate,
        evaluate_scenes=EvaluateScenes(enlarge=1.0, nms=0.3, link=0.3, seen=0.5, overlap=0.5, resamples=50, examples=1),
    )


def write_weights() -> None:
    """Random networks, as the training stages leave them, and gates, as stage evaluate does."""
    values = asdict(params())
    torch.manual_seed(0)
    networks: dict[str, torch.nn.Module] = {"baseline": SoundOfPixels(WIDTH, **UNET), "ungated": Ungated(WIDTH, **UNET)}
    for system in ("colearning", "cyclic"):
        networks[system] = CCoL(WIDTH, **factories.MODEL)
    for system in ("trimodal", "finetune"):
        networks[system] = VAST(3, **factories.VAST)
    for system, network in networks.items():
        save_trained(Path(f"checkpoints/{system}/best.safetensors"), network, values)
    save_trained(Path("checkpoints/pretrained/clip.safetensors"), tiny_clip().clip, values)
    detector = build_detector("resnet18", width=WIDTH, channels=16, classes=4, min_size=48, max_size=64)
    save_tiny_detector(detector, CLASSES)
    Path("metrics").mkdir()
    Path("metrics/evaluate.json").write_text('{"gates": {"colearning": 0.5, "cyclic": 0.0}}')


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_weights()
    SCENES.mkdir(parents=True)
    for name in FOUND:
        render_scene(
            SCENES.absolute(), name.partition("_")[0], 0, seed=0, classes=CLASSES, players=(3, 3), seconds=2.0, fps=4,
            timbre=0.0, width=96, height=72, apart_db=10.0, noise_db=-10.0,
        )  # fmt: skip
    return tmp_path


def sees(monkeypatch: pytest.MonkeyPatch, missed: int | None) -> None:
    """The detector finds every player at its true boxes but one, and one thing that is none, at the lower right."""

    def objects(self: Separator, frames: list[Any]) -> list[Object]:
        shown = next(name for name in FOUND if np.array_equal(frames[0], first[name]))
        boxes = read_truth(SCENES, shown).boxes_at(len(frames), 2)
        kept = [number for number in range(len(boxes)) if number != missed]
        return true_objects(
            np.concatenate([boxes[kept], np.full((1, len(frames), 4), (90.0, 60.0, 96.0, 72.0))]), 96, 72
        )

    first = {name: np.asarray(evaluate_scenes.open_video(SCENES / f"{name}.mp4", 2, RATE)[0][0]) for name in FOUND}
    monkeypatch.setattr(Separator, "objects", objects)


def run(*systems: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """With those `systems`, or all."""
    given = params()
    asked = dataclasses.replace(given.evaluate, systems=list(systems) or given.evaluate.systems)
    evaluate_scenes.main(dataclasses.replace(given, evaluate=asked))
    return pd.read_csv("metrics/scenes.csv"), json.loads(Path("metrics/evaluate_scenes.json").read_text())


def test_every_system_on_every_scene(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truth = read_truth(SCENES, "plain_00")
    missed = next(number for number, player in enumerate(truth.players) if player.playing)
    sees(monkeypatch, missed)
    table, told = run()
    assert list(table.columns) == COLUMNS
    assert set(table["system"]) == set(SYSTEMS) and set(table["scene"]) == set(FOUND)
    plain = table[table["scene"] == "plain_00"]
    for system in set(SYSTEMS) - {"mixture", "oracle"}:
        rows = plain[plain["system"] == system]
        players = rows[rows["role"] == "player"].set_index("player")
        assert players["class"].tolist() == [player.category for player in truth.players]
        assert players["playing"].tolist() == [int(player.playing) for player in truth.players]
        assert players["snr"].notna().tolist() == [player.playing for player in truth.players]
        assert players.loc[missed, "found"] == (system == TRUE_BOXES)
        assert (rows["role"] == "false").sum() == (system != TRUE_BOXES)
        assert (rows["role"] == "nobody").sum() == 1
        assert rows["probability"].notna().any() == (system in ("colearning", "cyclic", TRUE_BOXES))
    lost = plain[(plain["player"] == missed) & (plain["system"] == "cyclic")].iloc[0]
    assert (lost["snr"], lost["given_db"]) == (0, -80), "a missed player is given silence"

    silent = table[table["scene"] == "silence_00"]
    assert (silent["given_db"] == -80).all() and silent["snr"].isna().all() and silent["leakage_db"].isna().all()
    assert told["scenes"] == 2 and told["detection"]["recall"] == pytest.approx(4 / 6, abs=1e-6)
    assert told["detection"]["false_objects"] == 1
    assert pd.read_csv("metrics/scenes_found.csv")["kind"].tolist() == ["plain", "silence", "all"]
    assert told["oracle"]["snri"] > 3 and told["mixture"]["snri"] == 0
    cyclic = table[(table["system"] == "cyclic") & (table["role"] == "player")]
    assert told["cyclic"]["snri"] == pytest.approx(cyclic["snri"].mean(), abs=1e-6)
    assert set(told["cyclic"]) == {"snri", "leakage_db", "balanced_accuracy"}

    kinds = pd.read_csv("metrics/scenes_by_kind.csv")
    assert list(kinds.columns) == ["kind", "system", *SUMMARY, *INTERVALS]
    example = json.loads(Path("metrics/scene_examples/plain_00/example.json").read_text())
    assert [player["object"] for player in example["players"]].count(None) == 1
    assert example["objects"][-1]["player"] is None and set(example["objects"][0]["probability"]) == {
        *("colearning", "cyclic")
    }
    sounds = {path.name for path in Path("metrics/scene_examples/plain_00").glob("*.wav")}
    assert {"mixture.wav", *truth.stems(), "object_0_cyclic.wav", "object_2_trimodal_text.wav"} <= sounds


def test_the_same_bytes_twice_with_the_detector_itself(project: Path) -> None:
    def written() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(Path("metrics").rglob("*")) if path.is_file()}

    run()
    first = written()
    run()
    assert written() == first


@pytest.mark.parametrize("systems", [("baseline",), ("cyclic", "finetune")], ids="+".join)
def test_any_choice_of_systems_is_scored_as_all_are(systems: tuple[str, ...], project: Path) -> None:
    everything, _ = run()
    found = pd.read_csv("metrics/scenes_found.csv")
    for system in SYSTEMS_WITH_WEIGHTS - set(systems):
        shutil.rmtree(f"checkpoints/{system}")
    Path("metrics/evaluate.json").write_text(json.dumps({"gates": {"cyclic": 0.0} if "cyclic" in systems else {}}))
    table, _ = run(*systems)
    named = {"cyclic": {"cyclic", TRUE_BOXES}, "finetune": {"finetune_visual", "finetune_text"}}
    assert set(table["system"]) == {"mixture", "oracle"}.union(*(named.get(system, {system}) for system in systems))
    expected = everything[everything["system"].isin(table["system"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)
    pd.testing.assert_frame_equal(pd.read_csv("metrics/scenes_found.csv"), found)


def test_a_zero_shot_detector_is_asked_for_the_classes_of_the_scenes(project: Path) -> None:
    save_zero_shot("owlv2", write_zero_shot("owlv2", project / "source"))
    separator, _ = evaluate_scenes.make_separator(params())
    players = {player.category for name in FOUND for player in read_truth(SCENES, name).players}
    assert separator.classes == sorted(players)
    network: Any = separator.detector
    assert len(network.ids) == len(players)
    frames, _ = evaluate_scenes.open_video(SCENES / f"{FOUND[0]}.mp4", 2, RATE)
    rows = look(separator.detector, frames, separator.batch)
    assert len(rows) and set(rows[:, 1]) <= set(range(1, len(players) + 1))


def test_no_scenes_leave_empty_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    SCENES.mkdir(parents=True)
    table, told = run()
    assert table.empty and list(table.columns) == COLUMNS and told == {"scenes": 0}
    assert pd.read_csv("metrics/scenes_by_kind.csv").empty and list(Path("metrics/scene_examples").iterdir()) == []


def test_a_system_of_waves_is_scored_beside_the_others(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sees(monkeypatch, None)
    expected, _ = run("baseline")
    load_systems = evaluate_scenes.load_systems
    monkeypatch.setattr(evaluate_scenes, "load_systems", lambda *asked: {**load_systems(*asked), "waves": Waves()})
    Path("metrics/evaluate.json").write_text('{"gates": {"waves": 0.5}}')
    table, told = run("baseline")
    assert set(table["system"]) == {"mixture", "oracle", "baseline", "waves"}
    pd.testing.assert_frame_equal(table[table["system"] != "waves"].reset_index(drop=True), expected, check_dtype=False)
    own = table[(table["system"] == "waves") & (table["scene"] == "plain_00")]
    silent = own[(own["role"] == "player") & (own["playing"] == 0)]
    assert len(silent) and silent["leakage_db"].tolist() == pytest.approx([20 * np.log10(0.5)] * len(silent), abs=1e-3)
    assert own["passed"].isna().all() and (own["role"] == "nobody").sum() == 1
    assert "snri" in told["waves"] and Path("metrics/scene_examples/plain_00/object_0_waves.wav").is_file()

"""Other models' waves, from the exported mixtures to the tables: on tiny data, with one trained system beside them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.export_mixtures import export_mixtures
from avsep.models.detector import build_detector
from avsep.params.stages import EvaluateParams, EvaluateScenesParams
from avsep.scenes.files import read_truth
from avsep.scenes.matching import true_objects
from avsep.scenes.rendering import render_scene
from avsep.separating.tracks import Object
from avsep.separating.video import Separator
from benchmarks.peers import nmf
from benchmarks.peers.answers import read_questions
from stages import evaluate, evaluate_scenes
from tests.helpers.factories import CLASSES, FPS, RATE, WIDTH
from tests.helpers.peers import answer, tiny_params, write_project
from tests.helpers.weights import save_tiny_detector

SCENE = "plain_00"


def sounds(mixture: str, one: str) -> bool:
    """Of the first players in a scene, too, it is said."""
    return one in "AC" or mixture.startswith("sources") or (mixture.startswith("scenes") and one == "0")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with three answers: who sounds is given the mixture; nobody sounds; everybody does."""
    folder = tmp_path_factory.mktemp("external")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        write_project(Path())
        detector = build_detector("resnet18", width=WIDTH, channels=16, classes=len(CLASSES), min_size=48, max_size=64)
        save_tiny_detector(detector, CLASSES)
        render_scene(
            Path("data/scenes").absolute(), "plain", 0, seed=0, classes=CLASSES[:4], players=(3, 3), seconds=2.0,
            timbre=0.0, fps=FPS, width=96, height=72, apart_db=10.0, noise_db=-10.0,
        )  # fmt: skip
        patch.setattr(Separator, "objects", at_true_boxes)
        export_mixtures(Path("out"))
        answer(Path("out"), Path("knows"), lambda m, one: m.wave if sounds(m.name, one.name) else None)
        answer(Path("out"), Path("mutes"), lambda m, one: None)
        answer(Path("out"), Path("passes"), lambda m, one: m.wave)
        Path("metrics").mkdir()
        everyone = {name: name for name in ("knows", "mutes", "passes")}
        evaluate.main(tiny_params(EvaluateParams, **everyone))
        evaluate_scenes.main(tiny_params(EvaluateScenesParams, **everyone))
    return folder


def at_true_boxes(self: Separator, frames: list[Any]) -> list[Object]:
    boxes = read_truth(Path("data/scenes"), SCENE).boxes_at(len(frames), FPS)
    return true_objects(boxes, *frames[0].size)


def table(scored: Path, name: str, system: str) -> pd.DataFrame:
    rows = pd.read_csv(scored / f"metrics/{name}.csv")
    return rows[rows["system"] == system].reset_index(drop=True)


def test_who_sounds_is_told_and_the_mixture_gains_nothing(scored: Path) -> None:
    own, mixture = table(scored, "pairs", "knows"), table(scored, "pairs", "mixture")
    sounding = own[own["role"] == "sounding"].reset_index(drop=True)
    for metric in ("sdr", "si_sdr", "snr"):
        np.testing.assert_allclose(sounding[metric], mixture[metric], atol=2e-6)
    assert (sounding["nsdr"] == 0).all() and (sounding["muted"] == 0).all()
    silent = own[own["role"] == "silent"]
    assert (silent["leakage_db"] == -80).all() and (silent["muted"] == 1).all() and len(silent) == len(sounding) == 8
    assert own["solo_probability"].isna().all()
    several = table(scored, "sources", "knows")
    assert len(several) == 2 * 2 + 2 * 3 and (several["si_sdri"].abs() < 1e-5).all()


def test_a_muted_object_has_an_snr_and_no_other_score(scored: Path) -> None:
    own, mixture = table(scored, "pairs", "mutes"), table(scored, "pairs", "mixture")
    sounding = own[own["role"] == "sounding"].reset_index(drop=True)
    assert (sounding["snr"] == 0).all() and (sounding["muted"] == 1).all()
    np.testing.assert_allclose(sounding["snri"], -mixture["snr"], atol=2e-6)
    assert sounding[["sdr", "sir", "sar", "nsdr", "si_sdr", "si_sdri"]].isna().all(axis=None)
    several = table(scored, "sources", "mutes")
    assert several["si_sdri"].isna().all() and (several["snr"] == 0).all() and (several["muted"] == 1).all()


def test_every_table_holds_them(scored: Path) -> None:
    silence: Any = pd.read_csv(scored / "metrics/evaluate/silence.csv").set_index("system")
    assert silence.loc["knows", "leakage_db"] == silence.loc["mutes", "leakage_db"] == -80
    assert silence.loc["passes", "leakage_db"] == pytest.approx(0, abs=1e-6)
    assert silence.loc[["knows", "mutes", "passes"], "false_mute_rate"].tolist() == [0, 1, 0]
    assert silence.loc["knows", "si_sdri_heard"] == silence.loc["passes", "si_sdri_heard"] == 0
    assert np.isnan(silence.loc["mutes", "si_sdri_heard"]) and silence.loc["mutes", "snri_given"] == pytest.approx(
        table(scored, "pairs", "mutes")["snri"].mean(), abs=1e-6
    )
    grounding = pd.read_csv(scored / "metrics/evaluate/grounding.csv").set_index("system")
    assert grounding.loc[["knows", "mutes", "passes"], "balanced_accuracy"].tolist() == [1, 0.5, 0.5]
    assert (grounding["sound"] == "mixture").all(), "they are not asked about solo sounds"
    assert not list((scored / "metrics/evaluate/reliability").glob("*_solo.csv"))
    scores: Any = pd.read_csv(scored / "metrics/evaluate/scores.csv").set_index(["system", "metric"])
    assert scores.loc[("mutes", "nsdr"), "objects"] == 0 and scores.loc[("mutes", "snr"), "objects"] == 8
    assert np.isnan(scores.loc[("mutes", "nsdr"), "mean"]) and scores.loc[("passes", "nsdr"), "mean"] == 0
    published: Any = pd.read_csv(scored / "metrics/evaluate/published.csv").set_index("system")
    assert published.loc["knows", "accuracy_mixture"] == 1 and np.isnan(published.loc["knows", "accuracy_solo"])
    curve = pd.read_csv(scored / "metrics/evaluate/gates/mutes.csv")
    assert curve["si_sdri_heard"].isna().all() and curve["snri_given"].nunique() == 1


def test_the_metrics_name_what_was_answered(scored: Path) -> None:
    told = json.loads((scored / "metrics/evaluate.json").read_text())
    assert told["gates"] == {"knows": 0.5, "mutes": 0.5, "passes": 0.5}
    assert set(told["external"]) == {"knows", "mutes", "passes"} and len(set(told["external"].values())) == 3
    assert told["knows"] == {"nsdr": 0, "si_sdri": 0} and told["mutes"] == {}
    assert told["grounding_knows"]["balanced_accuracy"] == 1 and told["silent_mutes"]["false_mute_rate"] == 1


def test_the_others_scores_do_not_move(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    evaluate.main(tiny_params(EvaluateParams))
    for name in ("pairs", "sources"):
        before, after = (pd.read_csv(folder / f"metrics/{name}.csv") for folder in (scored, tmp_path))
        before = before[before["system"].isin(after["system"])].reset_index(drop=True)
        pd.testing.assert_frame_equal(before, after, check_dtype=False)
    told, everything = (json.loads((root / "metrics/evaluate.json").read_text()) for root in (tmp_path, scored))
    assert set(told) == {"mixture", "oracle", "oracle_binary", "baseline", "baseline_wrong_picture", *(
        "phrases", "gates", "pairs"
    )} and told["gates"] == {}  # fmt: skip
    assert all(told[name] == everything[name] for name in told if name != "gates")


def test_scenes_are_joined_from_windows(scored: Path) -> None:
    scenes = pd.read_csv(scored / "metrics/scenes.csv")
    truth = read_truth(scored / "data/scenes", SCENE)
    for system in ("knows", "mutes", "passes"):
        own = scenes[(scenes["system"] == system) & (scenes["role"] == "player")].set_index("player")
        said = [float(system == "passes" or (system == "knows" and number == 0)) for number in range(3)]
        assert own["probability"].tolist() == said and own["muted"].tolist() == [1 - p for p in said]
        playing = own[[player.playing for player in truth.players]]
        heard = playing["probability"] == 1
        assert (playing.loc[heard, "snri"].abs() < 1e-5).all(), "the mixture itself, whole"
        assert (playing.loc[~heard, "snr"] == 0).all() and playing.loc[~heard, "sdr"].isna().all()
    told = json.loads((scored / "metrics/evaluate_scenes.json").read_text())
    assert told["mutes"]["balanced_accuracy"] == told["passes"]["balanced_accuracy"] == 0.5


def test_a_folder_that_lacks_an_answer_is_refused_before_all_work(
    scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    Path("knows/pairs/003/C.wav").unlink()
    monkeypatch.setattr(evaluate, "read_split", lambda split: pytest.fail("work has begun"))
    with pytest.raises(InputError, match=r"^knows/pairs/003/C\.wav is missing$"):
        evaluate.main(tiny_params(EvaluateParams, knows="knows"))


@pytest.mark.filterwarnings("ignore:n_fft=1024 is too large")
def test_nmf_learns_the_classes_and_tells_them_apart(scored: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        nmf.main([str(scored / "out"), str(tmp_path / name), "--data", str(scored / "data"), "--seed", "3"])
    files = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file()]
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)
    answers = json.loads((tmp_path / "one/answers.json").read_text())
    asked = {mixture.name: mixture for mixture in read_questions(scored / "out")}
    assert {name: set(own) for name, own in answers.items()} == {
        name: {one.name for one in mixture.objects} for name, mixture in asked.items()
    }
    assert all("-" not in own.values() for name, own in answers.items() if name.startswith("sources")), (
        "all sound there"
    )


def test_nmf_gives_each_class_its_tone() -> None:
    seconds = np.arange(2 * RATE) / RATE
    tones = {name: np.sin(2 * np.pi * hertz * seconds) for name, hertz in (("low", 110), ("high", 330))}
    dictionaries = {}
    for name, wave in tones.items():
        column = np.abs(nmf.spectrum(wave)).mean(axis=1)
        dictionaries[name] = np.tile(column / column.sum(), (nmf.COMPONENTS, 1)).astype(np.float32)
    given = nmf.separate(sum(tones.values()), ["low", "high"], dictionaries, seed=0)  # type: ignore[arg-type]
    for name, wave in tones.items():
        error = np.square(given[name] - wave).sum() / np.square(wave).sum()
        assert error < 0.05, "10 dB and more above the other tone, which is as loud"
    assert nmf.share(given["low"], tones["low"] + tones["high"]) == pytest.approx(0.5, abs=0.05)

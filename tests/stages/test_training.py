"""The training stages and evaluate, one after the other, on tiny data: each starts from what the one before left."""

import dataclasses
import json
import math
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch.utils.data import default_collate

from avsep.clips import datasets
from avsep.clips.index import read_index
from avsep.clips.mixtures import centre_frame
from avsep.errors import InputError
from avsep.files.pipeline import deps_of
from avsep.media import frames
from avsep.media.frames import frame_name
from avsep.media.wav import write_wav
from avsep.models import clip
from avsep.models.ccol import CCoL
from avsep.models.resnet import ResNet18
from avsep.models.ungated import Ungated
from avsep.models.vast import VAST, visual_query
from avsep.params import stages as params
from avsep.params.loading import check
from avsep.scoring.summary import Rows, headline, summarise
from avsep.systems.confidence import read_phrase_gate
from avsep.training.loop import Learner, learn
from avsep.training.phase import Phase
from avsep.weights import clip as clip_weights
from avsep.weights.about import read_about
from avsep.weights.captions import CAPTIONS, Caption, captions_of, load_captions, load_embeddings, save_captions
from avsep.weights.checkpoints import load_weights, save_weights
from avsep.weights.clip import CLIP, clip_hash
from avsep.weights.phrases import tokenise
from stages import baseline, captions, colearning, cyclic, evaluate, finetune, grounding, trimodal, ungated
from tests.helpers import factories
from tests.helpers.weights import save_trained

ROOT = Path(__file__).parents[2]


def trained(make: Callable[[Any], Phase], stage_params: Any) -> tuple[Callable[[Any], None], Any]:
    """As a stage's file runs it."""
    return lambda given: learn(make(given)), stage_params


PHASES: dict[str, tuple[Callable[[Any], Phase], Any]] = {
    "grounding": (grounding.phase, params.GroundingParams),
    "colearning": (colearning.phase, params.ColearningParams),
    "cyclic": (cyclic.phase, params.CyclicParams),
    "baseline": (baseline.phase, params.BaselineParams),
    "ungated": (ungated.phase, params.UngatedParams),
    "trimodal": (trimodal.phase, params.TrimodalParams),
    "finetune": (finetune.phase, params.FinetuneParams),
}
# in the pipeline's order
STAGES: dict[str, tuple[Callable[[Any], None], Any]] = {
    **{stage: trained(*PHASES[stage]) for stage in ("grounding", "colearning", "cyclic", "baseline", "ungated")},
    "captions": (captions.main, params.CaptionsParams),
    **{stage: trained(*PHASES[stage]) for stage in ("trimodal", "finetune")},
    "evaluate": (evaluate.main, params.EvaluateParams),
}
MIDDLE = centre_frame(factories.FRAMES, factories.FPS, 1, 1, None)
TRAINED = tuple(PHASES)
TINY: dict[str, dict[str, Any]] = {
    "resnet": {"width": factories.WIDTH},
    "extract": {"rate": factories.RATE, "fps": factories.FPS},
    "baseline": {
        "fps": factories.FPS,
        "frames": 1,
        "stride": 1,
        "margin": 1.0,
        "batch": 5,
        "repeats": 2,
        "epochs": 1,
        "milestones": [],
    },
    "audio": {"samples": factories.SAMPLES},
    "spectrogram": asdict(factories.SPECTROGRAM),
    "frames": {
        "fps": factories.FPS,
        "count": 1,
        "stride": 1,
        "resize": 20,
        "size": factories.SIZE,
        "augment": "none",
        "cache": True,
    },
    "model": factories.MODEL,
    "train": {"batch": 5, "repeats": 2, "workers": 0},
    "visualize": {"mixtures": 1, "every": 1},
    "clip": factories.CLIP,
    "vast": {"unet_levels": 3, "unet_channels": 2, "fps": factories.FPS, "frames": 1, "batch": 5},
    "captions": {"steps": 3, "batch": 3},
    **{stage: {"epochs": 1, "milestones": []} for stage in TRAINED if stage != "baseline"},
    "evaluate": {"batch": 3, "examples": 1, "sources": [2, 3], "source_mixtures": 3, "resamples": 20},
    "report": {"mixtures": 1},
}


def given(stage_params: Any, **changes: dict[str, Any]) -> Any:
    """A stage's params, checked as a user's are."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, leaves in [*TINY.items(), *changes.items()]:
        values[section] |= leaves
    checked = check(values)
    return stage_params(**{field.name: getattr(checked, field.name) for field in dataclasses.fields(stage_params)})


def run(stage: str, **changes: dict[str, Any]) -> None:
    main, stage_params = STAGES[stage]
    main(given(stage_params, **changes))


def phase_of(stage: str, **changes: dict[str, Any]) -> Phase:
    make, stage_params = PHASES[stage]
    return make(given(stage_params, **changes))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All stages, run once; one test video is silent."""
    folder = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        test = factories.write_data(Path("data"))["test"]
        write_wav(test[0].audio, np.zeros(factories.RATE * factories.FRAMES // factories.FPS), factories.RATE)
        torch.manual_seed(0)
        save_trained(grounding.START, ResNet18(factories.WIDTH), TINY)
        save_trained(CLIP, factories.tiny_clip().clip, TINY)
        for stage in STAGES:
            run(stage)
        yield folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.parametrize("stage", TRAINED)
def test_each_stage_leaves_weights_curves_and_metrics(stage: str) -> None:
    assert {path.name for path in Path(f"checkpoints/{stage}").iterdir()} == {"weights.safetensors", "best.safetensors"}
    metrics = json.loads(Path(f"metrics/{stage}.json").read_text())
    assert metrics["steps"] == 2
    monitor = metrics["best"]["val/solo_balanced_accuracy" if stage == "grounding" else "val/snri"]
    assert math.isfinite(monitor)
    curves = Path(f"metrics/{stage}/plots/metrics")
    assert (curves / "train/loss.tsv").is_file()
    assert any((curves / "val").glob("*.tsv"))
    shown = Path(f"metrics/{stage}/visualization")
    assert "1 of 1 epochs: it is done" in (shown / "index.html").read_text(encoding="utf-8")
    ways = {"grounding": set(), "trimodal": {"visual", "text"}, "finetune": {"visual", "text"}}.get(stage, {"object"})
    assert {path.stem.split("_")[1] for path in shown.glob("epochs/0001/mixture1/A_*.wav")} == ways
    assert bool(list(shown.glob("epochs/*/*/A_attention.png"))) == (stage in ("trimodal", "finetune"))
    assert not Path("checkpoints/resume", stage).exists()


def test_the_frozen_encoders_are_the_pretrained_ones_throughout() -> None:
    resnet = load_weights(grounding.START)
    for stage in ("grounding", "colearning", "cyclic", "baseline", "ungated"):
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
    for first, second in (("grounding", "colearning"), ("colearning", "cyclic")):
        assert moved(first, second) == {"grounding", "separation"}
        one, other = (load_weights(f"checkpoints/{stage}/weights.safetensors") for stage in (first, second))
        values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        steps = 2 * values["train"]["lr"] * values[second]["lr_grounding"]
        weight = "grounding.fc1.weight"
        # Muon moves a matrix by 0.2 x the rate at each of its values, on the mean
        moves = (one[weight] - other[weight]).square().mean().sqrt()
        assert moves == 0 if steps == 0 else 0 < moves < 0.3 * steps


@pytest.mark.parametrize("stage", ["grounding", "ungated"])
def test_queries_start_apart_on_the_maps_that_are_cached(stage: str) -> None:
    """Else training would see other maps than evaluation."""
    phase = phase_of(stage)
    networks, (train, _) = phase.networks, phase.data()
    assert isinstance(networks, CCoL | Ungated) and isinstance(train, datasets.TrainingMixtures)
    mean = networks.state_dict()["frames.standardise.running_mean"]
    assert mean.abs().max() > 0
    assert train.features is not None
    (name, frame), features = next(iter(train.features.items()))
    video = next(video for video in train.videos if video.name == name)
    seen = networks.frames(torch.from_numpy(train.reader.picture(video, frame))[None])
    kept, expected = (features[0], seen.vector) if stage == "grounding" else (features[1], seen.map)
    torch.testing.assert_close(kept, expected[0], rtol=1e-4, atol=1e-4)


def test_every_aggregate_follows_from_the_rows() -> None:
    """Read again from the files, the rows make the same bytes."""
    read = {name: pd.read_csv(f"metrics/{name}.csv") for name in ("pairs", "phrases")}
    read |= {name: pd.read_csv(f"metrics/{name}.csv") for name in ("places", "sources")}
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    tables = summarise(Rows(**read), resamples=20, bins=values["evaluate"]["bins"], seed=values["seed"])
    folder = Path("metrics/evaluate")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.csv")} == set(tables)
    for name, table in tables.items():
        assert (folder / name).read_bytes() == table.to_csv(index=False, lineterminator="\n").encode(), name
    found = json.loads(Path("metrics/evaluate.json").read_text())
    assert headline(tables).items() <= found.items()
    assert set(found) - set(headline(tables)) == {"gates", "phrase_threshold", "pairs"}


def test_evaluation_follows_from_what_was_heard() -> None:
    found = json.loads(Path("metrics/evaluate.json").read_text())
    pairs, skipped = pd.read_csv("metrics/pairs.csv"), pd.read_csv("metrics/skipped.csv")
    of_pairs = skipped[skipped["table"] == "pairs"]
    assert found["pairs"] == {"evaluated": pairs["mixture"].nunique(), "skipped": len(of_pairs)}
    assert found["pairs"]["evaluated"] + found["pairs"]["skipped"] == 4
    assert 0 < len(of_pairs) < 4, "the silent video sounds in some mixtures"
    assert all("is silent" in reason for reason in skipped["reason"])
    sources = pd.read_csv("metrics/sources.csv")
    assert set(sources["sources"]) <= {2, 3}
    left = sources.groupby("sources")["mixture"].nunique()
    assert left.sum() + len(skipped) - len(of_pairs) == 2 * 3
    phrases = pd.read_csv("metrics/phrases.csv")
    assert (phrases["accepted"] == (phrases["confidence"] >= round(found["phrase_threshold"], 6))).all()
    kept = read_phrase_gate()  # of the working directory
    assert kept is not None and kept.threshold == found["phrase_threshold"]
    assert set(phrases["mixture"]) == set(pairs["mixture"])
    for system, gate in found["gates"].items():
        rows = pairs[pairs["system"] == system]
        assert (rows["muted"] == (rows["probability"] < round(gate, 6))).all()
    assert len(pd.read_csv("metrics/places.csv")) == 0, "these videos have no true boxes"


def test_examples_are_of_the_first_mixtures_that_could_be_scored() -> None:
    first = int(pd.read_csv("metrics/pairs.csv")["mixture"].min())
    assert [path.name for path in Path("metrics/examples").iterdir()] == [f"{first:03d}"]
    assert not Path("metrics/.examples.tmp").exists()


def test_running_again_gives_the_same_bytes(project: Path) -> None:
    files = [*Path("checkpoints/baseline").iterdir(), Path("metrics/baseline.json")]
    files += sorted(Path("metrics/baseline/plots").rglob("*.tsv"))
    before = {path: path.read_bytes() for path in files}
    run("baseline")
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize(("stage", "cache"), [("cyclic", True), ("trimodal", True), ("trimodal", False)])
def test_mixed_precision_learns_as_float32_does(
    stage: str, cache: bool, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Convolutions in bfloat16, of 8 bits; weights, spectrograms, masks and losses stay float32."""
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    expected = json.loads(Path(f"metrics/{stage}.json").read_text())["last"]
    plain = load_weights(f"checkpoints/{stage}/weights.safetensors")
    run(stage, train={"precision": "bf16-mixed"}, vast={"cache": cache})
    found = json.loads(Path(f"metrics/{stage}.json").read_text())["last"]
    assert found.keys() == expected.keys() and found["train/loss"] != expected["train/loss"]
    assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=0.02)
    assert found["val/snri"] == pytest.approx(expected["val/snri"], abs=0.1)
    weights = load_weights(f"checkpoints/{stage}/weights.safetensors")
    assert {name: tensor.dtype for name, tensor in weights.items()} == {name: t.dtype for name, t in plain.items()}
    assert torch.bfloat16 not in {tensor.dtype for tensor in weights.values()}
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_weights_of_other_params_are_refused() -> None:
    with pytest.raises(InputError, match=r"with model\.sound_channels 2, params\.yaml says 3: train it again, or"):
        run("colearning", model={"sound_channels": 3})


@pytest.mark.parametrize("stage", TRAINED)
def test_each_stage_s_weights_tell_what_they_were_trained_with(stage: str) -> None:
    last, best = (read_about(f"checkpoints/{stage}/{name}.safetensors") for name in ("weights", "best"))
    assert last == best and last.stage == stage and last.classes == factories.CLASSES
    assert last.params["spectrogram.hop"] == factories.SPECTROGRAM.hop
    assert last.clip == (clip_hash() if stage in ("trimodal", "finetune") else None)


@pytest.mark.parametrize(
    ("stage", "section", "leaf", "value", "file"),
    [
        ("grounding", "resnet", "width", 16, "pretrained/resnet18"),
        ("colearning", "spectrogram", "hop", 8, "grounding/weights"),
        ("cyclic", "frames", "stride", 2, "colearning/weights"),
        ("baseline", "resnet", "width", 16, "pretrained/resnet18"),
        ("captions", "clip", "text_heads", 1, "pretrained/clip"),
        ("trimodal", "clip", "text_heads", 1, "pretrained/clip"),
        ("finetune", "spectrogram", "align_corners", False, "trimodal/best"),
        ("evaluate", "spectrogram", "hop", 8, "baseline/best"),
        ("ungated", "resnet", "width", 16, "pretrained/resnet18"),
        ("evaluate", "baseline", "fps", 2, "baseline/best"),
    ],
)
def test_a_stage_refuses_what_was_trained_with_other_params_before_any_work(
    stage: str, section: str, leaf: str, value: Any, file: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    told = f"checkpoints/{file}.safetensors was trained with {section}.{leaf} "
    with pytest.raises(InputError, match=rf"^{told}\S+, params\.yaml says {json.dumps(value)}: ") as refused:
        run(stage, **{section: {leaf: value}})
    assert "\n" not in str(refused.value)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before


@pytest.mark.usefixtures("kept_captions")
def test_a_stage_refuses_what_another_clip_has_taught() -> None:
    content = CLIP.read_bytes()
    save_trained(CLIP, factories.tiny_clip(seed=1).clip, TINY)
    save_captions(load_captions(), clip_hash())
    try:
        for stage in ("finetune", "evaluate"):
            with pytest.raises(InputError, match=r"checkpoints/trimodal/best\.safetensors was taught by another CLIP"):
                run(stage)
    finally:
        CLIP.write_bytes(content)


def test_finetuning_starts_from_the_best_of_trimodal() -> None:
    assert Path("checkpoints/trimodal/best.safetensors") == finetune.START
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    rates = [values["train"]["lr"] * values[stage]["lr_separation"] for stage in ("trimodal", "finetune")]
    assert rates[1] < rates[0]
    before, after = load_weights(finetune.START), load_weights("checkpoints/finetune/weights.safetensors")
    name = "unet.down.0.0.weight"
    assert 0 < (before[name] - after[name]).abs().max() < 2 * 2 * rates[1]
    assert torch.equal(before["captions"], after["captions"])


LEARNING: dict[str, dict[str, Any]] = {
    "finetune": {"epochs": 3, "lr_captions": 1.0, "schedule": "milestones"},
    "vast": {"optimizer": "sgd", "weight_decay": 0.5},
}


def test_finetuning_learns_the_captions_if_it_is_told_to(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped and gone on with too; stage captions' file, from which they start, stays."""
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    start, described = load_weights(finetune.START)["captions"], CAPTIONS.read_bytes()
    run("finetune", **LEARNING)
    learned = {name: Path(f"checkpoints/finetune/{name}.safetensors") for name in ("weights", "best")}
    moved = load_weights(learned["weights"])["captions"] - start
    assert moved.any(1).all(), "three epochs ask for each"
    assert moved.abs().max() < 1e-2, "and none decays"
    assert CAPTIONS.read_bytes() == described
    curve = pd.read_csv("metrics/finetune/plots/metrics/train/captions.tsv", sep="\t")["captions"]
    assert 0 <= curve[0] < curve[2]

    whole = {path: path.read_bytes() for path in [*learned.values(), Path("metrics/finetune.json")]}
    seen: list[int] = []

    def stopping(*args: Any, **options: Any) -> Any:
        seen.append(1)
        if len(seen) == 4:  # memory is told beforehand; then the second epoch's first step
            raise KeyboardInterrupt
        return mask_losses(*args, **options)

    mask_losses = finetune.mask_losses
    with monkeypatch.context() as patch:
        patch.setattr(finetune, "mask_losses", stopping)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run("finetune", **LEARNING)
    assert list(Path("checkpoints/resume/finetune").glob("[0-9]*/last.ckpt"))
    run("finetune", **LEARNING)
    assert {path: path.read_bytes() for path in whole} == whole


def test_captions_that_learn_do_not_decay_and_are_told_of_in_memory() -> None:
    resting, learning = (phase_of("finetune", **changes) for changes in ({}, LEARNING))
    assert set(resting.groups) == {"separation"} and set(learning.groups) == {"separation", "captions"}
    learners = Learner(resting), Learner(learning)
    networks, taught = resting.networks, learning.networks
    assert isinstance(networks, VAST) and isinstance(taught, VAST)
    assert not networks.captions.requires_grad and taught.captions.requires_grad
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    groups = {group["name"]: group for group in learners[1].configure_optimizers()["optimizer"].param_groups}
    assert groups["separation"]["weight_decay"] == 0.5 and groups["captions"]["weight_decay"] == 0.0
    assert groups["captions"]["lr"] == values["train"]["lr"]
    sample = resting.data()[0][0, 0]
    needs = [learner.needs(sample, torch.device("cpu")) for learner in learners]
    unet = sum(parameter.nbytes for parameter in networks.unet.parameters())
    assert unet < needs[0].optimizer < 2 * unet, "Muon's: one value of a matrix's, Adam's two of all others"
    assert needs[1].optimizer == unet + taught.captions.nbytes, "SGD's momentum"
    assert needs[0].weights == needs[1].weights


@pytest.mark.usefixtures("kept_captions")
@pytest.mark.parametrize(("start", "deviation"), [("normal", 1.0), ("tokens", None)])
def test_captions_start_at_a_deviation_of_one_or_at_the_tokens(
    start: str, deviation: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same numbers, scaled."""
    starts: list[torch.Tensor] = []
    describe = captions.describe

    def kept(clip: Any, pictures: torch.Tensor, free: torch.Tensor, **options: Any) -> Any:
        starts.append(free)
        return describe(clip, pictures, free, **options)

    monkeypatch.setattr(captions, "describe", kept)
    run("captions", captions={"start": start, "min_gain": 1e-5})
    teacher, seed = factories.tiny_clip(), yaml.safe_load((ROOT / "params.yaml").read_text())["seed"]
    scale = deviation or float(teacher.clip.token_embedding.weight.std())
    video = read_index(captions.INDEX)[0]
    torch.testing.assert_close(starts[0][0], scale * captions.start(teacher, seed, video))


def known_captions() -> tuple[dict[str, Caption], str]:
    """All captions, and the hash of the CLIP that they are of."""
    return load_captions(), load_embeddings()[1]


def test_captions_of_other_videos_or_another_clip_are_refused() -> None:
    known, clip = load_embeddings()
    with pytest.raises(InputError, match=r"of another CLIP than checkpoints/pretrained/clip\.safetensors"):
        captions_of(list(known), "another")
    with pytest.raises(InputError, match=r"no caption of cello/new: run stage captions"):
        captions_of([*known, "cello/new"], clip)
    with pytest.raises(InputError, match="is of other videos"):
        captions_of(list(known)[1:], clip)
    expected = torch.stack([known[name] for name in reversed(known)])
    assert torch.equal(captions_of(list(reversed(known)), clip), expected)


def damage(path: Path, how: str) -> None:
    if how == "gone":
        path.unlink()
    elif how == "cut off":
        path.write_bytes(path.read_bytes()[:-40])
    else:
        save_weights(path, {"other": torch.zeros(1)}, ("captions", "[]"))


@pytest.fixture
def kept_captions() -> Iterator[None]:
    """What a test does to checkpoints/captions is undone."""
    before = {path: path.read_bytes() for path in CAPTIONS.parent.iterdir()}
    yield
    for path, content in before.items():
        path.write_bytes(content)


@pytest.mark.usefixtures("kept_captions")
@pytest.mark.parametrize("how", ["another CLIP", "gone", "cut off", "another file"])
def test_trimodal_refuses_foreign_captions(how: str) -> None:
    if how == "another CLIP":
        save_captions(load_captions(), "another")
    else:
        damage(CAPTIONS, how)
    with pytest.raises(InputError, match=r"captions\.safetensors") as refused:
        run("trimodal")
    assert "\n" not in str(refused.value)


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many of each batch were described since."""
    batches: list[int] = []
    describe = captions.describe

    def counted(clip: Any, pictures: torch.Tensor, *args: Any, **options: Any) -> Any:
        batches.append(len(pictures.unique(dim=0)))
        return describe(clip, pictures, *args, **options)

    monkeypatch.setattr(captions, "describe", counted)
    return batches


def test_only_new_videos_are_described(described: list[int]) -> None:
    files = CAPTIONS, CAPTIONS.with_suffix(".csv")
    whole = [path.read_bytes() for path in files]

    def check(made: int, gone: int = 0) -> None:
        run("captions")
        assert [path.read_bytes() for path in files] == whole
        counts = json.loads(Path("metrics/made/captions.json").read_text())
        assert (counts["made"], counts["kept"], counts["gone"]) == (made, 5 - made, gone)

    check(made=0)
    assert described == []
    assert "made" not in json.loads(Path("metrics/captions.json").read_text()), (
        "metrics tell what there is, not what ran"
    )

    known, clip = known_captions()
    del known["trumpet/trumpet_train"]  # the first of its batch now, where it was the last
    save_captions(known, clip)
    check(made=1)  # the same caption whichever others are made beside it
    assert described == [1], "one batch, filled up"

    known, clip = known_captions()
    known["cello/gone"] = known["flute/flute_train"]
    save_captions(known, clip)
    check(made=0, gone=1)  # a video that is gone is forgotten
    assert described == [1]
    run("captions", captions={"steps": 4})
    assert described == [1, 3, 2], "with other params all five are described anew, in two batches"
    check(made=5)


@pytest.mark.parametrize("how", ["gone", "cut off", "another file"])
@pytest.mark.parametrize("suffix", [".safetensors", ".csv"])
@pytest.mark.usefixtures("kept_captions")
def test_damaged_captions_are_made_anew(
    how: str, suffix: str, described: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    whole = CAPTIONS.read_bytes()
    path = CAPTIONS.with_suffix(suffix)
    damage(path, how)
    run("captions")
    assert CAPTIONS.read_bytes() == whole
    told = [record.message for record in caplog.records if record.levelname == "WARNING"]
    if (suffix, how) == (".csv", "cut off"):  # its last row alone
        assert described == [1] and not told
    else:
        assert described == [3, 2]
        assert (path == CAPTIONS and how == "gone") or "all captions are made anew" in told[0]


@pytest.mark.usefixtures("kept_captions")
def test_an_embedding_that_is_not_the_ledgers_is_made_anew(described: list[int]) -> None:
    """As when a run was killed between the two files."""
    whole, ledger = CAPTIONS.read_bytes(), CAPTIONS.with_suffix(".csv").read_bytes()
    known, clip = known_captions()
    known["tuba/tuba_train"] = dataclasses.replace(known["tuba/tuba_train"], embedding=torch.zeros(8))
    save_captions(known, clip)
    CAPTIONS.with_suffix(".csv").write_bytes(ledger)
    run("captions")
    assert described == [1] and CAPTIONS.read_bytes() == whole


@pytest.mark.usefixtures("kept_captions")
@pytest.mark.parametrize("module", [captions, datasets, frames, clip], ids=lambda module: module.__name__)
def test_an_edit_of_its_code_makes_all_captions_anew(
    module: Any, described: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And leaves the file that training depends on as it was, if they are the same."""
    whole, ledger = CAPTIONS.read_bytes(), CAPTIONS.with_suffix(".csv").read_bytes()
    edited = tmp_path / Path(module.__file__).name
    edited.write_text(Path(module.__file__).read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    monkeypatch.setattr(module, "__file__", str(edited))
    run("captions")
    assert described == [3, 2]
    assert CAPTIONS.read_bytes() == whole and CAPTIONS.with_suffix(".csv").read_bytes() != ledger


@pytest.mark.usefixtures("kept_captions")
@pytest.mark.parametrize(("number", "anew"), [(1, []), (MIDDLE, [1])])
def test_another_middle_frame_makes_its_videos_caption_anew(number: int, anew: list[int], described: list[int]) -> None:
    video = read_index(captions.INDEX)[2]
    before, content = load_captions(), video.frames.read_bytes()
    pictures = factories.read_archive(video.frames)
    factories.write_archive(video.frames, {**pictures, frame_name(number): pictures[frame_name(number + 1)]})
    try:
        run("captions")
    finally:
        video.frames.write_bytes(content)
    after = load_captions()
    changed = {name for name in after if not torch.equal(after[name].embedding, before[name].embedding)}
    assert described == anew and changed == ({video.name} if anew else set())


@pytest.mark.usefixtures("kept_captions")
def test_another_clip_makes_all_captions_anew(described: list[int]) -> None:
    before, content = load_embeddings(), CLIP.read_bytes()
    save_trained(CLIP, factories.tiny_clip(seed=1).clip, TINY)
    try:
        run("captions")
    finally:
        CLIP.write_bytes(content)
    after = load_embeddings()
    assert described == [3, 2] and after[1] != before[1]
    assert not any(torch.equal(after[0][name], embedding) for name, embedding in before[0].items())


def test_tokens_are_the_same_whether_cached_or_not() -> None:
    phases = [phase_of("trimodal", vast={"cache": cache}) for cache in (True, False)]
    assert "clip=None" in repr(phases[0].see) and "clip=None" not in repr(phases[1].see), "CLIP is freed"
    samples = [phase.data() for phase in phases]
    wanted: list[list[Any]] = [[(0, 0), (1, 3)], [0, 1]]  # of training, of validation
    for part, items in enumerate(wanted):
        for item in items:
            batches = [default_collate([made[part][item]]) for made in samples]
            assert "pictures" not in batches[0] and "features" not in batches[1]
            seen, expected = (phase.see(batch) for phase, batch in zip(phases, batches, strict=True))
            assert seen.keys() == expected.keys() == {"A", "C"}
            for name, clip_sees in seen.items():
                torch.testing.assert_close(visual_query(clip_sees.tokens), visual_query(expected[name].tokens))
                assert torch.equal(clip_sees.sentence, expected[name].sentence)
                assert torch.equal(clip_sees.caption, expected[name].caption)


@pytest.mark.parametrize("stage", TRAINED)
def test_a_phase_is_made_without_training_and_alike_each_time(stage: str) -> None:
    """It seeds first, and neither reads samples nor writes."""
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    one = phase_of(stage)
    torch.rand(3)
    other = phase_of(stage)
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    assert one.stage == stage and one.params == other.params == asdict(given(PHASES[stage][1]))
    weights = other.networks.state_dict()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in one.networks.state_dict().items())
    own = {id(parameter) for parameter in one.networks.parameters()}
    assert one.groups and all(id(p) in own for group in one.groups.values() for p in group.parameters)


@pytest.mark.parametrize("stage", TRAINED)
def test_what_a_phase_reads_is_what_dvc_watches(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = phase_of(stage).reads
    assert all(path.exists() for path in reads)
    monkeypatch.chdir(ROOT)
    watched = [dep for dep in deps_of(stage) if dep.parts[0] in ("data", "checkpoints")]
    assert sorted(reads) == sorted(watched)


def test_a_classs_query_is_its_phrases_embedding() -> None:
    teacher = factories.tiny_clip()
    found = clip_weights.class_queries(teacher, ["tuba", "acoustic_guitar"], "the {}")
    expected = teacher.text(tokenise(["the tuba", "the acoustic guitar"], teacher.context))
    assert torch.equal(found, expected) and found.shape == (2, factories.CLIP["embedding"])
    with pytest.raises(InputError, match="CLIP has learned English"):
        clip_weights.class_queries(teacher, ["\N{CYRILLIC SMALL LETTER A}"], "the {}")

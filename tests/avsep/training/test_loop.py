"""The one loop: what it leaves behind, and that stopping and going on changes nothing."""

import json
import math
import shutil
import signal
import weakref
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor
from torch.utils.data import Dataset

from avsep.clips.datasets import FixedMixtures, TrainingMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Video, read_mixtures
from avsep.clips.mixtures import Heard
from avsep.errors import InputError
from avsep.models.ccol import CCoL
from avsep.models.resnet import FrameFeatures
from avsep.scoring import validation
from avsep.training import loaders, memory
from avsep.training.data import see
from avsep.training.loop import KeepBest, Learner, learn
from avsep.training.optimizers import Muon
from avsep.training.phase import Group, Machine, Phase, Samples, Schedule
from avsep.training.resume import ResumeFolder, fingerprint
from avsep.training.seeds import seed_everything
from avsep.weights.about import About, read_about
from avsep.weights.checkpoints import load_weights
from stages import colearning
from tests.helpers.factories import SPECTROGRAM, hear_tiny, tiny_ccol, tiny_clip, tiny_reader, write_data

EPOCHS = 3
STEPS = 11  # of an epoch: more than the 10 between two lines of the live curves
RESUME = Path("checkpoints/resume/colearning")
METRICS = Path("metrics/colearning.json")
CURVES = Path("metrics/colearning/plots/metrics")
ABOUT = About(system="ccol", stage="colearning", sizes={"resnet_width": 8}, params={"spectrogram.hop": 16})
Objective = Callable[..., Mapping[str, Tensor]]


class Nothing(Dataset[Any]):
    """No samples."""


class Stopped(Exception):
    """As a kill, at a moment of our choosing."""


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Video]]:
    root = tmp_path_factory.mktemp("loop") / "data"
    return write_data(root)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tiny_phase(networks: CCoL, **options: Any) -> Phase:
    """Co-learning's, with `options` for fields of it, of its schedule or of its machine."""
    made = Phase(
        stage="colearning",
        params={"of": "these tests"},
        reads=(),
        seed=0,
        networks=networks,
        objective=colearning.objective,
        validate=partial(validation.separation_and_grounding, spectrogram=SPECTROGRAM),
        groups={},
        data=lambda: (Nothing(), Nothing()),
        see=partial(see, networks.frames, FrameFeatures),
        spectrogram=SPECTROGRAM,
        schedule=Schedule(epochs=EPOCHS, batch=4, decay=0.1, milestones=[2], monitor="val/si_sdri"),
        machine=Machine(device="cpu", devices=1, nodes=1, workers=0, precision="32-true"),
        about=ABOUT,
    )
    for name in ("schedule", "machine"):
        part: Any = getattr(made, name)
        given = {field.name: options.pop(field.name) for field in fields(part) if field.name in options}
        made = replace(made, **{name: replace(part, **given)})
    return replace(made, **options)


def train(
    splits: dict[str, list[Video]],
    objective: Objective = colearning.objective,
    trained: tuple[str, ...] = ("grounding", "separation"),
    **options: Any,
) -> dict[str, Any]:
    """A whole, tiny co-learning."""
    seed_everything(0)
    networks = tiny_ccol()
    groups = {name: Group(list(networks.get_submodule(name).parameters()), 1e-2) for name in trained}
    data = partial(samples_of, splits)
    learn(tiny_phase(networks, **{"objective": objective, "groups": groups, "data": data, **options}))
    return json.loads(METRICS.read_text())  # type: ignore[no-any-return]


def samples_of(splits: dict[str, list[Video]], *_: Any) -> Samples:
    root = splits["val"][0].audio.parents[2]
    mixtures = read_mixtures(root / "index/val_sep.csv", splits["val"], root)
    drawn = TrainingMixtures(
        splits["train"],
        tiny_reader(),
        heard=SOUNDING,
        seen=OBJECTS,
        seed=0,
        stage="colearning",
        repeats=9,
        gain=(0.5, 1.5),
        augment="video",
    )
    return drawn, FixedMixtures(mixtures, tiny_reader(), heard=SOUNDING, seen=OBJECTS)


def stop_at_step(step: int) -> Objective:
    """Co-learning's objective, which is stopped at its `step`th call."""
    calls = 0

    def objective(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> Mapping[str, Tensor]:
        nonlocal calls
        calls += not heard.mixture.is_meta  # where memory is told beforehand
        if calls == step:
            raise Stopped
        return colearning.objective(networks, heard, seen)

    return objective


def left_behind() -> dict[str, bytes]:
    """All that a stage declares as its outputs."""
    folders = (Path("checkpoints/colearning"), CURVES.parent)
    return {str(path): path.read_bytes() for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def uninterrupted(
    splits: dict[str, list[Video]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], dict[str, bytes]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("uninterrupted"))
        metrics = train(splits)
        return metrics, left_behind()


# --- What it leaves behind


def test_weights_curves_and_metrics(
    splits: dict[str, list[Video]], uninterrupted: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    metrics = train(splits)
    assert (metrics, left_behind()) == uninterrupted, "the same params, code and data give the same bytes"

    assert not RESUME.exists()
    last = load_weights("checkpoints/colearning/weights.safetensors")
    best = load_weights("checkpoints/colearning/best.safetensors")
    assert {name: t.shape for name, t in last.items()} == {n: t.shape for n, t in tiny_ccol().state_dict().items()}
    assert last.keys() == best.keys()
    assert all(read_about(f"checkpoints/colearning/{name}.safetensors") == ABOUT for name in ("weights", "best"))

    assert metrics["steps"] == EPOCHS * STEPS
    assert metrics["samples"] == EPOCHS * STEPS * 4
    assert 0 <= metrics["best"]["epoch"] < EPOCHS
    values = {"si_sdri", "snri", "balanced_accuracy", "solo_balanced_accuracy"}
    losses = {"loss", "separation", "grounding", "pairs_muted", "pairs_doubled", "gates_right"}
    assert set(metrics["best"]) == {"epoch", *(f"val/{name}" for name in values)}
    assert set(metrics["last"]) == {f"val/{n}" for n in values} | {f"train/{n}" for n in losses | {"gradient_norm"}}
    json.dumps(metrics, allow_nan=False)

    for name in values:
        steps, curve = read_curve(f"val/{name}")
        assert len(steps) == EPOCHS
        assert curve[metrics["best"]["epoch"]] == pytest.approx(metrics["best"][f"val/{name}"], rel=1e-6)
        assert curve[-1] == pytest.approx(metrics["last"][f"val/{name}"], rel=1e-6)
    assert max(read_curve("val/si_sdri")[1]) == pytest.approx(metrics["best"]["val/si_sdri"], rel=1e-6)
    assert len(read_curve("train/loss")[1]) == EPOCHS

    told = json.loads(Path("metrics/made/colearning.json").read_text())
    assert told["seconds_of_steps"] > 0 and 0 < told["waiting"] < 1


def read_curve(name: str) -> tuple[list[int], list[float]]:
    header, *rows = [line.split("\t") for line in (CURVES / f"{name}.tsv").read_text().splitlines()]
    assert header == ["step", name.split("/")[1]]
    return [int(step) for step, _ in rows], [float(value) for _, value in rows]


def test_the_best_weights_are_those_that_scored_best(splits: dict[str, list[Video]]) -> None:
    """Validated again, they give the figures in the metrics."""
    metrics = train(splits, epochs=2, milestones=[])
    networks = tiny_ccol(seed=5).eval()
    networks.load_state_dict(load_weights("checkpoints/colearning/best.safetensors"))
    root = splits["val"][0].audio.parents[2]
    mixtures = read_mixtures(root / "index/val_sep.csv", splits["val"], root)
    data = FixedMixtures(mixtures, tiny_reader(), heard=SOUNDING, seen=OBJECTS)
    batch = next(iter(torch.utils.data.DataLoader(data, len(data))))
    seen = {name: networks.frames(pictures) for name, pictures in batch["pictures"].items()}
    with torch.no_grad():
        found = validation.separation(
            networks, hear_tiny(batch["waves"]), seen, batch["waves"], spectrogram=SPECTROGRAM
        )
    assert found["si_sdri"].mean().item() == pytest.approx(metrics["best"]["val/si_sdri"], abs=1e-4)


@pytest.mark.parametrize("trained", [("separation",), ("grounding", "separation")])
def test_what_is_trained_and_what_rests(splits: dict[str, list[Video]], trained: tuple[str, ...]) -> None:
    """The frozen encoders see every picture here, and their batch norm does not move."""
    train(splits, trained=trained, epochs=1, milestones=[])
    before, after = tiny_ccol().state_dict(), load_weights("checkpoints/colearning/weights.safetensors")
    moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved == set(trained)


def test_learning_rates_fall_at_the_milestones_for_each_group(splits: dict[str, list[Video]]) -> None:
    networks = tiny_ccol()
    groups = {
        "grounding": Group(list(networks.grounding.parameters()), 1e-4),
        "separation": Group([networks.separation.synthesizer.scale], 1e-2),
    }
    learner = Learner(tiny_phase(networks, groups=groups, milestones=[1, 3], decay=0.5))
    trained = {name for name, p in networks.named_parameters() if p.requires_grad}
    assert trained == {
        "separation.synthesizer.scale",
        *(f"grounding.{name}" for name, _ in networks.grounding.named_parameters()),
    }
    made = learner.configure_optimizers()
    rates = []
    for _ in range(4):
        rates.append({group["name"]: group["lr"] for group in made["optimizer"].param_groups})
        made["optimizer"].step()
        made["lr_scheduler"].step()
    assert [r["grounding"] for r in rates] == pytest.approx([1e-4, 5e-5, 5e-5, 2.5e-5])
    assert [r["separation"] for r in rates] == pytest.approx([1e-2, 5e-3, 5e-3, 2.5e-3])


def test_rates_may_fall_as_a_cosine_over_all_epochs() -> None:
    networks = tiny_ccol()
    groups = {"separation": Group([networks.separation.synthesizer.scale], 1.0)}
    learner = Learner(tiny_phase(networks, groups=groups, epochs=4, shape="cosine", milestones=[]))
    made = learner.configure_optimizers()
    rates = []
    for _ in range(5):
        rates.append(made["optimizer"].param_groups[0]["lr"])
        made["optimizer"].step()
        made["lr_scheduler"].step()
    assert rates == pytest.approx([(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(5)])


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, partial(Muon, weight_decay=0.1)], ids=["adam", "muon"])
def test_a_group_at_rate_0_rests_and_changes_nothing_by_it(
    optimizer: Callable[..., torch.optim.Optimizer], splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bytes as if its gradients were computed, the statistics of its batch norms among them."""

    def learned(rests: bool) -> tuple[dict[str, Any], dict[str, bytes]]:
        networks = tiny_ccol()
        groups = {
            "grounding": Group(list(networks.grounding.parameters()), 0.0),
            "separation": Group(list(networks.separation.parameters()), 1e-2),
        }
        seed_everything(0)
        learn(
            tiny_phase(
                networks,
                objective=colearning.objective,
                groups=groups,
                data=partial(samples_of, splits),
                epochs=1,
                milestones=[],
                optimizer=optimizer,
            )
        )
        assert all(parameter.requires_grad != rests for parameter in networks.grounding.parameters())
        told = json.loads(METRICS.read_text())
        told["last"].pop("train/gradient_norm")  # of what learns
        return told, {name: content for name, content in left_behind().items() if "gradient_norm" not in name}

    found = learned(rests=True)
    made = Learner.__init__

    def awake(self: Learner, phase: Phase) -> None:
        made(self, phase)
        for group in phase.groups.values():
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    monkeypatch.setattr(Learner, "__init__", awake)
    shutil.rmtree("checkpoints")
    assert learned(rests=False) == found


def test_a_single_group_at_rate_0_is_no_fault() -> None:
    networks = tiny_ccol()
    groups = {"grounding": Group(list(networks.grounding.parameters()), 0.0)}
    Learner(tiny_phase(networks, groups=groups))
    assert all(parameter.requires_grad for parameter in networks.grounding.parameters())


ONE_CYCLE: dict[str, Any] = {"shape": "one_cycle", "warm_up": 0.25, "milestones": [], "optimizer": Muon}


def test_rates_may_rise_and_fall_from_step_to_step(splits: dict[str, list[Video]]) -> None:
    rates: list[float] = []

    def watched(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> Mapping[str, Tensor]:
        if not heard.mixture.is_meta:
            rates.append(optimizers[0].param_groups[0]["lr"])
        return colearning.objective(networks, heard, seen)

    optimizers: list[torch.optim.Optimizer] = []

    def kept(*args: Any, **options: Any) -> torch.optim.Optimizer:
        optimizers[:] = [Muon(*args, **options)]
        return optimizers[0]

    train(splits, watched, **{**ONE_CYCLE, "optimizer": kept})
    steps = EPOCHS * STEPS
    peak = 0.25 * steps - 1
    rising = [rate for step, rate in enumerate(rates) if step <= peak]
    falling = [rate for step, rate in enumerate(rates) if step > peak]
    assert len(rates) == steps
    assert rising == sorted(rising) and falling == sorted(falling, reverse=True)
    assert rates[-1] < 1e-3 * max(rates)


def test_a_stopped_training_of_one_cycle_ends_in_the_same_bytes(splits: dict[str, list[Video]]) -> None:
    expected = train(splits, **ONE_CYCLE), left_behind()
    for folder in ("checkpoints", "metrics"):
        shutil.rmtree(folder)
    with pytest.raises(Stopped):
        train(splits, stop_at_step(STEPS + 5), **ONE_CYCLE)
    assert (train(splits, **ONE_CYCLE), left_behind()) == expected


# --- Going on


@pytest.mark.parametrize(
    ("step", "workers"),
    [
        (STEPS + 1, 0),  # before the second epoch's first step
        (2 * STEPS, 0),  # at its end, when some of it stands in the curves
        (STEPS + 5, 2),
    ],
)
def test_a_stopped_training_ends_in_the_same_bytes(
    splits: dict[str, list[Video]],
    uninterrupted: tuple[dict[str, Any], dict[str, bytes]],
    step: int,
    workers: int,
) -> None:
    with pytest.raises(Stopped):
        train(splits, stop_at_step(step), workers=workers)
    assert list(RESUME.glob("[0-9]*/last.ckpt"))
    assert not Path("checkpoints/colearning").exists(), "nothing half-trained"
    called: list[int] = []

    def counted(*args: Any) -> Mapping[str, Tensor]:
        if not args[1].mixture.is_meta:  # where memory is told beforehand
            called.append(1)
        return colearning.objective(*args)

    metrics = train(splits, counted, workers=workers)
    assert len(called) == (EPOCHS - 1) * STEPS
    assert (metrics, left_behind()) == uninterrupted
    assert not RESUME.exists()


def test_where_shared_memory_is_small_samples_come_through_pipes(
    splits: dict[str, list[Video]],
    uninterrupted: tuple[dict[str, Any], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loaders, "free_bytes", lambda folder: 1000)
    assert (train(splits, workers=1), left_behind()) == uninterrupted


@pytest.mark.parametrize("hook", ["on_train_epoch_end", "finish"])
def test_a_training_that_is_stopped_between_a_checkpoint_and_its_curves_loses_neither(
    hook: str,
    splits: dict[str, list[Video]],
    uninterrupted: tuple[dict[str, Any], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Right after the second epoch's checkpoint, or when the curves are copied too."""
    owner: type = ModelCheckpoint if hook == "on_train_epoch_end" else ResumeFolder
    original, calls = getattr(owner, hook), []

    def stop(self: Any, *args: Any) -> None:
        calls.append(1)
        if hook == "on_train_epoch_end":
            original(self, *args)
        if len(calls) == 2:
            raise Stopped
        if hook == "finish":
            original(self)

    with monkeypatch.context() as patch:
        patch.setattr(owner, hook, stop)
        with pytest.raises(Stopped):
            train(splits)
    assert (RESUME / "unfinished/last.ckpt").is_file() and (RESUME / "1/last.ckpt").is_file()
    assert (RESUME / "unfinished/curves").is_dir() == (hook == "finish")
    assert (train(splits), left_behind()) == uninterrupted


def test_a_training_that_is_told_to_end_is_not_done(
    splits: dict[str, list[Video]], uninterrupted: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    def objective(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> Mapping[str, Tensor]:
        if not heard.mixture.is_meta and list(RESUME.glob("[0-9]*/last.ckpt")):  # after the first epoch
            signal.raise_signal(signal.SIGTERM)
        return colearning.objective(networks, heard, seen)

    with pytest.raises(InputError, match=r"^colearning: ended by SIGTERM; run it again, and it goes on"):
        train(splits, objective)
    assert not METRICS.exists() and not Path("checkpoints/colearning").exists()
    assert (train(splits), left_behind()) == uninterrupted


def test_curves_that_dvc_removed_come_back(
    splits: dict[str, list[Video]], uninterrupted: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    """DVC removes a stage's outputs before it runs it again."""
    with pytest.raises(Stopped):
        train(splits, stop_at_step(2 * STEPS + 3))
    for path in sorted(CURVES.parent.rglob("*.tsv")):
        path.unlink()
    metrics = train(splits)
    assert (metrics, left_behind()) == uninterrupted


@pytest.mark.parametrize(("owner", "method"), [(Learner, "on_fit_end"), (ResumeFolder, "clear")])
def test_a_training_that_was_stopped_at_its_very_end(
    owner: type,
    method: str,
    splits: dict[str, list[Video]],
    uninterrupted: tuple[dict[str, Any], dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After the last checkpoint: before the weights are written, or after everything is."""

    def stop(*_: Any) -> None:
        raise Stopped

    RESUME.mkdir(parents=True)
    (RESUME / "fingerprint").write_text(fingerprint("colearning", {"of": "these tests"}, []))
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, stop)
        with pytest.raises(Stopped):
            train(splits)
    assert (train(splits), left_behind()) == uninterrupted


def test_a_training_that_will_not_fit_is_refused_before_it_starts(
    splits: dict[str, list[Video]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "physical_memory", lambda: 10**5)
    with pytest.raises(InputError, match=r"colearning: training needs about 0\.0. GB .* lower its batch"):
        train(splits)
    assert not RESUME.exists() and not CURVES.exists()


def test_fewer_validation_mixtures_than_processes_are_refused(splits: dict[str, list[Video]]) -> None:
    with pytest.raises(InputError, match=r"colearning: 4 validation mixtures for .* 5 processes: raise index"):
        train(splits, batch=5, devices=5)


def test_another_fingerprint_starts_anew(
    splits: dict[str, list[Video]], uninterrupted: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    with pytest.raises(Stopped):
        train(splits, stop_at_step(STEPS + 3), params={"of": "other tests"})
    called: list[int] = []

    def counted(*args: Any) -> Mapping[str, Tensor]:
        if not args[1].mixture.is_meta:  # where memory is told beforehand
            called.append(1)
        return colearning.objective(*args)

    metrics = train(splits, counted)
    assert len(called) == EPOCHS * STEPS
    assert (metrics, left_behind()) == uninterrupted


def test_what_made_the_samples_is_let_go_while_it_trains(splits: dict[str, list[Video]]) -> None:
    """CLIP, whose tokens are computed beforehand, takes no memory while the rest learns."""
    networks, teacher = tiny_ccol(), tiny_clip()
    known, alive = weakref.ref(teacher), []

    def objective(*args: Any) -> Mapping[str, Tensor]:
        alive.append(known() is not None)
        return colearning.objective(*args)

    groups = {"grounding": Group(list(networks.grounding.parameters()), 1e-2)}
    data = partial(samples_of, splits, teacher)
    phases = [tiny_phase(networks, objective=objective, groups=groups, data=data, epochs=1)]
    del teacher, data
    learn(phases.pop())
    assert alive and not any(alive)


# --- What is refused


def test_an_unknown_monitor_is_refused_with_the_choices(splits: dict[str, list[Video]]) -> None:
    with pytest.raises(InputError, match=r"val/sdr is none of val/balanced_accuracy, val/si_sdri, val/snri, val/solo"):
        train(splits, monitor="val/sdr")
    assert not Path("checkpoints/colearning").exists()


def test_a_batch_that_exceeds_an_epoch_is_refused(splits: dict[str, list[Video]]) -> None:
    with pytest.raises(InputError, match=r"a batch is 46 samples, and an epoch has 45: raise train\.repeats"):
        train(splits, batch=46)
    assert not Path("checkpoints").exists() and not Path("metrics").exists()


# --- The best


def test_keep_best_keeps_the_highest_and_the_first_of_equals(tmp_path: Path) -> None:
    best = KeepBest("val/x", tmp_path / "best.safetensors")
    kept = []
    for epoch, score in enumerate([1.0, 3.0, 3.0, 2.0]):
        metrics = {"val/x": torch.tensor(score), "train/x": torch.tensor(9.0)}
        trainer = SimpleNamespace(callback_metrics=metrics, current_epoch=epoch, is_global_zero=True)
        module = SimpleNamespace(networks=torch.nn.Linear(1, 1))
        best.on_validation_end(trainer, module)  # type: ignore[arg-type]
        kept.append(best.epoch)
    assert kept == [0, 1, 1, 1]
    again = KeepBest("val/x", tmp_path / "best.safetensors")
    again.load_state_dict(best.state_dict())
    assert (again.score, again.epoch, again.metrics) == (3.0, 1, {"val/x": 3.0})


def test_a_training_that_diverges_is_told(tmp_path: Path) -> None:
    best = KeepBest("val/x", tmp_path / "best.safetensors")
    trainer = SimpleNamespace(callback_metrics={"val/x": torch.tensor(math.nan)}, current_epoch=0, is_global_zero=True)
    with pytest.raises(InputError, match=r"^epoch 1: val/x is not a number, .* lower train\.lr"):
        best.on_validation_end(trainer, SimpleNamespace())  # type: ignore[arg-type]


# --- Numbers gone bad


def bad_at_step(step: int) -> Objective:
    """Co-learning's objective, whose loss is no number at its `step`th call."""
    calls = 0

    def objective(networks: CCoL, heard: Heard, seen: dict[str, FrameFeatures]) -> Mapping[str, Tensor]:
        nonlocal calls
        calls += not heard.mixture.is_meta
        values = colearning.objective(networks, heard, seen)
        return {**values, "loss": values["loss"] * (math.nan if calls == step else 1)}

    return objective


def test_a_loss_that_is_no_number_stops_and_the_last_whole_epoch_is_gone_on_from(
    splits: dict[str, list[Video]], uninterrupted: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    with pytest.raises(InputError, match=f"the loss is nan at step {STEPS + 3}, in epoch 2, of clips ") as refused:
        train(splits, bad_at_step(STEPS + 3))
    assert f"the last good checkpoint is {RESUME / '1/last.ckpt'}" in str(refused.value)
    assert (train(splits), left_behind()) == uninterrupted, "a bad step left nothing behind"


def test_a_bad_step_is_left_out_of_weights_curves_and_metrics(splits: dict[str, list[Video]]) -> None:
    metrics = train(splits, bad_at_step(3), on_nan="skip")
    assert metrics["bad_steps"] == {"skipped": 1, "lowered": 0} and metrics["steps"] == EPOCHS * STEPS
    assert all(math.isfinite(value) for value in metrics["last"].values())
    weights = load_weights("checkpoints/colearning/weights.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())

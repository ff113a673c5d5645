"""Two processes on one CPU, started as Lightning starts them, train as one does with the samples of both."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from avsep.errors import InputError
from avsep.models.resnet import ResNet18
from avsep.params.loading import load
from avsep.training.distributed import WholeBatch, WholeBatchNorm, started_by
from avsep.weights.checkpoints import load_weights
from avsep.weights.clip import CLIP
from stages import grounding
from tests.helpers import factories
from tests.helpers.weights import save_trained
from tests.stages.test_training import STAGES, TINY

ROOT = Path(__file__).parents[3]
STEPS = 6
BATCH = 4
TRAINED = ("grounding", "colearning", "cyclic", "baseline", "ungated", "trimodal", "finetune")
# An epoch is one step, so that the curve of the epochs' losses is that of the steps'.
CHANGES: dict[str, dict[str, Any]] = {
    "train": {"repeats": 1, "batch": BATCH},
    "vast": {"batch": BATCH},
    "visualize": {"mixtures": 1, "every": STEPS},
    "model": {"query_std": None},  # which `as published` takes, and starts from the same weights
    **{stage: {"epochs": STEPS, "milestones": []} for stage in TRAINED if stage != "baseline"},
    "baseline": {
        **{"epochs": STEPS, "milestones": [], "batch": BATCH, "repeats": 1},
        **{"masks": "binary", "lr_resnet": 1.0, "cache": False, "optimizer": "sgd"},  # as published
    },
}
PUBLISHED: dict[str, dict[str, Any]] = {
    "objective": {"as_published": True, "symmetric": False, "gates": "each", "told": "published"},
    "frames": {"cache": False},
}


def write_params(**changes: Mapping[str, Any]) -> None:
    """params.yaml of the working directory."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    for section, leaves in [*TINY.items(), *CHANGES.items(), *changes.items()]:
        values[section] |= leaves
    values["threads"] = 1
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def train(stage: str) -> None:
    """In this process, with params.yaml's params."""
    main, stage_params = STAGES[stage]
    main(load(stage_params))


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def start(stage: str, **more: str) -> subprocess.Popen[str]:
    """As dvc.yaml's command does, with params.yaml's params."""
    command = [sys.executable, "-m", f"stages.{stage}"]
    return subprocess.Popen(command, env=environment(**more), stderr=subprocess.PIPE, text=True, start_new_session=True)


def told(process: subprocess.Popen[str]) -> str:
    """What it says on standard error until it ends; all that it started is gone then."""
    try:
        _, errors = process.communicate(timeout=300)
    finally:
        end(process)
    return errors


def end(process: subprocess.Popen[str]) -> None:
    """Kills it and all that it has started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def curves(stage: str) -> dict[str, list[float]]:
    """The means of each epoch: train/loss, val/snri and so on."""
    folder = Path(f"metrics/{stage}/plots/metrics")
    return {
        f"{path.parent.name}/{path.stem}": [float(value) for value in pd.read_csv(path, sep="\t")[path.stem]]
        for path in sorted(folder.glob("*/*.tsv"))
    }


def left_behind(stage: str) -> dict[str, bytes]:
    """All that a stage declares as its outputs."""
    folders = (Path("checkpoints", stage), Path("metrics", stage, "plots"))
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): path.read_bytes() for path in [*files, Path(f"metrics/{stage}.json")]}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All stages' outputs, of one process."""
    folder = tmp_path_factory.mktemp("ddp")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        factories.write_data(Path("data"))
        torch.manual_seed(0)
        save_trained(grounding.START, ResNet18(factories.WIDTH), TINY)
        save_trained(CLIP, factories.tiny_clip().clip, TINY)
        write_params()
        for stage in ("grounding", "colearning", "cyclic", "captions", "trimodal"):
            train(stage)
        yield folder


@pytest.fixture(autouse=True)
def inside(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "changes"),
    [
        *(pytest.param(stage, {}, id=stage) for stage in TRAINED),
        pytest.param("trimodal", {"vast": {"cache": False}}, id="trimodal without cache"),
        pytest.param("finetune", {"finetune": {"lr_captions": 1.0}}, id="finetune with its captions"),
        pytest.param("colearning", PUBLISHED, id="colearning as published"),
        pytest.param("cyclic", PUBLISHED, id="cyclic as published"),
    ],
)
def test_two_processes_learn_what_one_does(stage: str, changes: dict[str, dict[str, Any]]) -> None:
    write_params(**changes)
    train(stage)
    alone = curves(stage)
    weights = load_weights(f"checkpoints/{stage}/weights.safetensors")

    write_params(**changes, train={"devices": 2})
    process = start(stage)
    errors = told(process)
    assert process.returncode == 0, errors
    assert len(set(alone["train/loss"])) == STEPS
    # the frozen encoders' norms are over four values here, and blow rounding up: one process's float32 is 1e-4 from
    # float64, and a few steps make more of it
    published = changes is PUBLISHED
    for name, values in curves(stage).items():
        tolerance = 3e-3 if published else 1e-5 if name.startswith("train/") else 1e-3
        wider = 100 if name.endswith("gradient_norm") else 1  # its square adds up the rounding of all gradients
        assert values == pytest.approx(alone[name], rel=wider * tolerance, abs=3 * wider * tolerance), name
    both = load_weights(f"checkpoints/{stage}/weights.safetensors")
    assert both.keys() == weights.keys()
    if published:
        return
    for name, tensor in weights.items():
        if not moves_by_rounding(stage, name):
            torch.testing.assert_close(both[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def moves_by_rounding(stage: str, name: str) -> bool:
    """VAST's biases of convolutions before a batch norm, and the means that this takes of them: a loss does not depend
    on them, and of the rounding that is their gradient Adam makes whole steps.  So does Muon in those directions of a
    matrix in which a batch as small as this one has no gradient: in cyclic in grounding's second layer."""
    if stage == "cyclic":
        return name == "grounding.fc2.weight"
    return stage in ("trimodal", "finetune") and name.split(".")[-1] in ("bias", "running_mean")


@pytest.mark.parametrize("affine", [True, False])
def test_alone_batch_norm_is_torchs(affine: bool) -> None:
    """Output, gradients, running statistics, and what is left after the training."""
    torch.manual_seed(0)
    x = torch.randn(6, 3, 5, 4) * 3 + 20
    networks = [nn.Sequential(nn.BatchNorm2d(3, affine=affine)) for _ in range(2)]
    for network in networks:
        for number, parameter in enumerate(network.parameters()):
            nn.init.constant_(parameter, 0.5 + number)
    shared = WholeBatch().apply(networks[1])
    assert type(shared[0]) is WholeBatchNorm  # type: ignore[index]
    inputs = [x.clone().requires_grad_() for _ in networks]
    for network, values in zip(networks, inputs, strict=True):
        (network(values) * torch.linspace(0, 1, x.numel()).view_as(x)).sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-4, atol=1e-5)
    for (name, tensor), other in zip(networks[0].state_dict().items(), networks[1].state_dict().values(), strict=True):
        torch.testing.assert_close(other, tensor, msg=name)
    for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(networks[1](x), networks[0](x), rtol=1e-4, atol=1e-5)
    WholeBatch().revert(shared)
    assert type(networks[1][0]) is nn.BatchNorm2d
    torch.testing.assert_close(networks[1].eval()(x), networks[0].eval()(x))


@pytest.mark.slow
def test_an_error_of_one_process_is_one_line() -> None:
    """Both stop, the exit code says so, and nothing half-trained is left."""
    write_params(train={"devices": 2, "repeats": 20}, cyclic={"epochs": 50})
    sound = Path("data/audio/tuba/tuba_train.wav")
    content = sound.read_bytes()
    sound.write_text("no sound")
    process = start("cyclic")
    try:
        errors = told(process)
    finally:
        sound.write_bytes(content)
    assert process.returncode not in (0, None)
    assert errors.count("error: ") == 1 and "tuba_train.wav" in errors, errors
    assert "Traceback" not in errors, errors


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_stopped() -> None:
    # two steps an epoch: DVCLive counts on where it is told step 0, which is the end of an epoch of one
    write_params(train={"devices": 2, "repeats": 2}, cyclic={"epochs": 12})
    process = start("cyclic")
    told(process)
    expected = left_behind("cyclic")
    resume = Path("checkpoints/resume/cyclic")
    process = start("cyclic")
    wait_for(resume / "1/curves/plots/metrics/val/snri.tsv", resume / "2")
    end(process)
    assert resume.is_dir(), "it was stopped before its end"
    process = start("cyclic")
    errors = told(process)
    assert process.returncode == 0 and errors.count("goes on from") == 1, errors
    assert left_behind("cyclic") == expected
    assert not resume.exists()


@pytest.mark.slow
@pytest.mark.parametrize("to", ["all", "the first"])
def test_two_processes_that_are_told_to_end_say_so_in_one_line(to: str) -> None:
    """As SLURM tells all of a job when its time is over, and `kill` the one that it is given."""
    write_params(train={"devices": 2, "repeats": 2}, cyclic={"epochs": 50})
    resume = Path("checkpoints/resume/cyclic")
    shutil.rmtree(resume, ignore_errors=True)
    process = start("cyclic")
    wait_for(resume / "1", resume / "2")
    if to == "all":
        os.killpg(process.pid, signal.SIGTERM)
    else:
        process.terminate()
    errors = told(process)
    assert process.returncode == 1, errors
    assert errors.count("error: ") == 1 and "error: cyclic: ended by SIGTERM; run it again" in errors, errors
    assert "Traceback" not in errors and "Received SIGTERM" not in errors, errors
    shutil.rmtree(resume)


@pytest.mark.slow
def test_processes_that_slurm_starts_find_each_other() -> None:
    """As srun starts them: at once, each with its number; a stale state is there, which the first alone clears."""
    write_params(train={"devices": 2})
    told(start("cyclic"))
    expected = left_behind("cyclic")
    resume = Path("checkpoints/resume/cyclic")
    resume.mkdir(parents=True)
    (resume / "fingerprint").write_text("of other params")
    (resume / "last.ckpt").write_text("no checkpoint")
    tasks = [start("cyclic", **slurm(2, number)) for number in (1, 0)]
    errors = [told(task) for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], errors
    assert left_behind("cyclic") == expected


def test_another_number_of_tasks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in slurm(4, 0).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="SLURM has 4 tasks, 4 a node, and training is to have 2 a node on 1"):
        started_by(devices=2, nodes=1)
    (own,) = started_by(devices=4, nodes=1)
    assert own.creates_processes_externally
    with monkeypatch.context() as batch:
        batch.delenv("SLURM_LAUNCH_NODE_IPADDR")
        with pytest.raises(InputError, match="nothing has started them: set AVSEP_LAUNCH=srun"):
            started_by(devices=4, nodes=1)
    for name, value in slurm(1, 0).items():
        monkeypatch.setenv(name, value)
    (own,) = started_by(devices=2, nodes=1)
    assert not own.creates_processes_externally, "one task with two devices"


def test_several_machines_that_cannot_find_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    assert started_by(devices=2, nodes=1) == []
    with pytest.raises(InputError, match=r"train\.nodes is 2, and nothing tells where .* set MASTER_ADDR, MASTER_PORT"):
        started_by(devices=2, nodes=2)
    monkeypatch.setenv("MASTER_ADDR", "first")
    assert started_by(devices=2, nodes=2) == []


def slurm(tasks: int, number: int) -> dict[str, str]:
    """What srun says to a task on one node."""
    return {
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_NTASKS": str(tasks),
        "SLURM_NTASKS_PER_NODE": str(tasks),
        "SLURM_NNODES": "1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": str(number),
        "SLURM_NODEID": "0",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
    }


def wait_for(*paths: Path) -> None:
    """For one of them."""
    end = time.monotonic() + 300
    while not any(path.exists() for path in paths):
        assert time.monotonic() < end, f"none of {', '.join(map(str, paths))}"
        time.sleep(0.01)

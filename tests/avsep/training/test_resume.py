"""When a stopped training may go on, and what a step draws."""

from pathlib import Path

import pytest
import torch
import yaml

from avsep.errors import InputError
from avsep.files.pipeline import deps_of
from avsep.training import resume
from avsep.training.resume import ResumeFolder, fingerprint
from avsep.training.seeds import seed_everything, seed_step

FILES = (
    *("stages/a.py", "stages/b.py", "avsep/errors.py", "avsep/training/c.py", "avsep/report/d.py", "models/e.py"),
    *("models/f.py", "data/index/train.csv", "checkpoints/before.safetensors", "checkpoints/other", "README.md"),
)
DEPS = ["stages/a.py", "avsep/training", "models/e.py", "checkpoints/before.safetensors", "data/index"]
COVERED = (
    "stages/a.py",
    "avsep/training/c.py",
    "models/e.py",
    "data/index/train.csv",
    "checkpoints/before.safetensors",
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in FILES:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(path)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"a": {"cmd": "...", "deps": DEPS}, "b": {"cmd": "..."}}}))


def stamp(stage: str = "a", lr: float = 1e-4) -> str:
    return fingerprint(stage, {"train": {"lr": lr, "gain": (0.5, 1.5)}}, [Path("data/index")])


def test_params_count() -> None:
    assert stamp() == stamp()
    assert stamp(lr=1e-5) != stamp()


@pytest.mark.parametrize("path", COVERED)
def test_code_and_data_that_the_stage_depends_on_count(path: str) -> None:
    before = stamp()
    Path(path).write_text("changed")
    assert stamp() != before


@pytest.mark.parametrize("path", [path for path in FILES if path not in COVERED])
def test_other_files_do_not_count(path: str) -> None:
    """The report's code among them."""
    before = stamp()
    Path(path).write_text("changed")
    assert stamp() == before


@pytest.mark.parametrize("path", ["avsep/training/new.py", "avsep/training/new/a.py", "data/index/test.csv"])
def test_a_new_file_in_a_folder_that_the_stage_depends_on_counts(path: str) -> None:
    before = stamp()
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text("new")
    assert stamp() != before
    Path(path).unlink()
    assert stamp() == before


def test_what_python_compiles_does_not_count() -> None:
    before = stamp()
    Path("avsep/training/__pycache__").mkdir()
    Path("avsep/training/__pycache__/c.cpython-311.pyc").write_bytes(b"compiled")
    assert stamp() == before


@pytest.mark.parametrize("stage", ["b", "unknown", "without dvc.yaml"])
def test_all_code_counts_where_nothing_tells_what_a_stage_depends_on(stage: str) -> None:
    if stage == "without dvc.yaml":
        Path("dvc.yaml").unlink()
    stamps = {stamp(stage)}
    for path in ("stages/b.py", "avsep/report/d.py", "models/f.py", "data/index/train.csv"):
        Path(path).write_text("changed")
        assert stamp(stage) not in stamps
        stamps.add(stamp(stage))


@pytest.mark.parametrize("text", ["stages: [", "", "stages: {a: [1]}", "\N{LATIN SMALL LETTER E WITH ACUTE}"])
def test_a_pipeline_that_cannot_be_read_is_told_in_one_line(text: str) -> None:
    Path("dvc.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=r"^dvc\.yaml cannot be read \(.*\): check it out again$") as refused:
        stamp()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("stage", ["grounding", "colearning", "cyclic", "baseline", "ungated", "trimodal", "finetune"])
def test_each_training_stage_depends_on_the_code_that_trains_and_on_no_report(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[3])
    deps = deps_of(stage)
    assert {Path("avsep/training"), Path(f"stages/{stage}.py"), Path("data/index")} <= set(deps)
    assert not [dep for dep in deps if dep in (Path("avsep"), Path("stages")) or Path("avsep/report") in dep.parents]
    assert Path("avsep/report") not in deps


def test_a_training_goes_on_with_the_same_fingerprint_alone() -> None:
    folder = ResumeFolder("colearning", "one")
    assert folder.checkpoint is None
    finish(folder, b"state")
    assert ResumeFolder("colearning", "one").checkpoint == folder.path / "1/last.ckpt"
    assert ResumeFolder("cyclic", "one").checkpoint is None
    assert ResumeFolder("colearning", "other").checkpoint is None
    assert ResumeFolder("colearning", "one").checkpoint is None, "it was cleared, not set aside"


def finish(folder: ResumeFolder, state: bytes) -> None:
    folder.unfinished.mkdir()
    (folder.unfinished / "last.ckpt").write_bytes(state)
    folder.finish()


def test_a_state_takes_the_place_of_the_one_before_when_it_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ResumeFolder("colearning", "one")
    for number in range(11):  # more digits do not come first
        finish(folder, b"%d" % number)
    assert sorted(path.name for path in folder.path.iterdir()) == ["11", "fingerprint"]
    with monkeypatch.context() as patch:
        patch.setattr(resume.shutil, "rmtree", lambda *_, **__: None)  # stopped before it removes the older one
        finish(folder, b"twelfth")
    folder.unfinished.mkdir()
    (folder.unfinished / "last.ckpt").write_bytes(b"half")
    checkpoint = ResumeFolder("colearning", "one").checkpoint
    assert checkpoint and checkpoint.read_bytes() == b"twelfth"
    assert not folder.unfinished.exists()
    finish(folder, b"thirteenth")
    assert sorted(path.name for path in folder.path.iterdir()) == ["13", "fingerprint"]


def test_of_several_processes_the_first_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "PATIENCE", 0.2)
    ResumeFolder("colearning", "old").best.write_bytes(b"weights")
    with pytest.raises(InputError, match="the first process has not made it"):
        ResumeFolder("colearning", "new", first=False)
    assert ResumeFolder("colearning", "old", first=False).best.is_file(), "what is there is the first one's to clear"
    first = ResumeFolder("colearning", "new")
    first.failed.touch()
    assert not ResumeFolder("colearning", "new", first=False).best.exists()
    ResumeFolder("colearning", "new", first=False)
    assert first.failed.exists()
    assert not ResumeFolder("colearning", "new").failed.exists(), "a new run has not failed yet"


def test_a_finished_training_leaves_nothing() -> None:
    folder = ResumeFolder("colearning", "one")
    folder.best.write_bytes(b"weights")
    folder.clear()
    assert not folder.path.exists()


def test_what_a_step_draws_is_a_function_of_seed_and_step() -> None:
    def draw(seed: int, step: int) -> float:
        seed_step(seed, step)
        return float(torch.rand(()))

    first = draw(0, 7)
    torch.rand(5)
    assert draw(0, 7) == first
    assert len({draw(seed, step) for seed in range(5) for step in range(5)}) == 25


def test_networks_start_equal_with_equal_seeds() -> None:
    def start(seed: int) -> torch.Tensor:
        seed_everything(seed)
        return torch.nn.Linear(3, 3).weight

    assert torch.equal(start(1), start(1))
    assert not torch.equal(start(1), start(2))
    assert torch.are_deterministic_algorithms_enabled()

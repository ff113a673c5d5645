"""The real pipeline on the smoke profile, as a user runs it: `dvc exp run`, `dvc repro`, `dvc metrics diff`."""

import hashlib
import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.helpers.checkout import ROOT, call, fresh_checkout
from tests.helpers.outcomes import SYSTEMS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh checkout in which `dvc exp run -S profile=smoke` has run once."""
    folder = fresh_checkout(tmp_path_factory.mktemp("smoke"))
    said = call(folder, "dvc", "exp", "run", "-S", "profile=smoke", "--name", "smoke")
    (folder / "said.txt").write_text(said, encoding="utf-8")
    return folder


def test_every_stage_left_its_metrics_and_the_page(project: Path) -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for stage in stages.keys() - {"survey"}:  # the demo's videos need none
        json.loads((project / "metrics" / f"{stage}.json").read_text())
    evaluated = json.loads((project / "metrics" / "evaluate.json").read_text())
    for system in SYSTEMS:
        assert set(evaluated[system]) == {"nsdr", "si_sdri"}
    assert evaluated["mixture"] == {"nsdr": 0, "si_sdri": 0}
    assert evaluated["oracle"]["nsdr"] > 5
    assert set(evaluated["grounding"]) == {"balanced_accuracy", "roc_auc"}
    assert set(evaluated["silent"]) == {"leakage_db", "false_mute_rate"}
    places = pd.read_csv(project / "metrics/evaluate/localisation.csv")
    assert {"cyclic", "trimodal_visual", "whole_image", "centre_box", "random_box"} <= set(places["method"])
    assert set(pd.read_csv(project / "metrics/evaluate/sources.csv")["sources"]) == {2, 3, 4}
    assert evaluated["pairs"]["evaluated"] + evaluated["pairs"]["skipped"] == 4
    scenes = json.loads((project / "metrics" / "evaluate_scenes.json").read_text())
    found = pd.read_csv(project / "metrics/scenes_found.csv")
    assert scenes["scenes"] == 6 and len(found) == 7, "a row for each kind, and one for all"
    assert scenes["oracle"]["snri"] > 5 and scenes["mixture"]["snri"] == 0
    assert (project / "metrics" / "report" / "index.html").stat().st_size > 100_000


def test_a_whole_run_tells_of_itself_alone(project: Path) -> None:
    """Nothing of libraries, no warning, and each stage's key figure."""
    said = (project / "said.txt").read_text(encoding="utf-8")
    for foreign in ("available", "Tip", "deprecated", "v_num", "Warning", "Trainer", "dataloader", "synonyms"):
        assert foreign not in said, foreign
    times = json.loads((project / "metrics/times.json").read_text(encoding="utf-8"))["seconds"]
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    assert set(times) == stages.keys() - {"survey"} and all(seconds >= 0 for seconds in times.values())
    ends = [line for line in said.splitlines() if re.fullmatch(r"\w+: .+; (\d+ (h|min|s) ?)+", line)]
    assert [line.split(":")[0] for line in ends] == list(dict.fromkeys(re.findall(r"Running stage '(\w+)'", said)))
    assert "the page is metrics/report/index.html" in ends[-1]


def test_dvcs_views_fit_a_terminal(project: Path) -> None:
    diff = call(project, "dvc", "metrics", "diff", "HEAD").splitlines()
    assert len(diff) < 30 and max(map(len, diff)) <= 120
    shown = call(project, "dvc", "exp", "show", "--only-changed", "--csv").splitlines()[0].split(",")
    assert shown.index("cyclic.nsdr_db") < 12


def test_the_means_follow_from_the_pairs(project: Path) -> None:
    pairs = pd.read_csv(project / "metrics" / "pairs.csv")
    evaluated = json.loads((project / "metrics" / "evaluate.json").read_text())
    for system in ("baseline", "cyclic", "trimodal_text", "finetune_visual"):
        rows = pairs[(pairs["system"] == system) & (pairs["role"] == "sounding")]
        assert rows["nsdr"].mean() == pytest.approx(evaluated[system]["nsdr"], abs=1e-6)


def test_the_same_bytes_twice(project: Path) -> None:
    first = digest(project / "dvc.lock")
    assert "Data and pipelines are up to date" in call(project, "dvc", "repro")
    call(project, "dvc", "repro", "--force")
    assert digest(project / "dvc.lock") == first


def test_only_what_depends_on_a_param_runs_again(project: Path) -> None:
    said = call(project, "dvc", "exp", "run", "-S", "profile=smoke", "-S", "evaluate.gate=0.4", "--name", "gate")
    assert "Running stage 'evaluate'" in said
    assert "Running stage 'cyclic'" not in said and "Running stage 'trimodal'" not in said
    call(project, "dvc", "metrics", "diff", "smoke", "gate")


def test_an_unknown_param_is_refused(project: Path) -> None:
    with pytest.raises(AssertionError, match="learning_rate"):
        call(project, "dvc", "exp", "run", "-S", "train.learning_rate=1")

"""Stage evaluate with tiny random networks: any choice of systems is scored as all are, and the report tells it."""

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from avsep.clips.leaks import LEAKS, Leak, write_leaks
from avsep.models.vast import VAST
from avsep.params.loading import check
from avsep.params.sections import Params
from avsep.params.stages import EvaluateParams, ReportParams
from avsep.published import import_ccol, import_vast
from avsep.report.measured import read_measured
from avsep.systems import catalogue
from avsep.weights.about import PUBLISHED
from avsep.weights.checkpoints import load_weights
from avsep.weights.clip import CLIP
from stages import evaluate, report
from tests.helpers import factories
from tests.helpers.evaluation import tiny_values, write_project
from tests.helpers.factories import tiny_ccol
from tests.helpers.outcomes import GATE_CONTROLS, GROUNDED, REFERENCES, WRONG
from tests.helpers.published_files import ccol_files, vast_files, write_published
from tests.helpers.weights import save_trained

WITH_WEIGHTS = ("baseline", "ungated", "colearning", "cyclic", "trimodal", "finetune")
ASKED = ("trimodal", "finetune")  # by a picture or a phrase


def part(checked: Params, stage_params: Any) -> Any:
    return stage_params(**{field.name: getattr(checked, field.name) for field in dataclasses.fields(stage_params)})


def run(*systems: str) -> None:
    """Stage evaluate, then stage report, with params that were checked as a user's are."""
    checked = check(tiny_values(*systems))
    evaluate.main(part(checked, EvaluateParams))
    report.main(part(checked, ReportParams))


def checkpoint(system: str) -> Path:
    return Path(f"checkpoints/{system}/best.safetensors")


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data, random networks, and what evaluate made of all of them."""
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("LOKY_MAX_CPU_COUNT", "1")
        write_project()
        run(*WITH_WEIGHTS)
    return folder


@pytest.fixture
def project(scored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy without what was scored; the working directory."""
    shutil.copytree(scored, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "1")
    for made in ("evaluate", "examples", "report"):
        shutil.rmtree(f"metrics/{made}")
    for path in Path("metrics").glob("*.csv"):
        if not path.name.startswith("scenes"):
            path.unlink()
    return tmp_path


def rows_of(systems: Sequence[str]) -> set[str]:
    """The names that they have in pairs.csv, with their controls."""
    names = {*REFERENCES, *systems} - set(ASKED)
    names |= {f"{system}_{way}" for system in ASKED if system in systems for way in ("visual", "text")}
    names |= {control for control, system in WRONG.items() if system in names}
    if "trimodal" in systems:
        names.add("trimodal_synonym")
    return names | (set(GATE_CONTROLS) if "cyclic" in systems else set())


def same_rows(scored: Path, table: str, systems: set[str]) -> None:
    before, after = (pd.read_csv(folder / f"metrics/{table}.csv") for folder in (scored, Path()))
    before = before[before["system"].isin(systems)].reset_index(drop=True)
    pd.testing.assert_frame_equal(after[after["system"].isin(systems)].reset_index(drop=True), before)


@pytest.mark.parametrize(
    "systems",
    [
        ["cyclic"],
        ["colearning", "trimodal"],
        pytest.param(["baseline"], marks=pytest.mark.slow),
        pytest.param(["finetune"], marks=pytest.mark.slow),
    ],
    ids="+".join,
)
def test_any_choice_of_systems_is_scored_as_all_are(systems: list[str], scored: Path, project: Path) -> None:
    for system in WITH_WEIGHTS:
        if system not in systems:
            checkpoint(system).unlink()
    if not set(systems) & set(ASKED):
        CLIP.unlink()
    run(*systems)
    there = rows_of(systems)
    pairs = pd.read_csv("metrics/pairs.csv")
    assert set(pairs["system"]) == there
    same_rows(scored, "pairs", there)
    same_rows(scored, "sources", there)
    told = json.loads(Path("metrics/evaluate.json").read_text())
    everything = json.loads((scored / "metrics/evaluate.json").read_text())
    for name in told:
        if name not in ("gates", "phrases"):
            assert told[name] == everything[name], name
    assert told["gates"] == {system: everything["gates"][system] for system in GROUNDED if system in systems}
    assert told["phrases"] == (everything["phrases"] if "trimodal" in systems else {})
    page = Path("metrics/report/index.html").read_text(encoding="utf-8")
    assert ("Separation by CCoL" in page) == ("cyclic" in systems)
    assert ("Separation by VAST" in page) == ("trimodal" in systems)
    assert ('id="phrases"' in page) == ("trimodal" in systems)
    assert ('id="grounding"' in page) == bool(set(systems) & set(GROUNDED))
    assert set(read_measured(Path("metrics")).systems) == there - set(GATE_CONTROLS)
    assert page.count('<audio preload="none"') > 4


@pytest.mark.usefixtures("project")
def test_leaks_of_the_lists_stand_beside_the_figures(caplog: pytest.LogCaptureFixture) -> None:
    write_leaks(LEAKS, [Leak("test", "cello/cello_test", "train", "cello/cello_test")])
    run("cyclic")
    told = json.loads(Path("metrics/evaluate.json").read_text())
    assert told["leaks"] == {"train_val": 0, "train_test": 1, "val_test": 0}
    said = "1 video is in both train and test: cello/cello_test"
    assert [message.startswith(f"LEAK: {said}") for message in caplog.messages].count(True) == 2  # by either stage
    assert said in Path("metrics/report/index.html").read_text(encoding="utf-8")


def test_published_weights_of_ccol_are_scored_as_what_they_were(scored: Path, project: Path) -> None:
    """From files in the authors' format, whose two frame encoders have a trunk each."""
    levels = factories.UNET["unet_levels"]
    write_published(project, ccol_files(load_weights(checkpoint("cyclic")), levels))
    imported = tiny_ccol(shared_trunk=False)
    imported.load_state_dict(import_ccol(project, imported))
    save_trained(checkpoint("cyclic"), imported, tiny_values("cyclic"), stage=PUBLISHED)
    run("cyclic")
    same_rows(scored, "pairs", rows_of(["cyclic"]))
    same_rows(scored, "sources", rows_of(["cyclic"]))


def test_published_weights_of_vast_are_scored_without_their_captions(scored: Path, project: Path) -> None:
    """The masks are those of the network; only confidence, which captions stand for, is poorer."""
    clip = load_weights(CLIP)
    write_published(project, vast_files(load_weights(checkpoint("trimodal")), clip))
    imported = VAST(0, **factories.VAST)
    imported.load_state_dict(import_vast(project, imported, clip))
    save_trained(checkpoint("trimodal"), imported, tiny_values("trimodal"), stage=PUBLISHED)
    run("trimodal")
    same_rows(scored, "pairs", rows_of(["trimodal"]))
    told = json.loads(Path("metrics/evaluate.json").read_text())
    assert 0 <= told["phrases"]["roc_auc"] <= 1


@pytest.mark.parametrize(
    ("synonyms", "warned"),
    [
        ({"cello": "a", "flute": "b"}, False),
        ({"cello": "a", "flute": "b", "tuba": "c"}, False),  # of params that serve other videos too
        ({"cello": "a"}, False),  # one may want no more
        ({"cello": "a", "flutes": "b"}, True),
    ],
)
def test_a_synonym_of_no_class_is_warned_of_where_a_class_has_none(
    synonyms: dict[str, str], warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    videos: Any = [SimpleNamespace(category=name) for name in ("cello", "flute", "cello")]
    sure: Any = {entry.name: None for entry in catalogue.SYSTEMS if entry.confident}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate, "confident", lambda systems: systems)
        phrases = evaluate.phrases_of(sure, videos, "a {}", synonyms, [])
    assert phrases.classes == ["cello", "flute"] and "flutes" not in phrases.synonyms
    said = ["evaluate.synonyms names flutes, of which validation and test have no video, and not flute"]
    assert caplog.messages == (said if warned else [])

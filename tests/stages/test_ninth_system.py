"""What a system of one's own takes: a file beside the others, its line in the catalogue, its name in the params.

In a checkout with a system more, evaluation and report run as they are, and tell of it like of any other.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from avsep.models.detector import build_detector
from avsep.scenes.rendering import render_scene
from tests.helpers import factories
from tests.helpers.checkout import call, fresh_checkout
from tests.helpers.evaluation import tiny_values, write_project
from tests.helpers.weights import save_tiny_detector

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FILE = '''"""Toy: the redder an object is, the more of the mixture it is given."""

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from avsep.systems.catalogue import Entry
from avsep.systems.system import Answer, HeardMixtures, Probability, Setup, Sight, System


class Toy:
    def __init__(self, name: str, sight: Sight) -> None:
        self.name, self.sight = name, sight

    def prepare(self, pictures: Tensor, phrase: str) -> Tensor:
        return (pictures[:, 0] - pictures[:, 2]).mean((1, 2)).sigmoid()  # (N,)

    def ground(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Probability:
        return lambda sound, name: asked[name].mean(1)

    def answer(self, heard: HeardMixtures, asked: Mapping[str, Tensor]) -> Answer:
        masks = {name: red.mean(1)[:, None, None, None].expand_as(heard.mixture) for name, red in asked.items()}
        return Answer(masks=masks, probability=self.ground(heard, asked))


def load(entries: Sequence[Entry], setup: Setup) -> Iterator[System]:
    for entry in entries:
        sight = Sight(entry.name, setup.fps, setup.frames, setup.stride, setup.size, setup.square, whole=False)
        yield Toy(entry.name, sight)
'''
TITLE = "Toy, which is red"
LINE = f'    Entry("toy", "{TITLE}", ("#7a1022", "#ff9aa8"), module="toy", stage="toy", method="Toy", grounds=True),\n'
END = ")\nCONTROLS = (\n"  # of the catalogue's systems
CLASSES = ["cello", "flute", "trumpet", "tuba"]
DETECTOR = {"backbone": "resnet18", "channels": 16, "min_size": 48, "max_size": 64}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with the system, in which the three stages have run on tiny data."""
    folder = fresh_checkout(tmp_path_factory.mktemp("ninth"))
    (folder / "avsep/systems/toy.py").write_text(FILE, encoding="utf-8")
    catalogue = folder / "avsep/systems/catalogue.py"
    before, after = catalogue.read_text(encoding="utf-8").split(END)
    catalogue.write_text(f"{before}{LINE}{END}{after}", encoding="utf-8")
    values = tiny_values("cyclic", "toy", detector=DETECTOR, detect={"threshold": 0.05})
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    for path in (folder / "metrics").rglob("*.json"):
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_project()
        write_scene(Path("data/scenes").absolute())
    for stage in ("evaluate", "evaluate_scenes", "report"):
        call(folder, "env", "OMP_NUM_THREADS=1", "python", "-m", f"stages.{stage}")
    return folder


def write_scene(folder: Path) -> None:
    """A scene, and a detector with random weights."""
    torch.manual_seed(0)
    detector = build_detector(
        "resnet18", width=factories.WIDTH, channels=16, classes=len(CLASSES), min_size=48, max_size=64
    )
    save_tiny_detector(detector, CLASSES)
    folder.mkdir(parents=True)
    render_scene(
        folder, "plain", 0, seed=0, classes=CLASSES, players=(3, 3), seconds=2.0, fps=4, width=96, height=72,
        timbre=0.0, apart_db=10.0, noise_db=-10.0,
    )  # fmt: skip


def test_it_is_scored_on_pairs_on_sources_and_in_scenes(project: Path) -> None:
    metrics = project / "metrics"
    pairs = pd.read_csv(metrics / "pairs.csv")
    own = pairs[pairs["system"] == "toy"]
    assert len(own) == len(pairs[pairs["system"] == "cyclic"]) and set(own["role"]) == {"sounding", "silent"}
    assert own["probability"].between(0, 1).all() and own["solo_probability"].notna().all()
    assert own["muted"].notna().all()
    sources = pd.read_csv(metrics / "sources.csv")
    assert set(sources.loc[sources["system"] == "toy", "sources"]) == {2, 3}
    scenes = pd.read_csv(metrics / "scenes.csv")
    assert list(dict.fromkeys(scenes["system"])) == ["mixture", "oracle", "cyclic", "cyclic_true_boxes", "toy"]


def test_metrics_and_tables_tell_of_it(project: Path) -> None:
    told = json.loads((project / "metrics/evaluate.json").read_text())
    assert set(told["toy"]) == {"nsdr", "si_sdri"} and 0 <= told["gates"]["toy"] <= 1
    assert {"grounding", "grounding_toy", "silent", "silent_toy"} <= set(told)
    assert set(pd.read_csv(project / "metrics/evaluate/grounding.csv")["system"]) >= {"cyclic", "toy"}
    assert (project / "metrics/evaluate/gates/toy.csv").is_file()
    assert "toy" in json.loads((project / "metrics/evaluate_scenes.json").read_text())


def test_the_page_shows_it_by_its_title(project: Path) -> None:
    page = (project / "metrics/report/index.html").read_text(encoding="utf-8")
    assert page.count(TITLE) > 3
    assert "#7a1022" in page and "#ff9aa8" in page, "in its colours"
    assert TITLE in page[page.index("<audio") :], "it is to be heard"


def test_what_dvc_watches_covers_its_file(project: Path) -> None:
    """No more lines are needed: deps name the folder, and the walk of imports knows each file of it."""
    walk = "deps_cover or one_way or hides or imports_stages or walk_sees"
    options = ["-q", "-o", "addopts=--import-mode=importlib", "-k", walk]
    assert " passed" in call(project, "python", "-m", "pytest", *options, "tests/test_pipeline.py")
    toy = project / "avsep/systems/toy.py"
    toy.write_text(toy.read_text(encoding="utf-8") + "\nimport avsep.report.tables  # noqa: E402, F401\n")
    try:
        with pytest.raises(AssertionError, match=r"toy\.py imports avsep/report/tables\.py"):
            call(project, "python", "-m", "pytest", *options, "tests/test_pipeline.py")
    finally:
        toy.write_text(FILE, encoding="utf-8")

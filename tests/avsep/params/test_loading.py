"""Params are refused before any work starts, in one line that names the param."""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from avsep.errors import InputError
from avsep.params import contradictions
from avsep.params.loading import CONTRADICTIONS, check, load, load_part, read
from avsep.params.sections import Extract, Videos
from avsep.params.stages import EvaluateScenesParams, ExtractParams
from tests.helpers.params import DEMO, ROOT, changed


def test_every_problem_is_told_at_once() -> None:
    with pytest.raises(InputError, match=r"train\.batch.*train\.workers"):
        check(changed(train__batch=0, train__workers=-1))
    with pytest.raises(InputError, match=r"spectrogram\.hop.*evaluate\.sources"):
        check(changed(spectrogram__hop=512, evaluate__sources=[2, 2]))


def test_what_an_older_version_did_without_is_null_where_it_may_be() -> None:
    values = {field.name: copy.deepcopy(DEMO[field.name]) for field in dataclasses.fields(EvaluateScenesParams)}
    del values["evaluate"]["mutes_level"]
    assert load_part(EvaluateScenesParams, values, "a package").evaluate.mutes_level is None
    del values["evaluate"]["systems"]
    with pytest.raises(InputError, match=r"^a package: evaluate\.systems is missing$"):
        load_part(EvaluateScenesParams, values, "a package")


def test_every_file_of_contradictions_is_listed_and_lists_all_its_checks() -> None:
    listed = []
    for module in pkgutil.iter_modules(contradictions.__path__):
        subject = importlib.import_module(f"{contradictions.__name__}.{module.name}")
        checks = {
            name
            for name, function in inspect.getmembers(subject, inspect.isfunction)
            if list(inspect.signature(function).parameters) == ["p"]
        }
        assert {check.__name__ for check in subject.CHECKS} == checks - {"tokens"}  # which `load` calls
        listed += subject.CHECKS
    assert len(CONTRADICTIONS) == len(listed) and set(CONTRADICTIONS) == set(listed)


@pytest.mark.parametrize("text", ["", "- 1\n", "seed: [\n"])
def test_a_file_that_holds_no_params_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"params\.yaml") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_the_file_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        read(tmp_path / "params.yaml")


def test_a_stage_is_given_the_sections_that_it_reads() -> None:
    given = load(ExtractParams, ROOT / "params.yaml")
    sections = Videos(**DEMO["videos"]), Extract(**DEMO["extract"])
    assert given == ExtractParams(videos=sections[0], extract=sections[1])


@pytest.mark.parametrize(
    ("name", "values"),
    {
        "train.batch": changed(train__batch=0),
        "train.lr": changed(train__lr="1e-05"),
        "cyclic.epoch": changed(cyclic__epoch=3),
        "audio.samples": changed(audio__samples=11025 * 60),
    }.items(),
)
def test_a_stage_ends_with_one_line_before_it_writes(name: str, values: dict[str, Any], tmp_path: Path) -> None:
    """`python -m stages.videos` as DVC runs it; the mistake need not be in the stage's own section."""
    for package in ("avsep", "stages"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    before = sorted(tmp_path.rglob("*"))

    ended = subprocess.run(
        [sys.executable, "-B", "-m", "stages.videos"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 1
    assert ended.stdout == ""
    first, last = ended.stderr.splitlines()
    assert first == "videos: loading libraries" and last.startswith("error: ") and name in last
    made = [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert made == ["metrics", "metrics/made", "metrics/made/videos.log"], "its log alone"

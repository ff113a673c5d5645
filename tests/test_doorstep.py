"""What stands around the code says what the code says: versions, hooks, the hosted workflow, forms, docs/params.md."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def read_yaml(path: str) -> Any:
    return yaml.safe_load(read(path))


VERSION = tomllib.loads(read("pyproject.toml"))["project"]["version"]


def test_the_changelog_begins_with_the_version_that_is_set() -> None:
    first = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)[0]
    assert first in (VERSION, "Unreleased")


def test_the_citation_is_of_this_version_and_names_the_papers() -> None:
    citation = read_yaml("CITATION.cff")
    assert citation["version"] == VERSION and citation["license"] == "MIT" and citation["authors"]
    cited = [one["title"] for one in citation["references"]]
    assert set(cited) == set(re.findall(r"  title +=+ \{(.*?)\}", read("docs/published.md")))
    assert len(cited) == 3 and all(one["authors"] and one["year"] for one in citation["references"])


def test_hooks_are_the_projects_own_tools() -> None:
    """The same that `make lint` runs, of the same environment; none is downloaded."""
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local" and {hook["language"] for hook in repository["hooks"]} == {"system"}
    hooked = [hook["entry"].removeprefix(".venv/bin/").split(" --force")[0] for hook in repository["hooks"]]
    lint = read("Makefile").split("\nlint: install\n")[1].split("\n\n")[0]
    assert hooked == re.findall(r"\$\(in-env\) (.*)", lint)


def test_the_hosted_workflow_calls_ci_within_a_time_limit() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    (job,) = workflow["jobs"].values()
    assert job["runs-on"].startswith("ubuntu") and 0 < job["timeout-minutes"] <= 360
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    mode = subprocess.run(["git", "ls-files", "-s", ".ci/run"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert mode.stdout.startswith("100755")


@pytest.mark.parametrize("form", ["bug", "question"])
def test_issue_forms_have_what_a_form_needs(form: str) -> None:
    told = read_yaml(f".github/ISSUE_TEMPLATE/{form}.yml")
    asked = [part for part in told["body"] if part["type"] != "markdown"]
    assert told["name"] and told["description"] and asked
    assert len({part["id"] for part in asked}) == len(asked) and all(part["attributes"]["label"] for part in asked)


def test_the_bug_form_asks_for_info() -> None:
    (info,) = [part for part in read_yaml(".github/ISSUE_TEMPLATE/bug.yml")["body"] if part.get("id") == "info"]
    assert "`avsep info`" in info["attributes"]["label"] and info["validations"]["required"]


# --- What is installed


def test_nothing_but_avsep_is_installed_at_the_top(tmp_path: Path) -> None:
    """The networks, in a folder of their own, are avsep.models in a wheel; templates go along."""
    checkout, wheels = tmp_path / "checkout", tmp_path / "wheels"
    checkout.mkdir()
    wheels.mkdir()
    for folder in ("avsep", "models", "stages", "tests/helpers"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, checkout / folder, symlinks=True, ignore=without)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, checkout / name)

    build = f"from setuptools import build_meta; print(build_meta.build_wheel({str(wheels)!r}))"
    done = subprocess.run([sys.executable, "-c", build], cwd=checkout, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(wheels / done.stdout.split()[-1]) as wheel:
        names = set(wheel.namelist())
        assert {name.split("/")[0] for name in names} == {"avsep", f"avsep-{VERSION}.dist-info"}
        networks = {path.name: path.read_bytes() for path in (ROOT / "models").glob("*.py")}
        assert {name: wheel.read(f"avsep/models/{name}") for name in networks} == networks
    for path in (path.relative_to(ROOT) for path in (ROOT / "avsep").rglob("*.*") if path.parent.name != "__pycache__"):
        assert path.as_posix() in names


# --- docs/params.md


def params_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("params_page", ROOT / "docs/params.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_params_is_in_step() -> None:
    assert read("docs/params.md") == params_script().page(), "python docs/params.py"


def test_the_page_has_every_param_once_with_a_meaning() -> None:
    named, section = [], ""
    for line in read("docs/params.md").splitlines():
        if line.startswith("## "):
            section = "" if line == "## Of all stages" else f"{line[3:]}."
        elif row := re.match(r"\| `(\w+)` \| `.+?` \| .*\| (.+) \|$", line):
            named.append(f"{section}{row[1]}")
            assert row[2].strip(), f"no meaning: {named[-1]}"
    leaves = {
        f"{name}.{leaf}" if isinstance(inside, dict) else name
        for name, inside in read_yaml("params.yaml").items()
        for leaf in (inside if isinstance(inside, dict) else [""])
    }
    assert len(named) == len(set(named)) and set(named) == leaves


def test_a_comment_is_read_above_and_beside_a_value_of_any_form() -> None:
    text = """
# All of this
a:       # the first
  # above,
  # and on
  b: 1.0e-3  # beside
  url: x#y  # is no comment
  many: [
    1, 2
  ]
c: 2
"""
    script = params_script()
    assert [(one.name, one.meaning) for one in script.explained(text)] == [
        ("a", "the first"),
        ("a.b", "above, and on; beside"),
        ("a.url", "is no comment"),
        ("a.many", ""),
        ("c", ""),
    ]
    assert script.written(text) == {"a.b": "1.0e-3", "a.url": "x#y", "a.many": "[1, 2]", "c": "2"}

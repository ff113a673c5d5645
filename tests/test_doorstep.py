"""What stands around the code says what the code says: versions, hooks, the hosted workflow, forms, docs/params.md; and
what `make` asks for before it installs anything."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import distributions
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

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


def test_what_is_pinned_takes_the_oldest_python_that_is_promised() -> None:
    """As of Debian 12, whose Python is 3.11.2."""
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE)
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    oldest = promised.removeprefix(">=")
    found = [dist for dist in distributions() if dist.name in pinned]
    needed = {dist.name: ",".join(dist.metadata.get_all("Requires-Python") or []) for dist in found}
    assert len(needed) > 100
    assert not {name: needs for name, needs in needed.items() if not SpecifierSet(needs).contains(f"{oldest}.2")}


# --- make


def make(folder: Path, *words: str, **environment: str) -> tuple[int, str]:
    """What `make` ends with and says in a folder that has the Makefile, for somebody whom git does not know."""
    shutil.copyfile(ROOT / "Makefile", folder / "Makefile")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE", "MFLAGS"))}
    own = {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    done = subprocess.run(
        ["make", *words],
        cwd=folder,
        env={**kept, **own, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("target", ["repro", "install", "test"])
def test_make_asks_for_a_repository_with_a_commit_before_it_installs(target: str, tmp_path: Path) -> None:
    code, said = make(tmp_path, target)
    assert code == 2 and "error: DVC needs a git repository" in said and "git init && git add -A && git commit" in said
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    code, said = make(tmp_path, target)
    assert code == 2 and "error: this git repository has no commit, and DVC needs one: git add -A && git commit" in said
    assert not (tmp_path / ".venv").exists()


def test_make_tells_whom_git_does_not_know(tmp_path: Path) -> None:
    known = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], [*known, "commit", "-qm", "start", "--allow-empty"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    code, said = make(tmp_path, "git")
    assert code == 0 and "note: git does not know you" in said and "git config user.name NAME" in said


def test_make_gives_a_user_id_without_a_name_one(tmp_path: Path) -> None:
    """As of `docker run --user 12345`: DVC asks for a name, and takes the variable's."""
    (tmp_path / "id").write_text('#!/bin/sh\n[ "$1" = -u ] && echo 12345\n')
    (tmp_path / "id").chmod(0o755)
    (tmp_path / "who.mk").write_text("include Makefile\nwho:\n\t@echo named $$USER\n")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    code, said = make(tmp_path, "-f", "who.mk", "who", USER="", LOGNAME="", PATH=path)
    assert (code, said.strip()) == (0, "named 12345")


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

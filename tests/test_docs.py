"""README and docs/ say what dvc.yaml, the params and the folders say."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PIPELINE = (ROOT / "docs/pipeline.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md"))]
WRITTEN = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
STAGES: dict[str, dict[str, Any]] = {name: entry.get("do", entry) for name, entry in WRITTEN.items()}
SURVEY = "data/survey.csv"  # what stage survey makes, and stage videos takes, of videos that are brought
CCOL = ["grounding", "colearning", "cyclic", "ungated"]
OTHERS = ["baseline"]
VAST = ["trimodal", "finetune"]
TOGETHER = {"CCoL": CCOL, "VAST": VAST, "training": CCOL + OTHERS + VAST}


def test_the_readme_is_short() -> None:
    assert len(README) <= 9000


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((.*?)\)", README))
    assert {page for page in PAGES if page != "README.md"} <= linked


def outputs(entry: dict[str, Any]) -> list[str]:
    items = [*entry.get("outs", []), *entry.get("metrics", []), *entry.get("plots", [])]
    return [path for item in items for path in ([item] if isinstance(item, str) else item)]


def test_the_picture_of_the_graph_has_dvc_yamls_edges() -> None:
    drawn = set(re.findall(r"^  (\w+) --> (\w+)$", PIPELINE, re.MULTILINE))
    real = {
        (maker, user)
        for user, entry in STAGES.items()
        for dep in (SURVEY if dep == "${survey.watched}" else dep for dep in entry["deps"])
        for maker, other in STAGES.items()
        for out in (SURVEY if out == "${item}" else out for out in outputs(other))
        if dep == out or dep.startswith(f"{out}/") or out.startswith(f"{dep}/")
    }
    assert drawn == real


def test_the_table_of_params_tells_what_dvc_runs() -> None:
    table = PIPELINE.split("| params | run again at once |", 1)[1].split("\n\n", 1)[0]
    told: dict[str, set[str]] = {}
    for names, stages in re.findall(r"^\| (`.*?) \| (.*?) \|$", table, re.MULTILINE):
        rerun = {stage for word in stages.split(", ") for stage in TOGETHER.get(word, [word])}
        told.update(dict.fromkeys(re.findall(r"`([\w.]+)`", names), rerun))
    sections = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    alone = {name for entry in STAGES.values() for name in entry["params"] if "." in name}
    assert told == {
        name: {stage for stage, entry in STAGES.items() if {name, name.split(".")[0]} & set(entry["params"])}
        for name in {*sections, *alone}
    }


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [ROOT / path for path in re.findall(r"`((?:avsep|conf|docs|models|stages|tests)/[\w./]+)`", text)]
    named += [(ROOT / page).parent / link for link in re.findall(r"\]\((?!http)(.*?)\)", text)]
    missing = [path for path in named if not path.exists() and path != ROOT / "conf/profile/mine.yaml"]
    assert named and not missing


NAMES_IN_FILE = re.compile(r"((?:`[\w.]+`(?:,\s+|\s+and\s+)?)+)\s+(?:stands?\s+)?in\s+`([\w/]+\.py)`")


def defined(path: Path) -> set[str]:
    """All that a Python file gives a name to: functions, classes and their members, variables."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def stale_names(text: str) -> list[str]:
    """Of each "`Name` in `path.py`" of a page, those that the file does not define."""
    return [
        f"{name} in {file}"
        for names, file in NAMES_IN_FILE.findall(text)
        for name in re.findall(r"`(?:\w+\.)*(\w+)`", names)
        if name not in defined(ROOT / file)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_names_that_a_page_looks_for_in_a_file_are_there(page: str) -> None:
    assert not stale_names((ROOT / page).read_text(encoding="utf-8"))


def test_a_stale_name_is_found() -> None:
    text = "`OBJECTS`,\n`PAIRS` and `gone` in `avsep/clips/index.py`; `CCoL.ground` stands in `models/ccol.py`"
    assert stale_names(text) == ["gone in avsep/clips/index.py"]


@pytest.mark.parametrize("page", sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/*.md")))
def test_no_page_holds_a_gap_to_be_filled(page: str) -> None:
    assert not re.findall(r"@@|TODO|TBD|XXX|[A-Z]TIME", (ROOT / page).read_text(encoding="utf-8"))


# --- From the originals: what stands in the column "here" exists

TABLE_ROW = re.compile(r"^\| (?!there \|)(.*?) \| ([CPV, ]+) \| (.*?) \| (.*?) ?\|$", re.MULTILINE)
AS_ARGUMENTS = {"ids", "imported"}  # of videos.source


def rows_of_the_originals() -> list[tuple[str, ...]]:
    return TABLE_ROW.findall((ROOT / "docs/from_the_originals.md").read_text(encoding="utf-8"))


def params_of(values: dict[str, Any], before: str = "") -> set[str]:
    """The names of all params and sections."""
    names = set()
    for name, value in values.items():
        names.add(f"{before}{name}")
        if isinstance(value, dict):
            names |= params_of(value, f"{before}{name}.")
    return names


PARAMS = params_of(yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8")))
TRAININGS = [stage for stage in STAGES if f"{stage}.monitor" in PARAMS]
MADE = [path for entry in STAGES.values() for path in outputs(entry)] + ["checkpoints/resume", "data/downloads"]


def unknown(token: str) -> list[str]:
    """What a word of the column names that is not there."""
    if token.startswith("dvc repro "):
        return [stage for stage in token.split()[2:] if stage not in STAGES]
    if token.startswith("dvc "):
        return []
    if token.startswith("python -m "):
        module = ROOT / token.split()[2].replace(".", "/")
        return [] if module.with_suffix(".py").exists() else [token]
    if "/" in token and token.split("/")[0] in ("data", "checkpoints", "metrics"):
        stages = [path for stage in TRAININGS for path in [token.replace("<stage>", stage)]]
        return [path for path in stages if not any(f"{path}/".startswith(f"{made}/") for made in MADE)]
    if "/" in token:
        return [] if (ROOT / token).exists() else [token]
    if "=" in token:
        return unknown(token.partition("=")[0])
    names = [token.replace("<stage>", stage) for stage in TRAININGS]
    return sorted({name for name in names if name not in PARAMS | AS_ARGUMENTS})


@pytest.mark.parametrize("row", rows_of_the_originals(), ids=lambda row: row[0][:40])
def test_what_stands_for_the_originals_is_there(row: tuple[str, ...]) -> None:
    here, differs = row[2:]
    assert here == "-" or re.findall("`.+?`", here)
    assert differs or here != "-", "why there is none"
    told = re.findall("`(.+?)`", here)
    told += re.findall(r"`([a-z_<>]+(?:\.(?!pth|sh`|py`|safetensors)[a-z_]+|/.+?))`", differs)
    assert not [name for token in told for name in unknown(token)]


def test_a_flag_stands_once_for_each_original() -> None:
    seen: dict[tuple[str, str], int] = {}
    for there, whose, *_ in rows_of_the_originals():
        for flag in re.findall(r"`(--\w+)`(?! of)", there):
            for letter in whose.split(", "):
                seen[flag, letter] = seen.get((flag, letter), 0) + 1
    assert len(seen) > 120 and not [key for key, times in seen.items() if times > 1]


def test_a_word_that_names_nothing_is_found() -> None:
    assert unknown("cyclic.epoch") == ["cyclic.epoch"]
    assert unknown("dvc repro cycle") == ["cycle"]
    assert unknown("checkpoints/<stage>/best.safetensors") == [] and unknown("metrics/evaluation/scores.csv")
    assert unknown("python -m avsep.publish fetch") and unknown("models/nothing.py")


# --- Commands

COMMANDS = sorted(
    {
        (page, command.split(" # ")[0].strip())
        for page in PAGES
        for block in re.findall(r"```(?:sh)?\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
        for command in block.replace("\\\n", " ").splitlines()
    }
)


@pytest.mark.parametrize("page", PAGES)
def test_params_that_commands_set_are_there(page: str) -> None:
    named = {name for where, said in COMMANDS if where == page for name in re.findall(r"-S '?(\+?[\w.]+)=", said)}
    own = {name for name in named if name.startswith("+evaluate.external.")}
    assert not named - own - PARAMS - {"profile"}


def test_profiles_that_commands_name_are_there() -> None:
    there = {path.stem for path in (ROOT / "conf/profile").glob("*.yaml")} | {"mine"}
    assert {name for _, said in COMMANDS for name in re.findall(r"-S profile=(\w+)", said)} <= there


def test_targets_of_make_that_commands_name_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {name for _, said in COMMANDS for name in re.findall(r"^make ([a-z-]+)", said)}
    named |= {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)", (ROOT / page).read_text("utf-8"))}
    assert {"repro", "test"} <= named <= targets

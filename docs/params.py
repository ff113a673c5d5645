"""Writes params.md beside this file: every param, out of conf/.

    python docs/params.py

The comments of conf/config.yaml are the one place where a param is explained, and profiles the one where it is changed:
the page repeats both, and a test holds it to them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/params.md"
SHOWN = ("demo", "music")  # the profiles with a column
EXPLAIN = ("grounding", "colearning")  # the training stages that explain what the others have too ...
CONTINUES = {"finetune": "trimodal"}  # ... unless the one that it goes on from has explained it otherwise

KEY = re.compile(r"^( *)(\w+):(.*)$")
REMARK = re.compile(r"(?:^|\s+)#\s?(.*)$")  # as YAML has it: at a line's start, or behind a space

HEAD = """# Params

All params, made of `conf/config.yaml` by `python docs/params.py`: an edit belongs there. *Default* is what stands in
that file, the papers' values. *demo* and *music* are what these profiles change. `conf/profile/smoke.yaml` is demo with
less of everything, `conf/profile/solos.yaml` is music with some other values.

`dvc exp run -S profile=music -S train.lr=1e-5` takes a profile and changes a param. [pipeline.md](pipeline.md) says
what runs again then.
"""


@dataclass
class Param:
    """A section, or a leaf of one, as the file explains it."""

    name: str  # as `-S` takes it
    value: str  # as it is written, as far as its line goes
    before: list[str] = field(default_factory=list)  # comment lines above it
    beside: str = ""  # the comment on its line

    @property
    def meaning(self) -> str:
        """Both comments, as a cell of a table has them."""
        return "; ".join(part for part in (" ".join(self.before), self.beside) if part)


def explained(text: str) -> Iterator[Param]:
    """Sections and leaves in their order. A comment above a section speaks of several, and is left out."""
    section = ""
    above: list[str] = []  # comment lines
    for line in text.splitlines():
        if not line.strip():
            above = []
        elif line.lstrip().startswith("#"):
            above.append(line.lstrip().removeprefix("#").strip())
        elif (key := KEY.match(line)) and len(key[1]) in (0, 2):
            remark = REMARK.search(key[3])
            if not key[1]:
                section, above = key[2], []
            name = f"{section}.{key[2]}" if key[1] else section
            value = key[3][: remark.start()] if remark else key[3]
            yield Param(name, value.strip(), above, remark[1].strip() if remark else "")
            above = []
        else:  # a value goes on
            above = []


def written(text: str) -> dict[str, str]:
    """Each leaf's value as one writes it behind `-S`: as in the file, or on one line where the file has several."""
    values = yaml.safe_load(text)
    told = {}
    for one in explained(text):
        section, _, leaf = one.name.partition(".")
        value = values[section][leaf] if leaf else values[section]
        if leaf or not isinstance(value, dict | list):
            whole = one.value and yaml_of(one.value) == value
            told[one.name] = (
                one.value if whole else yaml.safe_dump(value, default_flow_style=True, width=10_000).strip()
            )
    return told


def yaml_of(text: str) -> Any:
    """What a value's first line says alone; None if it does not end there."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def cell(text: str) -> str:
    """Plain text, of which Markdown makes nothing else."""
    return re.sub(r"([|<*])", r"\\\1", text)


def page() -> str:
    """All of params.md."""
    text = (ROOT / "conf/config.yaml").read_text(encoding="utf-8")
    values = written(text)
    changed = [written((ROOT / f"conf/profile/{name}.yaml").read_text(encoding="utf-8")) for name in SHOWN]
    columns = ["param", "default", *SHOWN, "what it is"]
    table = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    meanings = {one.name: one.meaning for one in explained(text)}
    lines = [HEAD, "## Of all stages", "", *table]
    for name, meaning in meanings.items():
        section, _, leaf = name.partition(".")
        if name not in values:
            if name != "defaults":
                lines += ["", f"## {name}", "", f"{cell(meaning[:1].upper() + meaning[1:])}.", "", *table]
            continue
        if not meaning:
            before = [CONTINUES[section], *EXPLAIN] if section in CONTINUES else EXPLAIN
            meaning = f"as {next(f'{stage}.{leaf}' for stage in before if meanings.get(f'{stage}.{leaf}'))}"
        given = [f"`{one[name]}`" if name in one else "" for one in (values, *changed)]
        lines.append(f"| {' | '.join([f'`{leaf or name}`', *given, cell(meaning)])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

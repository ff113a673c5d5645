"""Where the figures come from, as the page says it above them: params, counts, hashes.  No clock, no machine's name."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avsep.errors import InputError
from avsep.files.names import count
from avsep.report.tables import flat, read_json

SOURCES = {  # videos.source -> in words
    "demo": "rendered by this project",
    "ids": "downloaded, from lists of ids",
    "folder": "a folder of one's own",
    "imported": "extracted by others",
}
SPLITS = {"train": "to train", "val": "to choose", "test": "to test"}
# What tells one run from another: all scores are made of these rows.
HASHED = ("pairs.csv", "scenes.csv")


@dataclass(frozen=True)
class Provenance:
    profile: str
    trial: bool  # the profile says whether everything runs, and its figures say nothing
    facts: Sequence[tuple[str, str]]  # what, and its value
    hashes: Mapping[str, str]  # file of metrics/ -> MD5, as dvc.lock has it


def read_provenance(
    metrics: Path, profile: str, trial: bool, source: str, seed: int, device: str, rate: int, systems: int
) -> Provenance:
    """`source`: params' videos.source; `systems`: how many were scored. Raises InputError for what is missing."""
    index = dict(flat(read_json(metrics / "index.json")))
    videos = {split: _number(index, f"videos.{split}", metrics) for split in SPLITS}
    classes = len({name.split(".")[1] for name in index if name.startswith("classes.")})
    mixtures = {split: _number(index, f"mixtures.{split}", metrics) for split in ("val", "test")}
    facts = [
        ("Profile", profile),
        ("Videos", f"{sum(videos.values()):,} of {count(classes, 'class')}, {SOURCES[source]}"),
        ("Split", ", ".join(f"{number:,} {SPLITS[split]}" for split, number in videos.items())),
        ("Mixtures", f"{mixtures['test']:,} to test, {mixtures['val']:,} to choose"),
        ("Systems", f"{systems}"),
        ("Sound", f"{rate:,} Hz, mono"),
        ("Seed", f"{seed}"),
        ("Device", device),
    ]
    hashes = {}
    for name in HASHED:
        path = metrics / name
        try:
            hashes[f"metrics/{name}"] = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
        except FileNotFoundError:
            raise InputError(f"{path} is missing: run `dvc repro`, which makes it") from None
    return Provenance(profile, trial, facts, hashes)


def _number(index: Mapping[str, Any], name: str, metrics: Path) -> int:
    value = index.get(name)
    if not isinstance(value, int):
        raise InputError(f"{metrics / 'index.json'} tells no {name}: run `dvc repro index`, which does")
    return value

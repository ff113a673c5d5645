"""The page: one HTML file that holds its pictures, with its sounds in a folder beside it.  It asks for nothing from a
network, and runs one script, which it names by its hash."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from avsep.report import figures, tables
from avsep.report.charts import GATES, Charts
from avsep.report.measured import ACCEPTED, MORE_SOURCES, Measured
from avsep.report.mixtures import Mixture
from avsep.report.opening import First, sentences
from avsep.report.provenance import Provenance
from avsep.report.scenes import HeardScene, Scenes
from avsep.report.seen import Unseen
from avsep.report.sounds import time_ticks
from avsep.report.uris import RANGE_DB
from avsep.systems import catalogue

# Sections, each a template of that name -> their titles.
CONTENTS = {
    "mixtures": "Look and listen",
    "scenes": "Scenes",
    "separation": "Separation",
    "grounding": "Grounding",
    "silence": "Silence",
    "phrases": "Phrases",
    "places": "Where the sound is",
    "sources": "More sources",
    "classes": "By class",
    "training": "Training",
    "data": "Data",
    "words": "How to read this",
    "links": "Files and papers",
}
SOUNDS = {"mixture": "mixtures", "solo": "solo sound"}
PAPERS = (
    (
        "Yapeng Tian, Di Hu, Chenliang Xu: Cyclic Co-Learning of Sounding Object Visual Grounding and Sound Separation,"
        " CVPR 2021 (CCoL)",
        "https://arxiv.org/abs/2104.02026",
    ),
    (
        "Reuben Tan, Arijit Ray, Andrea Burns, Bryan A. Plummer, Justin Salamon, Oriol Nieto, Bryan Russell,"
        " Kate Saenko: Language-Guided Audio-Visual Source Separation via Trimodal Consistency, CVPR 2023 (VAST)",
        "https://arxiv.org/abs/2303.16342",
    ),
    ("Hang Zhao et al.: The Sound of Pixels, ECCV 2018", "https://arxiv.org/abs/1804.03160"),
)
DOCS = {  # beside the page's project
    "README.md": "what this is",
    "docs/evaluation.md": "how it is measured",
    "docs/results.md": "results, told",
    "docs/ccol.md": "CCoL, what is computed",
    "docs/vast.md": "VAST, what is computed",
    "docs/limits.md": "limits",
    "docs/params.md": "all params",
}


@dataclass(frozen=True)
class Beside:
    """What lies beside the page."""

    tables: Mapping[str, str]  # path from the page -> what its rows are
    shown: Mapping[str, str]  # a training stage's title -> its own page, from this one
    sounds: int
    megabytes: float


def render(
    *,
    leaks: Sequence[str],
    unseen: Unseen | None,
    measured: Measured,
    charts: Charts,
    scenes: Scenes | None,
    heard: Sequence[HeardScene],
    mixtures: Sequence[Mixture],
    first: First | None,
    ticks: Sequence[figures.Tick],
    provenance: Provenance,
    beside: Beside,
    rejected: pd.DataFrame,
    stages: Mapping[str, Sequence[tuple[str, Any]]],
) -> str:
    """The whole page. `leaks`: sentences on the videos that splits share; `unseen`: where the detector found too
    little; `heard`: the scenes that have sounds;
    `ticks`: of all spectrograms' frequencies. `charts` are SVG; all else is escaped."""
    templates = Path(__file__).parent / "templates"
    script = (templates / "player.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    absent = {
        *(() if measured.grounded else ("grounding", "silence")),
        *(() if measured.headline.sure else ("phrases",)),
        *(() if charts.training else ("training",)),
    }
    environment.filters.update(decimal=tables.decimal, plain=tables.plain, written=tables.written, bare=tables.bare)
    environment.filters.update(variable=figures.variable, spoken=lambda name: name.replace("_", " "))
    compared = {name for mixture in mixtures for name in mixture.nsdr}
    return environment.get_template("page.html").render(
        contents={section: title for section, title in CONTENTS.items() if section not in absent},
        palette=figures.palette((*measured.systems.values(), *charts.lines())),
        score_names=tables.SCORES,
        sounds=SOUNDS,
        gate_names=GATES,
        accepted_names=ACCEPTED,
        source_names=MORE_SOURCES,
        leaks=leaks,
        unseen=unseen,
        headline=measured.headline,
        sentences=sentences(measured.headline),
        provenance=provenance,
        first=first,
        marked=any(cell.best for line in measured.means.lines for cell in line.cells),
        measured=measured,
        charts=charts,
        scenes=scenes,
        heard=heard,
        mixtures=mixtures,
        choices=[system for system in catalogue.arranged(compared) if isinstance(system, catalogue.Entry)],
        classes=sorted({name for mixture in mixtures for name in mixture.names("sounding")}),
        ticks=ticks,
        time_ticks=time_ticks,
        range_db=RANGE_DB,
        beside=beside,
        papers=PAPERS,
        docs=DOCS,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
        rejected=rejected,
        stages=stages,
    )

"""What the page draws as curves: rows and tables of metrics/ -> SVG, a line for each system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avsep.report.figures import curve_chart
from avsep.report.measured import PHRASES, SOUNDS, Measured
from avsep.report.tables import COMPARED, Curves, System, read_table
from avsep.systems import catalogue
from avsep.systems.catalogue import Drawn, Entry

KINDS = (  # of phrases
    Drawn("present", "of classes that sound", ("#0b6e66", "#4fcdbf")),
    Drawn("absent", "of classes that do not sound", ("#b4570b", "#f0a35a"), catalogue.DASHED),
    Drawn("unmatched", "that match nothing", catalogue.GREY, catalogue.DOTTED),
)
THRESHOLD = Drawn("threshold", "from here a phrase is taken as present", ("#1c1e21", "#e9e8e4"))
GATES = {
    "leakage_db": "Leakage, mean in dB",
    "false_mute_rate": "Share of sounding muted",
    "si_sdri_heard": "SI-SDRi of what is heard",
    "snri_given": "SNRi of what is given",
}
# What training logs -> its title and unit, in the order of the page: first what is watched.
CURVES = {
    "val/si_sdri": ("SI-SDRi", "dB"),
    "val/snri": ("SNRi", "dB"),
    "val/visual_si_sdri": ("SI-SDRi, asked with a picture", "dB"),
    "val/text_si_sdri": ("SI-SDRi, asked with a phrase", "dB"),
    "val/visual_snri": ("SNRi, asked with a picture", "dB"),
    "val/text_snri": ("SNRi, asked with a phrase", "dB"),
    "val/balanced_accuracy": ("Balanced accuracy in mixtures", "share"),
    "val/solo_balanced_accuracy": ("Balanced accuracy with solo sound", "share"),
    "train/loss": ("Loss, mean of an epoch", "loss"),
    "train/step_loss": ("Loss, step by step", "loss"),
    "train/separation": ("Loss of separation", "loss"),
    "train/grounding": ("Loss of grounding", "loss"),
    "train/told_right": ("Pairs that separation tells right", "share"),
    "train/distance_sounding": ("Distance to the reference, sounding objects", "L1"),
    "train/distance_silent": ("Distance to the reference, silent objects", "L1"),
    "train/gates_right": ("Gates that are right", "share"),
    "train/pairs_muted": ("Pairs without an open gate", "share"),
    "train/pairs_doubled": ("Pairs with two open gates", "share"),
    "train/visual_masks": ("Loss of masks, asked with a picture", "loss"),
    "train/text_masks": ("Loss of masks, asked with a phrase", "loss"),
    "train/consistency": ("Loss of consistency of words, sound and picture", "loss"),
    "train/classification": ("Loss of classification", "loss"),
}
PROBABILITIES = {"mixture": "probability", "solo": "solo_probability"}  # sound -> column of pairs.csv


@dataclass(frozen=True)
class Distribution:
    """How the objects of some systems spread: a chart, as SVG."""

    systems: Sequence[Entry]
    chart: str


@dataclass(frozen=True)
class TrainingChart:
    name: str  # as logged: `val/si_sdri`
    title: str
    validation: bool
    chart: str


@dataclass(frozen=True)
class Charts:
    """All curves, as SVG."""

    distributions: Mapping[str, Distribution]  # method -> chart
    reliability: Mapping[str, str]  # sound -> chart
    roc: Mapping[str, str]  # sound -> chart
    gates: Mapping[str, str]  # what a gate changes -> chart over all gates; none if no system has a gate
    gated: Sequence[Entry]  # whose gates are drawn
    confidences: str
    kinds: Sequence[Drawn]  # the phrases whose confidences are drawn
    training: Sequence[TrainingChart]
    trained: Sequence[Drawn]  # the stages whose curves are drawn

    def lines(self) -> list[Drawn]:
        """All that is drawn beside the systems."""
        return [*KINDS, THRESHOLD, *self.trained]


def draw(metrics: Path, pairs: pd.DataFrame, training: Mapping[Drawn, Curves], measured: Measured) -> Charts:
    """`training`: the curves of each training stage. Raises InputError."""
    phrases = read_table(metrics / "phrases.csv", PHRASES)
    threshold, grounded = measured.headline.phrases.get("threshold"), measured.grounded
    gated = curves_of(grounded, metrics / "evaluate" / "gates", ".csv", ["threshold", *GATES])
    return Charts(
        distributions=distributions(pairs, measured.systems),
        reliability={s: reliability_chart(metrics / "evaluate" / "reliability", s, grounded) for s in SOUNDS},
        roc={sound: roc_chart(pairs, column, grounded) for sound, column in PROBABILITIES.items()},
        gates=gate_charts(gated, measured.headline.gates),
        gated=list(gated),
        confidences="" if threshold is None else confidence_chart(phrases, threshold),
        kinds=[kind for kind in KINDS if kind.name in set(phrases["kind"])],
        training=curve_charts(training),
        trained=list(training),
    )


def curve_charts(stages: Mapping[Drawn, Curves]) -> list[TrainingChart]:
    """A chart for each metric, in the order of CURVES, those that stand not there last; in each a line for each
    training stage that has it, in the order of the pipeline, and a ring at the epoch whose weights are kept."""
    found = dict.fromkeys(name for curves in stages.values() for name in curves.values)
    order = [*(name for name in CURVES if name in found), *sorted(name for name in found if name not in CURVES)]
    charts = []
    for name in order:
        own = {stage: curves for stage, curves in stages.items() if name in curves.values}
        lines, rings = {}, {}
        for stage, curves in own.items():
            epochs, values = (curves.values[name][column].tolist() for column in ("epoch", "value"))
            lines[stage] = (epochs, values)
            at = [
                n for n, epoch in enumerate(epochs) if curves.chosen is not None and abs(epoch - curves.chosen) < 1e-6
            ]
            if at:
                rings[stage] = (epochs[at[-1]], values[at[-1]])
        title, unit = CURVES.get(name, (name.split("/", 1)[-1].replace("_", " ").capitalize(), ""))
        svg = curve_chart(lines, "epoch", unit or "value", span=[0], rings=rings)
        charts.append(TrainingChart(name, title, name.startswith("val/"), svg))
    return charts


def cumulative(values: pd.Series) -> tuple[list[float], list[float]]:
    """Values in rising order, and which share of all does not lie above each, in percent."""
    rising = values.dropna().sort_values().tolist()
    return rising, [100 * (rank + 1) / len(rising) for rank in range(len(rising))]


def distributions(pairs: pd.DataFrame, systems: Mapping[str, System]) -> dict[str, Distribution]:
    """A chart for each method, else the lines are too many to follow; a system of none has its own. What is drawn
    beside each method makes no chart alone."""
    there = [system for system in systems.values() if isinstance(system, Entry)]
    methods = [entry.method or entry.title for entry in there if entry.group in COMPARED and not entry.everywhere]
    drawn = [entry for entry in there if entry.everywhere or entry.group in COMPARED]
    charts = {}
    for method in dict.fromkeys(methods):
        own = [entry for entry in drawn if entry.everywhere or (entry.method or entry.title) == method]
        charts[method] = Distribution(own, distribution_chart(pairs, own, drawn))
    return charts


def distribution_chart(pairs: pd.DataFrame, systems: Sequence[Entry], drawn: Sequence[Entry]) -> str:
    """For each of `systems` the share of sounding objects below an NSDR; the x axis has room for all that are `drawn`
    anywhere, and so is the same in each chart."""
    sounding = pairs[pairs["role"] == "sounding"]
    lines = {system: cumulative(sounding.loc[sounding["system"] == system.name, "nsdr"]) for system in systems}
    span = sounding.loc[sounding["system"].isin([system.name for system in drawn]), "nsdr"].dropna().tolist()
    return curve_chart(lines, "NSDR in dB", "% of sounding objects below", span=span)


def curves_of(
    grounded: Sequence[Entry], folder: Path, ending: str, columns: Sequence[str]
) -> dict[Entry, pd.DataFrame]:
    """<folder>/<system><ending>: of what was trained, and of others if there is one. Raises InputError."""
    paths = {system: folder / f"{system.name}{ending}" for system in grounded}
    return {s: read_table(path, columns) for s, path in paths.items() if s.group == "trained" or path.is_file()}


def reliability_chart(folder: Path, sound: str, grounded: Sequence[Entry]) -> str:
    """The share that sounds over the probability, bin by bin, beside the diagonal of a calibrated grounding."""
    bins = curves_of(grounded, folder, f"_{sound}.csv", ["objects", "probability", "share"])
    return curve_chart(
        {system: (own["probability"].tolist(), own["share"].tolist()) for system, own in bins.items()},
        "probability to sound",
        "share that sounds",
        span=(0, 1),
        diagonal=True,
        points={system: (own["objects"] / own["objects"].sum()).tolist() for system, own in bins.items()},
    )


def roc_chart(pairs: pd.DataFrame, column: str, grounded: Sequence[Entry]) -> str:
    """Hits over false alarms of each system at all thresholds, beside the diagonal of guessing."""
    lines = {}
    for system in grounded:
        own = pairs[(pairs["system"] == system.name) & pairs[column].notna()]
        sounding, silent = (own.loc[own["role"] == role, column].to_numpy() for role in ("sounding", "silent"))
        if len(sounding) and len(silent):
            thresholds = np.concatenate([[np.inf], np.unique(own[column])[::-1]])
            lines[system] = (reached(silent, thresholds).tolist(), reached(sounding, thresholds).tolist())
    return curve_chart(lines, "silent, taken to sound", "sounding, taken to sound", span=(0, 1), diagonal=True)


def reached(values: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.floating]:
    """Which share of the values is at least each threshold."""
    return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)


def gate_charts(curves: Mapping[Entry, pd.DataFrame], gates: Mapping[str, float]) -> dict[str, str]:
    """What each of GATES is at any gate; the `gates` that hold are marked."""
    if not curves:
        return {}
    return {
        name: curve_chart(
            {system: (curve["threshold"].tolist(), curve[name].tolist()) for system, curve in curves.items()},
            "gate",
            title,
            span=(0, 1),
            marks={system: gates[system.name] for system in curves if system.name in gates},
        )
        for name, title in GATES.items()
    }


def confidence_chart(phrases: pd.DataFrame, threshold: float) -> str:
    """Of each kind of phrases, which share lies below a confidence; the threshold is marked."""
    lines = {kind: cumulative(phrases.loc[phrases["kind"] == kind.name, "confidence"]) for kind in KINDS}
    drawn = {kind: line for kind, line in lines.items() if line[0]}
    return curve_chart(drawn, "confidence", "% of phrases below", marks={THRESHOLD: threshold})

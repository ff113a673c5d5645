"""What the page draws as curves: rows and tables of metrics/ -> SVG, a line for each system."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from avsep.report.figures import curve_chart
from avsep.report.measured import PHRASES, SOUNDS
from avsep.report.tables import TRAINED, read_table

# One chart for each method, else the lines are too many to follow.
DISTRIBUTIONS = {
    "CCoL": ("oracle", "baseline", "colearning", "cyclic"),
    "VAST": ("oracle", "baseline", "trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text"),
}
KINDS = {  # of phrases
    "present": "of classes that sound",
    "absent": "of classes that do not sound",
    "unmatched": "that match nothing",
}
GATES = {
    "leakage_db": "Leakage, mean in dB",
    "false_mute_rate": "Share of sounding muted",
    "si_sdri_heard": "SI-SDRi of what is heard",
    "snri_given": "SNRi of what is given",
}
PROBABILITIES = {"mixture": "probability", "solo": "solo_probability"}  # sound -> column of pairs.csv


@dataclass(frozen=True)
class Distribution:
    """How the objects of some systems spread: a chart, as SVG."""

    systems: tuple[str, ...]
    chart: str


@dataclass(frozen=True)
class Charts:
    """All curves, as SVG."""

    distributions: Mapping[str, Distribution]  # method -> chart
    reliability: Mapping[str, str]  # sound -> chart
    roc: Mapping[str, str]  # sound -> chart
    gates: Mapping[str, str]  # what a gate changes -> chart over all gates
    confidences: str
    kinds: Sequence[str]  # the phrases whose confidences are drawn
    training: Mapping[str, str]  # `val/si_sdri` -> chart


def draw(
    metrics: Path,
    pairs: pd.DataFrame,
    training: Mapping[str, dict[str, pd.DataFrame]],
    headline: Mapping[str, Any],
) -> Charts:
    """`training`: the curves of each training stage; `headline`: the thresholds, and which systems have one. Raises
    InputError."""
    phrases = read_table(metrics / "phrases.csv", PHRASES)
    gates: Mapping[str, float] = headline["gates"]
    threshold = headline["phrases"]["threshold"] if "phrases" in headline else None
    return Charts(
        distributions=distributions(pairs),
        reliability={s: reliability_chart(metrics / "evaluate" / "reliability", s, list(gates)) for s in SOUNDS},
        roc={sound: roc_chart(pairs, column, list(gates)) for sound, column in PROBABILITIES.items()},
        gates=gate_charts(metrics / "evaluate" / "gates", gates),
        confidences="" if threshold is None else confidence_chart(phrases, threshold),
        kinds=[kind for kind in KINDS if kind in set(phrases["kind"])],
        training=curve_charts(training),
    )


def curve_charts(stages: Mapping[str, dict[str, pd.DataFrame]]) -> dict[str, str]:
    """One chart per metric, with a line for each training stage that has it: `val/si_sdri` -> SVG."""
    names = sorted({name for curves in stages.values() for name in curves}, reverse=True)
    return {
        name: curve_chart(
            {
                stage: (curves[name]["step"].tolist(), curves[name]["value"].tolist())
                for stage, curves in stages.items()
                if name in curves
            },
            x="step",
            y=name,
        )
        for name in names
    }


def cumulative(values: pd.Series) -> tuple[list[float], list[float]]:
    """Values in rising order, and which share of all does not lie above each, in percent."""
    rising = values.dropna().sort_values().tolist()
    return rising, [100 * (rank + 1) / len(rising) for rank in range(len(rising))]


def distributions(pairs: pd.DataFrame) -> dict[str, Distribution]:
    """The chart of each method of which a system was scored."""
    there = set(pairs["system"])
    charts = {}
    for name, systems in DISTRIBUTIONS.items():
        own = tuple(system for system in systems if system in there)
        if set(own) - {"oracle", "baseline"}:
            charts[name] = Distribution(own, distribution_chart(pairs, own))
    return charts


def distribution_chart(pairs: pd.DataFrame, systems: Sequence[str]) -> str:
    """For each of `systems` the share of sounding objects below an NSDR; any choice has the same x axis."""
    drawn = pairs[pairs["system"].isin(("oracle", *TRAINED)) & (pairs["role"] == "sounding")]
    lines = {system: cumulative(drawn.loc[drawn["system"] == system, "nsdr"]) for system in systems}
    return curve_chart(lines, "NSDR in dB", "% of sounding objects below", span=drawn["nsdr"].dropna().tolist())


def reliability_chart(folder: Path, sound: str, systems: Sequence[str]) -> str:
    """The share that sounds over the probability, bin by bin, beside the diagonal of a calibrated grounding."""
    bins = {s: read_table(folder / f"{s}_{sound}.csv", ["objects", "probability", "share"]) for s in systems}
    return curve_chart(
        {system: (own["probability"].tolist(), own["share"].tolist()) for system, own in bins.items()},
        "probability to sound",
        "share that sounds",
        span=(0, 1),
        diagonal=True,
        points={system: (own["objects"] / own["objects"].sum()).tolist() for system, own in bins.items()},
    )


def roc_chart(pairs: pd.DataFrame, column: str, systems: Sequence[str]) -> str:
    """Of each grounded one of `systems`, hits over false alarms at all thresholds, beside the diagonal of chance."""
    lines = {}
    for system in systems:
        own = pairs[pairs["system"] == system]
        sounding, silent = (own.loc[own["role"] == role, column].to_numpy() for role in ("sounding", "silent"))
        thresholds = np.concatenate([[np.inf], np.unique(own[column])[::-1]])
        lines[system] = (reached(silent, thresholds).tolist(), reached(sounding, thresholds).tolist())
    return curve_chart(lines, "silent, taken to sound", "sounding, taken to sound", span=(0, 1), diagonal=True)


def reached(values: NDArray[np.floating], thresholds: NDArray[np.floating]) -> NDArray[np.floating]:
    """Which share of the values is at least each threshold."""
    return 1 - np.searchsorted(np.sort(values), thresholds, side="left") / len(values)


def gate_charts(folder: Path, gates: Mapping[str, float]) -> dict[str, str]:
    """What each of GATES is at any gate; the gates that hold are marked."""
    curves = {system: read_table(folder / f"{system}.csv", ["threshold", *GATES]) for system in gates}
    return {
        name: curve_chart(
            {system: (curve["threshold"].tolist(), curve[name].tolist()) for system, curve in curves.items()},
            "gate",
            title,
            span=(0, 1),
            marks=gates,
        )
        for name, title in GATES.items()
    }


def confidence_chart(phrases: pd.DataFrame, threshold: float) -> str:
    """Of each kind of phrases, which share lies below a confidence; the threshold is marked."""
    lines = {kind: cumulative(phrases.loc[phrases["kind"] == kind, "confidence"]) for kind in KINDS}
    drawn = {kind: line for kind, line in lines.items() if line[0]}
    return curve_chart(drawn, "confidence", "% of phrases below", marks={"threshold": threshold})

"""From the rows of metrics/*.csv to every aggregate: `summarise` makes all tables of metrics/evaluate, `headline` picks
metrics/evaluate.json out of them, `key_figures` metrics/headline.json.  Nothing else in evaluation or report takes a
mean.

Intervals are those of avsep/scoring/intervals.py: a row is clustered by the video of its own object, for means as for
the paired differences of two systems on the same objects.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from avsep.scoring import sources as many_sources
from avsep.scoring.grounding import calibration_error, grounding_scores, published_accuracies, reliability
from avsep.scoring.intervals import Bootstrap, Interval
from avsep.scoring.localisation import auc
from avsep.scoring.pairs import AS_PUBLISHED, IN_OTHER_WORDS, ROUNDED
from avsep.scoring.phrases import phrase_scores
from avsep.scoring.separation import SCORES
from avsep.scoring.silence import THRESHOLDS, gate_curve, gated
from avsep.systems import catalogue
from avsep.systems.catalogue import CONTROLS, Entry, arranged

DECIMALS = 6  # of every table, those of rows included
ACCURACIES = ("accuracy_solo", "accuracy_mixture", "accuracy_positive", "accuracy_negative")  # as published
SOUNDS = {"mixture": "probability", "solo": "solo_probability"}  # what an object is grounded in -> its column


@dataclass(frozen=True)
class Rows:
    """What was measured, row for row, rounded to DECIMALS: metrics/{pairs,phrases,places,sources}.csv."""

    pairs: pd.DataFrame
    phrases: pd.DataFrame
    places: pd.DataFrame  # may be empty: no true boxes
    sources: pd.DataFrame  # may be empty: none were asked for


def summarise(rows: Rows, *, resamples: int, bins: int, seed: int) -> dict[str, pd.DataFrame]:
    """File below metrics/evaluate -> its table, a function of the rows; docs/evaluation.md says what each holds."""
    pairs = rows.pairs
    draws = Bootstrap(sorted(pairs["video"].unique()), resamples, seed)
    tables = {
        "scores.csv": scores(pairs, draws),
        "differences.csv": differences(pairs, draws),
        "by_class.csv": means(pairs, ["class"]),
        "by_pair.csv": means(pairs, ["class", "beside"]),
        "grounding.csv": grounding(pairs, bins, draws),
        "silence.csv": silence(pairs, draws),
        "published.csv": published(pairs),
        "phrases.csv": phrases(rows.phrases, pairs),
        "localisation.csv": localisation(rows.places, draws),
        "sources.csv": sources(rows.sources, resamples, seed),
        **{f"gates/{system}.csv": gate_curve(own, THRESHOLDS) for system, own in _by_system(pairs, _grounded(pairs))},
    }
    for (system, own), (sound, column) in itertools.product(_by_system(pairs, _grounded(pairs)), SOUNDS.items()):
        if own[column].notna().all():  # an external system is not asked about solo sounds
            sounding = (own["role"] == "sounding").tolist()
            tables[f"reliability/{system}_{sound}.csv"] = reliability(own[column].tolist(), sounding, bins)
    return {name: table.round(DECIMALS) for name, table in tables.items()}


def headline(tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """What metrics/evaluate.json tells of the tables of `summarise`."""
    mean = tables["scores.csv"].set_index(["system", "metric"])["mean"]
    summary: dict[str, Any] = {
        system: _numbers({metric: mean[system, metric] for metric in ("nsdr", "si_sdri")})
        for system in mean.index.unique("system")
    }
    grounded = tables["grounding.csv"].query("sound == 'mixture'").set_index("system")
    muted = tables["silence.csv"].set_index("system")
    as_published = tables["published.csv"].set_index("system")
    grounding = [entry for entry in arranged(muted.index) if isinstance(entry, Entry) and entry.grounds]
    first = next((entry.name for entry in grounding if entry.first), None)
    for system in (entry.name for entry in grounding):
        suffix = "" if system == first else f"_{system}"
        summary[f"grounding{suffix}"] = _picked(grounded, system, "balanced_accuracy", "roc_auc")
        summary[f"silent{suffix}"] = _picked(muted, system, "leakage_db", "false_mute_rate")
        summary[f"published{suffix}"] = _picked(as_published, system, *AS_PUBLISHED)
    told = tables["phrases.csv"].set_index("name")["value"]
    summary["phrases"] = {name: float(told[name]) for name in ("roc_auc", "roc_auc_unmatched") if name in told}
    return summary


def key_figures(tables: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """What metrics/headline.json tells of the tables of `summarise`: the few figures by which one run is held against
    another, by names that explain themselves.  Of what is compared alone: no references, no controls."""
    mean = tables["scores.csv"].query("metric == 'nsdr'").set_index("system")["mean"]
    grounded = tables["grounding.csv"].query("sound == 'mixture'").set_index("system")["balanced_accuracy"]
    leakage = tables["silence.csv"].set_index("system")["leakage_db"]
    told = {}
    for entry in arranged(mean.index):
        if isinstance(entry, Entry) and entry.group != "reference":
            values = {"nsdr_db": mean[entry.name]}
            if entry.grounds and entry.name in leakage:
                values["leakage_db"] = leakage[entry.name]
            if entry.grounds and entry.name in grounded:
                values["balanced_accuracy"] = grounded[entry.name]
            told[entry.called or entry.name] = _numbers(values)
    return told


def _picked(table: pd.DataFrame, system: str, *columns: str) -> dict[str, float]:
    return _numbers({column: table.loc[system, column] for column in columns})


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those that are defined: an external system that gives all objects silence has no SDR, and JSON no NaN."""
    return {name: float(value) for name, value in values.items() if math.isfinite(value)}


def scores(pairs: pd.DataFrame, draws: Bootstrap) -> pd.DataFrame:
    """Each system's separation of the sounding objects, without gate: one row a system and metric.

    Of an external system that gives some of them silence, `objects` are those for which the metric is defined.
    """
    rows = []
    for system, sounding in _by_system(pairs[pairs["role"] == "sounding"], _separating(pairs)):
        for metric in SCORES:
            own = sounding[sounding[metric].notna()]
            count = {"objects": len(own), "videos": own["video"].nunique()}
            interval = draws.mean(own[metric], own["video"].tolist())
            middle = {"class_balanced": own.groupby("class")[metric].mean().mean(), "median": own[metric].median()}
            rows.append({"system": system, "metric": metric, **count, **_ends(interval, "mean"), **middle})
    return pd.DataFrame(rows)


def differences(pairs: pd.DataFrame, draws: Bootstrap) -> pd.DataFrame:
    """Each system less each earlier one, on the objects that both have: one row a metric and pair of systems.

    Beside the scores of sounding objects, `leakage_db` of silent ones, and `right`, whether grounding decides so.
    """
    decided = (pairs["probability"] >= ROUNDED) == (pairs["role"] == "sounding")
    pairs = pairs.assign(right=decided.astype(float).where(pairs["probability"].notna()))
    rows = []
    for metric in (*SCORES, "leakage_db", "right"):
        named = _separating(pairs) if metric in SCORES else [*_separating(pairs), *_gate_controls(pairs)]
        known = pairs[pairs[metric].notna() & pairs["system"].isin(named)]
        table = known.pivot(index=["mixture", "object", "video"], columns="system", values=metric)
        there = [system for system in named if system in table]
        for against, system in itertools.combinations(there, 2):
            both = (table[system] - table[against]).dropna()
            videos = both.index.get_level_values("video").tolist()
            if both.empty:
                continue
            interval = draws.mean(both, videos)
            rows.append(
                {
                    "metric": metric,
                    "system": system,
                    "against": against,
                    "objects": len(both),
                    "videos": len(set(videos)),
                    **_ends(interval, "difference"),
                    "significant": int(interval.excludes_zero),
                }
            )
    return pd.DataFrame(rows)


def means(pairs: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Each system's mean scores of the sounding objects by classes: one row a system and class, or pair of classes."""
    systems = _separating(pairs)
    sounding = pairs[(pairs["role"] == "sounding") & pairs["system"].isin(systems)]
    groups = sounding.groupby(["system", *by])
    table = groups[list(SCORES)].mean()
    table.insert(0, "objects", groups.size())
    order = {system: place for place, system in enumerate(systems)}
    return table.reset_index().sort_values(["system", *by], key=lambda c: c.map(order) if c.name == "system" else c)


def grounding(pairs: pd.DataFrame, bins: int, draws: Bootstrap) -> pd.DataFrame:
    """How well objects that sound are told from those that do not, in the mixture and in solo sound."""
    rows = []
    for system, own in _by_system(pairs, [*_grounded(pairs), *_gate_controls(pairs)]):
        sounding, videos = (own["role"] == "sounding").tolist(), own["video"].tolist()
        for sound, column in SOUNDS.items():
            if own[column].isna().any():  # an external system is not asked about solo sounds
                continue
            p = own[column].tolist()
            right = (own[column] >= ROUNDED) == (own["role"] == "sounding")
            row: dict[str, Any] = {"system": system, "sound": sound, "objects": len(own)}
            row |= _ends(draws.balanced_accuracy(right, sounding, videos), "balanced_accuracy", named=True)
            row |= _ends(draws.roc_auc(p, sounding, videos), "roc_auc", named=True)
            row["average_precision"] = grounding_scores(p, sounding, ROUNDED)["average_precision"]
            row["ece"] = calibration_error(reliability(p, sounding, bins))
            rows.append(row)
    names = [name for measure in ("balanced_accuracy", "roc_auc") for name in _names(measure)]
    return pd.DataFrame(rows, columns=["system", "sound", "objects", *names, "average_precision", "ece"])


def silence(pairs: pd.DataFrame, draws: Bootstrap) -> pd.DataFrame:
    """What silent objects are given and sounding ones lose, under the gate of those that have one."""
    rows = []
    with_silent = pairs[pairs["role"] == "silent"]["system"].unique()
    for system, own in _by_system(
        pairs[pairs["system"].isin(with_silent)], [*_separating(pairs), *_gate_controls(pairs)]
    ):
        muted, sounds = own["muted"] == 1, own["role"] == "sounding"
        leakage = draws.mean(own.loc[~sounds, "leakage_db"], own.loc[~sounds, "video"].tolist())
        false_mutes = draws.mean(muted[sounds], own.loc[sounds, "video"].tolist())
        row = {"system": system, "objects": len(own), **_ends(leakage, "leakage_db", named=True)}
        row |= _ends(false_mutes, "false_mute_rate", named=True)
        # of the means under the gate those that have no interval above
        rest = {name: float(value) for name, value in gated(own, muted.to_numpy()).items() if name not in row}
        rows.append({**row, **rest})
    return pd.DataFrame(rows)


def published(pairs: pd.DataFrame) -> pd.DataFrame:
    """The numbers of CCoL's published evaluation: plain accuracies, and the scores that 1e-6 makes of silence, over all
    objects; the SDR of the silent ones too, which decides them."""
    rows = []
    for system, own in _by_system(pairs, _grounded(pairs)):
        means = {name: own[name].mean() for name in AS_PUBLISHED}
        silent = own.loc[own["role"] == "silent", "sdr_as_published"].mean()
        accuracies = published_accuracies(own, ROUNDED)
        if own["solo_probability"].isna().any():  # an external system is not asked about solo sounds
            accuracies = {"accuracy_mixture": accuracies["accuracy_mixture"]}
        rows.append({"system": system, **accuracies, **means, "sdr_as_published_silent": silent})
    return pd.DataFrame(rows, columns=["system", *ACCURACIES, *AS_PUBLISHED, "sdr_as_published_silent"])


def phrases(asked: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """How sure VAST is of phrases, and NSDR by a synonym beside the plain phrase's on the same objects, if any class
    has one: rows of `name` and `value`."""
    values = phrase_scores(asked)
    nsdr = pairs[pairs["role"] == "sounding"].pivot(index=["mixture", "object"], columns="system", values="nsdr")
    for control in (control for control in CONTROLS if control.name in IN_OTHER_WORDS & set(nsdr)):
        own = nsdr.dropna(subset=control.name)
        values |= {"phrase_nsdr": own[control.of].mean(), "synonym_nsdr": own[control.name].mean()}
    return pd.DataFrame({"name": list(values), "value": list(values.values())})


def localisation(places: pd.DataFrame, draws: Bootstrap) -> pd.DataFrame:
    """Each method's cIoU and silent area; `placed` counts the objects for which its regions are not empty."""
    rows = []
    for method, own in places.groupby("method", sort=False):
        videos = own["video"].tolist()
        row: dict[str, Any] = {"method": method, "objects": len(own), "placed": int(own["silent_share"].notna().sum())}
        row |= _ends(draws.mean(own["iou"] >= 0.5, videos), "ciou_50", named=True)
        row |= {"auc": auc(own["iou"].tolist()), "area": own["area"].mean()}
        rows.append({**row, **_ends(draws.mean(own["silent_share"], videos), "silent_share", named=True)})
    columns = ["method", "objects", "placed", *_names("ciou_50"), "auc", "area", *_names("silent_share")]
    return pd.DataFrame(rows, columns=columns)


def sources(measured: pd.DataFrame, resamples: int, seed: int) -> pd.DataFrame:
    """Separation of N sources without gate, and the share `muted` of the grounded systems: one row a number of sources,
    system and metric."""
    rows = []
    for count, mixtures in measured.groupby("sources"):
        draws = Bootstrap(sorted(mixtures["video"].unique()), resamples, seed)
        for system, own in _by_system(mixtures, [entry.name for entry in arranged(mixtures["system"].unique())]):
            for metric in (*many_sources.SCORES, *(["muted"] if own["muted"].notna().any() else [])):
                interval = draws.mean(own[metric], own["video"].tolist())
                about = {
                    "sources": count,
                    "system": system,
                    "metric": metric,
                    "objects": int(own[metric].notna().sum()),
                }
                rows.append({**about, **_ends(interval, "mean")})
    return pd.DataFrame(rows, columns=["sources", "system", "metric", "objects", "mean", "low", "high"])


def _separating(rows: pd.DataFrame) -> list[str]:
    """The systems that the rows are of, and controls that ask them otherwise, in the order of every table."""
    gates = {control.name for control in catalogue.GATE_CONTROLS}
    return [entry.name for entry in arranged(rows["system"].unique()) if entry.name not in gates]


def _grounded(rows: pd.DataFrame) -> list[str]:
    """Those that say which objects sound."""
    return [e.name for e in arranged(rows["system"].unique()) if isinstance(e, Entry) and e.grounds]


def _gate_controls(rows: pd.DataFrame) -> list[str]:
    there = set(rows["system"])
    return [control.name for control in catalogue.GATE_CONTROLS if control.name in there]


def _by_system(rows: pd.DataFrame, systems: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
    """Those of `systems` that have rows, in that order."""
    return [(s, own) for s in systems if not (own := rows[rows["system"] == s]).empty]


def _names(name: str) -> list[str]:
    return [name, f"{name}_low", f"{name}_high"]


def _ends(interval: Interval, name: str, named: bool = False) -> dict[str, float]:
    """A value and its interval's ends as cells `name`, `low`, `high`; with `named` the ends are `<name>_low` and so
    on, where a row has several."""
    low, high = _names(name)[1:] if named else ("low", "high")
    return {name: interval.value, low: interval.low, high: interval.high}

"""What evaluation measured, section by section: metrics/evaluate, metrics/*.csv -> the page's tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.errors import InputError
from avsep.report.tables import (
    FRAME,
    GROUNDED,
    SCORES,
    SKIPPED,
    SYSTEMS,
    TRAINED,
    Cell,
    Column,
    Table,
    flat,
    read_json,
    read_table,
    tabulate,
)

GAINS = ("nsdr", "si_sdri", "snri")  # over the mixture: comparable from mixture to mixture
GATE_CONTROLS = {
    "always_sounding": "Control: all objects sound",
    "never_sounding": "Control: no object sounds",
    "chance": "Control: at random",
}
INTERVAL = {"low": "_low", "high": "_high"}  # columns of its ends -> how `tabulate` knows them
SOUNDS = ("mixture", "solo")  # what objects are grounded in
GROUNDING = {
    "balanced_accuracy": Column("Balanced accuracy", 3),
    "roc_auc": Column("ROC AUC", 3),
    "average_precision": Column("Average precision", 3),
    "ece": Column("Calibration error (ECE)", 3),
}
SILENCE = {
    "leakage_db": Column("Leakage, mean in dB", 1),
    "leakage_db_p95": Column("Leakage, 95th percentile", 1),
    "false_mute_rate": Column("Sounding, muted", 1, percent=True),
    "si_sdri_heard": Column("SI-SDRi of what is heard"),
    "snri_given": Column("SNRi of what is given"),
}
PUBLISHED = {
    "accuracy_solo": Column("Solo", 1, percent=True),
    "accuracy_mixture": Column("Mixture", 1, percent=True),
    "accuracy_positive": Column("Positive pairs", 1, percent=True),
    "accuracy_negative": Column("Negative pairs", 1, percent=True),
}
PUBLISHED_SDR = {
    "sdr_as_published": Column("All objects", 1),
    "sdr_as_published_silent": Column("Silent objects alone", 1),
}
# Which phrases are taken as present, and what share of them should be.
ACCEPTED = {
    "accepted_present": ("Phrases of classes that sound", 100),
    "accepted_absent": ("Phrases of classes that do not sound", 0),
    "accepted_unmatched": ("Phrases that match nothing", 0),
}
PHRASES = ["mixture", "phrase", "kind", "confidence", "accepted"]
PLACES = {
    "colearning": "Co-learning: boxes that are taken to sound",
    "cyclic": "Cyclic co-learning: boxes that are taken to sound",
    "trimodal_visual": "VAST by picture: its attention",
    "trimodal_text": "VAST by phrase: its attention",
    "detected_box": "Control: the detected box, whether it sounds or not",
    "whole_image": "Control: the whole picture",
    "centre_box": "Control: the middle of the picture",
    "random_box": "Control: a box at random",
}
LOCALISATION = {
    "ciou_50": Column("cIoU of at least 0.5", 1, percent=True),
    "auc": Column("AUC", 3),
    "silent_share": Column("In the silent object's box", 1, percent=True),
    "area": Column("Share of the picture", 1, percent=True),
    "placed": Column("Objects with a place", 0),
    "objects": Column("Objects", 0),
}
MORE_SOURCES = {
    "si_sdri": "SI-SDRi in dB",
    "snri": "SNRi in dB",
    "snr": "SNR in dB; silence has 0",
    "muted": "Sounding objects that the gate mutes",
}


@dataclass(frozen=True)
class ClassPairs:
    """A system's mean NSDR by pair of classes: rows are asked for, columns sound beside; and of how many objects."""

    means: pd.DataFrame
    counts: pd.DataFrame


@dataclass(frozen=True)
class Measured:
    """All tables of stage evaluate. Those by system are in the order of SYSTEMS, and tell of those that were scored."""

    systems: Sequence[str]  # that were scored
    headline: Mapping[str, Any]
    means: Table
    by_score: Mapping[str, Table]  # score -> means, class-balanced means, medians
    against: Mapping[str, Table]  # system -> what the others are above it
    grounding: Mapping[str, Table]  # sound -> table
    decided: Cell  # how much more often cyclic co-learning grounds rightly than co-learning
    published: Table
    silence: Table
    published_sdr: Table
    synonym: Cell | None  # what other words lose against the plain phrase
    places: Table
    sources: Mapping[str, Table]  # measure -> table with a column for each number of sources
    by_class: pd.DataFrame
    by_pair: Mapping[str, ClassPairs]  # trained system -> means
    skipped: pd.DataFrame


def read_measured(metrics: Path) -> Measured:
    """Raises InputError, naming it, for a file, a column or a number that is missing."""
    folder = metrics / "evaluate"
    scores = read_scores(folder)
    differences = read_table(
        folder / "differences.csv", ["metric", "system", "against", "difference", "low", "high", "significant"]
    )
    there = [system for system in SYSTEMS if system in scores.index]
    grounded = {system: title for system, title in GROUNDED.items() if system in there}
    best = best_of(differences, [system for system in TRAINED if system in there])
    published = read_table(folder / "published.csv", ["system", *PUBLISHED, *PUBLISHED_SDR]).set_index("system")
    silence = read_table(folder / "silence.csv", ["system", *SILENCE]).set_index("system")
    places = read_table(folder / "localisation.csv", ["method", *LOCALISATION]).set_index("method")
    grounding = read_table(folder / "grounding.csv", ["system", "sound", *GROUNDING])
    said = (*grounded, *(GATE_CONTROLS if "cyclic" in grounded else ()))
    for name, frame in {"published": published, "silence": silence}.items():
        _refuse_gaps(frame, grounded if name == "published" else said, folder / f"{name}.csv")
    by_sound = {sound: grounding[grounding["sound"] == sound].set_index("system") for sound in SOUNDS}
    for frame in by_sound.values():
        _refuse_gaps(frame, said, folder / "grounding.csv")
    return Measured(
        systems=there,
        headline=headline(metrics, scores, by_sound["mixture"], silence),
        means=tabulate(scores, SYSTEMS, {score: Column(title) for score, title in SCORES.items()}, best),
        by_score={score: score_table(scores, score, best) for score in SCORES},
        against={s: difference_table(differences, s) for s in ("baseline", "mixture", *TRAINED[1:]) if s in there},
        grounding={sound: tabulate(f, {**GROUNDED, **GATE_CONTROLS}, GROUNDING) for sound, f in by_sound.items()},
        decided=difference_of(differences, "right", "cyclic", "colearning") or Cell(float("nan")),
        published=tabulate(published, GROUNDED, PUBLISHED),
        silence=tabulate(silence, {**SYSTEMS, **GATE_CONTROLS}, SILENCE),
        published_sdr=tabulate(published, GROUNDED, PUBLISHED_SDR),
        synonym=difference_of(differences, "nsdr", "trimodal_synonym", "trimodal_text"),
        places=tabulate(places, PLACES, LOCALISATION),
        sources=source_tables(folder),
        by_class=by_class(folder),
        by_pair=by_pair_of_classes(folder),
        skipped=read_table(metrics / "skipped.csv", SKIPPED),
    )


def _refuse_gaps(frame: pd.DataFrame, names: Any, path: Path) -> None:
    if missing := [name for name in names if name not in frame.index]:
        raise InputError(f"{path} has no row of {missing[0]}: run `dvc repro evaluate`, which makes it")


def spread(table: pd.DataFrame, by: str, told: Mapping[str, str]) -> pd.DataFrame:
    """A row for each system, and for each value of column `by` the columns of `told`, named `<value><ending>`."""
    wide = table.pivot(index="system", columns=by, values=list(told))
    wide.columns = pd.Index([f"{column[1]}{told[column[0]]}" for column in wide.columns])
    return wide


# --- Separation


def read_scores(folder: Path) -> pd.DataFrame:
    """scores.csv with a row for each system: columns `<score>`, `<score>_low`, `<score>_high`,
    `<score>_class_balanced`, `<score>_median`, and `objects`, `videos`. Raises InputError."""
    path = folder / "scores.csv"
    told = {"mean": "", **INTERVAL, "class_balanced": "_class_balanced", "median": "_median"}
    table = read_table(path, ["system", "metric", "objects", "videos", *told])
    wide = spread(table, "metric", told)
    _refuse_gaps(wide, FRAME, path)
    if missing := [score for score in SCORES if score not in wide]:
        raise InputError(f"{path} tells no {missing[0]}: run `dvc repro evaluate`, which does")
    return wide.join(table.groupby("system")[["objects", "videos"]].first())


def score_table(scores: pd.DataFrame, score: str, best: set[tuple[str, str]]) -> Table:
    """One score in all its averages; drawn where it is a gain: the mixture's SAR would hide all others."""
    columns = {
        score: Column(f"Mean {SCORES[score]}"),
        f"{score}_class_balanced": Column("Class-balanced mean"),
        f"{score}_median": Column("Median"),
        "objects": Column("Objects", 0),
        "videos": Column("Videos", 0),
    }
    return tabulate(scores, SYSTEMS, columns, best, drawn=score if score in GAINS else None)


def best_of(differences: pd.DataFrame, trained: Sequence[str]) -> set[tuple[str, str]]:
    """Which of the systems `trained` is, in which score, better than each other one by a difference that is
    significant, its 95 % interval excluding 0: (system, score)."""
    table = differences[
        (differences["significant"] == 1)
        & differences["system"].isin(trained)
        & differences["against"].isin(trained)
        & differences["metric"].isin(list(SCORES))
    ]
    better = table["system"].where(table["difference"] > 0, table["against"])
    beaten = better.groupby([better, table["metric"]]).size()
    return {key for key, count in beaten.items() if count == len(trained) - 1}  # type: ignore[misc]


def differences_to(differences: pd.DataFrame, system: str) -> pd.DataFrame:
    """What each other system is above `system`, whichever of the two the file takes from the other."""
    turned = differences[differences["system"] == system]
    turned = turned.assign(
        system=turned["against"], difference=-turned["difference"], low=-turned["high"], high=-turned["low"]
    )
    return pd.concat([differences[differences["against"] == system], turned])


def difference_table(differences: pd.DataFrame, system: str) -> Table:
    told = {"difference": "", **INTERVAL, "significant": "_significant"}
    wide = spread(differences_to(differences, system), "metric", told)
    return tabulate(wide, SYSTEMS, {gain: Column(SCORES[gain], sign=True) for gain in GAINS}, drawn=GAINS[0])


def difference_of(differences: pd.DataFrame, metric: str, system: str, against: str) -> Cell | None:
    """What a system is above another; None if there are no objects that both have."""
    table = differences_to(differences, against)
    rows = table[(table["metric"] == metric) & (table["system"] == system)]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return Cell(float(row["difference"]), float(row["low"]), float(row["high"]), faint=bool(row["significant"] == 0))


def by_class(folder: Path, score: str = "nsdr") -> pd.DataFrame:
    """Mean score of the sounding objects: one row per class, one column per trained system and oracle, `count`. Raises
    InputError."""
    table = read_table(folder / "by_class.csv", ["system", "class", "objects", score])
    means = table.pivot(index="class", columns="system", values=score)
    counts = table[table["system"] == "mixture"].set_index("class")["objects"]
    wanted = [system for system in ("oracle", *TRAINED) if system in means]
    return means[wanted].assign(count=counts).sort_index()


def by_pair_of_classes(folder: Path, score: str = "nsdr") -> dict[str, ClassPairs]:
    """Each trained system's mean score by pair of classes. Raises InputError."""
    table = read_table(folder / "by_pair.csv", ["system", "class", "beside", "objects", score])
    pairs = {}
    for system in TRAINED:
        own = table[table["system"] == system]
        means, counts = (own.pivot(index="class", columns="beside", values=name) for name in (score, "objects"))
        if len(own):
            pairs[system] = ClassPairs(means.sort_index(), counts.sort_index())
    return pairs


# --- The rest


def source_tables(folder: Path) -> dict[str, Table]:
    """A table for each of MORE_SOURCES, with a column for each number of sources; none if no such mixtures were asked
    for. Raises InputError."""
    table = read_table(folder / "sources.csv", ["sources", "system", "metric", "objects", "mean", "low", "high"])
    tables = {}
    for metric, own in table.groupby("metric"):
        if metric in MORE_SOURCES:
            share, numbers = metric == "muted", sorted(own["sources"].unique())
            columns = {f"{n}": Column(f"{n} sources", 1 if share else 2, share, metric in GAINS) for n in numbers}
            tables[metric] = tabulate(spread(own, "sources", {"mean": "", **INTERVAL}), SYSTEMS, columns)
    return {metric: tables[metric] for metric in MORE_SOURCES if metric in tables}


def headline(metrics: Path, scores: pd.DataFrame, grounding: pd.DataFrame, silence: pd.DataFrame) -> dict[str, Any]:
    """What the page opens with, and the thresholds: by system and score, then grounding and silent of cyclic
    co-learning and phrases of VAST, if they were scored, gates and pairs. Raises InputError for one that is missing."""
    path = metrics / "evaluate.json"
    told = read_json(path)
    phrases = read_table(metrics / "evaluate" / "phrases.csv", ["name", "value"])
    values: dict[str, Any] = {str(system): row.to_dict() for system, row in scores.iterrows()}
    needed: list[str] = []
    if "cyclic" in scores.index:
        values["grounding"], values["silent"] = grounding.loc["cyclic"].to_dict(), silence.loc["cyclic"].to_dict()
    if "trimodal_text" in scores.index:
        values["phrases"] = dict(zip(phrases["name"], phrases["value"], strict=True))
        values["phrases"]["threshold"] = told.get("phrase_threshold")
        needed += [f"phrases.{name}" for name in ("accepted_present", "accepted_absent", "roc_auc", "threshold")]
    needed += ["pairs.evaluated", "pairs.skipped", *(f"gates.{s}" for s in GROUNDED if s in scores.index)]
    values |= {name: told.get(name) for name in ("pairs", "gates")}
    there = dict(flat(values))
    for name in needed:
        if not isinstance(there.get(name), int | float):
            raise InputError(f"{path} and {metrics / 'evaluate'} tell no {name}: run `dvc repro evaluate`, which does")
    return values

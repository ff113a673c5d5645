"""What evaluation measured, section by section: metrics/evaluate, metrics/*.csv -> the page's tables."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.errors import InputError
from avsep.report.tables import (
    COMPARED,
    SCORES,
    SKIPPED,
    Cell,
    Column,
    System,
    Table,
    flat,
    read_json,
    read_table,
    tabulate,
)
from avsep.systems import catalogue
from avsep.systems.catalogue import Entry

GAINS = ("nsdr", "si_sdri", "snri")  # over the mixture: comparable from mixture to mixture
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
PUBLISHED_SCORES = {
    "sdr_as_published": Column("SDR", 1),
    "sir_as_published": Column("SIR", 1),
    "sar_as_published": Column("SAR", 1),
    "sdr_as_published_silent": Column("SDR of silent objects alone", 1),
}
# Which phrases are taken as present, and what share of them should be.
ACCEPTED = {
    "accepted_present": ("Phrases of classes that sound", 100),
    "accepted_absent": ("Phrases of classes that do not sound", 0),
    "accepted_unmatched": ("Phrases that match nothing", 0),
}
PHRASES = ["mixture", "phrase", "kind", "confidence", "accepted"]
# What else is taken for the place of a sound, beside what systems say.
PLACES = {
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
class ClassMeans:
    """Mean NSDR by class: a row for each class, a column for each of `systems`; and of how many objects."""

    systems: Sequence[System]
    means: pd.DataFrame
    counts: pd.Series


@dataclass(frozen=True)
class ClassPairs:
    """A system's mean NSDR by pair of classes: rows are asked for, columns sound beside; and of how many objects."""

    means: pd.DataFrame
    counts: pd.DataFrame


@dataclass(frozen=True)
class Separation:
    """How well the first system of a method separates, and the mean NSDR of what that is to be held against."""

    system: Entry
    nsdr: Cell
    beside: Sequence[tuple[str, float]]
    wrong: Sequence[float]  # of it, asked for another object's class


@dataclass(frozen=True)
class Headline:
    """What the page opens with, and the thresholds."""

    objects: int  # that sound
    videos: int
    pairs: Mapping[str, Any]  # `evaluated` and `skipped` test mixtures
    separation: Sequence[Separation]  # of each method
    framing: Sequence[tuple[str, float]]  # what is drawn beside each method, and its mean NSDR
    grounded: Entry | None  # the system that these two are of
    grounding: Mapping[str, float]  # in mixtures
    silent: Mapping[str, float]
    sure: Entry | None  # the system that this is of
    phrases: Mapping[str, float]  # with `threshold`, from which a phrase is taken as present
    gates: Mapping[str, float]  # system -> the probability from which an object is given anything


@dataclass(frozen=True)
class Measured:
    """All tables of stage evaluate. Those by system are in the catalogue's order and tell of what was scored."""

    systems: Mapping[str, System]  # that were scored
    grounded: Sequence[Entry]  # those of them that say who sounds
    headline: Headline
    means: Table
    by_score: Mapping[str, Table]  # score -> means, class-balanced means, medians
    against: Mapping[System, Table]  # what the others are above it
    grounding: Mapping[str, Table]  # sound -> table
    decided: Mapping[Entry, Cell]  # how much more often the headline's system grounds rightly than another one
    published: Table
    silence: Table
    gated: Sequence[str]  # titles of the systems whose sounds the controls of gates are
    published_scores: Table
    synonym: Cell | None  # what other words lose against the plain phrase
    places: Table
    sources: Mapping[str, Table]  # measure -> table with a column for each number of sources
    by_class: ClassMeans
    by_pair: Mapping[System, ClassPairs]
    skipped: pd.DataFrame


def read_measured(metrics: Path) -> Measured:
    """Raises InputError, naming it, for a file, a column or a number that is missing."""
    folder = metrics / "evaluate"
    scores = read_scores(folder)
    differences = read_table(
        folder / "differences.csv", ["metric", "system", "against", "difference", "low", "high", "significant"]
    )
    published = read_table(folder / "published.csv", ["system", *PUBLISHED, *PUBLISHED_SCORES]).set_index("system")
    silence = read_table(folder / "silence.csv", ["system", *SILENCE]).set_index("system")
    places = read_table(folder / "localisation.csv", ["method", *LOCALISATION]).set_index("method")
    grounding = read_table(folder / "grounding.csv", ["system", "sound", *GROUNDING])
    there = {system.name: system for system in catalogue.arranged(scores.index)}
    compared = [name for name, system in there.items() if system.group in COMPARED]
    best = best_of(differences, compared)
    # others' waves may come without a word on who sounds
    told = set(grounding.loc[grounding["balanced_accuracy"].notna(), "system"])
    grounded = [entry for entry in entries(there) if entry.grounds and (entry.group == "trained" or entry.name in told)]
    trained = [system.name for system in grounded if system.group == "trained"]
    controls = [control for control in catalogue.GATE_CONTROLS if control.of in trained]
    said = [*trained, *(control.name for control in controls)]
    for name, frame in {"published": published, "silence": silence}.items():
        _refuse_gaps(frame, trained if name == "published" else said, folder / f"{name}.csv")
    by_sound = {sound: grounding[grounding["sound"] == sound].set_index("system") for sound in SOUNDS}
    for frame in by_sound.values():
        _refuse_gaps(frame, said, folder / "grounding.csv")
    opening = headline(metrics, scores, there, grounded, by_sound["mixture"], silence)
    return Measured(
        systems=there,
        grounded=grounded,
        headline=opening,
        means=tabulate(scores, {score: Column(title) for score, title in SCORES.items()}, best),
        by_score={score: score_table(scores, score, best) for score in SCORES},
        against={system: difference_table(differences, system.name) for system in held_against(there)},
        grounding={sound: tabulate(frame, GROUNDING) for sound, frame in by_sound.items()},
        decided=decided(differences, opening.grounded, grounded),
        published=tabulate(published, PUBLISHED),
        silence=tabulate(silence, SILENCE),
        gated=list(dict.fromkeys(there[control.of].title for control in controls)),
        published_scores=tabulate(published, PUBLISHED_SCORES),
        synonym=synonym(differences, opening.sure),
        places=tabulate(places, LOCALISATION, lines=place_lines(places.index)),
        sources=source_tables(folder),
        by_class=by_class(folder),
        by_pair=by_pair_of_classes(folder),
        skipped=read_table(metrics / "skipped.csv", SKIPPED),
    )


def entries(there: Mapping[str, System]) -> list[Entry]:
    """The systems without the controls."""
    return [system for system in there.values() if isinstance(system, Entry)]


def _refuse_gaps(frame: pd.DataFrame, names: Iterable[str], path: Path) -> None:
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
    _refuse_gaps(wide, [entry.name for entry in catalogue.SYSTEMS if entry.group == "reference"], path)
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
    return tabulate(scores, columns, best, drawn=score if score in GAINS else None)


def best_of(differences: pd.DataFrame, compared: Collection[str]) -> set[tuple[str, str]]:
    """Which of the systems `compared` is, in which score, better than each other one by a difference that is
    significant, its 95 % interval excluding 0: (system, score)."""
    table = differences[
        (differences["significant"] == 1)
        & differences["system"].isin(compared)
        & differences["against"].isin(compared)
        & differences["metric"].isin(list(SCORES))
    ]
    better = table["system"].where(table["difference"] > 0, table["against"])
    beaten = better.groupby([better, table["metric"]]).size()
    return {key for key, count in beaten.items() if count == len(compared) - 1}  # type: ignore[misc]


def differences_to(differences: pd.DataFrame, system: str) -> pd.DataFrame:
    """What each other system is above `system`, whichever of the two the file takes from the other."""
    turned = differences[differences["system"] == system]
    turned = turned.assign(
        system=turned["against"], difference=-turned["difference"], low=-turned["high"], high=-turned["low"]
    )
    return pd.concat([differences[differences["against"] == system], turned])


def held_against(there: Mapping[str, System]) -> list[Entry]:
    """What the differences are taken to: first what is drawn beside each method."""
    return sorted(entries(there), key=lambda entry: not (entry.everywhere and entry.group in COMPARED))


def difference_table(differences: pd.DataFrame, system: str) -> Table:
    told = {"difference": "", **INTERVAL, "significant": "_significant"}
    wide = spread(differences_to(differences, system), "metric", told)
    wide = wide.reindex(columns=wide.columns.union(list(GAINS))).dropna(subset=list(GAINS), how="all")
    return tabulate(wide, {gain: Column(SCORES[gain], sign=True) for gain in GAINS}, drawn=GAINS[0])


def difference_of(differences: pd.DataFrame, metric: str, system: str, against: str) -> Cell | None:
    """What a system is above another; None if there are no objects that both have."""
    table = differences_to(differences, against)
    rows = table[(table["metric"] == metric) & (table["system"] == system)]
    if rows.empty:
        return None
    row = rows.iloc[0]
    return Cell(float(row["difference"]), float(row["low"]), float(row["high"]), faint=bool(row["significant"] == 0))


def decided(differences: pd.DataFrame, system: Entry | None, grounded: Sequence[Entry]) -> dict[Entry, Cell]:
    """How much more often a system grounds rightly in mixtures than each other one, as a share."""
    if system is None:
        return {}
    others = {other: difference_of(differences, "right", system.name, other.name) for other in grounded}
    return {other: cell for other, cell in others.items() if cell is not None}


def synonym(differences: pd.DataFrame, sure: Entry | None) -> Cell | None:
    """What a system is with other words above itself with the plain phrase."""
    for control in catalogue.CONTROLS:
        if sure is not None and control.of == sure.name and control.asked == catalogue.SYNONYM:
            return difference_of(differences, "nsdr", control.name, control.of)
    return None


def by_class(folder: Path, score: str = "nsdr") -> ClassMeans:
    """Mean score of the sounding objects of what is compared, and of what is drawn beside. Raises InputError."""
    table = read_table(folder / "by_class.csv", ["system", "class", "objects", score])
    means = table.pivot(index="class", columns="system", values=score).sort_index()
    shown = [
        system
        for system in catalogue.arranged(means.columns)
        if isinstance(system, Entry) and (system.everywhere or system.group in COMPARED)
    ]
    return ClassMeans(shown, means[[system.name for system in shown]], table.groupby("class")["objects"].max())


def by_pair_of_classes(folder: Path, score: str = "nsdr") -> dict[System, ClassPairs]:
    """The mean score by pair of classes of each system that is compared. Raises InputError."""
    table = read_table(folder / "by_pair.csv", ["system", "class", "beside", "objects", score])
    pairs = {}
    for system in catalogue.arranged(set(table["system"])):
        if system.group in COMPARED:
            own = table[table["system"] == system.name]
            means, counts = (own.pivot(index="class", columns="beside", values=name) for name in (score, "objects"))
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
            tables[metric] = tabulate(spread(own, "sources", {"mean": "", **INTERVAL}), columns)
    return {metric: tables[metric] for metric in MORE_SOURCES if metric in tables}


def place_lines(methods: Collection[str]) -> dict[str, tuple[str, str]]:
    """Title and group of each method that says where a sound is: the systems, and how, then PLACES."""
    lines = {}
    for system in catalogue.arranged(set(methods) - set(PLACES)):
        looks = isinstance(system, Entry) and system.looks
        how = "its attention" if looks else "boxes that are taken to sound"
        lines[system.name] = (f"{system.title}: {how}", system.group)
    return lines | {name: (title, "control") for name, title in PLACES.items()}


# --- What the page opens with


def headline(
    metrics: Path,
    scores: pd.DataFrame,
    there: Mapping[str, System],
    grounded: Sequence[Entry],
    grounding: pd.DataFrame,
    silence: pd.DataFrame,
) -> Headline:
    """From the tables of what was scored, `there`, and evaluate.json. Raises InputError for what is missing."""
    path = metrics / "evaluate.json"
    told = dict(flat(read_json(path)))
    rows = read_table(metrics / "evaluate" / "phrases.csv", ["name", "value"])
    told_phrases = {**dict(zip(rows["name"], rows["value"], strict=True)), "threshold": told.get("phrase_threshold")}
    gated = [entry for entry in grounded if entry.name in grounding.index and entry.name in silence.index]
    first = next((entry for entry in gated if entry.first), gated[0] if gated else None)
    sure = next((entry for entry in entries(there) if entry.confident), None)
    phrases = {} if sure is None else told_phrases
    gates = {entry.name: told.get(f"gates.{entry.name}") for entry in grounded}
    pairs = {name: told.get(f"pairs.{name}") for name in ("evaluated", "skipped")}
    needed: dict[str, Any] = {}
    if sure is not None:
        names = ("accepted_present", "accepted_absent", "roc_auc", "threshold")
        needed |= {f"phrases.{name}": phrases.get(name) for name in names}
    needed |= {f"pairs.{name}": number for name, number in pairs.items()}
    needed |= {f"gates.{entry.name}": gates[entry.name] for entry in grounded if entry.group == "trained"}
    for name, value in needed.items():
        if not isinstance(value, int | float):
            raise InputError(f"{path} and {metrics / 'evaluate'} tell no {name}: run `dvc repro evaluate`, which does")
    return Headline(
        objects=int(scores["objects"].max()),
        videos=int(scores["videos"].max()),
        pairs=pairs,
        separation=[separation(scores, there, entry) for entry in entries(there) if entry.first],
        framing=[(e.title, float(scores.loc[e.name, "nsdr"])) for e in entries(there) if e.everywhere],  # type: ignore[arg-type]
        grounded=first,
        grounding={} if first is None else row_of(grounding, first.name),
        silent={} if first is None else row_of(silence, first.name),
        sure=sure,
        phrases=phrases,
        gates={name: gate for name, gate in gates.items() if isinstance(gate, int | float)},
    )


def row_of(table: pd.DataFrame, name: str) -> dict[str, Any]:
    return {str(column): value for column, value in table.loc[name].items()}


def separation(scores: pd.DataFrame, there: Mapping[str, System], first: Entry) -> Separation:
    """The first system of a method beside the others of it, what is drawn beside each method, and its own control."""
    beside, wrong = [], []
    for system in there.values():
        nsdr = float(scores.loc[system.name, "nsdr"])  # type: ignore[arg-type]
        if isinstance(system, Entry):
            near = system.everywhere or system.method == first.method
        else:
            near = system.of == first.name and system.asked == catalogue.OTHER
            wrong += [nsdr] if near else []
        if near and system != first:
            beside.append((system.title, nsdr))
    mean, low, high = (float(scores.loc[first.name, f"nsdr{end}"]) for end in ("", "_low", "_high"))  # type: ignore[arg-type]
    return Separation(first, Cell(mean, low, high), beside, wrong)

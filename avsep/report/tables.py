"""The page's numbers: read from metrics/ and checked; nothing is computed here."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.errors import InputError

# In the order of every table: what nothing gives, what is possible, what was trained, what a query is worth.
SYSTEMS = {
    "mixture": "Mixture, not separated",
    "oracle": "Ideal ratio mask (oracle)",
    "baseline": "Sound of Pixels (baseline)",
    "colearning": "Co-learning",
    "cyclic": "Cyclic co-learning",
    "trimodal_visual": "VAST by picture",
    "trimodal_text": "VAST by phrase",
    "finetune_visual": "VAST fine-tuned, by picture",
    "finetune_text": "VAST fine-tuned, by phrase",
    "trimodal_wrong_picture": "Control: VAST asked with another class's picture",
    "trimodal_wrong_text": "Control: VAST asked with another class's phrase",
}
CONTROLS = ("trimodal_wrong_picture", "trimodal_wrong_text")
TRAINED = tuple(system for system in SYSTEMS if system not in ("mixture", "oracle", *CONTROLS))
# The stages that train, in the order of every legend.
TRAINING = {
    "grounding": "Grounding warm-up",
    "colearning": "Co-learning",
    "cyclic": "Cyclic co-learning",
    "baseline": "Sound of Pixels (baseline)",
    "trimodal": "VAST",
    "finetune": "VAST fine-tuned",
}
SCORES = {"sdr": "SDR", "sir": "SIR", "sar": "SAR", "nsdr": "NSDR", "si_sdr": "SI-SDR", "si_sdri": "SI-SDRi"}
# The systems that say who sounds -> the end of their names in metrics/evaluate.json.
GROUNDED = {"colearning": "_colearning", "cyclic": ""}
GROUNDING = {
    "balanced_accuracy": "Balanced accuracy",
    "roc_auc": "ROC AUC",
    "average_precision": "Average precision",
}
SILENCE = {
    "leakage_db": "Leakage in dB, mean",
    "leakage_db_p95": "Leakage in dB, 95th percentile",
    "false_mute_rate": "Share of sounding objects muted",
}
# Which phrases are taken as present, and what share of them should be.
ACCEPTED = {
    "accepted_present": ("Phrases of classes that sound", 100),
    "accepted_absent": ("Phrases of classes that do not sound", 0),
    "accepted_unmatched": ("Phrases that match nothing", 0),
}
WORDED = {
    "phrase_nsdr": "The plain phrase",
    "synonym_nsdr": "Synonyms",
}

PAIRS = ["mixture", "system", "object", "role", "class", "video", "probability", *SCORES, "leakage_db", "muted"]
REJECTED = ["class", "id", "stage", "reason"]


def read_json(path: Path) -> dict[str, Any]:
    """A file of metrics. Raises InputError if there is none or if it is no JSON object."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`, which makes it") from None
    except ValueError as error:
        raise InputError(f"{path} is no JSON ({error}): run `dvc repro`, which makes it again") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} is no table of metrics: run `dvc repro`, which makes it again")
    return values


def read_table(path: Path, columns: list[str], separator: str = ",") -> pd.DataFrame:
    """A CSV file with a header, its `columns` checked. Raises InputError."""
    try:
        table = pd.read_csv(path, sep=separator, dtype=dict.fromkeys(("class", "beside", "id", "video"), str))
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run `dvc repro`, which makes it") from None
    except (ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{path} is no table ({error}): run `dvc repro`, which makes it again") from None
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{path} has no column {missing[0]}: it is no file of the stage that should have made it")
    return table


def read_curves(folder: Path) -> dict[str, pd.DataFrame]:
    """A training stage's curves, DVCLive's plots/metrics: `val/si_sdri` -> columns step, value. Raises InputError."""
    curves = {}
    for path in sorted(folder.glob("*/*.tsv")):
        name = path.relative_to(folder).with_suffix("").as_posix()
        curve = read_table(path, ["step", path.stem], separator="\t")
        curves[name] = pd.DataFrame({"step": curve["step"], "value": curve[path.stem]})
    if not curves:
        raise InputError(f"{folder} holds no curves: run `dvc repro`, which makes them")
    return curves


def read_evaluation(headline: Path, folder: Path) -> dict[str, Any]:
    """Every number of metrics/evaluate.json and of the tables in metrics/evaluate that the page names, nested: by
    system and score, then `grounding<suffix>`, `silent<suffix>`, `phrases` and `pairs`. Raises InputError."""
    told = read_json(headline)
    scores = read_table(folder / "scores.csv", ["system", "metric", "mean"])
    grounding = read_table(folder / "grounding.csv", ["system", "sound", *GROUNDING])
    silence = read_table(folder / "silence.csv", ["system", *SILENCE]).set_index("system")
    phrases = read_table(folder / "phrases.csv", ["name", "value"])
    by_suffix = {
        "grounding": (grounding[grounding["sound"] == "mixture"].set_index("system"), GROUNDING),
        "silent": (silence, SILENCE),
    }
    evaluated: dict[str, Any] = {
        str(system): dict(zip(rows["metric"], rows["mean"], strict=True)) for system, rows in scores.groupby("system")
    }
    for name, (table, columns) in by_suffix.items():
        for system, suffix in GROUNDED.items():
            if system in table.index:
                evaluated[f"{name}{suffix}"] = table.loc[system, list(columns)].to_dict()
    evaluated["phrases"] = dict(zip(phrases["name"], phrases["value"], strict=True))
    evaluated["phrases"]["threshold"] = told.get("phrase_threshold")
    evaluated["pairs"] = told.get("pairs")
    _refuse_gaps(evaluated, folder)
    return evaluated


def _refuse_gaps(evaluated: dict[str, Any], folder: Path) -> None:
    """Raises InputError, naming it, for a number that the page needs and that is not there."""
    there = dict(flat(evaluated))
    needed = [f"{system}.{score}" for system in SYSTEMS for score in SCORES] + ["pairs.evaluated", "pairs.skipped"]
    for suffix in GROUNDED.values():
        needed += [f"grounding{suffix}.{name}" for name in GROUNDING] + [f"silent{suffix}.{name}" for name in SILENCE]
    needed += [f"phrases.{name}" for name in ("accepted_present", "accepted_absent", "threshold", "roc_auc")]
    for name in needed:
        if not isinstance(there.get(name), int | float):
            raise InputError(f"{folder} and {folder}.json tell no {name}: run `dvc repro evaluate`, which does")


def read_best(folder: Path) -> set[tuple[str, str]]:
    """Which trained system is, in which score, better than each other trained one by a difference whose 95 % interval
    excludes 0: (system, score). Raises InputError."""
    columns = ["metric", "system", "against", "difference", "significant"]
    table = read_table(folder / "differences.csv", columns)
    table = table[(table["significant"] == 1) & table["system"].isin(TRAINED) & table["against"].isin(TRAINED)]
    better = table["system"].where(table["difference"] > 0, table["against"])
    beaten = better.groupby([better, table["metric"]]).size()
    return {key for key, count in beaten.items() if count == len(TRAINED) - 1}  # type: ignore[misc]


def by_class(folder: Path, score: str = "nsdr") -> pd.DataFrame:
    """Mean score of the sounding objects: one row per class, one column per trained system and oracle, `count`. Raises
    InputError."""
    table = read_table(folder / "by_class.csv", ["system", "class", "objects", score])
    means = table.pivot(index="class", columns="system", values=score)
    counts = table[table["system"] == "cyclic"].set_index("class")["objects"]
    wanted = [system for system in ("oracle", *TRAINED) if system in means]
    return means[wanted].assign(count=counts).sort_index()


def by_pair_of_classes(folder: Path, system: str, score: str = "nsdr") -> pd.DataFrame:
    """Mean score of a system: rows are the class that is asked for, columns the class that sounds beside it. Raises
    InputError."""
    table = read_table(folder / "by_pair.csv", ["system", "class", "beside", score])
    return table[table["system"] == system].pivot(index="class", columns="beside", values=score).sort_index()


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested metrics as rows: `("grounding.roc_auc", 0.98)`."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def decimal(value: Any, digits: int = 1, sign: bool = False) -> str:
    """A number as the page writes it: a true minus sign; an en dash where the score does not apply."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, float) and math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")


def plain(value: Any) -> str:
    """Any metric as text: four significant digits for a fraction, everything else as it is."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return str(value)

"""metrics/pairs.csv: one row for each system and object of each test mixture, which every aggregate is made from.

Separation is scored with each sounding object's own mask, without gate; what silent objects are given is scored under a
gate on the grounding probability, as a listener would get it, and without.  The gates' controls give all objects one
answer, or any: they stand on cyclic co-learning's separation.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch

from avsep.clips.index import OBJECTS, PAIRS, SOUNDING
from avsep.errors import InputError
from avsep.scoring.separation import SCORES, gains, measure, sdr_as_published
from avsep.scoring.silence import FLOOR_DB, leakage_db
from avsep.scoring.systems import GROUNDED, SYSTEMS, Outcome

GATED = "cyclic"  # whose separation the gates' controls take
GATE_CONTROLS = ("always_sounding", "never_sounding", "chance")
ROUNDED = 0.5  # the decision that training takes, and the threshold of the grounding scores
COLUMNS = [
    *("mixture", "system", "object", "role", "class", "video", "beside", "probability", "solo_probability", "muted"),
    *SCORES,
    *("leakage_db", "open_leakage_db", "sdr_as_published"),
]
# A sounding object -> the other one; a silent object -> the sounding one of its pair.
BESIDE = {"A": "C", "C": "A", **{silent: sounding for sounding, silent in PAIRS}}


def score(
    outcome: Outcome, gates: Mapping[str, float], seed: int, synonyms: Collection[str] = ()
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of one mixture, or no rows and the reason why it cannot be scored.

    `gates`: of each grounded system, the probability below which an object is muted.  `seed`: of chance.  `synonyms`:
    the classes that have one; no other is asked for by it.
    """
    rows: list[dict[str, Any]] = []
    mixed: dict[str, np.ndarray] = {}
    for system in (system for system in SYSTEMS if system in outcome.estimates):  # the mixture first
        try:
            scores = _separation(outcome, system)
        except InputError as error:
            return [], f"{system}: {error}"
        mixed = mixed or scores
        rows += _rows(outcome, system, {**scores, **gains(scores, mixed)}, synonyms)
    for row in rows:
        if row["system"] in GROUNDED:
            _gate(row, outcome, gates[row["system"]])
    return rows + _gate_controls(rows, outcome, seed), None


def _separation(outcome: Outcome, system: str) -> dict[str, np.ndarray]:
    """Scores (S,) of the sounding objects. Raises InputError if one of them is silent."""
    references = np.stack([outcome.references[name] for name in SOUNDING])
    estimates = np.stack([outcome.estimates[system][name] for name in SOUNDING])
    return measure(references, estimates)


def _rows(
    outcome: Outcome, system: str, scores: Mapping[str, np.ndarray], synonyms: Collection[str]
) -> list[dict[str, Any]]:
    """One system's rows, without gate."""
    rows = []
    for name in (name for name in OBJECTS if name in outcome.estimates[system]):
        video = outcome.videos[name]
        if system == "trimodal_synonym" and video.category not in synonyms:
            continue
        row: dict[str, Any] = {
            "mixture": outcome.number,
            "system": system,
            "object": name,
            "role": "sounding" if name in SOUNDING else "silent",
            "class": video.category,
            "video": video.name,
            "beside": outcome.videos[BESIDE[name]].category,
        }
        if name in SOUNDING:
            row.update({metric: float(scores[metric][SOUNDING.index(name)]) for metric in SCORES})
        else:
            row["open_leakage_db"] = row["leakage_db"] = _leakage(outcome, system, name)
        rows.append(row)
    return rows


def _leakage(outcome: Outcome, system: str, name: str) -> float:
    given, mixture = (torch.from_numpy(wave) for wave in (outcome.estimates[system][name], outcome.mixture))
    return float(leakage_db(given, mixture))


def _gate(row: dict[str, Any], outcome: Outcome, gate: float) -> None:
    """Adds what a grounded system says of the row's object, and what its gate makes of it."""
    system, name = row["system"], row["object"]
    row["probability"], row["solo_probability"] = outcome.probabilities[system][name], outcome.solo[system][name]
    row["muted"] = int(row["probability"] < gate)
    silence = np.zeros_like(outcome.mixture)
    given = silence if row["muted"] else outcome.estimates[system][name]
    if row["role"] == "silent":
        row["leakage_db"] = FLOOR_DB if row["muted"] else row["open_leakage_db"]
    row["sdr_as_published"] = sdr_as_published(outcome.references.get(name, silence), given)


def _gate_controls(rows: list[dict[str, Any]], outcome: Outcome, seed: int) -> list[dict[str, Any]]:
    """GATED's rows again, if it was asked, with the probabilities of each control under the gate ROUNDED."""
    random = np.random.default_rng([seed, outcome.number])
    made = []
    for control in GATE_CONTROLS:
        for row in (row for row in rows if row["system"] == GATED):
            answers = [1.0, 1.0] if control == "always_sounding" else [0.0, 0.0]
            if control == "chance":
                answers = random.random(2).round(6).tolist()
            own = {**row, "system": control, "probability": answers[0], "solo_probability": answers[1]}
            own["muted"] = int(own["probability"] < ROUNDED)
            if row["role"] == "silent":
                own["leakage_db"] = FLOOR_DB if own["muted"] else row["open_leakage_db"]
            del own["sdr_as_published"]
            made.append(own)
    return made

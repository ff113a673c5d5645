"""metrics/pairs.csv: one row for each system and object of each test mixture, which every aggregate is made from.

Separation is scored with each sounding object's own mask, without gate; what silent objects are given is scored under a
gate on the grounding probability, as a listener would get it, and without.  The gates' controls give all objects one
answer, or any: they stand on another system's separation.  A system may itself give an object silence, in place of a
mask: to one that sounds, this has an SNR of 0 dB, and no other score is defined.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from avsep.clips.index import OBJECTS, PAIRS, SOUNDING
from avsep.errors import InputError
from avsep.scoring.asking import Outcome
from avsep.scoring.separation import SCORES, as_published, gains, measure
from avsep.scoring.silence import FLOOR_DB, leakage_db
from avsep.systems.catalogue import ALWAYS, CHANCE, CONTROLS, GATE_CONTROLS, SYNONYM, arranged

ROUNDED = 0.5  # the decision that training takes, and the threshold of the grounding scores
AS_PUBLISHED = (
    "sdr_as_published",
    "sir_as_published",
    "sar_as_published",
)  # of what each object is given under the gate ROUNDED, which is the authors'
COLUMNS = [
    *("mixture", "system", "object", "role", "class", "video", "beside", "probability", "solo_probability", "muted"),
    *SCORES,
    *("leakage_db", "open_leakage_db", *AS_PUBLISHED),
]
# A sounding object -> the other one; a silent object -> the sounding one of its pair.
IN_OTHER_WORDS = frozenset(control.name for control in CONTROLS if control.asked == SYNONYM)
UNDEFINED = ("sdr", "sir", "sar", "nsdr", "si_sdr", "si_sdri")  # of a silent estimate
BESIDE = {"A": "C", "C": "A", **{silent: sounding for sounding, silent in PAIRS}}


def score(
    outcome: Outcome, gates: Mapping[str, float], seed: int, synonyms: Collection[str] = ()
) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of one mixture, or no rows and the reason why it cannot be scored.

    `gates`: of each system that grounds, the probability below which an object is muted.  `seed`: of chance.
    `synonyms`: the classes that have one; no other is asked for by it.
    """
    rows: list[dict[str, Any]] = []
    mixed: dict[str, np.ndarray] = {}
    for system in (entry.name for entry in arranged(outcome.estimates)):  # the mixture first
        try:
            scores = _separation(outcome, system)
        except InputError as error:
            return [], f"{system}: {error}"
        mixed = mixed or scores
        rows += _rows(outcome, system, {**scores, **gains(scores, mixed)}, synonyms)
    for system in outcome.probabilities:
        own = [row for row in rows if row["system"] == system]
        for row in own:
            _gate(row, outcome, gates[system])
        _score_as_published(own, outcome)
    return rows + _gate_controls(rows, outcome, seed), None


def _separation(outcome: Outcome, system: str) -> dict[str, np.ndarray]:
    """Scores (S,) of the sounding objects.

    Raises InputError if one of them is silent, or is given silence by a system that does not say so.
    """
    references = np.stack([outcome.references[name] for name in SOUNDING])
    estimates = np.stack([outcome.estimates[system][name] for name in SOUNDING])
    said = outcome.probabilities.get(system, {})
    muted = np.array([said.get(name) == 0 and not outcome.estimates[system][name].any() for name in SOUNDING])
    # BSS-eval scores each estimate by itself: the mixture stands for one that it cannot score
    scores = measure(references, np.where(muted[:, None], outcome.mixture, estimates))
    if not muted.any():
        return scores
    heard = {name: np.where(muted, np.nan, values) for name, values in scores.items() if name in UNDEFINED}
    return {**scores, **heard, "snr": np.where(muted, 0.0, scores["snr"])}


def _rows(
    outcome: Outcome, system: str, scores: Mapping[str, np.ndarray], synonyms: Collection[str]
) -> list[dict[str, Any]]:
    """One system's rows, without gate."""
    rows = []
    for name in (name for name in OBJECTS if name in outcome.estimates[system]):
        video = outcome.videos[name]
        if system in IN_OTHER_WORDS and video.category not in synonyms:
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
    """Adds what a system that grounds says of the row's object, and what its gate makes of it."""
    system, name = row["system"], row["object"]
    row["probability"], row["solo_probability"] = outcome.probabilities[system][name], outcome.solo[system][name]
    row["muted"] = int(row["probability"] < gate)
    if row["role"] == "silent":
        row["leakage_db"] = FLOOR_DB if row["muted"] else row["open_leakage_db"]


def _score_as_published(rows: Sequence[dict[str, Any]], outcome: Outcome) -> None:
    """Adds the published scores of all objects of one system at once: what one sounds like decides the others' SIR."""
    if not rows:
        return
    silence = np.zeros_like(outcome.mixture)
    references = [outcome.references.get(row["object"], silence) for row in rows]
    heard = [row["probability"] >= ROUNDED for row in rows]
    given = [
        outcome.estimates[row["system"]][row["object"]] if sounds else silence
        for row, sounds in zip(rows, heard, strict=True)
    ]
    scores = as_published(np.stack(references), np.stack(given))
    for number, row in enumerate(rows):
        row.update({name: float(values[number]) for name, values in zip(AS_PUBLISHED, scores, strict=True)})


def _gate_controls(rows: list[dict[str, Any]], outcome: Outcome, seed: int) -> list[dict[str, Any]]:
    """The rows of the system that each control is of, if it was asked, with the control's probabilities under the gate
    ROUNDED."""
    random = np.random.default_rng([seed, outcome.number])
    made = []
    for control in GATE_CONTROLS:
        for row in (row for row in rows if row["system"] == control.of):
            answers = [1.0, 1.0] if control.asked == ALWAYS else [0.0, 0.0]
            if control.asked == CHANCE:
                answers = random.random(2).round(6).tolist()
            own = {**row, "system": control.name, "probability": answers[0], "solo_probability": answers[1]}
            own["muted"] = int(own["probability"] < ROUNDED)
            if row["role"] == "silent":
                own["leakage_db"] = FLOOR_DB if own["muted"] else row["open_leakage_db"]
            for name in AS_PUBLISHED:
                del own[name]
            made.append(own)
    return made

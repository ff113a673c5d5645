"""metrics/phrases.csv: how sure a system is of each phrase in each test mixture, and what follows from it."""

from typing import Any

import pandas as pd

from avsep.scoring.asking import Outcome, Phrases
from avsep.scoring.grounding import grounding_scores

COLUMNS = ["mixture", "phrase", "kind", "confidence", "accepted"]


def phrase_rows(outcome: Outcome, phrases: Phrases, threshold: float) -> list[dict[str, Any]]:
    """The rows of one mixture; from the confidence `threshold` on a phrase is taken to be heard."""
    sounding = {phrases.of(outcome.videos[name].category) for name in outcome.task.sounding}
    rows = []
    for phrase, confidence in outcome.confidences.items():
        kind = "present" if phrase in sounding else "unmatched" if phrase in phrases.unmatched else "absent"
        accepted = int(confidence >= threshold)
        about = {"mixture": outcome.number, "phrase": phrase, "kind": kind}
        rows.append({**about, "confidence": confidence, "accepted": accepted})
    return rows


def phrase_scores(phrases: pd.DataFrame) -> dict[str, float]:
    """Of the rows of metrics/phrases.csv: how often a phrase is taken to be heard, and how well the confidence tells
    those that are from those that are not, and from those that match nothing."""
    accepted = phrases.groupby("kind")["accepted"].mean()
    scores = {f"accepted_{kind}": float(accepted[kind]) for kind in accepted.index}
    for kind, name in (("absent", "roc_auc"), ("unmatched", "roc_auc_unmatched")):
        if kind in accepted:
            rows = phrases[phrases["kind"].isin(["present", kind])]
            present = (rows["kind"] == "present").tolist()
            scores[name] = grounding_scores(rows["confidence"].tolist(), present, 0.0)["roc_auc"]
    return scores

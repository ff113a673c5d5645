"""How well grounding tells sounding objects from silent ones, from their probabilities to sound."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch


def grounding_scores(probabilities: Sequence[float], sounding: Sequence[bool], threshold: float) -> dict[str, float]:
    """Balanced accuracy at the threshold, ROC AUC and average precision over objects.

    Raises ValueError if all objects sound or none does.
    """
    # takes seconds to import, and processes that score rows need none of it
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_stat_scores

    if len(set(sounding)) < 2:
        raise ValueError("grounding is scored on sounding and silent objects")
    p = torch.tensor(probabilities, dtype=torch.float64)
    truth = torch.tensor(sounding, dtype=torch.long)
    hits, false_alarms, rejections, misses, _ = binary_stat_scores((p >= threshold).long(), truth).tolist()
    return {
        "balanced_accuracy": (hits / (hits + misses) + rejections / (rejections + false_alarms)) / 2,
        "roc_auc": float(binary_auroc(p, truth)),
        "average_precision": float(binary_average_precision(p, truth)),
    }


def calibrated_gate(sounding: Sequence[float], max_false_mutes: float, level: float | None = None) -> float:
    """The highest gate that mutes, probability < gate, at most this share of the objects that sound.

    Chosen on validation: a gate that is read off the test mixtures says nothing about other ones.  But neither is the
    share of a few objects that of all others.  With a `level` of confidence its upper limit is held in place of the
    share itself, by Clopper and Pearson (Biometrika 1934); where there are too few objects to be that sure, the gate is
    the lowest of their probabilities, which mutes none of them.
    """
    count = len(sounding)
    if level is None:
        return sorted(sounding)[math.floor(max_false_mutes * count)]
    from scipy.stats import beta  # takes a second to import

    muted = np.arange(count)
    limits = beta.ppf(level, muted + 1, count - muted)  # of the share, if so many are muted; they grow
    return sorted(sounding)[max(int(np.count_nonzero(limits <= max_false_mutes)) - 1, 0)]


def reliability(probabilities: Sequence[float], sounding: Sequence[bool], bins: int) -> pd.DataFrame:
    """A reliability plot (DeGroot and Fienberg, The Statistician 1983): a row for each of `bins` equal intervals of the
    probability that holds an object: its ends `low` and `high`, how many `objects` it holds, their mean `probability`
    and the `share` of them that sounds, which a calibrated grounding makes equal."""
    p = np.asarray(probabilities, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)  # a probability of 1 lies in the last
    table = pd.DataFrame({"bin": place, "probability": p, "sounding": np.asarray(sounding, np.float64)})
    rows = table.groupby("bin").agg(
        objects=("probability", "size"), probability=("probability", "mean"), share=("sounding", "mean")
    )
    ends = pd.DataFrame({"low": rows.index / bins, "high": (rows.index + 1) / bins}, index=rows.index)
    return pd.concat([ends, rows], axis=1).reset_index(drop=True)


def calibration_error(reliable: pd.DataFrame) -> float:
    """ECE (Naeini, Cooper, Hauskrecht: Obtaining well calibrated probabilities, AAAI 2015): the mean distance of
    probability and share in the rows of `reliability`, weighted by their objects."""
    distance = (reliable["probability"] - reliable["share"]).abs()
    return float((distance * reliable["objects"]).sum() / reliable["objects"].sum())


def published_accuracies(rows: pd.DataFrame, threshold: float) -> dict[str, float]:
    """Plain accuracies under the names of CCoL's published evaluation, of one system's objects.

    `rows` has `role`, `probability` to sound in the mixture and `solo_probability` to sound with the solo sound of the
    object's pair.  Positive are solo sounds with their own object, negative those with the silent one beside it.
    """
    sounds = rows["role"] == "sounding"
    mixture = (rows["probability"] >= threshold) == sounds
    solo = (rows["solo_probability"] >= threshold) == sounds
    return {
        "accuracy_solo": float(solo.mean()),
        "accuracy_mixture": float(mixture.mean()),
        "accuracy_positive": float(solo[sounds].mean()),
        "accuracy_negative": float(solo[~sounds].mean()),
    }

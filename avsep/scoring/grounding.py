"""How well grounding tells sounding objects from silent ones, from their probabilities to sound."""

import math
from collections.abc import Sequence

import torch
from torchmetrics.functional.classification import binary_auroc, binary_average_precision, binary_stat_scores


def grounding_scores(probabilities: Sequence[float], sounding: Sequence[bool], threshold: float) -> dict[str, float]:
    """Balanced accuracy at the threshold, ROC AUC and average precision over objects.

    Raises ValueError if all objects sound or none does.
    """
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


def calibrated_gate(sounding: Sequence[float], max_false_mutes: float) -> float:
    """The highest gate that mutes, probability < gate, at most this share of the objects that sound.

    Chosen on validation: a gate that is read off the test mixtures says nothing about other ones.
    """
    return sorted(sounding)[math.floor(max_false_mutes * len(sounding))]

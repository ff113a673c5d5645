"""Grounding scores with known answers (evaluation.md, 4)."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import binom
from torchmetrics.functional.classification import binary_calibration_error

from avsep.scoring.grounding import (
    calibrated_gate,
    calibration_error,
    grounding_scores,
    published_accuracies,
    reliability,
)

TRUTH = [True, True, False, False]


@pytest.mark.parametrize(
    ("probabilities", "accuracy", "auc", "precision"),
    [
        ([0.9, 0.6, 0.4, 0.1], 1, 1, 1),
        ([0.1, 0.4, 0.6, 0.9], 0, 0, (1 / 3 + 2 / 4) / 2),  # inverted
        ([0.7] * 4, 0.5, 0.5, 0.5),  # says nothing
        ([0.2] * 4, 0.5, 0.5, 0.5),
        ([0.9, 0.3, 0.6, 0.1], 0.5, 0.75, (1 + 2 / 3) / 2),
        ([0.3, 0.2, 0.1, 0.0], 0.5, 1, 1),  # all below the threshold: the order is right
    ],
)
def test_known_answers(probabilities: list[float], accuracy: float, auc: float, precision: float) -> None:
    assert grounding_scores(probabilities, TRUTH, 0.5) == pytest.approx(
        {"balanced_accuracy": accuracy, "roc_auc": auc, "average_precision": precision}
    )


def test_balanced_accuracy_weighs_both_kinds_alike() -> None:
    found = grounding_scores([0.9, 0.9, 0.9, 0.9, 0.9], [True, True, True, True, False], 0.5)
    assert found["balanced_accuracy"] == 0.5


def test_the_threshold_itself_counts_as_sounding() -> None:
    assert grounding_scores([0.8, 0.8, 0.7, 0.7], TRUTH, 0.8)["balanced_accuracy"] == 1
    assert grounding_scores([0.8, 0.8, 0.7, 0.7], TRUTH, 0.81)["balanced_accuracy"] == 0.5


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_one_kind_alone_is_refused(truth: list[bool]) -> None:
    with pytest.raises(ValueError, match="sounding and silent"):
        grounding_scores([0.5, 0.6], truth, 0.5)


@pytest.mark.parametrize(("share", "muted"), [(0.0, 0), (0.19, 0), (0.2, 1), (0.5, 2), (0.99, 4)])
def test_the_calibrated_gate_is_the_highest_that_mutes_no_more_than_the_share(share: float, muted: int) -> None:
    sounding = [0.9, 0.2, 0.8, 0.5, 0.7]
    gate = calibrated_gate(sounding, share)
    assert sum(p < gate for p in sounding) == muted
    assert sum(p < gate + 1e-9 for p in sounding) > share * 5


@pytest.mark.parametrize("count", [99, 100, 200, 1000])
def test_so_many_are_muted_as_would_seldom_be_so_few_were_the_share_larger(count: int) -> None:
    sounding = np.random.default_rng(count).random(count).tolist()
    gate = calibrated_gate(sounding, 0.03, 0.95)
    muted = sum(p < gate for p in sounding)
    assert binom.cdf(muted + 1, count, 0.03) > 0.05
    assert muted == 0 or binom.cdf(muted, count, 0.03) <= 0.05


def test_a_gate_with_confidence_mutes_too_many_of_others_seldom() -> None:
    random = np.random.default_rng(0)
    # of objects whose probabilities are uniform, a gate mutes as large a share as it is itself
    gates = [calibrated_gate(random.random(150).tolist(), 0.05, 0.9) for _ in range(300)]
    assert np.mean(np.array(gates) > 0.05) <= 0.1 + 3 * 0.018  # three standard errors
    gates = [calibrated_gate(random.random(150).tolist(), 0.05) for _ in range(300)]
    assert np.mean(np.array(gates) > 0.05) > 0.4


def test_the_reliability_of_known_probabilities() -> None:
    table = reliability([0.1, 0.2, 0.9, 1.0, 0.9], [False, True, True, True, False], 2)
    assert table.to_dict("list") == {
        "low": [0.0, 0.5],
        "high": [0.5, 1.0],
        "objects": [2, 3],
        "probability": pytest.approx([0.15, 2.8 / 3]),
        "share": pytest.approx([0.5, 2 / 3]),
    }
    assert calibration_error(table) == pytest.approx((2 * 0.35 + 3 * (2.8 / 3 - 2 / 3)) / 5)


def test_the_calibration_error_is_torchmetrics() -> None:
    random = np.random.default_rng(0)
    p, truth = random.random(200), random.random(200) < 0.3
    known = binary_calibration_error(torch.from_numpy(p), torch.from_numpy(truth).long(), n_bins=10, norm="l1")
    assert calibration_error(reliability(p.tolist(), truth.tolist(), 10)) == pytest.approx(float(known), abs=1e-6)


def test_calibrated_and_overconfident() -> None:
    truth = [True] * 7 + [False] * 3
    assert calibration_error(reliability([0.7] * 10, truth, 10)) == pytest.approx(0)
    assert calibration_error(reliability([1.0] * 10, truth, 10)) == pytest.approx(0.3)


def test_the_published_accuracies_by_hand() -> None:
    table = pd.DataFrame(
        {
            "role": ["sounding", "silent", "sounding", "silent"],
            "probability": [0.9, 0.8, 0.4, 0.1],
            "solo_probability": [0.9, 0.2, 0.6, 0.7],
        }
    )
    assert published_accuracies(table, 0.5) == {
        "accuracy_solo": 0.75,
        "accuracy_mixture": 0.5,
        "accuracy_positive": 1.0,
        "accuracy_negative": 0.5,
    }

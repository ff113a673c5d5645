import re

import numpy as np
import pandas as pd

from avsep.report import charts


def test_reached_counts_what_is_at_a_threshold() -> None:
    values = np.array([0.2, 0.4, 0.4, 0.9])
    np.testing.assert_array_equal(charts.reached(values, np.array([np.inf, 0.9, 0.4, 0.0])), [0, 0.25, 0.75, 1])


def test_the_area_under_the_roc_is_that_of_torchmetrics() -> None:
    from torch import tensor
    from torchmetrics.functional.classification import binary_auroc

    random = np.random.default_rng(0)
    p, truth = random.random(40).round(1), random.random(40) < 0.5  # rounded: some are equal
    thresholds = np.concatenate([[np.inf], np.unique(p)[::-1]])
    area = np.trapezoid(charts.reached(p[truth], thresholds), charts.reached(p[~truth], thresholds))
    np.testing.assert_allclose(area, float(binary_auroc(tensor(p), tensor(truth).long())), rtol=1e-6)


def test_cumulative_shares_rise_to_all() -> None:
    values, shares = charts.cumulative(pd.Series([3.0, np.nan, 1.0, 2.0, 2.0]))
    assert values == [1, 2, 2, 3] and shares == [25, 50, 75, 100]


def test_kinds_of_phrases_that_were_not_asked_for_are_not_drawn() -> None:
    phrases = pd.DataFrame({"kind": ["present", "absent"], "confidence": [0.8, 0.2]})
    svg = charts.confidence_chart(phrases, 0.5)
    assert set(re.findall(r"var\(--(\w+)\)", svg)) == {"present", "absent", "threshold"}

"""Intervals with known answers: whole videos are drawn, and seeds decide."""

import numpy as np
import pytest

from avsep.scoring.grounding import grounding_scores
from avsep.scoring.intervals import Bootstrap, Interval

RANDOM = np.random.default_rng(0)


def test_independent_rows_give_the_known_standard_error() -> None:
    names = [f"v{number}" for number in range(400)]
    values = RANDOM.standard_normal(400)
    found = Bootstrap(names, 2000, 0).mean(values, names)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(found.value - half, abs=0.02)
    assert found.high == pytest.approx(found.value + half, abs=0.02)


def test_rows_of_one_video_are_one_draw() -> None:
    """The same values told ten times over say nothing new: by rows the interval would shrink by sqrt(10)."""
    names = [f"v{number}" for number in range(50)]
    values = RANDOM.standard_normal(50)
    draws = Bootstrap(names, 1000, 0)
    once, often = draws.mean(values, names), draws.mean(np.repeat(values, 10), list(np.repeat(names, 10)))
    assert often == pytest.approx(once)


def test_resamples_are_those_of_rows() -> None:
    """Sums by video, weighted, are what drawing the rows themselves gives."""
    names, videos = ["a", "b", "c"], ["a", "a", "b", "c"]
    values = np.array([1.0, 2.0, 10.0, 100.0])
    draws = Bootstrap(names, 50, 3)
    means = []
    for weights in draws.weights:
        rows = [v for name, w in zip(names, weights, strict=True) for _ in range(int(w))
                for v, own in zip(values, videos, strict=True) if own == name]  # fmt: skip
        means.append(np.mean(rows))
    low, high = np.quantile(means, [0.025, 0.975])
    assert draws.mean(values, videos) == pytest.approx((values.mean(), low, high))


def test_auc_and_balanced_accuracy_are_those_of_the_rows() -> None:
    p, truth = RANDOM.random(40).round(1), RANDOM.random(40) < 0.5
    videos = [f"v{number}" for number in RANDOM.integers(0, 12, 40)]
    draws = Bootstrap(sorted(set(videos)), 200, 0)
    known = grounding_scores(p.tolist(), truth.tolist(), 0.5)
    auc, accuracy = draws.roc_auc(p, truth, videos), draws.balanced_accuracy((p >= 0.5) == truth, truth, videos)
    assert auc.value == pytest.approx(known["roc_auc"])
    assert accuracy.value == pytest.approx(known["balanced_accuracy"])
    drawn = []
    for weights in draws.weights:
        times = [int(weights[sorted(set(videos)).index(video)]) for video in videos]
        rows, kinds = np.repeat(p, times), np.repeat(truth, times)
        drawn.append(grounding_scores(rows.tolist(), kinds.tolist(), 0.5)["roc_auc"])
    assert (auc.low, auc.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=1e-6)


def test_what_is_missing_is_left_out_and_nothing_has_no_interval() -> None:
    draws = Bootstrap(["a", "b"], 100, 0)
    assert draws.mean([1.0, np.nan, 3.0], ["a", "a", "b"]).value == 2
    assert np.isnan(draws.mean([np.nan], ["a"])).all()


def test_the_seed_decides() -> None:
    values, names = RANDOM.standard_normal(10), [f"v{number}" for number in range(10)]
    one, same, other = (Bootstrap(names, 50, seed).mean(values, names) for seed in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize(("low", "high", "significant"), [(0.1, 2, True), (-2, -0.1, True), (-0.1, 2, False)])
def test_a_difference_is_significant_if_its_interval_excludes_zero(low: float, high: float, significant: bool) -> None:
    assert Interval(0.0, low, high).excludes_zero == significant

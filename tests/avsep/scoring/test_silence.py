"""Leakage with known answers (evaluation.md, 5b): hazard 11's constant would give them all the same."""

import math

import pandas as pd
import pytest
import torch

from avsep.scoring.silence import FLOOR_DB, gate_curve, gated, leakage_db


def mixture() -> torch.Tensor:
    return torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("share", "decibels"), [(1, 0), (0.01, -40), (0.1, -20), (0.0, FLOOR_DB), (1e-6, FLOOR_DB), (2, 20 * math.log10(2))]
)
def test_known_answers(share: float, decibels: float) -> None:
    found = leakage_db(share * mixture(), mixture())
    assert found.shape == (2,)
    assert found.tolist() == pytest.approx([decibels] * 2, abs=1e-4)


def test_it_is_energy_whatever_the_phase() -> None:
    given = mixture().flip(-1)
    assert leakage_db(given, mixture()).tolist() == pytest.approx([0, 0], abs=1e-4)


ROWS = pd.DataFrame(
    {
        "role": ["sounding", "sounding", "silent", "silent"],
        "probability": [0.9, 0.3, 0.6, 0.1],
        "si_sdri": [5.0, 3.0, None, None],
        "snr": [8.0, 6.0, None, None],
        "snri": [7.0, 4.0, None, None],
        "open_leakage_db": [None, None, -10.0, -20.0],
    }
)


@pytest.mark.parametrize(
    ("gate", "mutes", "leakage", "heard", "given"),
    [
        (0.0, 0.0, -15, 4, 5.5),
        (0.2, 0.0, (-10 + FLOOR_DB) / 2, 4, 5.5),
        (0.5, 0.5, (-10 + FLOOR_DB) / 2, 5, (7 + 4 - 6) / 2),  # silence has 0 dB: it gains what the mixture lacks
        (0.95, 1.0, FLOOR_DB, math.nan, (7 - 8 + 4 - 6) / 2),
    ],
)
def test_what_a_gate_does(gate: float, mutes: float, leakage: float, heard: float, given: float) -> None:
    found = gated(ROWS, ROWS["probability"].to_numpy() < gate)
    expected = {"false_mute_rate": mutes, "leakage_db": leakage, "si_sdri_heard": heard, "snri_given": given}
    assert {name: found[name] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_the_curve_is_the_gate_at_each_threshold() -> None:
    curve = gate_curve(ROWS, [0.0, 0.5, 1.0])
    assert curve["threshold"].tolist() == [0.0, 0.5, 1.0]
    for _, row in curve.iterrows():
        own = gated(ROWS, ROWS["probability"].to_numpy() < row["threshold"])
        assert row.drop("threshold").to_dict() == pytest.approx({n: float(v) for n, v in own.items()}, nan_ok=True)
    assert curve["false_mute_rate"].is_monotonic_increasing and curve["leakage_db"].is_monotonic_decreasing


def test_a_system_that_gives_silence_itself_has_means_over_the_others() -> None:
    """At any gate: an external system's silence has no SI-SDR, and an SNR of 0 dB."""
    none = math.nan  # of silent objects
    rows = ROWS.assign(si_sdri=[5.0, none, none, none], snr=[8.0, 0.0, none, none], snri=[7.0, -2.0, none, none])
    for gate, heard, given in ((0.0, 5, 2.5), (0.5, 5, 2.5), (0.95, math.nan, (7 - 8 - 2) / 2)):
        found = gated(rows, rows["probability"].to_numpy() < gate)
        assert (found["si_sdri_heard"], found["snri_given"]) == pytest.approx((heard, given), nan_ok=True)

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import charts, figures
from avsep.report.tables import Curves
from avsep.systems import catalogue

COLUMNS = ["system", "role", "nsdr"]


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
    present, absent, _ = charts.KINDS
    drawn = {figures.variable(line) for line in (present, absent, charts.THRESHOLD)}
    assert set(re.findall(r"var\((--[\w-]+)\)", svg)) == drawn


def rows_of(*names: str) -> pd.DataFrame:
    return pd.DataFrame([(name, "sounding", value) for name in names for value in (1.0, 2.0)], columns=COLUMNS)


def drawn_of(*names: str) -> dict[str, list[str]]:
    systems = {system.name: system for system in catalogue.arranged(names)}
    shown = charts.distributions(rows_of(*names), systems)
    for chart in shown.values():
        assert {figures.variable(line) for line in chart.systems} == set(re.findall(r"var\((--[\w-]+)\)", chart.chart))
    return {method: [system.name for system in chart.systems] for method, chart in shown.items()}


def test_each_method_has_a_chart_with_what_is_drawn_beside_each() -> None:
    names = ("trimodal_text", "cyclic", "their_waves", "oracle", "oracle_binary", "baseline", "cyclic_wrong_picture")
    assert drawn_of(*names) == {
        "CCoL": ["oracle", "baseline", "cyclic"],
        "VAST": ["oracle", "baseline", "trimodal_text"],
        "External": ["oracle", "baseline", "their_waves"],
    }
    assert drawn_of("oracle", "baseline", "mixture") == {}, "nothing to be beside"


def test_a_system_of_no_method_has_a_chart_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = catalogue.Entry("alone", "On its own", ("#123456", "#654321"), module="alone")
    monkeypatch.setattr(catalogue, "SYSTEMS", (*catalogue.SYSTEMS, alone))
    assert drawn_of("oracle", "alone", "cyclic") == {"CCoL": ["oracle", "cyclic"], "On its own": ["oracle", "alone"]}


def test_others_need_no_curves_and_what_was_trained_does(tmp_path: Path) -> None:
    pd.DataFrame({"objects": [3], "probability": [0.5], "share": [0.4]}).to_csv(tmp_path / "cyclic_solo.csv")
    cyclic, theirs = catalogue.arranged(["cyclic", "theirs"])
    assert isinstance(cyclic, catalogue.Entry) and isinstance(theirs, catalogue.Entry)
    svg = charts.reliability_chart(tmp_path, "solo", [cyclic, theirs])
    assert figures.variable(cyclic) in svg and figures.variable(theirs) not in svg
    (tmp_path / "cyclic_solo.csv").unlink()
    with pytest.raises(InputError, match=r"cyclic_solo\.csv is missing"):
        charts.reliability_chart(tmp_path, "solo", [cyclic, theirs])


def test_the_roc_is_of_those_that_say_who_sounds() -> None:
    cyclic, theirs = catalogue.arranged(["cyclic", "theirs"])
    rows = [("cyclic", "sounding", 0.9), ("cyclic", "silent", 0.2), ("theirs", "sounding", None)]
    pairs = pd.DataFrame(rows, columns=["system", "role", "probability"])
    svg = charts.roc_chart(pairs, "probability", [cyclic, theirs])  # type: ignore[list-item]
    assert figures.variable(cyclic) in svg and figures.variable(theirs) not in svg


# --- Training


def curves_of(chosen: int | None, **values: list[float]) -> Curves:
    frames = {
        name.replace("__", "/"): pd.DataFrame({"epoch": np.arange(1.0, len(own) + 1), "value": own})
        for name, own in values.items()
    }
    return Curves(frames, chosen)


def test_training_is_told_by_titles_in_one_order_with_a_ring_at_the_chosen_epoch() -> None:
    first, second = catalogue.TRAINING[:2]
    stages = {
        first: curves_of(2, train__loss=[3, 2, 1], val__snri=[1, 2, 1.5], train__odd_thing=[1]),
        second: curves_of(None, train__loss=[2, 1], val__si_sdri=[1, 2]),
    }
    shown = charts.curve_charts(stages)
    assert [chart.title for chart in shown] == ["SI-SDRi", "SNRi", "Loss, mean of an epoch", "Odd thing"]
    assert [chart.validation for chart in shown] == [True, True, False, False]
    assert "dB" in shown[0].chart and "epoch" in shown[0].chart
    without = charts.curve_charts({stage: Curves(own.values, None) for stage, own in stages.items()})
    changed = [one.chart != other.chart for one, other in zip(shown, without, strict=True)]
    assert changed == [False, True, True, False], "only where the chosen epoch has a value"

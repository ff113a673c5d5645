import math
from pathlib import Path

import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import tables

PAIRS = pd.DataFrame(
    [
        (0, "cyclic", "A", "sounding", "cello", 4.0),
        (0, "cyclic", "C", "sounding", "flute", 8.0),
        (0, "cyclic", "B", "silent", "tuba", None),
        (1, "cyclic", "A", "sounding", "cello", 6.0),
        (1, "cyclic", "C", "sounding", "violin", 1.0),
        (0, "baseline", "A", "sounding", "cello", 2.0),
        (0, "mixture", "A", "sounding", "cello", 0.0),
        (0, "trimodal_text", "A", "sounding", "cello", 3.0),
        (0, "trimodal_wrong_text", "A", "sounding", "cello", -3.0),
    ],
    columns=["mixture", "system", "object", "role", "class", "nsdr"],
)


def test_class_means_are_over_sounding_objects() -> None:
    table = tables.by_class(PAIRS)
    assert list(table.index) == ["cello", "flute", "violin"]
    assert list(table.columns) == ["baseline", "cyclic", "trimodal_text", "count"], "neither the mixture nor controls"
    assert table.loc["cello", "cyclic"] == 5.0 and table.loc["cello", "count"] == 2
    assert table.loc["cello", "baseline"] == 2.0


def test_pairs_of_classes_keep_who_was_asked_for() -> None:
    table = tables.by_pair_of_classes(PAIRS, "cyclic")
    assert table.loc["cello", "flute"] == 4.0
    assert table.loc["flute", "cello"] == 8.0
    assert table.loc["violin", "cello"] == 1.0
    assert table.loc[["flute"], ["violin"]].isna().all(axis=None)


def test_curves_are_found_by_split_and_name(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "val/loss.tsv").write_text("step\tloss\n10\t0.5\n", encoding="utf-8")
    curves = tables.read_curves(tmp_path)
    assert list(curves) == ["val/loss"]
    assert curves["val/loss"].to_dict("list") == {"step": [10], "value": [0.5]}
    with pytest.raises(InputError, match="holds no curves"):
        tables.read_curves(tmp_path / "none")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.25, "1.2"),
        (-3.06, "\u22123.1"),
        (-0.04, "0.0"),
        (None, "\u2013"),
        (math.nan, "\u2013"),
        (-math.inf, "\u2212\u221e"),
    ],
)
def test_decimals(value: float | None, text: str) -> None:
    assert tables.decimal(value) == text


def test_a_gain_has_its_sign() -> None:
    assert tables.decimal(7.42, 1, True) == "+7.4"
    assert tables.decimal(-0.01, 1, True) == "0.0"


def test_nested_metrics_become_rows() -> None:
    assert tables.flat({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == [("a.b", 1), ("a.c.d", 2), ("e", 3)]

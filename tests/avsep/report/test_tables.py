import math
from pathlib import Path

import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import tables

MEANS = pd.DataFrame(
    [
        ("cyclic", "cello", "flute", 2, 5.0),
        ("cyclic", "flute", "cello", 1, 8.0),
        ("baseline", "cello", "flute", 2, 2.0),
        ("mixture", "cello", "flute", 2, 0.0),
        ("trimodal_text", "cello", "flute", 2, 3.0),
        ("trimodal_wrong_text", "cello", "flute", 2, -3.0),
    ],
    columns=["system", "class", "beside", "objects", "nsdr"],
)


def test_classes_have_a_row_and_what_is_shown_a_column(tmp_path: Path) -> None:
    MEANS.drop(columns="beside").to_csv(tmp_path / "by_class.csv", index=False)
    table = tables.by_class(tmp_path)
    assert list(table.index) == ["cello", "flute"]
    assert list(table.columns) == ["baseline", "cyclic", "trimodal_text", "count"], "neither the mixture nor controls"
    assert table.loc["cello", "cyclic"] == 5.0 and table.loc["cello", "count"] == 2
    assert table.loc["cello", "baseline"] == 2.0


def test_pairs_of_classes_keep_who_was_asked_for(tmp_path: Path) -> None:
    MEANS.to_csv(tmp_path / "by_pair.csv", index=False)
    table = tables.by_pair_of_classes(tmp_path, "cyclic")
    assert table.loc["cello", "flute"] == 5.0
    assert table.loc["flute", "cello"] == 8.0
    assert table.loc[["flute"], ["flute"]].isna().all(axis=None)


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

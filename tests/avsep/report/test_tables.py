import math
from pathlib import Path

import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import tables
from avsep.scoring import separation


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


def test_a_cell_has_the_interval_and_the_significance_that_stand_beside_it() -> None:
    frame = pd.DataFrame(
        {"nsdr": [2.0, 1.0], "nsdr_low": [1.0, -1.0], "nsdr_high": [3.0, 2.0], "nsdr_significant": [1, 0], "sdr": 4.0},
        index=["cyclic", "baseline"],
    )
    columns = {"nsdr": tables.Column("NSDR", sign=True), "sdr": tables.Column("SDR")}
    table = tables.tabulate(frame, columns, best={("cyclic", "nsdr")}, drawn="nsdr")
    assert [line.title for line in table.lines] == ["Sound of Pixels (baseline)", "Cyclic co-learning"]
    faint, best = (line.cells[0] for line in table.lines)
    assert best == tables.Cell(2.0, 1.0, 3.0, best=True) and faint == tables.Cell(1.0, -1.0, 2.0, faint=True)
    assert not table.lines[0].cells[1].has_interval
    assert (table.place(-1), table.place(0), table.place(3)) == (0, 25, 100)


def test_groups_are_what_stands_apart() -> None:
    names = ["chance", "trimodal_synonym", "zeta", "finetune_text", "Their waves", "oracle_binary"]
    table = tables.tabulate(pd.DataFrame({"nsdr": 1.0}, index=names), {"nsdr": tables.Column("NSDR")})
    assert [(line.title, line.group) for line in table.lines] == [
        ("Ideal binary mask (oracle)", "reference"),
        ("VAST fine-tuned, by phrase", "trained"),
        ("Their waves", "external"),
        ("zeta", "external"),
        ("Control: VAST by the phrase in other words", "control"),
        ("Control: at random", "control"),
    ]


def test_other_lines_than_systems_have_the_titles_and_the_order_that_they_are_given() -> None:
    frame = pd.DataFrame({"recall": [0.5, 1.0]}, index=["a", "b"])
    lines = {"b": ("Second", "one"), "a": ("First", "two"), "c": ("Not there", "one")}
    table = tables.tabulate(frame, {"recall": tables.Column("Recall")}, lines=lines)
    assert [(line.title, line.group, line.cells[0].value) for line in table.lines] == [
        ("Second", "one", 1.0),
        ("First", "two", 0.5),
    ]


def test_the_scores_that_the_page_names_are_those_that_are_measured() -> None:
    assert tuple(tables.SCORES) == separation.SCORES


def test_shares_are_written_in_percent_once() -> None:
    share = tables.Column("share", 1, percent=True)
    assert tables.written(0.0312, share) == "3.1\u00a0%" and tables.bare(0.0312, share) == "3.1"
    assert tables.written(math.nan, share) == "\u2013"

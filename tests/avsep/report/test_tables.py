import math
from pathlib import Path

import pandas as pd
import pytest

from avsep.errors import InputError
from avsep.report import tables
from avsep.scoring import separation


def test_curves_are_over_epochs_and_know_the_chosen_one(tmp_path: Path) -> None:
    folder = tmp_path / "stage/plots/metrics"
    (folder / "val").mkdir(parents=True)
    (folder / "val/loss.tsv").write_text("step\tloss\n9\t0.5\n19\t0.4\n", encoding="utf-8")
    (folder / "epoch.tsv").write_text("step\tepoch\n4\t0\n9\t0\n14\t1\n19\t1\n", encoding="utf-8")
    (tmp_path / "stage.json").write_text('{"best": {"epoch": 1}}', encoding="utf-8")
    curves = tables.read_curves(tmp_path, "stage")
    assert list(curves.values) == ["val/loss"] and curves.chosen == 2
    assert curves.values["val/loss"].to_dict("list") == {"epoch": [1, 2], "value": [0.5, 0.4]}
    with pytest.raises(InputError, match="holds no curves"):
        tables.read_curves(tmp_path, "none")
    (folder / "epoch.tsv").unlink()
    with pytest.raises(InputError, match=r"epoch\.tsv is missing"):
        tables.read_curves(tmp_path, "stage")


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
    assert table.ticks == [-1, 0, 1, 2, 3]
    assert (table.place(-1), table.place(0), table.place(3)) == (0, 25, 100)


def test_ideals_do_not_squeeze_the_scale_of_the_systems() -> None:
    frame = pd.DataFrame({"nsdr": 4.2, "nsdr_low": -0.3, "nsdr_high": 7.1}, index=["cyclic", "oracle"])
    frame.loc["oracle"] = [160.0, 155.0, 165.0]
    table = tables.tabulate(frame, {"nsdr": tables.Column("NSDR")}, drawn="nsdr")
    assert table.ticks == [-2, 0, 2, 4, 6, 8]
    assert table.beyond(160.0) and table.place(160.0) == 100 and not table.beyond(4.2)
    alone = tables.tabulate(frame.loc[["oracle"]], {"nsdr": tables.Column("NSDR")}, drawn="nsdr")
    assert not alone.beyond(160.0), "where nothing else is, they have it"


@pytest.mark.parametrize("ends", [(0, 0), (0, 0.004), (-33, 70), (2, 3), (math.nan, math.nan), (-4000, -1)])
def test_scales_are_round_hold_0_and_all_ends(ends: tuple[float, float]) -> None:
    cells = [tables.Cell(ends[0], *ends)]
    table = tables.Table([tables.Column("a")], [tables.Line("a", "trained", cells)], drawn=0)
    ticks = table.ticks
    assert 2 <= len(ticks) <= tables.MOST_TICKS + 2 and 0 in ticks
    assert all(ticks[0] <= end <= ticks[-1] for end in ends if not math.isnan(end))


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

from pathlib import Path

import pandas as pd

from avsep.report import measured, tables

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
    table = measured.by_class(tmp_path)
    assert list(table.index) == ["cello", "flute"]
    assert list(table.columns) == ["baseline", "cyclic", "trimodal_text", "count"], "neither the mixture nor controls"
    assert table.loc["cello", "cyclic"] == 5.0 and table.loc["cello", "count"] == 2
    assert table.loc["cello", "baseline"] == 2.0


def test_pairs_of_classes_keep_who_was_asked_for(tmp_path: Path) -> None:
    MEANS.to_csv(tmp_path / "by_pair.csv", index=False)
    table = measured.by_pair_of_classes(tmp_path)["cyclic"].means
    assert table.loc["cello", "flute"] == 5.0
    assert table.loc["flute", "cello"] == 8.0
    assert table.loc[["flute"], ["flute"]].isna().all(axis=None)


DIFFERENCES = pd.DataFrame(
    [
        ("nsdr", "cyclic", "baseline", 2.0, 1.0, 3.0, 1),
        ("nsdr", "finetune_text", "cyclic", 1.0, -0.5, 2.0, 0),
        ("right", "cyclic", "colearning", 0.2, 0.1, 0.3, 1),
    ],
    columns=["metric", "system", "against", "difference", "low", "high", "significant"],
)


def test_a_difference_is_found_from_either_side() -> None:
    assert measured.difference_of(DIFFERENCES, "nsdr", "cyclic", "baseline") == tables.Cell(2.0, 1.0, 3.0)
    assert measured.difference_of(DIFFERENCES, "nsdr", "baseline", "cyclic") == tables.Cell(-2.0, -3.0, -1.0)
    assert measured.difference_of(DIFFERENCES, "nsdr", "trimodal_synonym", "trimodal_text") is None
    table = measured.difference_table(DIFFERENCES, "cyclic")
    assert {line.title: line.cells[0].value for line in table.lines} == {
        tables.SYSTEMS["baseline"]: -2.0,
        tables.SYSTEMS["finetune_text"]: 1.0,
        tables.SYSTEMS["colearning"]: table.lines[1].cells[0].value,  # it has another measure alone
    }
    assert [line.cells[0].faint for line in table.lines if line.title == tables.SYSTEMS["finetune_text"]] == [True]


def test_best_is_who_beats_each_other_trained_system() -> None:
    rows = [
        ("nsdr", *sorted(("cyclic", other), key=list(tables.SYSTEMS).index, reverse=True), other)
        for other in tables.TRAINED
        if other != "cyclic"
    ]
    table = pd.DataFrame(
        [(metric, system, against, 1.0 if system == "cyclic" else -1.0, 1) for metric, system, against, _ in rows],
        columns=["metric", "system", "against", "difference", "significant"],
    )
    assert measured.best_of(table, tables.TRAINED) == {("cyclic", "nsdr")}
    assert not measured.best_of(table.iloc[1:], tables.TRAINED)
    assert measured.best_of(table.iloc[:1], ["baseline", "cyclic"]) == {("cyclic", "nsdr")}, (
        "the others were not scored"
    )

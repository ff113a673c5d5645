from pathlib import Path

import pandas as pd

from avsep.report import measured, tables
from avsep.systems import catalogue
from tests.helpers.report_inputs import TITLES

MEANS = pd.DataFrame(
    [
        ("cyclic", "cello", "flute", 2, 5.0),
        ("cyclic", "flute", "cello", 1, 8.0),
        ("baseline", "cello", "flute", 2, 2.0),
        ("mixture", "cello", "flute", 2, 0.0),
        ("trimodal_text", "cello", "flute", 2, 3.0),
        ("count", "cello", "flute", 2, 1.0),  # an external system, as unluckily named as may be
        ("trimodal_wrong_text", "cello", "flute", 2, -3.0),
    ],
    columns=["system", "class", "beside", "objects", "nsdr"],
)


def test_classes_have_a_row_and_what_is_shown_a_column(tmp_path: Path) -> None:
    MEANS.drop(columns="beside").to_csv(tmp_path / "by_class.csv", index=False)
    table = measured.by_class(tmp_path)
    assert list(table.means.index) == ["cello", "flute"]
    names = [system.name for system in table.systems]
    assert names == ["baseline", "cyclic", "trimodal_text", "count"], "neither the mixture nor controls"
    assert table.means.loc["cello", "cyclic"] == 5.0 and table.counts["cello"] == 2
    assert table.means.loc["cello", "baseline"] == 2.0


def test_pairs_of_classes_keep_who_was_asked_for(tmp_path: Path) -> None:
    MEANS.to_csv(tmp_path / "by_pair.csv", index=False)
    pairs = {system.name: pairs for system, pairs in measured.by_pair_of_classes(tmp_path).items()}
    assert list(pairs) == ["baseline", "cyclic", "trimodal_text", "count"]
    table = pairs["cyclic"].means
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
        TITLES["baseline"]: -2.0,
        TITLES["finetune_text"]: 1.0,
    }, "what has another measure alone is left out"
    assert [line.cells[0].faint for line in table.lines if line.title == TITLES["finetune_text"]] == [True]


def test_best_is_who_beats_each_other_trained_system() -> None:
    compared = [entry.name for entry in catalogue.SYSTEMS if entry.group in tables.COMPARED]
    rows = [
        ("nsdr", *sorted(("cyclic", other), key=compared.index, reverse=True), other)
        for other in compared
        if other != "cyclic"
    ]
    table = pd.DataFrame(
        [(metric, system, against, 1.0 if system == "cyclic" else -1.0, 1) for metric, system, against, _ in rows],
        columns=["metric", "system", "against", "difference", "significant"],
    )
    assert measured.best_of(table, compared) == {("cyclic", "nsdr")}
    assert not measured.best_of(table.iloc[1:], compared)
    assert measured.best_of(table.iloc[:1], ["baseline", "cyclic"]) == {("cyclic", "nsdr")}, (
        "the others were not scored"
    )


def test_places_are_named_by_how_they_are_found() -> None:
    lines = measured.place_lines(["whole_image", "trimodal_text", "Their waves", "cyclic"])
    assert [lines[name] for name in list(lines)[:3]] == [
        ("Cyclic co-learning: boxes that are taken to sound", "trained"),
        ("VAST by phrase: its attention", "trained"),
        ("Their waves: boxes that are taken to sound", "external"),
    ]
    assert set(list(lines)[3:]) == set(measured.PLACES)


def test_a_method_opens_with_its_first_system_beside_what_it_is_to_be_held_against() -> None:
    names = [
        *("mixture", "oracle", "oracle_binary", "baseline", "colearning", "cyclic", "trimodal_visual"),
        *("theirs", "baseline_wrong_picture", "cyclic_wrong_picture", "trimodal_wrong_picture"),
    ]
    scores = pd.DataFrame({"nsdr": range(len(names)), "nsdr_low": -1.0, "nsdr_high": 20.0}, index=names)
    there = {system.name: system for system in catalogue.arranged(names)}
    cyclic = there["cyclic"]
    assert isinstance(cyclic, catalogue.Entry)
    told = measured.separation(scores, there, cyclic)
    assert told.nsdr == tables.Cell(5.0, -1.0, 20.0)
    assert told.beside == [
        (TITLES["oracle"], 1.0),
        (TITLES["baseline"], 3.0),
        (TITLES["colearning"], 4.0),
        (TITLES["cyclic_wrong_picture"], 9.0),
    ]


def test_differences_are_taken_to_all_but_controls_and_first_to_what_is_drawn_everywhere() -> None:
    names = ("mixture", "oracle", "baseline", "cyclic", "theirs", "cyclic_wrong_picture", "trimodal_synonym")
    there = {system.name: system for system in catalogue.arranged(names)}
    assert [system.name for system in measured.held_against(there)] == [
        *("baseline", "mixture", "oracle", "cyclic", "theirs"),
    ]

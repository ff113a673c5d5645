"""One line a system: names are its own, tables have one order, and the list needs nothing."""

import ast
import sys
from pathlib import Path

import pytest

from avsep.systems import catalogue
from avsep.systems.catalogue import (
    CONTROLS,
    GATE_CONTROLS,
    SCENE_CONTROLS,
    STAGES,
    SYSTEMS,
    TRAINING,
    Control,
    Entry,
    arranged,
    asked_of,
    entry_of,
    external,
)

ALL_CONTROLS = (*CONTROLS, *GATE_CONTROLS, *SCENE_CONTROLS)
NAMES = [one.name for one in (*SYSTEMS, *ALL_CONTROLS)]
ORDER = [
    *("mixture", "oracle", "oracle_binary", "baseline", "ungated", "colearning", "cyclic", "cyclic_true_boxes"),
    *("trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text", "aasp", "zebra"),
    *("trimodal_synonym", "baseline_wrong_picture", "cyclic_wrong_picture", "trimodal_wrong_picture"),
    *("trimodal_wrong_text", "always_sounding", "never_sounding", "chance"),
]


def test_names_and_titles_are_unique() -> None:
    assert len(NAMES) == len(set(NAMES))
    titles = [one.title for one in (*SYSTEMS, *ALL_CONTROLS)]
    assert len(titles) == len(set(titles)) and all(titles)
    assert len({drawn.name for drawn in TRAINING}) == len(TRAINING)


def test_every_control_is_of_a_system() -> None:
    systems = {entry.name: entry for entry in SYSTEMS}
    assert all(control.of in systems for control in ALL_CONTROLS)
    asked = {
        CONTROLS: {catalogue.OTHER, catalogue.SYNONYM},
        GATE_CONTROLS: {catalogue.ALWAYS, catalogue.NEVER, catalogue.CHANCE},
        SCENE_CONTROLS: {catalogue.TRUE_BOXES},
    }
    for controls, ways in asked.items():
        assert {control.asked for control in controls} == ways
    for control in CONTROLS:
        assert control.asked != catalogue.SYNONYM or systems[control.of].asked == "phrase", "in other words than words"
    assert all(systems[control.of].grounds for control in GATE_CONTROLS), "it has no gate"
    assert all(systems[control.of].scenes for control in SCENE_CONTROLS)


def test_tables_have_one_order() -> None:
    assert [one.name for one in arranged({*NAMES, "zebra", "aasp"})] == ORDER
    assert [one.name for one in arranged(["cyclic", "zebra", "mixture"])] == ["mixture", "cyclic", "zebra"]
    assert arranged([]) == []
    assert [entry.name for entry in SYSTEMS] == [name for name in ORDER if entry_of(name) in SYSTEMS]


def test_groups_are_what_they_say() -> None:
    groups = {entry.name: entry.group for entry in SYSTEMS}
    assert set(groups.values()) == {"reference", "trained"}
    for entry in SYSTEMS:
        assert (entry.stage is None) == (entry.group == "reference"), entry.name
        assert entry.asked in ("object", "picture", "phrase")
        assert not entry.confident or entry.asked == "phrase", f"{entry.name} is sure of phrases and asked in none"
    assert [entry.name for entry in SYSTEMS if entry.first] == ["cyclic", "trimodal_visual"]
    for method in {entry.method for entry in SYSTEMS if entry.method is not None}:
        assert sum(entry.first for entry in SYSTEMS if entry.method == method) == 1, method
    assert (catalogue.MIXTURE, catalogue.TARGET) == ("mixture", "oracle")


def test_the_stages_of_systems_train() -> None:
    assert STAGES == ("baseline", "ungated", "colearning", "cyclic", "trimodal", "finetune")
    assert set(STAGES) <= {drawn.name for drawn in TRAINING}
    root = Path(catalogue.__file__).parents[2]
    assert all((root / f"stages/{drawn.name}.py").is_file() for drawn in TRAINING)


def test_a_line_names_a_file_beside_the_list() -> None:
    folder = Path(catalogue.__file__).parent
    assert all((folder / f"{entry.module}.py").is_file() for entry in SYSTEMS)


def test_it_imports_nothing_but_the_standard_library() -> None:
    """So that params, evaluation and report may read it alike, and no stage depends on more by it."""
    tree = ast.parse(Path(catalogue.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names and {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_an_external_system_is_any_other_name() -> None:
    found = arranged(["b", "a", "cyclic"])
    assert [(one.name, one.title) for one in found[1:]] == [("a", "a"), ("b", "b")]
    others = [one for one in found[1:] if isinstance(one, Entry)]
    assert len(others) == 2 and others[0].colours != others[1].colours
    assert all((one.group, one.method, one.module) == ("external", "External", "files") for one in others)
    assert entry_of("a") == external("a") and entry_of("cyclic") in SYSTEMS


@pytest.mark.parametrize(
    ("stages", "names"),
    [
        ([], ["mixture", "oracle", "oracle_binary"]),
        (["cyclic", "baseline"], ["mixture", "oracle", "oracle_binary", "baseline", "cyclic"]),
        (["finetune"], ["mixture", "oracle", "oracle_binary", "finetune_visual", "finetune_text"]),
    ],
)
def test_stages_name_their_systems(stages: list[str], names: list[str]) -> None:
    assert [entry.name for entry in asked_of(stages)] == names
    assert [entry.name for entry in asked_of(stages, ["y", "x"])] == [*names, "x", "y"]


def test_no_line_can_be_changed() -> None:
    with pytest.raises(AttributeError):
        SYSTEMS[0].name = "other"  # type: ignore[misc]
    assert all(isinstance(control, Control) and control.group == "control" for control in ALL_CONTROLS)

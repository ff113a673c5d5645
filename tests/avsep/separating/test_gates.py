"""Gates are those that stage evaluate has calibrated, or told to be missing."""

import json
from pathlib import Path

import pytest

from avsep.errors import InputError
from avsep.separating.gates import read_gates
from tests.helpers.outcomes import GROUNDED


@pytest.mark.parametrize(
    "text", ["", "{}", '{"gates": {"cyclic": 0.5}}', '{"gates": {"cyclic": "x", "colearning": 1}}']
)
def test_missing_gates_are_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "evaluate.json").write_text(text)
    with pytest.raises(
        InputError,
        match=r"(tells no gates of colearning and cyclic|is no JSON that can be read) .*: run stage evaluate",
    ):
        read_gates(GROUNDED, tmp_path / "evaluate.json")
    with pytest.raises(InputError, match="run stage evaluate"):
        read_gates(GROUNDED, tmp_path / "missing.json")


def test_gates_are_of_the_systems_that_ground(tmp_path: Path) -> None:
    path = tmp_path / "evaluate.json"
    assert read_gates(["baseline", "trimodal_text"], path) == {}, "nobody needs one"
    path.write_text(json.dumps({"gates": {"cyclic": 0.25, "colearning": 0.5}}))
    assert read_gates(["baseline", "cyclic"], path) == {"cyclic": 0.25}
    assert read_gates(GROUNDED, path) == {"colearning": 0.5, "cyclic": 0.25}

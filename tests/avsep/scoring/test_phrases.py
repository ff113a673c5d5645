"""How sure a system is of each phrase: rows of a mixture, and what follows from all of them."""

from dataclasses import replace

import pandas as pd
import pytest

from avsep.clips.index import Video
from avsep.scoring.asking import Phrases
from avsep.scoring.phrases import COLUMNS, phrase_rows, phrase_scores
from tests.helpers.factories import CLASSES, write_data
from tests.helpers.outcomes import PHRASES, outcome


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


def test_a_row_for_each_phrase_of_a_mixture(videos: list[Video]) -> None:
    sure = {phrase: 0.1 * place - 0.2 for place, phrase in enumerate(PHRASES.probes)}
    made = replace(outcome(videos[1:], number=1), confidences=sure)
    rows = phrase_rows(made, PHRASES, threshold=0.0)
    assert all(list(row) == COLUMNS and row["mixture"] == 1 for row in rows)
    kinds = {row["phrase"]: row["kind"] for row in rows}
    sounding = {f"playing the {made.videos[name].category}" for name in "AC"}
    assert {phrase for phrase, kind in kinds.items() if kind == "present"} == sounding
    assert [phrase for phrase, kind in kinds.items() if kind == "unmatched"] == ["an empty beach"]
    assert {row["phrase"]: row["confidence"] for row in rows} == sure
    assert all(row["accepted"] == (row["confidence"] >= 0) for row in rows)
    assert len({row["accepted"] for row in rows}) == 2


def test_every_class_and_what_matches_none_is_probed() -> None:
    assert PHRASES.probes == [*(f"playing the {name}" for name in sorted(CLASSES)), "an empty beach"]
    assert set(PHRASES.all) == {*PHRASES.probes, "a fiddle"}
    assert Phrases("the {}", ["acoustic_guitar"]).probes == ["the acoustic guitar"]


def test_a_phrase_that_is_asked_for_twice_is_one() -> None:
    same = replace(PHRASES, unmatched=["an empty beach", "playing the tuba", "an empty beach"])
    assert same.probes == PHRASES.probes and len(same.all) == len(PHRASES.all)


def test_the_scores_of_phrases() -> None:
    kinds = ["present", "present", "absent", "absent", "unmatched"]
    table = pd.DataFrame({"kind": kinds, "confidence": [0.9, 0.3, 0.8, 0.1, 0.2], "accepted": [1, 0, 1, 0, 0]})
    found = phrase_scores(table)
    rates = {"accepted_present": 0.5, "accepted_absent": 0.5, "accepted_unmatched": 0.0}
    assert found == {**rates, "roc_auc": 0.75, "roc_auc_unmatched": 1.0}
    none = phrase_scores(table[:4])
    assert none == {"accepted_present": 0.5, "accepted_absent": 0.5, "roc_auc": 0.75}

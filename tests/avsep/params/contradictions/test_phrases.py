"""The phrases that VAST is asked by."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from avsep.errors import InputError
from avsep.params.contradictions import phrases
from avsep.params.loading import check, load
from avsep.params.stages import PretrainedParams, VideosParams
from tests.helpers.params import assert_refused, changed, never_refusing

REFUSED: dict[str, dict[str, Any]] = {
    "vast.phrase": changed(vast__phrase="a person"),
    "vast.phrase: the phrase 'a person playing the &amp; accordion' is": changed(
        vast__phrase="a person playing the &amp; {}"
    ),
    "vast.phrase: the phrase 'играть на": changed(vast__phrase="играть на {}"),
    "evaluate.synonyms.cello: the phrase ' ' is blank": changed(evaluate__synonyms={"cello": " "}),
    "evaluate.synonyms.erhu: the phrase '二胡' holds": changed(evaluate__synonyms={"cello": "a cello", "erhu": "二胡"}),
    "evaluate.unmatched.1: the phrase 'a dog \N{DOG}' holds": changed(
        evaluate__unmatched=["an empty beach", "a dog \N{DOG}"]
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal_names_the_param_in_one_line(name: str) -> None:
    assert_refused(name, REFUSED[name])


def test_every_check_can_refuse() -> None:
    assert not never_refusing(phrases.CHECKS, REFUSED.values())


def test_a_phrase_that_suits_no_class_is_told_once() -> None:
    with pytest.raises(InputError) as caught:
        check(changed(vast__phrase="二胡 {}"))
    assert str(caught.value).count("vast.phrase") == 1
    check(changed(vast__phrase="{}"))


def test_how_many_tokens_a_phrase_has_is_told_by_the_first_stage_that_imports_clip(tmp_path: Path) -> None:
    values = changed(evaluate__unmatched=["a very " * 10 + "long phrase"])
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    load(VideosParams, path)
    with pytest.raises(InputError, match=r"evaluate\.unmatched\.0: .* has 22 tokens: 18 fit") as caught:
        load(PretrainedParams, path)
    assert "\n" not in str(caught.value)

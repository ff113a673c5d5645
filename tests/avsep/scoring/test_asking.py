"""VAST asked by pictures and phrases."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from avsep.clips.datasets import FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Video
from avsep.errors import InputError
from avsep.scoring import asking
from models.vast import VAST, visual_query
from tests.helpers.factories import CLASSES, SPECTROGRAM, tiny_clip, tiny_heard, tiny_reader, write_data
from tests.helpers.outcomes import mixtures_of, networks, told


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


@pytest.fixture(scope="module")
def vast() -> VAST:
    network = networks()["trimodal"]
    assert isinstance(network, VAST)
    return network


@torch.no_grad()
def test_each_kind_of_query_is_what_it_says(videos: list[Video], vast: VAST) -> None:
    test = mixtures_of(videos)
    said, heard = told(test), tiny_heard(len(test))
    by_object = {name: [mixture[OBJECTS.index(name)] for mixture in test] for name in OBJECTS}
    masks = asking.ask(vast, heard, by_object, said, synonyms=SOUNDING)
    assert {kind: set(objects) for kind, objects in masks.items()} == {
        "visual": set(OBJECTS),
        "text": set(OBJECTS),
        "synonym": set(SOUNDING),
    }
    assert set(asking.ask(vast, heard, by_object, said)) == {"visual", "text"}

    def by(queries: list[torch.Tensor]) -> torch.Tensor:
        return vast.separate(heard.mixture, {"x": torch.stack(queries)})["x"]

    seen = by([visual_query(said.tokens[m.d.name][None])[0] for m in test])
    torch.testing.assert_close(masks["visual"]["D"], seen)
    torch.testing.assert_close(masks["text"]["A"], by([said.phrases[f"playing the {m.a.category}"] for m in test]))
    words = ["a fiddle" if m.c.category == "violin" else f"playing the {m.c.category}" for m in test]
    torch.testing.assert_close(masks["synonym"]["C"], by([said.phrases[one] for one in words]))


@torch.no_grad()
def test_every_mixture_is_asked_for_every_class_and_what_matches_none(videos: list[Video], vast: VAST) -> None:
    test = mixtures_of(videos)
    said = told(test)
    assert said.probes == [*(f"playing the {name}" for name in sorted(CLASSES)), "an empty beach"]
    sure = {phrase: 0.1 * place - 0.2 for place, phrase in enumerate(said.probes)}
    rows = asking.phrase_rows(1, dict(zip(OBJECTS, test[1], strict=True)), sure, said, threshold=0.0)
    kinds = {row["phrase"]: row["kind"] for row in rows}
    sounding = {f"playing the {video.category}" for video in (test[1].a, test[1].c)}
    assert {phrase for phrase, kind in kinds.items() if kind == "present"} == sounding
    assert [phrase for phrase, kind in kinds.items() if kind == "unmatched"] == ["an empty beach"]
    assert {row["phrase"]: row["confidence"] for row in rows} == sure
    assert all(row["accepted"] == (row["confidence"] >= 0) for row in rows)
    mixtures = FixedMixtures(test, tiny_reader(), heard=SOUNDING, seen=())
    options = {"masked": "linear", "spectrogram": SPECTROGRAM, "device": "cpu"}
    found, there = asking.evidence_by_class(vast, mixtures, said, batch=2, **options)  # type: ignore[arg-type]
    assert found.shape == (len(test) * len(said.classes), 3), "and not for what matches no class"
    assert there.reshape(len(test), -1).sum(1).tolist() == [2] * len(test)
    assert there[: len(said.classes)].tolist() == [
        name in (test[0].a.category, test[0].c.category) for name in said.classes
    ]
    again, _ = asking.evidence_by_class(vast, mixtures, said, batch=3, **options)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, again, atol=1e-5)


def test_a_phrase_that_is_asked_for_twice_is_one(videos: list[Video]) -> None:
    said = told(mixtures_of(videos))
    same = replace(said, unmatched=["an empty beach", "playing the tuba", "an empty beach"])
    assert same.probes == said.probes


@pytest.mark.parametrize("phrase", [" ", "скрипка", "one " * 20])
def test_a_phrase_that_clip_cannot_read_is_refused(videos: list[Video], phrase: str) -> None:
    reader = tiny_reader(objects=False, resize=64, size=64)
    with pytest.raises(InputError, match="the phrase"):
        asking.tell(tiny_clip(), mixtures_of(videos)[:1], reader, "the {}", {}, [phrase])


@torch.no_grad()
def test_attention_is_of_the_middle_frames_of_both_videos(videos: list[Video], vast: VAST) -> None:
    test = mixtures_of(videos)
    said, heard = told(test), tiny_heard(len(test))
    mask = torch.full_like(heard.mixture, 0.5)
    both = asking.attend(vast, heard, mask, [(m.a, m.b) for m in test], said, "linear")
    assert both.shape == (len(test), 2, *said.grid)
    alone = asking.attend(vast, heard, mask, [(m.b,) for m in test], said, "linear")
    torch.testing.assert_close(both[:, 1:], alone)


def test_the_scores_of_phrases() -> None:
    kinds = ["present", "present", "absent", "absent", "unmatched"]
    table = pd.DataFrame({"kind": kinds, "confidence": [0.9, 0.3, 0.8, 0.1, 0.2], "accepted": [1, 0, 1, 0, 0]})
    found = asking.phrase_scores(table)
    rates = {"accepted_present": 0.5, "accepted_absent": 0.5, "accepted_unmatched": 0.0}
    assert found == {**rates, "roc_auc": 0.75, "roc_auc_unmatched": 1.0}
    none = asking.phrase_scores(table[:4])
    assert none == {"accepted_present": 0.5, "accepted_absent": 0.5, "roc_auc": 0.75}

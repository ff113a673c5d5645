"""Stage evaluate: what is scored, what is told of it, what is left for the report."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from avsep.clips.datasets import FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video
from avsep.errors import InputError
from avsep.scoring.separation import score_sources
from models.sound_of_pixels import SoundOfPixels
from models.vast import VAST, visual_query
from stages import evaluate
from stages.evaluate import (
    ASKED,
    GROUNDED,
    SCORES,
    SYSTEMS,
    Outcome,
    Told,
    score,
    separate_all,
    summarise,
    tell,
    write_example,
)
from tests import factories
from tests.factories import (
    CLASSES,
    RATE,
    SAMPLES,
    SPECTROGRAM,
    UNET,
    WIDTH,
    tiny_ccol,
    tiny_clip,
    tiny_heard,
    tiny_reader,
    write_data,
)

PROBABILITIES = {"A": 0.9, "B": 0.2, "C": 0.4, "D": 0.7}  # at a gate of 0.5, C is muted and D leaks
GATES = dict.fromkeys(GROUNDED, 0.5)
ROWS = 2 * len(SYSTEMS) + 2 * len(GROUNDED)  # of one mixture in pairs.csv


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


def outcome(videos: list[Video], number: int = 0, samples: int = 2000) -> Outcome:
    """As if all systems had left a tenth of the other source in; silent objects are given 1 % of the mixture."""
    random = np.random.default_rng(number)
    a, c = (0.1 * random.standard_normal((2, samples))).astype(np.float32)
    mixture = a + c
    sounding = {"A": a + 0.1 * c, "C": c + 0.1 * a}
    silent = {"B": 0.01 * mixture, "D": 0.01 * mixture}
    mask = np.full((16, 16), 0.5, np.float32)
    return Outcome(
        number,
        dict(zip(OBJECTS, videos, strict=False)),
        {"A": a, "C": c},
        {
            "mixture": {"A": mixture, "C": mixture},
            "oracle": {"A": a, "C": c + 1e-3 * a},
            **dict.fromkeys(SYSTEMS[2:], sounding),
            **{system: {**sounding, **silent} for system in GROUNDED},
        },
        {s: dict.fromkeys(OBJECTS if s in GROUNDED else SOUNDING, mask) for s in SYSTEMS if s != "mixture"},
        dict.fromkeys(GROUNDED, PROBABILITIES),
        {},
        {},
        mask,
    )


# --- One mixture


def test_one_row_for_each_system_and_object(videos: list[Video]) -> None:
    rows, reason = score(outcome(videos), GATES, CLASSES)
    assert reason is None
    expected = [(s, x) for s in SYSTEMS for x in (OBJECTS if s in GROUNDED else SOUNDING)]
    assert sorted((row["system"], row["object"]) for row in rows) == sorted(expected)
    for row in rows:
        video = videos[OBJECTS.index(row["object"])]
        assert (row["class"], row["video"]) == (video.category, video.name)
        assert row["role"] == ("sounding" if row["object"] in "AC" else "silent")
        assert set(SCORES) <= set(row) if row["role"] == "sounding" else not set(SCORES) & set(row)
        assert ("leakage_db" in row) == (row["role"] == "silent")


def test_scores_are_those_of_the_objects_own_estimate(videos: list[Video]) -> None:
    made = outcome(videos)
    found = {(row["system"], row["object"]): row for row in score(made, GATES, CLASSES)[0]}
    references = np.stack([made.references[x] for x in SOUNDING])
    for system in SYSTEMS:
        own = np.stack([made.estimates[system][x] for x in SOUNDING])
        expected = score_sources(references, own, made.mixture)
        for index, name in enumerate(SOUNDING):
            for metric in SCORES:
                assert found[system, name][metric] == expected[metric][index]
    assert found["oracle", "C"]["sdr"] > found["cyclic", "C"]["sdr"] > found["mixture", "C"]["sdr"]
    assert [found["mixture", "A"][metric] for metric in ("nsdr", "si_sdri")] == pytest.approx([0, 0], abs=1e-9)


@pytest.mark.parametrize(("gate", "muted"), [(0.5, "BC"), (0.0, ""), (0.4, "B")])
def test_the_gate_mutes_and_what_is_muted_does_not_leak(videos: list[Video], gate: float, muted: str) -> None:
    rows = [
        row
        for row in score(outcome(videos, samples=600), dict.fromkeys(GROUNDED, gate), CLASSES)[0]
        if row["system"] == "cyclic"
    ]
    assert {row["object"] for row in rows if row["muted"]} == set(muted)
    assert {row["object"]: row["probability"] for row in rows} == PROBABILITIES
    for row in rows:
        if row["role"] == "silent":
            assert row["leakage_db"] == pytest.approx(-80 if row["object"] in muted else -40, abs=1e-3)


@pytest.mark.parametrize("what", ["reference", "estimate"])
def test_a_mixture_with_a_silent_source_has_no_rows_but_a_reason(videos: list[Video], what: str) -> None:
    made = outcome(videos)
    silence = np.zeros(2000, np.float32)
    if what == "reference":
        made = replace(made, references={**made.references, "C": silence})
    else:
        made = replace(made, estimates={**made.estimates, "cyclic": {**made.estimates["cyclic"], "C": silence}})
    rows, reason = score(made, GATES, CLASSES)
    assert rows == []
    assert reason is not None and f"{what} 1 is silent" in reason


# --- The summary


def pairs() -> pd.DataFrame:
    """Two mixtures by hand: system s scores s + 10 m for A and s + 10 m + 1 for C in mixture m."""
    rows = []
    probabilities = {(0, "A"): 0.9, (0, "B"): 0.1, (0, "C"): 0.8, (0, "D"): 0.6}
    probabilities |= {(1, "A"): 0.3, (1, "B"): 0.2, (1, "C"): 0.7, (1, "D"): 0.4}
    leakage = {(0, "B"): -80.0, (0, "D"): -20.0, (1, "B"): -80.0, (1, "D"): -80.0}
    for m in range(2):
        for s, system in enumerate(SYSTEMS):
            for x in OBJECTS if system in GROUNDED else SOUNDING:
                row: dict[str, Any] = {"mixture": m, "system": system, "object": x}
                row["role"] = "sounding" if x in SOUNDING else "silent"
                if system in GROUNDED:
                    p = probabilities[m, x] if system == "cyclic" else 1 - probabilities[m, x]
                    row |= {"probability": p, "muted": int(p < 0.5)}
                if x in SOUNDING:
                    row |= {metric: s + 10 * m + SOUNDING.index(x) + 100 * i for i, metric in enumerate(SCORES)}
                else:
                    row["leakage_db"] = leakage[m, x] if system == "cyclic" else -40.0
                rows.append(row)
    return pd.DataFrame(rows)


def test_the_summary_follows_from_the_rows() -> None:
    summary = summarise(pairs())
    for s, system in enumerate(SYSTEMS):
        assert summary[system] == {metric: s + 5.5 + 100 * i for i, metric in enumerate(SCORES)}
    # cyclic: of A, C 0.9, 0.8, 0.3, 0.7 three are heard, of B, D 0.1, 0.6, 0.2, 0.4 one is
    assert summary["grounding"]["balanced_accuracy"] == 0.75
    assert summary["grounding"]["roc_auc"] == (4 + 4 + 2 + 4) / 16
    assert summary["silent"] == {
        "leakage_db": -65,
        "leakage_db_p95": pytest.approx(-80 + 0.85 * 60),
        "false_mute_rate": 0.25,
    }
    assert summary["grounding_colearning"]["balanced_accuracy"] == 0.25
    assert summary["silent_colearning"] == {"leakage_db": -40, "leakage_db_p95": -40, "false_mute_rate": 0.75}


def test_the_summary_is_of_rows_not_of_mixtures() -> None:
    """A mean of all pairs, whatever order they come in, and from the file as from memory."""
    rows = pairs()
    shuffled = rows.sample(frac=1, random_state=0)
    assert summarise(shuffled) == summarise(rows)


# --- All systems


def networks() -> dict[str, torch.nn.Module]:
    torch.manual_seed(0)
    made: dict[str, torch.nn.Module] = {"baseline": SoundOfPixels(WIDTH, **UNET)}
    made |= {"colearning": tiny_ccol(1), "cyclic": tiny_ccol(2), "trimodal": VAST(3, **factories.VAST)}
    made["finetune"] = VAST(3, **factories.VAST)
    return {name: network.eval() for name, network in made.items()}


def mixtures_of(videos: list[Video]) -> list[Mixture]:
    return [Mixture(*(videos[(first + i) % len(videos)] for i in range(4))) for first in range(3)]


def told(mixtures: list[Mixture]) -> Told:
    reader = tiny_reader(objects=False, resize=64, size=64, count=2)
    return tell(tiny_clip(), mixtures, reader, "playing the {}", {"violin": "a fiddle"}, ["an empty beach"])


def separate(videos: list[Video], batch: int) -> list[Outcome]:
    test = mixtures_of(videos)
    sees = FixedMixtures(test, tiny_reader(), heard=SOUNDING, seen=OBJECTS)
    whole = FixedMixtures(test, tiny_reader(objects=False), heard=SOUNDING, seen=SOUNDING)
    data = {"baseline": whole, "colearning": sees, "cyclic": sees}
    outcomes = separate_all(
        networks(),
        data,
        told(test),
        masked="linear",
        spectrogram=SPECTROGRAM,
        max_target=5.0,
        device="cpu",
        batch=batch,
    )
    return list(outcomes)


def test_every_system_on_every_mixture(videos: list[Video]) -> None:
    outcomes = separate(videos, batch=2)
    test = mixtures_of(videos)
    assert [made.number for made in outcomes] == [0, 1, 2]
    improvements = []
    for made, mixture in zip(outcomes, test, strict=True):
        assert list(made.videos.values()) == list(mixture)
        for name, video in (("A", mixture.a), ("C", mixture.c)):
            np.testing.assert_allclose(made.references[name], tiny_reader().sound(video, 7) / 2, rtol=1e-6)
        np.testing.assert_allclose(made.mixture, made.references["A"] + made.references["C"])
        assert set(made.estimates) == set(SYSTEMS)
        for system, objects in made.estimates.items():
            assert set(objects) == set(OBJECTS if system in GROUNDED else SOUNDING)
            assert all(wave.shape == (SAMPLES,) and np.isfinite(wave).all() for wave in objects.values())
        assert all(mask.shape == (16, 16) for objects in made.masks.values() for mask in objects.values())
        assert {s: set(p) for s, p in made.probabilities.items()} == {key: set(OBJECTS) for key in GROUNDED}
        rows, reason = score(made, GATES, CLASSES)
        assert reason is None and len(rows) == ROWS
        improvements += [row["si_sdri"] for row in rows if row["system"] == "oracle" and row["object"] == "A"]
    assert np.mean(improvements) > 3, "the tones lie apart"


def test_batches_change_nothing(videos: list[Video]) -> None:
    for one, other in zip(separate(videos, batch=1), separate(videos, batch=3), strict=True):
        assert one.probabilities["cyclic"] == pytest.approx(other.probabilities["cyclic"], abs=1e-5)
        for system, objects in one.estimates.items():
            for name, wave in objects.items():
                np.testing.assert_allclose(wave, other.estimates[system][name], atol=1e-5)


def test_an_example_holds_what_the_report_shows(videos: list[Video], tmp_path: Path) -> None:
    made = separate(videos, batch=3)[1]
    rows, _ = score(made, GATES, CLASSES)
    write_example(tmp_path / "001", made, rows, tiny_reader(), told(mixtures_of(videos)))
    sounds = {f"{x}_{s}.wav" for s in GROUNDED for x in OBJECTS}
    sounds |= {f"{x}_{s}.wav" for s in ("baseline", "oracle", "reference") for x in SOUNDING}
    sounds |= {f"{x}_{s}_{way}.wav" for s in ASKED for way in ("visual", "text") for x in SOUNDING}
    files = {path.name for path in (tmp_path / "001").iterdir()}
    assert files == sounds | {"mixture.wav", "arrays.npz", "example.json"} | {f"{x}.jpg" for x in OBJECTS}
    example = json.loads((tmp_path / "001/example.json").read_text())
    assert example["mixture"] == 1
    assert list(example["objects"]) == list(OBJECTS)
    first = example["objects"]["A"]
    assert (first["class"], first["role"], first["frame"]) == (CLASSES[1], "sounding", 7)
    assert first["box"] == [2, 1, 20, 16]
    assert set(first["probability"]) == set(GROUNDED)
    assert first["phrase"] == "playing the flute"
    assert first["phrase_confidence"] == made.confidences["playing the flute"]
    assert first["view"] == [3, 0, 21, 18], "the middle square of 24 x 18 pixels"
    assert "phrase" not in example["objects"]["B"]
    assert set(example["scores"]) == set(SYSTEMS)
    by_row = {(row["system"], row["object"]): row for row in rows}
    for system, objects in example["scores"].items():
        assert {x: list(scores) for x, scores in objects.items()} == {key: list(SCORES) for key in SOUNDING}
        assert objects["A"]["sdr"] == by_row[system, "A"]["sdr"]
    with np.load(tmp_path / "001/arrays.npz", allow_pickle=False) as arrays:
        attention = {name: arrays[f"attention_trimodal_{name}"] for name in SOUNDING}
        assert all(where.shape == (2, 2) and abs(where.sum() - 1) < 1e-2 for where in attention.values())
        planes = [array for name, array in arrays.items() if not name.startswith("attention")]
        assert all(array.dtype == np.float16 and array.shape == (16, 16) for array in planes)
        assert {"mixture", "target_A", "target_C", "mask_oracle_A", "mask_baseline_C"} <= set(arrays)
        assert {f"mask_{s}_{x}" for s in GROUNDED for x in OBJECTS} <= set(arrays)
        np.testing.assert_allclose(arrays["mask_cyclic_B"], made.masks["cyclic"]["B"], atol=1e-3)
    assert tiny_reader().rate == RATE


def test_the_gate_is_calibrated_by_the_objects_that_sound(videos: list[Video]) -> None:
    mixtures = FixedMixtures(mixtures_of(videos), tiny_reader(), heard=SOUNDING, seen=SOUNDING)
    found = evaluate.sounding_probabilities(networks(), mixtures, spectrogram=SPECTROGRAM, device="cpu", batch=2)
    expected = {s: [m.probabilities[s][x] for m in separate(videos, batch=3) for x in SOUNDING] for s in GROUNDED}
    assert {s: sorted(p) for s, p in found.items()} == {s: pytest.approx(sorted(p)) for s, p in expected.items()}


def test_the_test_list_is_read_from_the_index(videos: list[Video]) -> None:
    index = videos[0].audio.parents[2] / "index"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(index.parents[1])
        found = evaluate.read_split("test")
    assert len(found) == 4
    assert {v.name for mixture in found for v in mixture} <= {v.name for v in videos}


# --- Asked by pictures and phrases


def test_each_kind_of_query_is_what_it_says(videos: list[Video]) -> None:
    test = mixtures_of(videos)
    said, network, heard = told(test), networks()["trimodal"], tiny_heard(len(test))
    assert isinstance(network, VAST)
    with torch.no_grad():
        masks = evaluate.ask(network, heard, test, said, controls=True)
        assert set(evaluate.ask(network, heard, test, said, controls=False)) == {"visual", "text"}

        def by(queries: list[torch.Tensor]) -> torch.Tensor:
            return network.separate(heard.mixture, {"x": torch.stack(queries)})["x"]

        def phrase(words: str) -> torch.Tensor:
            return said.phrases[words]

        seen = by([visual_query(said.tokens[m.c.name][None])[0] for m in test])
        torch.testing.assert_close(masks["visual"]["C"], seen)
        torch.testing.assert_close(masks["text"]["A"], by([phrase(f"playing the {m.a.category}") for m in test]))
        torch.testing.assert_close(masks["wrong_text"]["A"], by([phrase(f"playing the {m.b.category}") for m in test]))
        wrong = by([visual_query(said.tokens[m.d.name][None])[0] for m in test])
        torch.testing.assert_close(masks["wrong_picture"]["C"], wrong)
        words = ["a fiddle" if m.c.category == "violin" else f"playing the {m.c.category}" for m in test]
        torch.testing.assert_close(masks["synonym"]["C"], by([phrase(one) for one in words]))


def test_every_mixture_is_asked_for_every_class_and_what_matches_none(videos: list[Video]) -> None:
    test = mixtures_of(videos)
    made, said = separate(videos, batch=2), told(test)
    assert said.probes == [*(f"playing the {name}" for name in sorted(CLASSES)), "an empty beach"]
    rows = evaluate.phrase_rows(made[1], said, threshold=0.0)
    kinds = {row["phrase"]: row["kind"] for row in rows}
    sounding = {f"playing the {video.category}" for video in (test[1].a, test[1].c)}
    assert {phrase for phrase, kind in kinds.items() if kind == "present"} == sounding
    assert [phrase for phrase, kind in kinds.items() if kind == "unmatched"] == ["an empty beach"]
    assert {row["phrase"]: row["confidence"] for row in rows} == made[1].confidences
    assert all(row["accepted"] == (row["confidence"] >= 0) for row in rows)
    mixtures = FixedMixtures(test, tiny_reader(), heard=SOUNDING, seen=())
    network = networks()["trimodal"]
    assert isinstance(network, VAST)
    found = evaluate.present_confidences(
        network, mixtures, said, masked="linear", spectrogram=SPECTROGRAM, device="cpu", batch=2
    )
    expected = [
        one.confidences[f"playing the {video.category}"]
        for one, mixture in zip(made, test, strict=True)
        for video in (mixture.a, mixture.c)
    ]
    assert found == pytest.approx(expected, abs=1e-5)


def test_only_a_class_with_a_synonym_is_scored_by_it(videos: list[Video]) -> None:
    made = outcome(videos)
    first = made.videos["A"].category
    rows = score(made, GATES, [first])[0]
    assert [row["class"] for row in rows if row["system"] == "trimodal_synonym"] == [first]
    none = pd.DataFrame(score(made, GATES)[0])
    assert "trimodal_synonym" not in summarise(none)
    assert evaluate.summarise_synonyms(none) == {}


def test_synonyms_are_compared_on_their_own_objects() -> None:
    rows = pairs()
    rows = rows[(rows["system"] != "trimodal_synonym") | ((rows["mixture"] == 1) & (rows["object"] == "C"))]
    shift = SYSTEMS.index("trimodal_synonym") - SYSTEMS.index("trimodal_text")
    found = evaluate.summarise_synonyms(rows)
    assert found["synonym_nsdr"] == found["phrase_nsdr"] + shift
    at = 100 * SCORES.index("nsdr")
    assert found["phrase_nsdr"] == SYSTEMS.index("trimodal_text") + 10 + 1 + at


def test_a_phrase_that_is_asked_for_twice_is_one(videos: list[Video]) -> None:
    said = told(mixtures_of(videos))
    same = replace(said, unmatched=["an empty beach", "playing the tuba", "an empty beach"])
    assert same.probes == said.probes


@pytest.mark.parametrize("phrase", [" ", "скрипка", "one " * 20])
def test_a_phrase_that_clip_cannot_read_is_refused(videos: list[Video], phrase: str) -> None:
    reader = tiny_reader(objects=False, resize=64, size=64)
    with pytest.raises(InputError, match="the phrase"):
        tell(tiny_clip(), mixtures_of(videos)[:1], reader, "the {}", {}, [phrase])


def test_the_summary_of_phrases() -> None:
    kinds = ["present", "present", "absent", "absent", "unmatched"]
    table = pd.DataFrame({"kind": kinds, "confidence": [0.9, 0.3, 0.8, 0.1, 0.2], "accepted": [1, 0, 1, 0, 0]})
    found = evaluate.summarise_phrases(table)
    rates = {"accepted_present": 0.5, "accepted_absent": 0.5, "accepted_unmatched": 0.0}
    assert found == {**rates, "roc_auc": 0.75, "roc_auc_unmatched": 1.0}
    none = evaluate.summarise_phrases(table[:4])
    assert none == {"accepted_present": 0.5, "accepted_absent": 0.5, "roc_auc": 0.75}

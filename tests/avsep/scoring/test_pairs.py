"""The rows of one mixture: each object's own scores, what the gate makes of them, and the controls of the gate."""

from dataclasses import replace

import numpy as np
import pytest

from avsep.clips.index import OBJECTS, SOUNDING, Video
from avsep.scoring.pairs import COLUMNS, UNDEFINED, score
from avsep.scoring.separation import SCORES, gains, measure
from avsep.scoring.silence import FLOOR_DB
from tests.helpers.factories import CLASSES, write_data
from tests.helpers.outcomes import (
    GATE_CONTROLS,
    GATES,
    GROUNDED,
    PROBABILITIES,
    SOLO,
    SYSTEMS,
    mixtures_of,
    outcome,
    separate,
    tiny_systems,
)
from tests.helpers.toys import Silent, Waves


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    return write_data(tmp_path_factory.mktemp("evaluate") / "data")["test"]


def test_one_row_for_each_system_and_object(videos: list[Video]) -> None:
    rows, reason = score(outcome(videos), GATES, 0, CLASSES)
    assert reason is None
    expected = [(s, x) for s in SYSTEMS for x in (OBJECTS if s in GROUNDED else SOUNDING)]
    expected += [(s, x) for s in GATE_CONTROLS for x in OBJECTS]
    assert sorted((row["system"], row["object"]) for row in rows) == sorted(expected)
    by_letter = dict(zip(OBJECTS, videos, strict=False))
    for row in rows:
        video = by_letter[row["object"]]
        assert set(row) <= set(COLUMNS)
        assert (row["class"], row["video"]) == (video.category, video.name)
        assert row["beside"] == by_letter[{"A": "C", "C": "A", "B": "A", "D": "C"}[row["object"]]].category
        assert row["role"] == ("sounding" if row["object"] in "AC" else "silent")
        assert set(SCORES) <= set(row) if row["role"] == "sounding" else not set(SCORES) & set(row)
        assert ("leakage_db" in row) == ("open_leakage_db" in row) == (row["role"] == "silent")


def test_scores_are_those_of_the_objects_own_estimate(videos: list[Video]) -> None:
    made = outcome(videos)
    found = {(row["system"], row["object"]): row for row in score(made, GATES, 0, CLASSES)[0]}
    references = np.stack([made.references[x] for x in SOUNDING])
    mixed = measure(references, np.stack([made.mixture] * 2))
    for system in ("oracle", "cyclic"):
        own = measure(references, np.stack([made.estimates[system][x] for x in SOUNDING]))
        for metric, values in {**own, **gains(own, mixed)}.items():
            assert [found[system, name][metric] for name in SOUNDING] == values.tolist()
    assert found["oracle", "C"]["sdr"] > found["cyclic", "C"]["sdr"] > found["mixture", "C"]["sdr"]
    assert [found["mixture", "A"][metric] for metric in ("nsdr", "si_sdri", "snri")] == [0, 0, 0]


@pytest.mark.parametrize(("gate", "muted"), [(0.5, "BC"), (0.0, ""), (0.4, "B")])
def test_the_gate_mutes_and_what_is_muted_does_not_leak(videos: list[Video], gate: float, muted: str) -> None:
    made = outcome(videos, samples=600)
    rows = [row for row in score(made, dict.fromkeys(GROUNDED, gate), 0, CLASSES)[0] if row["system"] == "cyclic"]
    assert {row["object"] for row in rows if row["muted"]} == set(muted)
    assert {row["object"]: row["probability"] for row in rows} == PROBABILITIES
    assert {row["object"]: row["solo_probability"] for row in rows} == SOLO
    for row in rows:
        if row["role"] == "silent":
            assert row["leakage_db"] == pytest.approx(-80 if row["object"] in muted else -40, abs=1e-3)
            assert row["open_leakage_db"] == pytest.approx(-40, abs=1e-3)
            # the published way, at 0.5: nothing for nothing is "perfect", and 1 % is as bad as anything
            rounded = PROBABILITIES[row["object"]] < 0.5
            assert row["sdr_as_published"] > 200 if rounded else row["sdr_as_published"] < 0
        elif PROBABILITIES[row["object"]] >= 0.5:
            assert row["sdr_as_published"] == pytest.approx(row["sdr"], abs=1e-2), "other sources change no SDR"
        assert {"sir_as_published", "sar_as_published"} <= set(row)


def test_the_gates_controls_give_one_answer_or_any(videos: list[Video]) -> None:
    made = outcome(videos, samples=600)
    rows, other = (score(made, GATES, seed)[0] for seed in (0, 1))
    by_control = {s: [row for row in rows if row["system"] == s] for s in GATE_CONTROLS}
    assert [row["muted"] for row in by_control["always_sounding"]] == [0] * 4
    assert [row["muted"] for row in by_control["never_sounding"]] == [1] * 4
    for control, expected in (("always_sounding", -40), ("never_sounding", -80)):
        leakage = [row["leakage_db"] for row in by_control[control] if row["role"] == "silent"]
        assert leakage == pytest.approx([expected] * 2, abs=1e-3)
    chance, others = ([row["probability"] for row in table if row["system"] == "chance"] for table in (rows, other))
    assert len(set(chance)) == 4 and all(0 <= p < 1 for p in chance)
    assert chance != others


@pytest.mark.parametrize("what", ["reference", "estimate"])
def test_a_mixture_with_a_silent_source_has_no_rows_but_a_reason(videos: list[Video], what: str) -> None:
    made = outcome(videos, samples=600)
    silence = np.zeros(600, np.float32)
    if what == "reference":
        made = replace(made, references={**made.references, "C": silence})
    else:
        made = replace(made, estimates={**made.estimates, "baseline": {**made.estimates["cyclic"], "C": silence}})
    rows, reason = score(made, GATES, 0, CLASSES)
    assert rows == []
    where = "mixture" if what == "reference" else "baseline"
    assert reason == f"{where}: {what} 1 is silent: BSS-eval is not defined for it"


def test_only_a_class_with_a_synonym_is_scored_by_it(videos: list[Video]) -> None:
    made = outcome(videos, samples=600)
    first = made.videos["A"].category
    rows = score(made, GATES, 0, [first])[0]
    assert [row["class"] for row in rows if row["system"] == "trimodal_synonym"] == [first]


# --- Systems that give waves, or silence by themselves


def test_waves_without_masks_are_scored(videos: list[Video]) -> None:
    [made, *_] = separate(videos, 3, {**tiny_systems([]), "waves": Waves(share=0.5)})
    assert "waves" not in made.masks and set(made.estimates["waves"]) == set(OBJECTS)
    rows, reason = score(made, {}, 0)
    assert reason is None
    own = {row["object"]: row for row in rows if row["system"] == "waves"}
    assert set(own) == set(OBJECTS) and not any("muted" in row for row in own.values())
    assert [own[name]["si_sdri"] for name in SOUNDING] == pytest.approx([0, 0], abs=1e-4), "the mixture, half as loud"
    assert [own[name]["leakage_db"] for name in "BD"] == pytest.approx([20 * np.log10(0.5)] * 2, abs=1e-3)


def test_silence_that_a_system_gives_by_itself_has_an_snr_and_no_other_score(videos: list[Video]) -> None:
    first = mixtures_of(videos)[0]
    plain = tiny_systems(["cyclic"])
    [without, *_] = separate(videos, 3, plain)
    [made, *_] = separate(videos, 3, {**plain, "silent": Silent(f"playing the {first.c.category}")})
    assert made.probabilities["silent"] == {"A": 1, "B": 1, "C": 0, "D": 1} and not made.estimates["silent"]["C"].any()
    rows, reason = score(made, {**GATES, "silent": 0.5}, 0)
    assert reason is None
    own = {row["object"]: row for row in rows if row["system"] == "silent"}
    assert (own["C"]["snr"], own["C"]["muted"], own["A"]["muted"]) == (0, 1, 0)
    mixture = next(row for row in rows if row["system"] == "mixture" and row["object"] == "C")
    assert own["C"]["snri"] == pytest.approx(-mixture["snr"])
    assert set(UNDEFINED) == set(SCORES) - {"snr", "snri"}
    assert all(np.isnan(own["C"][metric]) for metric in UNDEFINED)
    assert all(np.isfinite(own["A"][metric]) for metric in SCORES), "the other one's scores are its own"
    others = [row for row in rows if row["system"] != "silent"]
    expected, _ = score(without, GATES, 0)
    assert others == expected, "other systems' rows are what they were"


def test_silence_for_a_silent_object_leaks_nothing(videos: list[Video]) -> None:
    first = mixtures_of(videos)[0]
    silent = Silent(f"playing the {first.b.category}")
    [made, *_] = separate(videos, 3, {**tiny_systems([]), "silent": silent})
    rows, reason = score(made, {"silent": 0.0}, 0)
    own = {row["object"]: row for row in rows if row["system"] == "silent"}
    assert reason is None and own["B"]["muted"] == 0, "the gate is open"
    assert own["B"]["leakage_db"] == own["B"]["open_leakage_db"] == FLOOR_DB
    assert own["D"]["leakage_db"] == pytest.approx(20 * np.log10(0.5), abs=1e-3)
    assert all(np.isfinite(own[name][metric]) for name in SOUNDING for metric in SCORES)


def test_silence_of_a_system_that_says_that_the_object_sounds_cannot_be_scored(videos: list[Video]) -> None:
    first = mixtures_of(videos)[0]
    silent = Silent(f"playing the {first.c.category}", says=0.1)
    [made, *_] = separate(videos, 3, {**tiny_systems([]), "silent": silent})
    assert not made.estimates["silent"]["C"].any()
    rows, reason = score(made, {"silent": 0.5}, 0)
    assert rows == [] and reason == "silent: estimate 1 is silent: BSS-eval is not defined for it"


def test_the_rows_come_in_the_order_of_every_table(videos: list[Video]) -> None:
    made = outcome(videos, samples=600)
    shuffled = dict(reversed(list(made.estimates.items())))
    named = list(dict.fromkeys(row["system"] for row in score(replace(made, estimates=shuffled), GATES, 0, CLASSES)[0]))
    assert named == [*SYSTEMS, *GATE_CONTROLS]
    later = {**shuffled, "waves": made.estimates["baseline"], "a_wave": made.estimates["baseline"]}
    named = list(dict.fromkeys(row["system"] for row in score(replace(made, estimates=later), GATES, 0, CLASSES)[0]))
    assert named.index("finetune_text") + 1 == named.index("a_wave") == named.index("waves") - 1
    assert named.index("waves") + 1 == named.index("trimodal_synonym")

"""The scores of a scene: missed players, silent ones, false objects, sounds that nobody makes; and what follows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from avsep.scenes.files import Other, Player, Truth
from avsep.scenes.scoring import (
    COLUMNS,
    INTERVALS,
    SUMMARY,
    Scene,
    detect_kinds,
    differences,
    intervals,
    level_db,
    passed,
    references,
    score_references,
    score_system,
    summarise,
    summarise_detection,
    summarise_kinds,
)
from avsep.scoring.intervals import Bootstrap
from avsep.separating.windows import Given, Hearing, Windows
from avsep.systems.system import System
from tests.helpers.factories import RATE, SAMPLES, SPECTROGRAM
from tests.helpers.outcomes import tiny_systems

HEARING = Hearing(RATE, SAMPLES, SPECTROGRAM)
LENGTH = 700
CLASSES = ["cello", "flute", "tuba"]
BOXES = np.array([[2.0, 1.0, 20.0, 16.0]])
WINDOWS = len(Windows(LENGTH, SAMPLES).starts)


def tone(frequency: float, level: float = 0.1) -> np.ndarray:
    return (level * np.sin(2 * np.pi * frequency * np.arange(LENGTH) / RATE)).astype(np.float32)


def scene(*playing: bool, others: tuple[str, ...] = (), noise: float = 0.0) -> Scene:
    """Players of CLASSES, those who play with a tone each; `others` likewise."""
    players = tuple(
        Player(name, f"player_{n}.wav" if plays else None, 1.0 if plays else None, BOXES)
        for n, (name, plays) in enumerate(zip(CLASSES, playing, strict=False))
    )
    beside = tuple(Other(what, None, f"{what}.wav", 1.0) for what in others)
    truth = Truth("some_00", "some", 1, 1.0, players, beside)
    stems = {stem: tone(60 + 130 * n) for n, stem in enumerate(truth.stems())}
    mixture = np.sum([*stems.values(), np.zeros(LENGTH)], axis=0).astype(np.float32)
    return Scene(truth, mixture + noise * np.random.default_rng(0).standard_normal(LENGTH).astype(np.float32), stems)


def given(*waves: np.ndarray, probabilities: tuple[float, ...] | None = None, mask: float = 0.5) -> Given:
    masks = torch.full((len(waves), WINDOWS, 16, 16), mask)
    stacked = torch.from_numpy(np.array(waves, np.float32).reshape(-1, LENGTH))
    if probabilities is None:
        return Given(masks, stacked)
    told = torch.tensor(probabilities)[:, None].expand(-1, WINDOWS)
    return Given(masks, stacked, told, told < 0.5)


def rows(made: Scene, gave: Given, matched: dict[int, int]) -> list[dict[str, Any]]:
    found = list(score_system(made, "cyclic", gave, CLASSES[: len(gave.waves)], matched, HEARING))
    assert all(set(row) <= set(COLUMNS) for row in found)
    return found


def from_truth(made: Scene) -> list[dict[str, Any]]:
    """The rows of the references that scenes have."""
    systems: dict[str, System] = {name: system for name, system in tiny_systems([]).items() if name != "oracle_binary"}
    return list(score_references(made, references(systems, made, HEARING)))


def test_what_a_player_is_given_is_scored_against_its_stem() -> None:
    made = scene(True, True)
    one, other = made.stems.values()
    first, second, _ = rows(made, given(one + 0.1 * other, other, probabilities=(0.9, 0.2)), {0: 0, 1: 1})
    assert (first["role"], first["class"], first["label"], first["playing"], first["found"]) == (
        *("player", "cello", "cello"),
        *(1, 1),
    )
    assert first["snr"] == pytest.approx(20, abs=0.1) and first["snri"] == pytest.approx(20, abs=0.2)
    assert first["sdr"] > 20 and first["nsdr"] > 15, "BSS-eval forgives what a filter makes of the source"
    assert first["level_db"] == pytest.approx(-23.0, abs=0.1) and first["given_db"] == pytest.approx(-23, abs=0.1)
    assert (first["probability"], first["muted"]) == (pytest.approx(0.9), 0)
    assert (second["probability"], second["muted"]) == (pytest.approx(0.2), 1)
    assert "leakage_db" not in first


def test_a_missed_player_who_plays_is_given_silence_which_counts() -> None:
    made = scene(True, True)
    one, _ = made.stems.values()
    _, missed, _ = rows(made, given(one), {0: 0})
    assert (missed["found"], missed["snr"]) == (0, 0)
    assert missed["snri"] == pytest.approx(0, abs=0.1), "the mixture of two equal sources has an SNR of 0 dB"
    assert "sdr" not in missed and "probability" not in missed, "BSS-eval knows no silent estimate"
    table = pd.DataFrame(rows(made, given(one, probabilities=(0.9,)), {0: 0}), columns=COLUMNS)
    assert summarise(table)["heard"] == 0.5
    assert summarise_detection(table) == {"recall": 0.5, "false_objects": 0.0, "class_right": 1.0}


def test_a_silent_player_leaks_what_it_is_given() -> None:
    made = scene(True, False)
    found = rows(made, given(made.mixture, 0.1 * made.mixture), {0: 0, 1: 1})[1]
    assert found["playing"] == 0 and found["leakage_db"] == pytest.approx(-20)
    assert not {"snr", "snri", "sdr", "nsdr", "level_db"} & set(found)
    missed = rows(made, given(made.mixture), {0: 0})[1]
    assert (missed["found"], missed["leakage_db"], missed["given_db"]) == (0, -80, -80)


def test_one_who_plays_alone_has_no_gain_over_the_mixture() -> None:
    made = scene(True, False)
    row = rows(made, given(0.9 * made.mixture), {0: 0})[0]
    assert row["snr"] == pytest.approx(20) and "snri" not in row and "nsdr" not in row


def test_an_object_that_is_no_players_has_a_row_of_what_it_was_given() -> None:
    made = scene(True)
    false = rows(made, given(made.mixture, 0.01 * made.mixture, probabilities=(0.9, 0.8)), {0: 0})[1]
    assert (false["role"], false["object"], false["label"]) == ("false", 1, "flute")
    assert false["leakage_db"] == pytest.approx(-40) and false["probability"] == pytest.approx(0.8)
    assert "class" not in false and "player" not in false


@pytest.mark.parametrize("what", ["offscreen", "noise"])
def test_the_share_of_a_sound_that_nobody_makes(what: str) -> None:
    made = scene(True, others=(what,))
    *_, other, nobody = rows(made, given(made.mixture, made.mixture, mask=0.5), {0: 0})
    assert other["role"] == what and other["passed"] == pytest.approx(0.25, abs=1e-3), "half of its amplitude"
    assert other["level_db"] == pytest.approx(-23.0, abs=0.1)
    assert nobody["role"] == "nobody" and nobody["leakage_db"] == -80, "two halves leave nothing"
    assert passed(torch.zeros(0, WINDOWS, 16, 16), made.stems[f"{what}.wav"], HEARING) == 0


def test_what_the_masks_leave_is_nobodys() -> None:
    made = scene(True)
    [*_, nobody] = rows(made, given(made.mixture, mask=0.9), {0: 0})
    assert nobody["leakage_db"] == pytest.approx(-20, abs=0.01)
    assert rows(made, given(), {})[-1]["leakage_db"] == pytest.approx(0, abs=1e-3), "without objects all of it"


def test_a_silent_scene_has_levels_and_no_ratios() -> None:
    made = scene(False, False)
    silence = np.zeros(LENGTH, np.float32)
    found = rows(made, given(silence, silence, probabilities=(0.0, 0.0)), {0: 0})
    assert [row["role"] for row in found] == ["player", "player", "false", "nobody"]
    assert all(row["given_db"] == -80 and "leakage_db" not in row and "snr" not in row for row in found)
    assert from_truth(made) == []
    summary = summarise(pd.DataFrame(found, columns=COLUMNS))
    assert summary == {"rejected": 1.0, "given_db": -80.0}


def test_references_are_of_players_who_play() -> None:
    made = scene(True, False, True)
    found = from_truth(made)
    assert [(row["system"], row["player"]) for row in found] == [(s, n) for n in (0, 2) for s in ("mixture", "oracle")]
    assert [row["snri"] for row in found if row["system"] == "mixture"] == [0, 0]
    assert all(row["snri"] > 10 for row in found if row["system"] == "oracle"), "the tones lie apart"


def test_levels() -> None:
    assert level_db(np.full(10, 0.1)) == pytest.approx(-20)
    assert level_db(np.zeros(10)) == level_db(np.full(10, 1e-9)) == -80


def test_the_summary_follows_from_the_rows() -> None:
    made = scene(True, True, False)
    one, other = made.stems.values()
    gave = given(one + 0.1 * other, 0.1 * made.mixture, 0.01 * made.mixture, probabilities=(0.9, 0.6, 0.4))
    table = pd.DataFrame(rows(made, gave, {0: 0, 2: 1}), columns=COLUMNS)
    another = table.assign(kind="other", system="colearning")
    summary = summarise(table)
    playing = table[(table["role"] == "player") & (table["playing"] == 1)]
    assert summary["snri"] == pytest.approx(playing["snri"].mean()) and summary["snr"] == pytest.approx(10, abs=0.1)
    assert (summary["heard"], summary["rejected"], summary["balanced_accuracy"]) == (0.5, 0.0, 0.25)
    assert summary["leakage_db"] == pytest.approx(-20) and summary["false_leakage_db"] == pytest.approx(-40)
    detection = summarise_detection(table)
    assert detection == {"recall": pytest.approx(2 / 3), "false_objects": 1.0, "class_right": 0.5}
    kinds = summarise_kinds(pd.concat([table, another]), resamples=50, seed=0)
    assert list(zip(kinds["kind"], kinds["system"], strict=True)) == [
        *(("some", "cyclic"), ("other", "colearning"), ("all", "cyclic"), ("all", "colearning")),
    ]
    assert kinds["snri"].tolist() == pytest.approx([summary["snri"]] * 4)
    columns = ["kind", "system", *SUMMARY, *INTERVALS]
    assert list(summarise_kinds(table.iloc[:0], resamples=50, seed=0).columns) == columns
    found = detect_kinds(pd.concat([table, table.assign(kind="other", scene="another")]))
    assert found["kind"].tolist() == ["some", "other", "all"] and found["recall"].tolist() == pytest.approx([2 / 3] * 3)


def test_differences_are_of_the_same_players() -> None:
    """Two scenes, of two players and of one; the second system is 1 dB better in one and 3 in the other, and lacks a
    player of the first."""
    players = pd.DataFrame(
        {"scene": ["a", "a", "b"], "player": [0.0, 1.0, 0.0], "snri": [1.0, 2.0, 3.0], "role": "player", "system": "x"}
    ).reindex(columns=COLUMNS)
    better = players.assign(system="y", snri=[2.0, np.nan, 6.0])
    quiet = players.assign(scene="c", snri=np.nan)
    found = differences(pd.concat([players, quiet, better]), resamples=200, seed=0)
    assert found.to_dict("records") == [
        {
            **{"system": "y", "against": "x", "players": 2, "scenes": 2},
            **{"difference": 2.0, "low": 1.0, "high": 3.0, "significant": 1},
        }
    ]
    assert list(differences(quiet, resamples=50, seed=0).columns) == list(found.columns)


def test_who_was_missed_is_no_merit_and_silence_flatters_no_mean() -> None:
    """Of two silent players one is missed; a scene in which nobody plays has a row of its own, and no other."""
    players = pd.DataFrame(
        {
            "scene": "a",
            "kind": "plain",
            "system": "baseline",
            "role": "player",
            "playing": [1, 0, 0],
            "found": [1, 1, 0],
            "leakage_db": [np.nan, -10.0, -80.0],
        }
    ).reindex(columns=COLUMNS)
    quiet = players.assign(scene="b", kind="silence", playing=0, leakage_db=-70.0)
    kinds = summarise_kinds(pd.concat([players, quiet]), resamples=50, seed=0).set_index("kind")["leakage_db"]
    assert kinds.to_dict() == {"plain": -10, "silence": -70, "all": -10}


def test_intervals_are_of_whole_scenes() -> None:
    """Two scenes of two players each, alike within: half of the resamples hold one scene alone."""
    players = pd.DataFrame(
        {
            "scene": ["a", "a", "b", "b"],
            "role": "player",
            "playing": [1, 0, 1, 0],
            "snri": [2.0, np.nan, 6.0, np.nan],
            "probability": [0.9, 0.1, np.nan, 0.8],  # of b, one was missed and the other one is said to sound
        }
    )
    found = intervals(players, Bootstrap(["a", "b"], 1000, 0))
    assert (found["snri_low"], found["snri_high"]) == (2, 6)
    assert (found["balanced_accuracy_low"], found["balanced_accuracy_high"]) == (0, 1)
    silent = intervals(players[players["playing"] == 0], Bootstrap(["a", "b"], 1000, 0))
    assert np.isnan(silent["snri_low"]) and "balanced_accuracy_low" not in silent


def test_scores_are_of_the_scene_as_it_is_heard() -> None:
    """Codec noise in the mixture is no source's."""
    clean, noisy = scene(True, True), scene(True, True, noise=0.01)
    assert replace(noisy, mixture=clean.mixture).mixture is clean.mixture
    [mixture, *_] = from_truth(noisy)
    assert mixture["snr"] < 0


def test_the_oracle_is_the_stems_masks_and_the_mixture_is_itself() -> None:
    made = scene(True, True)
    given_ = references(tiny_systems([]), made, HEARING)
    assert list(given_) == ["mixture", "oracle", "oracle_binary"]
    for waves in given_.values():
        assert list(waves) == list(made.stems) and all(wave.shape == (LENGTH,) for wave in waves.values())
    assert all(wave is made.mixture for wave in given_["mixture"].values())
    for stem, wave in made.stems.items():
        assert np.abs(given_["oracle"][stem] - wave).max() < 0.5 * np.abs(made.mixture - wave).max()
    assert references(tiny_systems([]), scene(False), HEARING) == {}, "nothing is true of silence"


def test_a_system_of_waves_has_all_rows_but_what_masks_tell() -> None:
    made = scene(True, True, others=("noise",))
    one, other, noise = made.stems.values()
    waves = torch.from_numpy(np.stack([one, other]))
    found = rows(made, Given(None, waves), {0: 0, 1: 1})
    assert [row["role"] for row in found] == ["player", "player", "noise", "nobody"]
    assert found[0]["snr"] > 60 and found[0]["sdr"] > 60
    assert "passed" not in found[2], "what passes of a stem, only masks tell"
    assert found[3]["given_db"] == pytest.approx(level_db(noise), abs=1e-3), "what nobody was given is the noise"
    nobody = rows(made, Given(None, waves[:0]), {})[-1]
    assert nobody["leakage_db"] == pytest.approx(0)

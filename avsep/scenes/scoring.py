"""How well a scene was separated among the objects in it, against its stems: one table, and what follows from it.

A player whom no object stands for is given silence: for one who plays that has a signal-to-noise ratio of 0 dB and
counts, for one who does not nothing leaks.  Sounds are (L,); energies in dB are clipped at scoring/silence.py's floor.

The table's rows, by `role`:
- `player`: one for each player, found or not;
- `false`: an object that is no player's;
- `offscreen`, `noise`: a stem that no object explains; `passed` is the share of its energy that objects are given, in
  each bin the one that is given most, as masks tell;
- `nobody`: what the objects' masks together leave of the mixture.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsep.scenes.files import Truth
from avsep.scoring.intervals import Bootstrap
from avsep.scoring.separation import bss_eval, snr
from avsep.scoring.silence import FLOOR_DB, leakage_db
from avsep.separating.windows import Given, Hearing, Windows
from avsep.systems.system import System, hear_sources

COLUMNS = [
    *("scene", "kind", "system", "role", "player", "object", "class", "label", "playing", "found"),
    *("probability", "muted", "level_db", "given_db", "snr", "snri", "sdr", "nsdr", "leakage_db", "passed"),
]
DECISION = 0.5  # of a player's probability to sound, as in stage evaluate
SUMMARISED = ("snr", "snri", "sdr", "nsdr")
SUMMARY = (
    *(*SUMMARISED, "heard", "rejected", "balanced_accuracy", "leakage_db", "false_leakage_db", "given_db"),
    *("nobody_db", "passed_offscreen", "passed_noise"),
)
INTERVALS = ("snri_low", "snri_high", "balanced_accuracy_low", "balanced_accuracy_high")
DIFFERENCES = ("system", "against", "players", "scenes", "difference", "low", "high", "significant")
DETECTION = ("recall", "false_objects", "class_right")
SILENCE = "silence"  # the kind of scene in which nobody plays
ALL = "all"  # in the place of a kind: all scenes

Sound = NDArray[np.floating]


@dataclass(frozen=True)
class Scene:
    """What is heard in a scene, and what is true of it."""

    truth: Truth
    mixture: Sound
    stems: Mapping[str, Sound]

    @property
    def about(self) -> dict[str, Any]:
        return {"scene": self.truth.name, "kind": self.truth.kind}


def references(systems: Mapping[str, System], scene: Scene, hearing: Hearing) -> dict[str, dict[str, Sound]]:
    """Of each system that is made from the truth: stem -> what it is given, the mixture itself without any."""
    if not scene.stems:
        return {}
    windows, mixture = Windows(len(scene.mixture), hearing.samples), torch.from_numpy(scene.mixture)
    cut = {stem: windows.cut(torch.from_numpy(wave)) for stem, wave in scene.stems.items()}
    heard = hear_sources(cut, hearing.spectrogram)
    found = {}
    for name, system in systems.items():
        masks = system.answer(heard, {}).masks
        let_through = {stem: hearing.let_through(mask.squeeze(1), mixture).numpy() for stem, mask in masks.items()}
        found[name] = {**dict.fromkeys(cut, scene.mixture), **let_through}
    return found


def score_references(scene: Scene, given: Mapping[str, Mapping[str, Sound]]) -> Iterator[dict[str, Any]]:
    """The rows of the systems that are made from the truth, for each player who plays: they have no objects."""
    for number, player in enumerate(scene.truth.players):
        if player.stem is not None:
            for system, waves in given.items():
                row = {"role": "player", "player": number, "class": player.category, "playing": 1, "found": 1}
                yield {**scene.about, "system": system, **row, **_heard(scene, player.stem, waves[player.stem])}


def score_system(
    scene: Scene,
    system: str,
    given: Given,
    categories: Sequence[str],
    matched: Mapping[int, int],
    hearing: Hearing,
) -> Iterator[dict[str, Any]]:
    """All rows of a system that gives sounds to objects of these classes. `matched`: player -> object."""
    waves = given.waves.numpy()
    about = {**scene.about, "system": system}
    for number, player in enumerate(scene.truth.players):
        found = matched.get(number)
        wave = np.zeros_like(scene.mixture) if found is None else waves[found]
        row = {"role": "player", "player": number, "class": player.category, "playing": int(player.playing)}
        said = {} if found is None else _said(given, categories, found)
        scores = _leaked(scene, wave) if player.stem is None else _heard(scene, player.stem, wave)
        yield {**about, **row, "found": int(found is not None), **said, **scores}
    for number in sorted(set(range(len(categories))) - set(matched.values())):
        said, scores = _said(given, categories, number), _leaked(scene, waves[number])
        yield {**about, "role": "false", **said, **scores}
    for other in scene.truth.others:
        stem = scene.stems[other.stem]
        row = {"role": other.what, "class": other.category, "level_db": level_db(stem)}
        yield {**about, **row, **({} if given.masks is None else {"passed": passed(given.masks, stem, hearing)})}
    yield {**about, "role": "nobody", **_leaked(scene, _left(given, scene.mixture, hearing))}


def passed(masks: Tensor, stem: Sound, hearing: Hearing) -> float:
    """The share of a stem's energy that the most open of the objects' masks (O, W, F, T) lets through."""
    if not len(masks):
        return 0.0
    wave = torch.from_numpy(stem)
    through = hearing.let_through(masks.amax(0), wave)
    return float(through.square().sum() / wave.square().sum())


def _left(given: Given, mixture: Sound, hearing: Hearing) -> Sound:
    """What no object is given of the mixture."""
    if given.masks is None:
        return mixture - given.waves.sum(0).numpy()
    rest = (1 - given.masks.sum(0)).clamp_min(0)  # (W, F, T)
    return hearing.let_through(rest, torch.from_numpy(mixture)).numpy()


def level_db(wave: Sound) -> float:
    """Root mean square re full scale."""
    power = float(np.mean(np.square(wave, dtype=np.float64)))
    return max(FLOOR_DB, 10 * float(np.log10(power))) if power > 0 else FLOOR_DB


def _said(given: Given, categories: Sequence[str], number: int) -> dict[str, Any]:
    """What is said of an object; `probability` and `muted` are means over the windows."""
    said: dict[str, Any] = {"object": number, "label": categories[number]}
    if given.probabilities is not None and given.muted is not None:
        said["probability"] = float(given.probabilities[number].mean())
        said["muted"] = float(given.muted[number].double().mean())
    return said


def _heard(scene: Scene, stem: str, wave: Sound) -> dict[str, float]:
    """The scores of what a player who plays is given. A gain over the mixture is one only if that holds more than the
    player, and BSS-eval knows no silent estimate."""
    truth, mixture = scene.stems[stem], scene.mixture
    scores = {"level_db": level_db(truth), "given_db": level_db(wave), "snr": _snr(wave, truth)}
    alone = len(scene.stems) == 1
    if not alone:
        scores["snri"] = scores["snr"] - _snr(mixture, truth)
    if wave.any():
        scores["sdr"] = float(bss_eval(truth[None], wave[None]).sdr[0])
        if not alone:
            scores["nsdr"] = scores["sdr"] - float(bss_eval(truth[None], mixture[None]).sdr[0])
    return scores


def _leaked(scene: Scene, wave: Sound) -> dict[str, float]:
    """How much sound was given where there should be none; re the mixture only if that is not silent itself."""
    scores = {"given_db": level_db(wave)}
    if scene.mixture.any():
        scores["leakage_db"] = float(leakage_db(torch.from_numpy(wave), torch.from_numpy(scene.mixture)))
    return scores


def _snr(wave: Sound, truth: Sound) -> float:
    return float(snr(torch.from_numpy(wave).double(), torch.from_numpy(truth).double()))


# --- What follows from the table


def summarise(rows: pd.DataFrame) -> dict[str, float]:
    """Of a system's rows, of one kind or of all: whatever of it they have.

    `snr`, `snri`, `sdr`, `nsdr`: means over players who play.  `heard`, `rejected`: the share of players who play that
    are said to sound, and of the others that are not; a player who was missed is said to be silent.
    `leakage_db`, `false_leakage_db`: what silent players that were found, and what false objects, are given, re the
    mixture: that a missed one is given nothing is no merit.
    `given_db`: level of what silent players and false objects are given.  `nobody_db`: what is given to none, re the
    mixture.  `passed_offscreen`, `passed_noise`: the share of its energy that objects are given.
    """
    players = rows[rows["role"] == "player"]
    playing, silent = players[players["playing"] == 1], players[players["playing"] == 0]
    false = rows[rows["role"] == "false"]
    means = {name: playing[name] for name in SUMMARISED}
    if players["probability"].notna().any():
        means["heard"] = playing["probability"].fillna(0) >= DECISION
        means["rejected"] = silent["probability"].fillna(0) < DECISION
    means["leakage_db"], means["false_leakage_db"] = silent[silent["found"] == 1]["leakage_db"], false["leakage_db"]
    means["given_db"] = pd.concat([silent["given_db"], false["given_db"]])
    means["nobody_db"] = rows.loc[rows["role"] == "nobody", "leakage_db"]
    for what in ("offscreen", "noise"):
        means[f"passed_{what}"] = rows.loc[rows["role"] == what, "passed"]
    summary = {name: float(values.mean()) for name, values in means.items() if values.notna().any()}
    if {"heard", "rejected"} <= set(summary):
        summary["balanced_accuracy"] = (summary["heard"] + summary["rejected"]) / 2
    return summary


def summarise_detection(rows: pd.DataFrame) -> dict[str, float]:
    """Of one system's rows: `recall`, the share of players that were found; of those, `class_right` of the right class;
    `false_objects`, that are no player's, a scene."""
    players = rows[rows["role"] == "player"]
    found = players[players["found"] == 1]
    summary = {
        "recall": float(players["found"].mean()),
        "false_objects": float((rows["role"] == "false").sum() / rows["scene"].nunique()),
    }
    if len(found):
        summary["class_right"] = float((found["class"] == found["label"]).mean())
    return summary


def summarise_kinds(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """`summarise` of each kind of scene and each system, a row each, with 95 % intervals of two of the measures: a
    bootstrap of whole scenes.

    ALL leaves out those in which nobody plays: what leaks there is next to nothing by construction, and would flatter a
    mean.
    """
    summaries = []
    for kind, some in _by_kind(rows, rows[rows["kind"] != SILENCE]):
        draws = Bootstrap(sorted(some["scene"].unique()), resamples, seed)
        for system, own in some.groupby("system", sort=False):
            summaries.append({"kind": kind, "system": system, **summarise(own), **intervals(own, draws)})
    return pd.DataFrame(summaries, columns=["kind", "system", *SUMMARY, *INTERVALS])


def differences(rows: pd.DataFrame, *, resamples: int, seed: int) -> pd.DataFrame:
    """The SNRi of each system less that of each earlier one, of the same players who play: a row each, with a 95 %
    interval, a bootstrap of whole scenes."""
    playing = rows[(rows["role"] == "player") & rows["snri"].notna()]
    found = []
    if len(playing):
        table = playing.pivot(index=["scene", "player"], columns="system", values="snri")
        draws = Bootstrap(sorted(playing["scene"].unique()), resamples, seed)
    for against, system in itertools.combinations(playing["system"].unique(), 2):
        both = (table[system] - table[against]).dropna()
        of = both.index.get_level_values("scene").tolist()
        if both.empty:
            continue
        interval = draws.mean(both, of)
        numbers = (len(both), len(set(of)), interval.value, interval.low, interval.high, int(interval.excludes_zero))
        found.append((system, against, *numbers))
    return pd.DataFrame(found, columns=list(DIFFERENCES))


def detect_kinds(rows: pd.DataFrame) -> pd.DataFrame:
    """`summarise_detection` of each kind of scene, and of ALL, a row each, of one system's rows."""
    found = [{"kind": kind, **summarise_detection(some)} for kind, some in _by_kind(rows, rows)]
    return pd.DataFrame(found, columns=["kind", *DETECTION])


def intervals(rows: pd.DataFrame, draws: Bootstrap) -> dict[str, float]:
    """INTERVALS of a system's rows, as far as it has what they are of."""
    players = rows[rows["role"] == "player"]
    gained = draws.mean(players["snri"], players["scene"].tolist())
    found = {"snri_low": gained.low, "snri_high": gained.high}
    playing = players["playing"] == 1
    if players["probability"].notna().any() and 0 < playing.sum() < len(players):
        right = (players["probability"].fillna(0) >= DECISION) == playing
        told = draws.balanced_accuracy(right, playing, players["scene"].tolist())
        found |= {"balanced_accuracy_low": told.low, "balanced_accuracy_high": told.high}
    return found


def _by_kind(rows: pd.DataFrame, everything: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Each kind's rows, then those of ALL."""
    kinds = [(str(kind), own) for kind, own in rows.groupby("kind", sort=False)]
    return [*kinds, *([] if everything.empty else [(ALL, everything)])]

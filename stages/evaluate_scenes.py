"""Stage evaluate_scenes: the scenes as a user has them, from a video file to a sound for each object in it.

Of a scene the systems get the video file alone: its frames and sound are extracted, objects are detected in each frame
and linked over the frames, each object is grounded on the scene's sound and given its part of it (avsep/scenes).  What
they are given is scored against the stems, with objects that were missed and objects that are none.  Beside the systems
stand the mixture itself, the oracle ratio masks of the stems, and cyclic co-learning at the players' true boxes.
Gates are those that stage evaluate has calibrated on validation's mixtures.

checkpoints/{baseline,ungated,colearning,cyclic,trimodal,finetune}/best.safetensors,
checkpoints/pretrained/{clip,detector}.safetensors, metrics/evaluate.json, data/scenes
    -> metrics/evaluate_scenes.json, metrics/scenes.csv (avsep/scenes/scoring.py: its rows), metrics/scenes_by_kind.csv,
    metrics/scenes_{differences,found}.csv, metrics/scene_examples (avsep/scenes/examples.py)
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from avsep.files.metrics import write_metrics
from avsep.files.whole import write_table
from avsep.parallel import spread
from avsep.params.stages import EvaluateScenesParams
from avsep.run import run
from avsep.scenes.examples import write_example
from avsep.scenes.files import list_scenes, read_stem, read_truth, shown_classes, video_path
from avsep.scenes.matching import match, true_objects
from avsep.scenes.scoring import (
    ALL,
    COLUMNS,
    Scene,
    detect_kinds,
    differences,
    score_references,
    score_system,
    summarise_kinds,
)
from avsep.scenes.scoring import references as referred
from avsep.separate import separator_of
from avsep.separating.tracks import Object
from avsep.separating.video import Separator, open_video
from avsep.separating.windows import Given, Hearing
from avsep.setup import setup_of
from avsep.systems.catalogue import SCENE_CONTROLS, arranged, entry_of
from avsep.systems.load import load_systems
from avsep.systems.system import System
from avsep.training.seeds import seed_everything
from avsep.weights.detectors import learned_classes

SCENES = Path("data/scenes")
HEADLINES = ("snri", "leakage_db", "balanced_accuracy")


@dataclass(frozen=True)
class Outcome:
    """What was found in one scene, and what the systems gave it."""

    scene: Scene
    frames: Sequence[Image.Image]
    objects: Sequence[Object]
    categories: Sequence[str]  # of the objects
    matched: Mapping[int, int]  # player -> object
    given: Mapping[str, Given]  # system -> what each object is given
    given_players: Mapping[str, Given]  # control -> what a system gives the players at their true boxes


def main(params: EvaluateScenesParams) -> None:
    seed_everything(params.seed)
    names = list_scenes(SCENES)
    examples = Path("metrics/scene_examples")
    shutil.rmtree(examples, ignore_errors=True)
    examples.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    if names:
        separator, references = make_separator(params)
        outcomes = separate_all(names, separator, params.evaluate_scenes.overlap)
        kept = keep_examples(outcomes, examples, params.evaluate_scenes.examples, separator)
        work = partial(score, references=references, hearing=separator.hearing)
        for some in spread(work, kept, desc="scenes", unit="scene", total=len(names)):
            rows += some
    table = pd.DataFrame(rows, columns=COLUMNS).round(6)
    write_table(table, Path("metrics/scenes.csv"))
    kinds = summarise_kinds(table, resamples=params.evaluate_scenes.resamples, seed=params.seed).round(6)
    made_from_truth = [entry.name for entry in arranged(table["system"].unique()) if entry.group == "reference"]
    apart = differences(table, resamples=params.evaluate_scenes.resamples, seed=params.seed).round(6)
    asked = table[~table["system"].isin(made_from_truth)]
    found = detect_kinds(asked[asked["system"] == asked["system"].min()]).round(6)  # all are given the same objects
    write_table(kinds, Path("metrics/scenes_by_kind.csv"))
    write_table(apart, Path("metrics/scenes_differences.csv"))
    write_table(found, Path("metrics/scenes_found.csv"))
    write_metrics("evaluate_scenes", {"scenes": len(names), **headlines(kinds, found)})


def separate_all(names: Sequence[str], separator: Separator, overlap: float) -> Iterator[Outcome]:
    """Each scene by its video alone, and which of its players were found: at an `overlap` of their boxes."""
    rate, fps = separator.hearing.rate, separator.fps
    at_true_boxes = [control for control in SCENE_CONTROLS if control.of in separator.systems]
    for name in names:
        truth = read_truth(SCENES, name)
        frames, wave = open_video(video_path(SCENES, name), fps, rate)
        stems = {stem: read_stem(SCENES, name, stem, rate, len(wave)) for stem in truth.stems()}
        boxes = truth.boxes_at(len(frames), fps)
        objects = separator.objects(frames)
        categories = separator.categories(objects)
        given = separator.separate(wave, frames, objects, categories, name=f"scenes/{name}")
        players, own = true_objects(boxes, *frames[0].size), [player.category for player in truth.players]
        given_players = {}
        for control in at_true_boxes:
            one = {control.of: separator.systems[control.of]}
            given_players[control.name] = separator.separate(wave, frames, players, own, one)[control.of]
        matched = match(objects, boxes, overlap)
        yield Outcome(Scene(truth, wave, stems), frames, objects, categories, matched, given, given_players)


def keep_examples(outcomes: Iterable[Outcome], folder: Path, per_kind: int, separator: Separator) -> Iterator[Outcome]:
    """Hands all outcomes on, and writes the first `per_kind` of each kind of scene to open as files."""
    kept: Counter[str] = Counter()
    for outcome in outcomes:
        truth = outcome.scene.truth
        if kept[truth.kind] < per_kind:
            kept[truth.kind] += 1
            write_example(
                folder / truth.name,
                outcome.scene,
                outcome.frames,
                separator.fps,
                separator.hearing.rate,
                outcome.objects,
                outcome.categories,
                outcome.matched,
                outcome.given,
            )
        yield outcome


def score(outcome: Outcome, references: Mapping[str, System], hearing: Hearing) -> list[dict[str, Any]]:
    """A scene's rows of metrics/scenes.csv, in the order of every table."""
    scene, matched = outcome.scene, outcome.matched
    rows = list(score_references(scene, referred(references, scene, hearing)))
    for system, given in outcome.given.items():
        rows += score_system(scene, system, given, outcome.categories, matched, hearing)
    own = [player.category for player in scene.truth.players]
    everyone = {number: number for number in range(len(own))}
    for control, given in outcome.given_players.items():
        rows += score_system(scene, control, given, own, everyone, hearing)
    order = {entry.name: place for place, entry in enumerate(arranged({row["system"] for row in rows}))}
    return sorted(rows, key=lambda row: order[row["system"]])


def headlines(kinds: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """What metrics/evaluate_scenes.json picks out of the tables of all scenes, for `dvc metrics diff`."""
    systems = kinds[kinds["kind"] == ALL].set_index("system")[list(HEADLINES)]
    detection = found[found["kind"] == ALL].replace({"kind": {ALL: "detection"}}).set_index("kind")
    rows = [*detection.iterrows(), *systems.iterrows()]
    return {str(name): row.dropna().to_dict() for name, row in rows}


def make_separator(params: EvaluateScenesParams) -> tuple[Separator, dict[str, System]]:
    """What separates a video, from params, and the systems that are made from the truth. Raises InputError."""
    classes = learned_classes()
    if classes is None:  # asked in words: for what the scenes are rendered of
        classes = shown_classes(SCENES)
    setup = setup_of(params, params.evaluate.external)
    systems = load_systems(params.evaluate.systems, setup)
    asked = {name: system for name, system in systems.items() if entry_of(name).scenes}
    references = {name: system for name, system in asked.items() if entry_of(name).group == "reference"}
    others = {name: system for name, system in asked.items() if name not in references}
    separator = separator_of(params, setup, others, classes)
    return separator, references


if __name__ == "__main__":
    run(main, EvaluateScenesParams)

"""Stage evaluate_scenes: the scenes as a user has them, from a video file to a sound for each object in it.

Of a scene the systems get the video file alone: its frames and sound are extracted, objects are detected in each frame
and linked over the frames, each object is grounded on the scene's sound and given its part of it (avsep/scenes).  What
they are given is scored against the stems, with objects that were missed and objects that are none.  Beside the systems
stand the mixture itself, the oracle ratio masks of the stems, and cyclic co-learning at the players' true boxes.
Gates are those that stage evaluate has calibrated on validation's mixtures.

checkpoints/{baseline,colearning,cyclic,trimodal,finetune}/best.safetensors, checkpoints/pretrained/{clip,detector}
.safetensors, metrics/evaluate.json, data/scenes
    -> metrics/evaluate_scenes.json, metrics/scenes.csv (avsep/scenes/scoring.py: its rows), metrics/scenes_by_kind.csv,
    metrics/scenes_found.csv, metrics/scene_examples (avsep/scenes/examples.py)
"""

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from avsep.files.metrics import write_metrics
from avsep.media.spectrogram import Spectrogram
from avsep.parallel import spread
from avsep.params.stages import EvaluateScenesParams
from avsep.run import run
from avsep.scenes.examples import write_example
from avsep.scenes.files import list_scenes, read_stem, read_truth, video_path
from avsep.scenes.matching import match, true_objects
from avsep.scenes.scoring import (
    ALL,
    COLUMNS,
    CONTROLS,
    Scene,
    detect_kinds,
    oracle,
    score_controls,
    score_system,
    summarise_kinds,
)
from avsep.scoring.systems import ASKED
from avsep.separating.gates import read_gates
from avsep.separating.tracks import Object
from avsep.separating.video import Separator, open_video
from avsep.separating.windows import Given, Hearing, Networks, Sight
from avsep.training.seeds import seed_everything
from avsep.weights.clip import load_teacher
from avsep.weights.detectors import learned_classes, load_detector
from stages._systems import load_systems

SCENES = Path("data/scenes")
HEADLINES = ("snri", "leakage_db", "balanced_accuracy")
TRUE_BOXES = "cyclic_true_boxes"  # a control: what a detector without a fault would change
SYSTEMS = (
    *("mixture", "oracle", "baseline", "colearning", "cyclic", TRUE_BOXES),
    *("trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text"),
)


@dataclass(frozen=True)
class Outcome:
    """What was found in one scene, and what the systems gave it."""

    scene: Scene
    frames: Sequence[Image.Image]
    objects: Sequence[Object]
    matched: Mapping[int, int]  # player -> object
    given: Mapping[str, Given]  # system -> what each object is given
    players: Sequence[Object]  # at their true boxes
    given_players: Given | None  # what cyclic co-learning gives these, if it is asked


def main(params: EvaluateScenesParams) -> None:
    seed_everything(params.seed)
    names = list_scenes(SCENES)
    examples = Path("metrics/scene_examples")
    shutil.rmtree(examples, ignore_errors=True)
    examples.mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    if names:
        separator, fps = make_separator(params), params.extract.fps
        outcomes = separate_all(names, separator, fps, params.evaluate_scenes.overlap)
        kept = keep_examples(outcomes, examples, params.evaluate_scenes.examples, separator, fps)
        work = partial(
            score, classes=separator.classes, hearing=separator.hearing, max_target=params.objective.max_target
        )
        for some in spread(work, kept, desc="scenes", unit="scene", total=len(names)):
            rows += some
    table = pd.DataFrame(rows, columns=COLUMNS).round(6)
    write_table(table, Path("metrics/scenes.csv"))
    kinds = summarise_kinds(table, resamples=params.evaluate_scenes.resamples, seed=params.seed).round(6)
    asked = table[~table["system"].isin(CONTROLS)]
    found = detect_kinds(asked[asked["system"] == asked["system"].min()]).round(6)  # all are given the same objects
    write_table(kinds, Path("metrics/scenes_by_kind.csv"))
    write_table(found, Path("metrics/scenes_found.csv"))
    write_metrics("evaluate_scenes", {"scenes": len(names), **headlines(kinds, found)})


def separate_all(names: Sequence[str], separator: Separator, fps: int, overlap: float) -> Iterator[Outcome]:
    """Each scene by its video alone, and which of its players were found: at an `overlap` of their boxes."""
    cyclic = {name: network for name, network in separator.networks.by_crop.items() if name == "cyclic"}
    networks = replace(separator.networks, by_crop=cyclic, by_query={})
    only_cyclic, rate = replace(separator, networks=networks), separator.hearing.rate
    for name in names:
        truth = read_truth(SCENES, name)
        frames, wave = open_video(video_path(SCENES, name), fps, rate)
        stems = {stem: read_stem(SCENES, name, stem, rate, len(wave)) for stem in truth.stems()}
        boxes = truth.boxes_at(len(frames), fps)
        objects = separator.objects(frames)
        given = separator.separate(wave, frames, objects)
        players = true_objects(boxes, *frames[0].size)
        given_players = only_cyclic.separate(wave, frames, players).get("cyclic")
        matched = match(objects, boxes, overlap)
        yield Outcome(Scene(truth, wave, stems), frames, objects, matched, given, players, given_players)


def keep_examples(
    outcomes: Iterable[Outcome], folder: Path, per_kind: int, separator: Separator, fps: int
) -> Iterator[Outcome]:
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
                fps,
                separator.hearing.rate,
                outcome.objects,
                separator.classes,
                outcome.matched,
                outcome.given,
            )
        yield outcome


def score(outcome: Outcome, classes: Sequence[str], hearing: Hearing, max_target: float) -> list[dict[str, Any]]:
    """A scene's rows of metrics/scenes.csv, in the order of SYSTEMS."""
    scene, players = outcome.scene, outcome.players
    rows = list(score_controls(scene, oracle(scene, hearing, max_target)))
    for system, given in outcome.given.items():
        rows += score_system(scene, system, given, outcome.objects, classes, outcome.matched, hearing)
    own, everyone = [player.category for player in scene.truth.players], {n: n for n in range(len(players))}
    if outcome.given_players is not None:
        rows += score_system(scene, TRUE_BOXES, outcome.given_players, players, own, everyone, hearing)
    return sorted(rows, key=lambda row: SYSTEMS.index(row["system"]))


def headlines(kinds: pd.DataFrame, found: pd.DataFrame) -> dict[str, Any]:
    """What metrics/evaluate_scenes.json picks out of the tables of all scenes, for `dvc metrics diff`."""
    systems = kinds[kinds["kind"] == ALL].set_index("system")[list(HEADLINES)]
    detection = found[found["kind"] == ALL].replace({"kind": {ALL: "detection"}}).set_index("kind")
    rows = [*detection.iterrows(), *systems.iterrows()]
    return {str(name): row.dropna().to_dict() for name, row in rows}


def make_separator(params: EvaluateScenesParams) -> Separator:
    """The trained networks and how they see and hear, from params. Raises InputError."""
    classes = learned_classes()
    if classes is None:  # asked in words: for what the scenes are rendered of
        truths = (read_truth(SCENES, name) for name in list_scenes(SCENES))
        classes = sorted({player.category for truth in truths for player in truth.players})
    detector = load_detector(
        classes=classes,
        phrase=params.detect.phrase,
        device=params.device,
        width=params.resnet.width,
        **asdict(params.detector),
        threshold=params.detect.threshold,
        nms=params.detect.nms,
        enlarge=params.evaluate_scenes.enlarge,
    )
    systems = load_systems(params, params.evaluate.systems)
    networks = Networks(
        by_crop={name: network for name, network in systems.items() if name not in ASKED},
        by_query={name: network for name, network in systems.items() if name in ASKED},
        clip=load_teacher(**asdict(params.clip)).to(params.device) if set(ASKED) & set(systems) else None,
        phrase=params.vast.phrase,
    )
    fps = params.extract.fps
    return Separator(
        detector=detector,
        classes=classes,
        batch=params.detect.batch,
        nms=params.evaluate_scenes.nms,
        link=params.evaluate_scenes.link,
        seen=params.evaluate_scenes.seen,
        networks=networks,
        gates=read_gates(params.evaluate.systems),
        hearing=Hearing(params.extract.rate, params.audio.samples, Spectrogram(**asdict(params.spectrogram))),
        crops=Sight(fps, params.frames.count, params.frames.stride, params.frames.size, params.frames.square),
        queries=Sight(fps, params.vast.frames, params.vast.stride, params.clip.image_size, square=True),
    )


def write_table(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


if __name__ == "__main__":
    run(main, EvaluateScenesParams)

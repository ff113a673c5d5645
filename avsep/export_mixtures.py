"""The test mixtures in files, for any other model to separate (docs/external.md).

`questions.json`, and in a folder for each mixture its sound, `mixture.wav`, mono, in 32 bit floats, as the systems hear
it; of each object the middle frame, `<object>.jpg`; of a scene its `video.mp4`.  Which objects sound is not told.
Mixtures and objects are those that stages evaluate and evaluate_scenes ask the systems for.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from scipy.io import wavfile

from avsep.clips.index import read_index, read_mixtures
from avsep.errors import InputError
from avsep.files.whole import whole_folder, write_json
from avsep.media.frames import read_jpeg
from avsep.media.wav import Wave
from avsep.params.loading import load as load_params
from avsep.params.stages import EvaluateScenesParams
from avsep.progress import progress
from avsep.scenes.files import list_scenes, shown_classes, video_path
from avsep.scoring.asking import Batch, Phrases, Questions, pair_tasks
from avsep.scoring.sources import draw_tasks
from avsep.separate import separator_of
from avsep.separating.video import Separator, open_video
from avsep.separating.windows import Windows
from avsep.setup import setup_of
from avsep.systems.files import ANSWERS, QUESTIONS, SILENT, level_of
from avsep.weights.detectors import DETECTOR, learned_classes
from avsep.weights.phrases import phrase_of

HOW = (
    "Of each mixture give each object its part of `sound`, as the wav file `answer`: mono, `rate` Hz, `samples` long."
    f" Put a copy of this file beside those, and {ANSWERS}: mixture -> object -> file,"
    f' or "{SILENT}" if the object does not sound, as in'
    ' {"pairs/000": {"A": "pairs/000/A.wav", "B": "-", "C": "pairs/000/C.wav", "D": "-"}}.'
    " Of the objects of pairs some make no sound, those of sources_N all do; of scenes it is not known."
    " docs/external.md says how the answers are scored."
)


def export_mixtures(folder: Path, root: Path = Path()) -> int:
    """Writes the test mixtures of the pipeline in the folder `root` as `folder`, whole or not at all.

    Returns their number.  Raises InputError if `folder` is there already, or anything is missing or damaged.
    """
    if folder.exists():
        raise InputError(f"{folder} is there already: name a new folder")
    params = load_params(EvaluateScenesParams, root / "params.yaml")
    setup, data = setup_of(params, {}, root), root / "data"
    videos = read_index(data / "index/test.csv", data)
    pairs = pair_tasks(read_mixtures(data / "index/test_sep.csv", videos, data))
    drawn = draw_tasks(videos, params.evaluate.sources, params.evaluate.source_mixtures, params.seed)
    phrases = Phrases(setup.phrase, sorted({video.category for video in videos}))
    questions = Questions({}, phrases, setup.reader, setup.spectrogram, setup.device, params.evaluate.batch)
    scenes = list_scenes(data / "scenes")

    def write(to: Path) -> Iterator[dict[str, Any]]:
        for batch in questions.batches(questions.read(pairs)):
            yield from _write_batch(to, batch, questions)
        for tasks in drawn:  # as in evaluation, without those of which a source is silent
            for batch in questions.batches(questions.read(tasks, silent=lambda task, video: None)):
                yield from _write_batch(to, batch, questions)
        if scenes:
            classes = learned_classes(root / DETECTOR)
            separator = separator_of(params, setup, {}, shown_classes(data / "scenes") if classes is None else classes)
            for scene in scenes:
                yield _write_scene(to, data / "scenes", scene, separator)

    total = len(pairs) + sum(map(len, drawn)) + len(scenes)
    with whole_folder(folder) as temporary:
        mixtures = list(progress(write(temporary), "export", total, "mixture"))
        asked = {"how": HOW, "rate": setup.rate, "window": setup.samples, "mixtures": mixtures}
        write_json(temporary / QUESTIONS, asked, indent=2)
    return len(mixtures)


def _write_batch(folder: Path, batch: Batch, questions: Questions) -> Iterator[dict[str, Any]]:
    """Mixtures of test videos."""
    for task, wave in zip(batch.tasks, batch.heard.wave.cpu(), strict=True):
        asked = _write_sound(folder, task.name, wave.numpy(), questions.reader.rate, len(wave))
        for name, video in task.videos.items():
            middle = questions.middle(video)
            one = _object(asked, name, video.category, questions.phrases.of(video.category))
            one["box"] = middle.detection and list(middle.detection.box)
            (folder / one["picture"]).write_bytes(read_jpeg(video.frames, middle.number))
        yield asked


def _write_scene(folder: Path, scenes: Path, scene: str, separator: Separator) -> dict[str, Any]:
    """A scene, with the objects that are found in it."""
    video = video_path(scenes, scene)
    frames, wave = open_video(video, separator.fps, separator.hearing.rate)
    objects = separator.objects(frames)
    asked = _write_sound(folder, f"scenes/{scene}", wave, separator.hearing.rate, separator.hearing.samples)
    asked["video"] = f"{asked['name']}/video.mp4"
    shutil.copyfile(video, folder / asked["video"])
    middle = len(frames) // 2
    for number, (found, category) in enumerate(zip(objects, separator.categories(objects), strict=True)):
        one = _object(asked, str(number), category, phrase_of(category, separator.phrase))
        one["box"] = list(found.boxes[middle])
        frames[middle].save(folder / one["picture"], quality=95)
    return asked


def _write_sound(folder: Path, name: str, wave: Wave, rate: int, window: int) -> dict[str, Any]:
    """What questions.json tells of a mixture, still without its objects."""
    (folder / name).mkdir(parents=True)
    sound = f"{name}/mixture.wav"
    wavfile.write(folder / sound, rate, wave)  # in floats no rounding; soundfile would write the time of day into it
    first = Windows(len(wave), window).cut(torch.from_numpy(wave))[0]
    return {"name": name, "sound": sound, "samples": len(wave), "level": level_of(first), "objects": []}


def _object(asked: dict[str, Any], name: str, category: str, phrase: str) -> dict[str, Any]:
    """Adds an object to what is asked of a mixture; its box is to come."""
    paths = {"answer": f"{asked['name']}/{name}.wav", "picture": f"{asked['name']}/{name}.jpg"}
    one = {"name": name, **paths, "box": None, "class": category, "phrase": phrase}
    asked["objects"].append(one)
    return one

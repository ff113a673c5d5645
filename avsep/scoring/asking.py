"""Asks every system for the objects of test mixtures: the one loop of stage evaluate, whatever the number of sources.

A mixture is read once and goes to all systems.  An object is prepared once for each sight, from frames that are
decoded once, however many mixtures it is in (of KEPT videos: memory is bounded).  A control is a system's answer to
another question.
"""

import functools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from avsep.clips.datasets import AUDIBLE, ClipReader, root_mean_square
from avsep.clips.index import OBJECTS, PAIRS, SILENT, SOUNDING, Mixture, Video
from avsep.clips.mixtures import frame_at, frame_seconds, mixed
from avsep.media.detections import Detection, most_confident, read_detections
from avsep.media.frames import read_frame
from avsep.media.spectrogram import Spectrogram
from avsep.systems.catalogue import CONTROLS, OTHER, SYNONYM, entry_of
from avsep.systems.confidence import Confidence
from avsep.systems.system import Answer, Confident, Grounds, HeardMixtures, Looks, Sight, System, hear_sources, together
from avsep.weights.phrases import phrase_of

KEPT = 256  # videos whose prepared objects stay in memory: 4 MB each with all systems at the paper's sizes
PAIRS_TABLE, SOURCES_TABLE = "pairs", "sources"  # of A + C beside B and D; of N sources


@dataclass(frozen=True)
class Task:
    """A test mixture: what is in sight, and what of it sounds."""

    table: str  # whose rows it gives: metrics/<table>.csv
    number: int
    videos: Mapping[str, Video]  # by object
    sounding: tuple[str, ...]

    @property
    def name(self) -> str:
        """As avsep.export writes it."""
        folder = self.table if self.table == PAIRS_TABLE else f"{self.table}_{len(self.sounding)}"
        return f"{folder}/{self.number:03d}"


def pair_tasks(mixtures: Iterable[Mixture]) -> list[Task]:
    """Mixtures A + C in sight of the silent B and D."""
    return [
        Task(PAIRS_TABLE, number, dict(zip(OBJECTS, mixture, strict=True)), SOUNDING)
        for number, mixture in enumerate(mixtures)
    ]


def source_tasks(mixtures: Iterable[Sequence[Video]]) -> list[Task]:
    """Mixtures of all that is in sight, with objects named 1 to N."""
    tasks = []
    for number, mixture in enumerate(mixtures):
        videos = {str(place): video for place, video in enumerate(mixture, start=1)}
        tasks.append(Task(SOURCES_TABLE, number, videos, tuple(videos)))
    return tasks


@dataclass(frozen=True)
class MiddleFrame:
    """The frame around which a video is seen and heard in every test mixture."""

    number: int  # in the video's archive
    width: int
    height: int
    detection: Detection | None  # the most confident one


@dataclass(frozen=True)
class Outcome:
    """What the systems made of one mixture. Waves (L,); masks (F, T) after the log-frequency warp."""

    task: Task
    references: Mapping[str, np.ndarray]  # of the sounding objects, as they sound in the mixture
    estimates: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> wave
    masks: Mapping[str, Mapping[str, np.ndarray]]  # system -> object -> mask, of systems that give masks
    probabilities: Mapping[str, Mapping[str, float]]  # grounding system -> object -> that it sounds in the mixture
    solo: Mapping[str, Mapping[str, float]]  # the same with the solo sound of the object's pair
    confidences: Mapping[str, float]  # phrase -> how sure a system is of it; none where no system says so
    # system -> sounding object -> logits of where it looks for its sound, in the middle frame of the object and of the
    # silent one beside it, (2, rows, columns)
    attention: Mapping[str, Mapping[str, np.ndarray]]
    heard: np.ndarray  # log1p magnitude of the mixture, (F, T)
    middles: Mapping[str, MiddleFrame]  # of each object

    @property
    def number(self) -> int:
        return self.task.number

    @property
    def videos(self) -> Mapping[str, Video]:
        return self.task.videos

    @property
    def mixture(self) -> np.ndarray:
        return sum(self.references.values())  # type: ignore[return-value]


@dataclass(frozen=True)
class Phrases:
    """What is asked for in words."""

    template: str  # asks for a class, whose name stands for {}
    classes: Sequence[str]  # that the videos have
    synonyms: Mapping[str, str] = field(default_factory=dict)  # class -> a phrase in other words
    unmatched: Sequence[str] = ()  # phrases that no class matches

    def of(self, category: str) -> str:
        """A class's phrase."""
        return phrase_of(category, self.template)

    @property
    def probes(self) -> list[str]:
        """The phrases that every mixture is asked for."""
        return list(dict.fromkeys([*map(self.of, self.classes), *self.unmatched]))

    @property
    def all(self) -> list[str]:
        """Those, and the synonyms."""
        return list(dict.fromkeys([*map(self.of, self.classes), *self.synonyms.values(), *self.unmatched]))


class Questions:
    """Puts test mixtures to all of `systems`, `batch` of them at once."""

    def __init__(
        self,
        systems: Mapping[str, System],
        phrases: Phrases,
        reader: ClipReader,
        spectrogram: Spectrogram,
        device: str,
        batch: int,
    ) -> None:
        self.systems, self.phrases, self.spectrogram = systems, phrases, spectrogram
        self.reader, self.device, self.batch = reader, device, batch
        self._seen: OrderedDict[str, dict[Sight, Any]] = OrderedDict()  # by video, the least recently used first
        self._said: dict[tuple[str, str], Any] = {}  # (system, class)
        self._middles: dict[str, MiddleFrame] = {}
        for system in systems.values():
            if system.sight is None and hasattr(system, "embed"):
                cast(Confident, system).embed(phrases.all)  # in one batch, whatever is asked first

    def read(
        self, tasks: Iterable[Task], silent: Callable[[Task, Video], None] | None = None
    ) -> Iterator[tuple[Task, dict[str, Tensor]]]:
        """Each task with the waves (L,) of what sounds in it, as they sound in the mixture.

        With `silent`, one with a video that makes no sound in its window, and so has no ratio to be scored by, is left
        out, and `silent` is told.
        """
        for task in tasks:
            sounding = {name: task.videos[name] for name in task.sounding}
            waves = {name: self.reader.sound(video, self.reader.middle(video)) for name, video in sounding.items()}
            quiet = [name for name, wave in waves.items() if silent and root_mean_square(wave) < AUDIBLE]
            if silent and quiet:
                silent(task, sounding[quiet[0]])
            else:
                yield task, mixed({name: torch.from_numpy(wave).float() for name, wave in waves.items()})

    def batches(self, read: Iterable[tuple[Task, Mapping[str, Tensor]]]) -> Iterator["Batch"]:
        """`batch` tasks after another, of one number of sources, as they are heard."""
        remaining = iter(read)
        while some := list(islice(remaining, self.batch)):
            tasks = [task for task, _ in some]
            waves = {n: torch.stack([own[n] for _, own in some]).to(self.device) for n in tasks[0].sounding}
            yield Batch(tasks, waves, hear_sources(waves, self.spectrogram, [task.name for task in tasks]))

    def asked(self, system: System, tasks: Sequence[Task], objects: Sequence[str]) -> dict[str, Any]:
        """What `system` is asked for, object by object, in each of the tasks."""
        return {name: together([self._of(system, task.videos[name]) for task in tasks]) for name in objects}

    def synonyms(self, system: System, tasks: Sequence[Task]) -> dict[str, Any]:
        """The same of what sounds, in other words where the class has some."""

        def words(video: Video) -> Any:
            return self.phrases.synonyms.get(video.category, self.phrases.of(video.category))

        nothing = torch.empty(0)
        return {
            name: together([system.prepare(nothing, words(task.videos[name])) for task in tasks])
            for name in tasks[0].sounding
        }

    def seen(self, system: Looks, videos: Sequence[Sequence[Video]]) -> Tensor:
        """What `system` sees in the middle frames of M videos beside each of B mixtures: (B, M, P, Q)."""

        def middle(video: Video) -> Tensor:
            tokens = self._look(system.view, video)
            return tokens[len(tokens) // 2]

        return torch.stack([torch.stack([middle(video) for video in row]) for row in videos])

    def middle(self, video: Video) -> MiddleFrame:
        """Raises InputError for frames or detections that cannot be read."""
        if video.name not in self._middles:
            self._decode(video)
        return self._middles[video.name]

    def _of(self, system: System, video: Video) -> Any:
        if system.sight is not None:
            return self._look(system.sight, video)
        key = (system.name, video.category)
        if key not in self._said:
            self._said[key] = system.prepare(torch.empty(0), self.phrases.of(video.category))
        return self._said[key]

    def _look(self, sight: Sight, video: Video) -> Any:
        if video.name not in self._seen:
            self._decode(video)
        self._seen.move_to_end(video.name)
        return self._seen[video.name][sight]

    def _decode(self, video: Video) -> None:
        """Shows a video to all systems, each sight once: its frames are decoded here, and nowhere else."""
        decode = functools.cache(read_frame)
        seen = {}
        seconds = frame_seconds(self.reader.middle(video), self.reader.fps)
        for sight, prepare in self._sights().items():
            reader = sight.reader(self.reader.rate, self.reader.samples, self.reader.kept_fps)
            frames = reader.frames_around(video, frame_at(seconds, sight.fps, reader.frame_count(video)))
            pictures = reader.pictures(video, frames, decode=decode).to(self.device)
            seen[sight] = prepare(pictures, self.phrases.of(video.category))
        self._seen[video.name] = seen
        if len(self._seen) > KEPT:
            self._seen.popitem(last=False)
        number = self.reader.kept(video, self.reader.middle(video))
        width, height = decode(video.frames, number).size
        found = most_confident(read_detections(video.detections, video.frame_count), number, width, height)
        self._middles[video.name] = MiddleFrame(number, width, height, found)

    def _sights(self) -> dict[Sight, Callable[[Tensor, str], Any]]:
        """Each sight of all systems, and what prepares what is seen so."""
        sights: dict[Sight, Callable[[Tensor, str], Any]] = {}
        for system in self.systems.values():
            if system.sight is not None:
                sights.setdefault(system.sight, system.prepare)
            if entry_of(system.name).looks:
                sights.setdefault(cast(Looks, system).view, partial(_see, cast(Looks, system)))
        return sights


def _see(system: Looks, pictures: Tensor, phrase: str) -> Any:
    """As `prepare`, of a system that may be asked in words."""
    return system.see(pictures)


@dataclass(frozen=True)
class Batch:
    """Some tasks, as they are heard."""

    tasks: Sequence[Task]
    waves: Mapping[str, Tensor]  # (B, L) of what sounds
    heard: HeardMixtures


@torch.no_grad()
def ask_all(questions: Questions, batches: Iterable[Batch], confidence: Confidence | None = None) -> Iterator[Outcome]:
    """What all systems make of each task.

    `confidence`: how sure the first confident system is, calibrated; None where there is none.
    """
    for batch in batches:
        tasks, heard = batch.tasks, batch.heard
        objects = tuple(tasks[0].videos)
        answers: dict[str, Answer] = {}
        for name, system in questions.systems.items():
            answers[name] = system.answer(heard, questions.asked(system, tasks, objects))
        masks, estimates = _given(answers, questions.spectrogram, heard.wave)
        if tasks[0].table == PAIRS_TABLE:
            for control, answer in _controls(questions, batch).items():
                own_masks, own_estimates = _given({control: answer}, questions.spectrogram, heard.wave)
                masks, estimates = {**masks, **own_masks}, {**estimates, **own_estimates}
            for made in (masks, estimates):
                made.update(_wrong(made))
        probabilities, solo = _probabilities(answers, tasks[0])
        sure = _confidences(questions, heard, confidence)
        attention = _attention(questions, batch, masks) if tasks[0].table == PAIRS_TABLE else {}
        for b, task in enumerate(tasks):
            yield Outcome(
                task,
                {name: wave[b].cpu().numpy() for name, wave in batch.waves.items()},
                {s: {n: e[b].cpu().numpy() for n, e in own.items()} for s, own in estimates.items()},
                {s: {n: m[b, 0].cpu().numpy() for n, m in own.items()} for s, own in masks.items()},
                {s: {n: float(p[b]) for n, p in own.items()} for s, own in probabilities.items()},
                {s: {n: float(p[b]) for n, p in own.items()} for s, own in solo.items()},
                sure[b] if sure else {},
                {s: {n: logits[b] for n, logits in own.items()} for s, own in attention.items()},
                heard.log_mixture[b, 0].cpu().numpy(),
                {name: questions.middle(video) for name, video in task.videos.items()},
            )


Given = dict[str, dict[str, Tensor]]  # system -> object -> (B, ...)


def _given(answers: Mapping[str, Answer], spectrogram: Spectrogram, mixture: Tensor) -> tuple[Given, Given]:
    """Masks (B, 1, F, T) of those that give masks, and what each object is given, (B, L)."""
    masks = {name: dict(answer.masks) for name, answer in answers.items() if answer.masks}
    return masks, {name: answer.sounds(spectrogram, mixture) for name, answer in answers.items()}


def _controls(questions: Questions, batch: Batch) -> dict[str, Answer]:
    """Systems that are asked for the same objects in other words."""
    if not questions.phrases.synonyms:
        return {}
    asked = [control for control in CONTROLS if control.asked == SYNONYM and control.of in questions.systems]
    systems = {control.name: questions.systems[control.of] for control in asked}
    return {name: s.answer(batch.heard, questions.synonyms(s, batch.tasks)) for name, s in systems.items()}


def _wrong(given: Given) -> Given:
    """Wrong queries: what a system gives to the silent object beside, in the place of the sounding one."""
    wrong = [control for control in CONTROLS if control.asked == OTHER and control.of in given]
    return {c.name: {n: given[c.of][silent] for n, silent in zip(SOUNDING, SILENT, strict=True)} for c in wrong}


def _probabilities(answers: Mapping[str, Answer], task: Task) -> tuple[Given, Given]:
    """What grounding systems take to sound in the mixture and, where there are silent objects, with the solo sound of
    their pair: (B,) each."""
    solo_of = {name: sound for sound, silent in PAIRS for name in (sound, silent) if silent in task.videos}
    mixture, solo = {}, {}
    for name, answer in answers.items():
        if (says := answer.probability) is not None:
            mixture[name] = {x: says("mixture", x) for x in task.videos}
            solo[name] = {x: says(sound, x) for x, sound in solo_of.items()}
    return mixture, solo


def _confidences(questions: Questions, heard: HeardMixtures, confidence: Confidence | None) -> list[dict[str, float]]:
    """Of each of B mixtures: how sure the confident system is of each phrase that every mixture is asked for."""
    if confidence is None:
        return []
    system, probes = confident(questions.systems), questions.phrases.probes
    assert system is not None
    sure = confidence(system.evidence(heard, probes).cpu().double().numpy())
    return [dict(zip(probes, row, strict=True)) for row in sure.tolist()]


def _attention(questions: Questions, batch: Batch, masks: Given) -> dict[str, dict[str, np.ndarray]]:
    """Where systems look for what they separated for each sounding object: (B, 2, rows, columns) each."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for name, system in questions.systems.items():
        if not entry_of(name).looks:
            continue
        looks, found[name] = cast(Looks, system), {}
        for sounding, silent in PAIRS:
            seen = questions.seen(looks, [[task.videos[x] for x in (sounding, silent)] for task in batch.tasks])
            found[name][sounding] = looks.look(batch.heard, masks[name][sounding], seen).cpu().numpy()
    return found


def confident(systems: Mapping[str, System]) -> Confident | None:
    """The first system that says how sure it is of phrases."""
    found = [system for name, system in systems.items() if entry_of(name).confident]
    return cast(Confident, found[0]) if found else None


@torch.no_grad()
def sounding_probabilities(questions: Questions, batches: Iterable[Batch]) -> dict[str, list[float]]:
    """What each grounding system gives to the objects that sound, by which a gate is calibrated."""
    grounded = {name: system for name, system in questions.systems.items() if hasattr(system, "ground")}
    found: dict[str, list[float]] = {name: [] for name in grounded}
    for batch in batches:
        alone = HeardMixtures(batch.heard.mixture, {}, batch.heard.wave, batch.heard.names, batch.heard.starts)
        for name, system in grounded.items():
            asked = questions.asked(system, batch.tasks, batch.tasks[0].sounding)
            says = cast(Grounds, system).ground(alone, asked)
            for sounding in batch.tasks[0].sounding:
                found[name] += says("mixture", sounding).tolist()
    return found


@torch.no_grad()
def evidence_by_class(
    questions: Questions, system: Confident, batches: Iterable[Batch]
) -> tuple[np.ndarray, np.ndarray]:
    """What confidence is calibrated by: the evidence (N, 3) for each class's phrase in each mixture, and whether the
    class sounds in it, (N,). Phrases that match no class stay unknown to it."""
    phrases = [questions.phrases.of(name) for name in questions.phrases.classes]
    found: list[Tensor] = []
    sounding: list[bool] = []
    for batch in batches:
        found.append(system.evidence(batch.heard, phrases).flatten(0, 1))  # (B * classes, 3)
        for task in batch.tasks:
            there = {task.videos[name].category for name in task.sounding}
            sounding += [name in there for name in questions.phrases.classes]
    return torch.cat(found).cpu().double().numpy(), np.array(sounding)

"""All systems of `evaluate.systems` on the same fixed test mixtures A + C beside the silent objects B and D, and on
mixtures of N sources.

First validation's mixtures calibrate the gate of each system that grounds, unless params name one, the confidence that
a phrase's sound is there, and the threshold from which it is taken to be heard.  Then every test mixture is put to all
systems (avsep/scoring/asking.py) and scored in parallel processes, row by row.  At last the rows make every aggregate:
avsep/scoring/summary.py.

checkpoints/{baseline,ungated,colearning,cyclic,trimodal,finetune}/best.safetensors of those systems,
checkpoints/pretrained/clip.safetensors for VAST's, the folders of evaluate.external,
data/index/{val,test}_sep.csv, data/videos/**/*.truth.json where there are such
    -> metrics/{pairs,phrases,places,sources,skipped}.csv, metrics/evaluate, metrics/{evaluate,headline}.json,
       metrics/examples
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.clips.datasets import ClipReader
from avsep.clips.index import Mixture, Video, read_index, read_mixtures
from avsep.clips.leaks import counts, read_leaks, tell_leaks
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.files.whole import whole_folder, write_json, write_table
from avsep.parallel import spread
from avsep.params.stages import EvaluateParams
from avsep.progress import progress
from avsep.run import run
from avsep.scoring import pairs, phrases, sources
from avsep.scoring.asking import (
    Outcome,
    Phrases,
    Questions,
    Task,
    ask_all,
    confident,
    evidence_by_class,
    pair_tasks,
    sounding_probabilities,
)
from avsep.scoring.examples import write_example
from avsep.scoring.grounding import calibrated_gate
from avsep.scoring.localisation import COLUMNS as PLACES
from avsep.scoring.localisation import locate
from avsep.scoring.summary import DECIMALS, Rows, headline, key_figures, summarise
from avsep.setup import setup_of
from avsep.systems.confidence import CONFIDENCE, Confidence, PhraseGate, calibrated
from avsep.systems.files import OthersWaves
from avsep.systems.load import load_systems
from avsep.systems.system import System
from avsep.training.seeds import seed_everything

METRICS = Path("metrics")
SKIPPED = ["table", "sources", "mixture", "reason"]


@dataclass
class Scored:
    """The rows so far: of pairs.csv, phrases.csv, places.csv, sources.csv, skipped.csv."""

    pairs: list[dict[str, Any]] = field(default_factory=list)
    phrases: list[dict[str, Any]] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def skip(self, task: Task, reason: str) -> None:
        """A mixture that gives no rows."""
        number, count = task.number, len(task.sounding)
        self.skipped.append({"table": task.table, "sources": count, "mixture": number, "reason": reason})
        logging.warning("%s: mixture %d of %d sources is skipped: %s", task.table, number, count, reason)

    def silent(self, task: Task, video: Video) -> None:
        """One that cannot be scored, since a video makes no sound in it."""
        self.skip(task, f"{video.name} is silent in its window")


@dataclass(frozen=True)
class Calibrated:
    """What validation's mixtures tell."""

    gates: Mapping[str, float]  # system that grounds -> the probability below which an object is muted
    confidence: Confidence | None  # of the system that says how sure it is of phrases, if there is one
    threshold: float | None  # the confidence from which a phrase is taken to be heard

    @property
    def phrases(self) -> PhraseGate | None:
        """Both."""
        if self.confidence is None or self.threshold is None:
            return None
        return PhraseGate(self.confidence, self.threshold)


def read_split(split: str, index: Path = Path("data/index")) -> list[Mixture]:
    return read_mixtures(index / f"{split}_sep.csv", read_index(index / f"{split}.csv"))


def calibrate(
    questions: Questions,
    mixtures: Sequence[Mixture],
    *,
    gate: float | None,
    max_false_mutes: float,
    level: float | None,
) -> Calibrated:
    """By validation's mixtures. Raises InputError if none of them sounds."""
    read = list(questions.read(pair_tasks(mixtures), silent=lambda task, video: None))
    if not read:
        raise InputError("in no validation mixture both sources sound in their windows: nothing calibrates the gates")
    confidence = threshold = None
    if (system := confident(questions.systems)) is not None:
        found, sounding = evidence_by_class(questions, system, questions.batches(read))
        confidence = calibrated(found, sounding)
        threshold = calibrated_gate(confidence(found[sounding]).tolist(), max_false_mutes)
    if gate is not None:
        gates = {name: gate for name, system in questions.systems.items() if hasattr(system, "ground")}
    else:
        probabilities = sounding_probabilities(questions, questions.batches(read))
        gates = {name: calibrated_gate(values, max_false_mutes, level) for name, values in probabilities.items()}
    gates |= dict.fromkeys(others_waves(questions.systems), pairs.ROUNDED)  # which answer yes or no
    return Calibrated(gates, confidence, threshold)


def others_waves(systems: Mapping[str, System]) -> dict[str, str]:
    """The external systems, and the hash of what each answers."""
    return {name: system.sha256 for name, system in systems.items() if isinstance(system, OthersWaves)}


def score_pairs(
    outcomes: Iterable[Outcome],
    scored: Scored,
    asked: Phrases,
    calibration: Calibrated,
    reader: ClipReader,
    *,
    total: int,
    examples: int,
    seed: int,
) -> None:
    """Adds the rows of all `outcomes`, scored in parallel processes, and writes the first `examples` of them."""

    def kept(outcome: Outcome) -> tuple[Outcome, list[dict[str, Any]], str | None]:
        return outcome, *pairs.score(outcome, calibration.gates, seed, asked.synonyms)

    with whole_folder(METRICS / "examples") as folder:
        for outcome, rows, reason in spread(kept, outcomes, desc="evaluate", unit="mixture", total=total):
            if reason is not None:
                scored.skip(outcome.task, reason)
                continue
            scored.pairs += rows
            if calibration.threshold is not None:
                scored.phrases += phrases.phrase_rows(outcome, asked, calibration.threshold)
            scored.places += locate(outcome, reader.kept_fps, Path("data/videos"), pairs.ROUNDED, seed)
            if len(list(folder.iterdir())) < examples:
                write_example(folder / f"{outcome.number:03d}", outcome, rows, reader.rate, asked)
        if not scored.pairs:
            reasons = [row["reason"] for row in scored.skipped if row["table"] == "pairs"]
            raise InputError(f"none of {total} test mixtures can be scored; the first: {reasons[0]}")


def phrases_of(
    systems: Mapping[str, System],
    videos: Iterable[Video],
    template: str,
    synonyms: Mapping[str, str],
    unmatched: Sequence[str],
) -> Phrases:
    """What is asked for in words: of the classes that the videos have.

    A synonym of another class is told of where one of these has none: it may be misspelt.
    """
    classes = sorted({video.category for video in videos})
    strangers, lacking = sorted(set(synonyms) - set(classes)), sorted(set(classes) - set(synonyms))
    if confident(systems) is not None and strangers and lacking:
        logging.warning(
            "evaluate.synonyms names %s, of which validation and test have no video, and not %s",
            ", ".join(strangers),
            ", ".join(lacking),
        )
    known = {name: phrase for name, phrase in synonyms.items() if name in classes}
    return Phrases(template, classes, known, list(unmatched))


def write_tables(
    rows: Rows, skipped: pd.DataFrame, tables: Mapping[str, pd.DataFrame], phrases: PhraseGate | None
) -> None:
    """Replaces metrics/*.csv and metrics/evaluate. `phrases`: how sure a system is of them, for who asks in words."""
    named = {"pairs": rows.pairs, "phrases": rows.phrases, "places": rows.places, "sources": rows.sources}
    for name, table in {**named, "skipped": skipped}.items():
        write_table(table, METRICS / f"{name}.csv")
    with whole_folder(METRICS / "evaluate") as folder:
        for name, table in tables.items():
            write_table(table, folder / name)
        if phrases is not None:
            write_json(folder / CONFIDENCE.name, phrases.told(), indent=2)


def main(params: EvaluateParams) -> None:
    leaks = read_leaks()
    tell_leaks(leaks)
    seed_everything(params.seed)
    setup, scored = setup_of(params, params.evaluate.external), Scored()
    systems = load_systems(params.evaluate.systems, setup)
    test, val, videos = read_split("test"), read_split("val"), read_index(Path("data/index/test.csv"))
    drawn = sources.draw_tasks(videos, params.evaluate.sources, params.evaluate.source_mixtures, params.seed)
    mixed = (video for task in (task for tasks in drawn for task in tasks) for video in task.videos.values())
    seen = {*mixed, *(video for mixture in (*test, *val) for video in mixture)}
    asked = phrases_of(systems, seen, params.vast.phrase, params.evaluate.synonyms, params.evaluate.unmatched)

    batch = params.evaluate.batch
    # of its own, since nothing of validation's videos is needed later
    of_validation = Questions(systems, asked, setup.reader, setup.spectrogram, params.device, batch)
    calibration = calibrate(
        of_validation,
        val,
        gate=params.evaluate.gate,
        max_false_mutes=params.evaluate.max_false_mutes,
        level=params.evaluate.mutes_level,
    )
    questions = Questions(systems, asked, setup.reader, setup.spectrogram, params.device, batch)
    score_pairs(
        ask_all(questions, questions.batches(questions.read(pair_tasks(test))), calibration.confidence),
        scored,
        asked,
        calibration,
        setup.reader,
        total=len(test),
        examples=params.evaluate.examples,
        seed=params.seed,
    )
    for tasks in drawn:
        outcomes = ask_all(questions, questions.batches(questions.read(tasks, scored.silent)))
        for outcome in progress(outcomes, f"{len(tasks[0].sounding)} sources", len(tasks), "mixture"):
            scored.sources += sources.score(outcome, calibration.gates)

    rows = Rows(
        pairs=pd.DataFrame(scored.pairs, columns=pairs.COLUMNS).round(DECIMALS),
        phrases=pd.DataFrame(scored.phrases, columns=phrases.COLUMNS).round(DECIMALS),
        places=pd.DataFrame(scored.places, columns=PLACES).round(DECIMALS),
        sources=pd.DataFrame(scored.sources, columns=sources.COLUMNS).round(DECIMALS),
    )
    tables = summarise(rows, resamples=params.evaluate.resamples, bins=params.evaluate.bins, seed=params.seed)
    skipped = pd.DataFrame(scored.skipped, columns=SKIPPED)
    write_tables(rows, skipped, tables, calibration.phrases)
    left_out = int((skipped["table"] == "pairs").sum())
    write_metrics("headline", key_figures(tables))
    write_metrics(
        "evaluate",
        {
            **headline(tables),
            "gates": calibration.gates,
            **({} if calibration.threshold is None else {"phrase_threshold": calibration.threshold}),
            # DVC cannot watch folders that a param names: a stage that stands on their answers watches this file
            **({"external": external} if (external := others_waves(systems)) else {}),
            "pairs": {"evaluated": len(test) - left_out, "skipped": left_out},
            # whoever takes the figures from here alone sees what they are of
            **({"leaks": counts(leaks)} if leaks else {}),
        },
    )


if __name__ == "__main__":
    run(main, EvaluateParams)

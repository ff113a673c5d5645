"""All systems of `evaluate.systems` on the same fixed test mixtures A + C beside the silent objects B and D, and on
mixtures of N sources.

First validation's mixtures calibrate the gate of each grounded system, unless params name one, VAST's confidence that
a phrase's sound is there, and the threshold from which it takes it to be heard.  Then every test mixture is separated
by all systems and scored in parallel processes, row by row.  At last the rows make every aggregate:
avsep/scoring/summary.py.

checkpoints/{baseline,colearning,cyclic,trimodal,finetune}/best.safetensors of those systems,
checkpoints/pretrained/clip.safetensors for VAST's,
data/index/{val,test}_sep.csv, data/videos/**/*.truth.json where there are such
    -> metrics/{pairs,phrases,places,sources,skipped}.csv, metrics/evaluate, metrics/evaluate.json, metrics/examples
"""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.clips.datasets import ClipReader, FixedMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Mixture, Video, read_index, read_mixtures
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.media.spectrogram import Spectrogram
from avsep.parallel import spread
from avsep.params.stages import EvaluateParams
from avsep.progress import progress
from avsep.run import run
from avsep.scoring import many, pairs
from avsep.scoring.asking import NOTHING, Told, evidence_by_class, phrase_rows, tell
from avsep.scoring.examples import write_example
from avsep.scoring.grounding import calibrated_gate
from avsep.scoring.localisation import COLUMNS as PLACES
from avsep.scoring.localisation import locate
from avsep.scoring.summary import DECIMALS, Rows, headline, summarise
from avsep.scoring.systems import ASKED, GROUNDED, SHOWN, Outcome, separate_all, sounding_probabilities
from avsep.systems.confidence import Confidence, calibrated
from avsep.training.seeds import seed_everything
from avsep.weights.clip import load_teacher
from stages._systems import load_systems

METRICS = Path("metrics")
PHRASES = ["mixture", "phrase", "kind", "confidence", "accepted"]
SKIPPED = ["table", "sources", "mixture", "reason"]


@dataclass
class Scored:
    """The rows so far: of pairs.csv, phrases.csv, places.csv, sources.csv, skipped.csv."""

    pairs: list[dict[str, Any]] = field(default_factory=list)
    phrases: list[dict[str, Any]] = field(default_factory=list)
    places: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)

    def skip(self, table: str, sources: int, mixture: int, reason: str) -> None:
        """Of pairs.csv or sources.csv, `table`."""
        self.skipped.append({"table": table, "sources": sources, "mixture": mixture, "reason": reason})
        logging.warning("%s: mixture %d of %d sources is skipped: %s", table, mixture, sources, reason)


@dataclass(frozen=True)
class Readers:
    """What each kind of system sees of a video."""

    objects: ClipReader  # CCoL
    baseline: ClipReader
    clip: ClipReader  # VAST


def read_split(split: str, index: Path = Path("data/index")) -> list[Mixture]:
    return read_mixtures(index / f"{split}_sep.csv", read_index(index / f"{split}.csv"))


def readers_of(params: EvaluateParams) -> Readers:
    objects = ClipReader(
        rate=params.extract.rate,
        samples=params.audio.samples,
        fps=params.extract.fps,
        count=params.frames.count,
        stride=params.frames.stride,
        resize=params.frames.size,
        size=params.frames.size,
        square=params.frames.square,
    )
    clip = replace(
        objects,
        objects=False,
        count=params.vast.frames,
        stride=params.vast.stride,
        resize=params.clip.image_size,
        size=params.clip.image_size,
    )
    return Readers(objects, replace(objects, objects=params.baseline.frames == "objects"), clip)


def calibrate(
    params: EvaluateParams, networks: Mapping[str, Any], val: FixedMixtures, told: Told
) -> tuple[dict[str, float], Confidence | None, float | None]:
    """The gate of each grounded system; with trimodal its confidence, and from which value of it a phrase is taken to
    be heard."""
    hearing: dict[str, Any] = {
        "spectrogram": Spectrogram(**asdict(params.spectrogram)),
        "device": params.device,
        "batch": params.evaluate.batch,
    }
    confidence = threshold = None
    if "trimodal" in networks:
        unseen = FixedMixtures(val.mixtures, val.reader, heard=SOUNDING, seen=())
        found, sounding = evidence_by_class(networks["trimodal"], unseen, told, masked=params.vast.masked, **hearing)
        confidence = calibrated(found, sounding)
        threshold = calibrated_gate(confidence(found[sounding]).tolist(), params.evaluate.max_false_mutes)
    if params.evaluate.gate is not None:
        gates = {system: params.evaluate.gate for system in GROUNDED if system in networks}
        return gates, confidence, threshold
    probabilities = sounding_probabilities(networks, val, **hearing)
    gates = {s: calibrated_gate(p, params.evaluate.max_false_mutes) for s, p in probabilities.items()}
    return gates, confidence, threshold


def score_pairs(
    outcomes: Iterable[Outcome],
    scored: Scored,
    told: Told,
    reader: ClipReader,
    *,
    gates: Mapping[str, float],
    threshold: float | None,
    total: int,
    examples: int,
    seed: int,
) -> None:
    """Adds the rows of all `outcomes`, scored in parallel processes, and writes the first `examples` of them."""
    folder = METRICS / "examples.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def kept(outcome: Outcome) -> tuple[Outcome, list[dict[str, Any]], str | None]:
        return outcome, *pairs.score(outcome, gates, seed, told.synonyms)

    for outcome, rows, reason in spread(kept, outcomes, desc="evaluate", unit="mixture", total=total):
        if reason is not None:
            scored.skip("pairs", len(SOUNDING), outcome.number, reason)
            continue
        scored.pairs += rows
        if threshold is not None:
            scored.phrases += phrase_rows(outcome.number, outcome.videos, outcome.confidences, told, threshold)
        scored.places += locate(outcome, reader, Path("data/videos"), pairs.ROUNDED, seed)
        if len(list(folder.iterdir())) < examples:
            write_example(folder / f"{outcome.number:03d}", outcome, rows, reader, told)
    if not scored.pairs:
        reasons = [row["reason"] for row in scored.skipped if row["table"] == "pairs"]
        raise InputError(f"none of {total} test mixtures can be scored; the first: {reasons[0]}")
    shutil.rmtree(METRICS / "examples", ignore_errors=True)
    folder.replace(METRICS / "examples")


def audible(
    drawn: Mapping[int, Sequence[tuple[Video, ...]]], reader: ClipReader, scored: Scored
) -> dict[int, dict[int, tuple[Video, ...]]]:
    """Number of sources -> number of the mixture -> those in which all sound; the others are skipped."""
    kept: dict[int, dict[int, tuple[Video, ...]]] = {}
    for sources, mixtures in drawn.items():
        for number, mixture in enumerate(mixtures):
            if silent := many.silent(mixture, reader):
                scored.skip("sources", sources, number, f"{silent[0].name} is silent in its window")
            else:
                kept.setdefault(sources, {})[number] = mixture
    return kept


def draw_sources(params: EvaluateParams, videos: Sequence[Video]) -> dict[int, list[tuple[Video, ...]]]:
    """Mixtures of each number of sources. Raises InputError for more sources than the test videos have classes."""
    classes = {video.category for video in videos}
    if params.evaluate.sources and max(params.evaluate.sources) > len(classes):
        raise InputError(
            f"params: evaluate.sources asks for {max(params.evaluate.sources)} sources of different classes:"
            f" the test videos have {len(classes)}"
        )
    return {n: many.draw(videos, n, params.evaluate.source_mixtures, params.seed) for n in params.evaluate.sources}


def write_tables(rows: Rows, skipped: pd.DataFrame, tables: Mapping[str, pd.DataFrame]) -> None:
    """Replaces metrics/*.csv and metrics/evaluate."""
    named = {"pairs": rows.pairs, "phrases": rows.phrases, "places": rows.places, "sources": rows.sources}
    for name, table in {**named, "skipped": skipped}.items():
        write_table(table, METRICS / f"{name}.csv")
    folder = METRICS / "evaluate.tmp"
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in tables.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_table(table, folder / name)
    shutil.rmtree(METRICS / "evaluate", ignore_errors=True)
    folder.replace(METRICS / "evaluate")


def write_table(table: pd.DataFrame, path: Path) -> None:
    temporary = path.with_suffix(".tmp")
    table.to_csv(temporary, index=False, lineterminator="\n")
    temporary.replace(path)


def main(params: EvaluateParams) -> None:
    seed_everything(params.seed)
    networks, readers, scored = load_systems(params, params.evaluate.systems), readers_of(params), Scored()
    test, val = read_split("test"), FixedMixtures(read_split("val"), readers.objects, heard=SOUNDING, seen=SOUNDING)
    val.mixtures = [mixture for mixture in val.mixtures if val.audible(mixture)]
    if not val.mixtures:
        raise InputError("in no validation mixture both sources sound in their windows: nothing calibrates the gates")
    drawn = audible(draw_sources(params, read_index(Path("data/index/test.csv"))), readers.objects, scored)
    told = NOTHING
    if set(ASKED) & set(networks):
        told = tell(
            load_teacher(**asdict(params.clip)).to(params.device),
            [*test, *val.mixtures, *(mixture for mixtures in drawn.values() for mixture in mixtures.values())],
            readers.clip,
            params.vast.phrase,
            params.evaluate.synonyms,
            params.evaluate.unmatched,
        )
    gates, confidence, threshold = calibrate(params, networks, val, told)
    hearing: dict[str, Any] = {
        "spectrogram": Spectrogram(**asdict(params.spectrogram)),
        "max_target": params.objective.max_target,
        "device": params.device,
        "batch": params.evaluate.batch,
    }
    sees = {s: readers.baseline if s == "baseline" else readers.objects for s in SHOWN if s in networks}
    heard = FixedMixtures(test, readers.objects, heard=SOUNDING, seen=())
    seen = {system: FixedMixtures(test, reader, heard=(), seen=OBJECTS) for system, reader in sees.items()}
    score_pairs(
        separate_all(networks, heard, seen, told, confidence, masked=params.vast.masked, **hearing),
        scored,
        told,
        readers.objects,
        gates=gates,
        threshold=threshold,
        total=len(test),
        examples=params.evaluate.examples,
        seed=params.seed,
    )
    for sources, mixtures in drawn.items():
        together = many.Together(mixtures, readers.objects)
        shown = {system: many.Together(mixtures, reader, seen=True) for system, reader in sees.items()}
        batches = many.score_all(networks, together, shown, told, gates, **hearing)
        for found in progress(batches, f"{sources} sources", -(-len(mixtures) // params.evaluate.batch), "batch"):
            scored.sources += found

    rows = Rows(
        pairs=pd.DataFrame(scored.pairs, columns=pairs.COLUMNS).round(DECIMALS),
        phrases=pd.DataFrame(scored.phrases, columns=PHRASES).round(DECIMALS),
        places=pd.DataFrame(scored.places, columns=PLACES).round(DECIMALS),
        sources=pd.DataFrame(scored.sources, columns=many.COLUMNS).round(DECIMALS),
    )
    tables = summarise(rows, resamples=params.evaluate.resamples, bins=params.evaluate.bins, seed=params.seed)
    skipped = pd.DataFrame(scored.skipped, columns=SKIPPED)
    write_tables(rows, skipped, tables)
    left_out = int((skipped["table"] == "pairs").sum())
    write_metrics(
        "evaluate",
        {
            **headline(tables),
            "gates": gates,
            **({} if threshold is None else {"phrase_threshold": threshold}),
            "pairs": {"evaluated": len(test) - left_out, "skipped": left_out},
        },
    )


if __name__ == "__main__":
    run(main, EvaluateParams)

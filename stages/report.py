"""Shows what came out: one HTML page with sound, pictures, spectrograms, tables and curves, and its sounds beside it.

metrics/*.json, metrics/evaluate, metrics/{pairs,phrases,skipped,scenes,scenes_by_kind,scenes_found}.csv,
metrics/{examples,scene_examples}, the training stages' curves, data/index/{rejected,leaks}.csv
-> metrics/report/{index.html,sounds,tables}
"""

import logging
import shutil
from collections.abc import Collection
from pathlib import Path

from avsep.clips.leaks import read_leaks, sentences, tell_leaks
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.files.whole import whole_folder, write_text
from avsep.params.stages import ReportParams
from avsep.progress import progress
from avsep.report import charts, opening, page, tables
from avsep.report.measured import entries, read_measured
from avsep.report.mixtures import Reader
from avsep.report.provenance import read_provenance
from avsep.report.scenes import read_examples, read_scenes
from avsep.report.seen import read_unseen
from avsep.report.sounds import Axis, Shelf
from avsep.run import run
from avsep.systems import catalogue

METRICS = Path("metrics")
TABLES = {  # of metrics/, handed on with the page -> what a row is
    "pairs.csv": "an object of a test mixture, and a system: all scores",
    "phrases.csv": "a phrase and a test mixture",
    "skipped.csv": "a mixture that could not be scored",
    "scenes.csv": "a player, or an object, of a scene, and a system",
    "scenes_by_kind.csv": "a kind of scene and a system",
    "scenes_found.csv": "a kind of scene: what was found",
}


def trained() -> list[catalogue.Drawn]:
    """The stages that have trained here: published weights come without curves."""
    return [stage for stage in catalogue.TRAINING if (METRICS / stage.name / "plots" / "metrics").is_dir()]


def told(training: Collection[str]) -> list[str]:
    """The stages whose numbers the page lists, if those of `training` have trained here."""
    worded = {entry.stage for entry in catalogue.SYSTEMS if entry.asked == "phrase"} & set(training)
    stages = ["detect", "index", *(stage for stage in training if stage not in worded)]
    stages += ["captions", *(stage for stage in training if stage in worded)] if worded else []
    return [*stages, "evaluate", "evaluate_scenes"]


def shown(training: Collection[catalogue.Drawn]) -> dict[str, str]:
    """The pages that show what a stage learned, epoch by epoch: the stage's title -> its page, from the report's."""
    pages = {stage.title: f"{stage.name}/visualization/index.html" for stage in training}
    return {title: f"../{path}" for title, path in pages.items() if (METRICS / path).is_file()}


def copy_tables(folder: Path) -> dict[str, str]:
    """Copies TABLES, and those that aggregate them, so that the folder can be sent as it is: path -> what a row is."""
    aggregates = sorted((METRICS / "evaluate").glob("*.csv"))
    copied = {}
    for path in [*(METRICS / name for name in TABLES), *aggregates]:
        name = path.relative_to(METRICS).as_posix()
        to = folder / "tables" / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        copied[f"tables/{name}"] = TABLES.get(name, "made of such rows: means with intervals, or a curve")
    return copied


def main(params: ReportParams) -> None:
    leaks = read_leaks()
    tell_leaks(leaks)
    unseen = read_unseen(METRICS)
    if unseen is not None:
        logging.warning("%s: the whole frame stands for it, in every score", unseen)
    measured, scenes = read_measured(METRICS), read_scenes(METRICS)
    rejected = tables.read_table(Path("data/index/rejected.csv"), tables.REJECTED)
    training = {stage: tables.read_curves(METRICS, stage.name) for stage in trained()}
    listed = told([stage.name for stage in training])
    stages = {stage: tables.flat(tables.read_json(METRICS / f"{stage}.json")) for stage in listed}
    pairs = tables.read_table(METRICS / "pairs.csv", tables.PAIRS)
    folders = sorted((METRICS / "examples").glob("[0-9]*"))[: params.report.mixtures]
    if params.report.mixtures and not folders:
        raise InputError("metrics/examples is empty: run `dvc repro evaluate` with evaluate.examples above 0")
    systems = entries(measured.systems)
    provenance = read_provenance(
        METRICS,
        profile=params.report.profile,
        trial=params.report.trial,
        source=params.videos.source,
        seed=params.seed,
        device=params.device,
        rate=params.extract.rate,
        systems=len(systems),
    )
    p = params.spectrogram
    axis = Axis(params.extract.rate, p.n_fft, p.log_bins, p.align_corners)

    with whole_folder(METRICS / "report") as folder:
        shelf = Shelf(folder, axis)
        reader = Reader(pairs, systems, shelf)
        mixtures = [reader.read(example) for example in progress(folders, "mixtures", len(folders))]
        heard = [] if scenes is None else read_examples(METRICS, shelf)
        copied = copy_tables(folder)
        drawn = charts.draw(METRICS, pairs, training, measured)
        megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
        html = page.render(
            leaks=sentences(leaks, named=None),
            unseen=unseen,
            measured=measured,
            charts=drawn,
            scenes=scenes,
            heard=heard,
            mixtures=mixtures,
            first=opening.first(mixtures, measured.headline, systems),
            ticks=axis.ticks(),
            provenance=provenance,
            beside=page.Beside(copied, shown(training), shelf.count, megabytes),
            rejected=rejected,
            stages=stages,
        )
        write_text(folder / "index.html", html)
    written = {"mixtures": len(mixtures), "scenes": len(heard), "sounds": shelf.count, "curves": len(drawn.training)}
    write_metrics("report", written)
    for one in opening.sentences(measured.headline):
        logging.info("%s %s", one.figure, one.text)


if __name__ == "__main__":
    run(main, ReportParams)

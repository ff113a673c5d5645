"""Shows what came out: one HTML page with sound, pictures, masks, tables and curves.

metrics/*.json, metrics/evaluate, metrics/{pairs,phrases,skipped,scenes,scenes_by_kind,scenes_found}.csv,
metrics/examples, the training stages' curves, data/index/{rejected,leaks}.csv
-> metrics/report/index.html
"""

import logging
from collections.abc import Collection
from pathlib import Path

from avsep.clips.leaks import read_leaks, sentences, tell_leaks
from avsep.errors import InputError
from avsep.files.metrics import write_metrics
from avsep.files.whole import write_text
from avsep.params.stages import ReportParams
from avsep.progress import progress
from avsep.report import charts, figures, page, tables
from avsep.report.lines import results
from avsep.report.measured import entries, read_measured
from avsep.report.scenes import read_scenes
from avsep.run import run
from avsep.systems import catalogue

METRICS = Path("metrics")


def trained() -> list[catalogue.Drawn]:
    """The stages that have trained here: published weights come without curves."""
    return [stage for stage in catalogue.TRAINING if (METRICS / stage.name / "plots" / "metrics").is_dir()]


def told(training: Collection[str]) -> list[str]:
    """The stages whose numbers the page lists, if those of `training` have trained here."""
    worded = {entry.stage for entry in catalogue.SYSTEMS if entry.asked == "phrase"} & set(training)
    stages = ["index", *(stage for stage in training if stage not in worded)]
    stages += ["captions", *(stage for stage in training if stage in worded)] if worded else []
    return [*stages, "evaluate", "evaluate_scenes"]


def main(params: ReportParams) -> None:
    leaks = read_leaks()
    tell_leaks(leaks)
    measured, scenes = read_measured(METRICS), read_scenes(METRICS)
    rejected = tables.read_table(Path("data/index/rejected.csv"), tables.REJECTED)
    training = {stage: tables.read_curves(METRICS / stage.name / "plots" / "metrics") for stage in trained()}
    listed = told([stage.name for stage in training])
    stages = {stage: tables.flat(tables.read_json(METRICS / f"{stage}.json")) for stage in listed}
    pairs = tables.read_table(METRICS / "pairs.csv", tables.PAIRS)
    folders = sorted((METRICS / "examples").glob("[0-9]*"))[: params.report.mixtures]
    if params.report.mixtures and not folders:
        raise InputError("metrics/examples is empty: run `dvc repro evaluate` with evaluate.examples above 0")
    systems = entries(measured.systems)
    mixtures = [page.read_mixture(folder, pairs, systems) for folder in progress(folders, "mixtures", len(folders))]
    drawn = charts.draw(METRICS, pairs, training, measured)

    html = page.render(
        leaks=sentences(leaks, named=None),
        measured=measured,
        charts=drawn,
        scenes=scenes,
        mixtures=mixtures,
        ticks=figures.frequency_ticks(
            params.extract.rate, params.spectrogram.n_fft, params.spectrogram.log_bins, params.spectrogram.align_corners
        ),
        rejected=rejected,
        stages=stages,
    )

    write_text(METRICS / "report" / "index.html", html)
    write_metrics("report", {"mixtures": len(mixtures), "curves": len(drawn.training)})
    for line in results(measured, scenes):
        logging.info("%s", line)


if __name__ == "__main__":
    run(main, ReportParams)

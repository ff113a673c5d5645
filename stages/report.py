"""Shows what came out: one HTML page with sound, pictures, masks, tables and curves.

metrics/*.json, metrics/evaluate, metrics/pairs.csv, metrics/examples, the training stages' curves,
data/index/rejected.csv
-> metrics/report/index.html
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from avsep.errors import InputError
from avsep.params import ReportParams
from avsep.report import figures, page, tables
from avsep.run import progress, run, write_metrics

METRICS = Path("metrics")
STAGES = ("index", "grounding", "colearning", "cyclic", "baseline", "captions", "trimodal", "finetune", "evaluate")
# One chart for each method, else the lines are too many to follow.
DISTRIBUTIONS = {
    "CCoL": ("oracle", "baseline", "colearning", "cyclic"),
    "VAST": ("oracle", "baseline", "trimodal_visual", "trimodal_text", "finetune_visual", "finetune_text"),
}


def main(params: ReportParams) -> None:
    evaluated = tables.read_evaluation(METRICS / "evaluate.json", METRICS / "evaluate")
    pairs = tables.read_table(METRICS / "pairs.csv", tables.PAIRS)
    folders = sorted((METRICS / "examples").glob("[0-9]*"))[: params.report.mixtures]
    if params.report.mixtures and not folders:
        raise InputError("metrics/examples is empty: run `dvc repro evaluate` with evaluate.examples above 0")
    mixtures = [page.read_mixture(folder, pairs) for folder in progress(folders, "mixtures", len(folders))]
    curves = curve_charts(
        {stage: tables.read_curves(METRICS / stage / "plots" / "metrics") for stage in tables.TRAINING}
    )

    html = page.render(
        evaluated=evaluated,
        best=tables.read_best(METRICS / "evaluate"),
        by_class=tables.by_class(METRICS / "evaluate"),
        by_pair=tables.by_pair_of_classes(METRICS / "evaluate", "cyclic"),
        mixtures=mixtures,
        ticks=figures.frequency_ticks(
            params.extract.rate, params.spectrogram.n_fft, params.spectrogram.log_bins, params.spectrogram.align_corners
        ),
        distributions={
            method: page.Distribution(systems, distribution_chart(pairs, systems))
            for method, systems in DISTRIBUTIONS.items()
        },
        curves=curves,
        rejected=tables.read_table(Path("data/index/rejected.csv"), tables.REJECTED),
        stages={stage: tables.flat(tables.read_json(METRICS / f"{stage}.json")) for stage in STAGES},
    )

    folder = METRICS / "report"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "index.tmp"
    temporary.write_text(html, encoding="utf-8", newline="\n")
    os.replace(temporary, folder / "index.html")
    write_metrics("report", {"mixtures": len(mixtures), "curves": len(curves)})


def curve_charts(stages: dict[str, dict[str, pd.DataFrame]]) -> dict[str, str]:
    """One chart per metric, with a line for each training stage that has it: `val/si_sdri` -> SVG."""
    names = sorted({name for curves in stages.values() for name in curves}, reverse=True)
    return {
        name: figures.curve_chart(
            {
                stage: (curves[name]["step"].tolist(), curves[name]["value"].tolist())
                for stage, curves in stages.items()
                if name in curves
            },
            x="step",
            y=name,
        )
        for name in names
    }


def distribution_chart(pairs: pd.DataFrame, systems: Sequence[str]) -> str:
    """For each of `systems` the share of sounding objects below an NSDR, as SVG; any choice has the same x axis."""
    drawn = pairs[pairs["system"].isin(("oracle", *tables.TRAINED)) & (pairs["role"] == "sounding")]
    lines = {}
    for system in systems:
        nsdr = drawn.loc[drawn["system"] == system, "nsdr"].dropna().sort_values()
        shares = [100 * (rank + 1) / len(nsdr) for rank in range(len(nsdr))]
        lines[system] = (nsdr.tolist(), shares)
    span = drawn["nsdr"].dropna().tolist()
    return figures.curve_chart(lines, x="NSDR in dB", y="% of sounding objects below", span=span)


if __name__ == "__main__":
    run(main, ReportParams)

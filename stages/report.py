"""Shows what came out: one HTML page with sound, pictures, masks, tables and curves.

metrics/*.json, metrics/pairs.csv, metrics/examples, the training stages' curves, data/index/rejected.csv
-> metrics/report/index.html
"""

import os
from pathlib import Path

import pandas as pd

from avsep.errors import InputError
from avsep.params import ReportParams
from avsep.report import figures, page, tables
from avsep.run import progress, run, write_metrics

METRICS = Path("metrics")
TRAINING = ("grounding", "colearning", "cyclic", "baseline")
STAGES = ("index", *TRAINING, "evaluate")


def main(params: ReportParams) -> None:
    evaluated = tables.read_evaluation(METRICS / "evaluate.json")
    pairs = tables.read_table(METRICS / "pairs.csv", tables.PAIRS)
    folders = sorted((METRICS / "examples").glob("[0-9]*"))[: params.report.mixtures]
    if params.report.mixtures and not folders:
        raise InputError("metrics/examples is empty: run `dvc repro evaluate` with evaluate.examples above 0")
    mixtures = [page.read_mixture(folder, pairs) for folder in progress(folders, "mixtures", len(folders))]
    curves = curve_charts({stage: tables.read_curves(METRICS / stage / "plots" / "metrics") for stage in TRAINING})

    html = page.render(
        evaluated=evaluated,
        by_class=tables.by_class(pairs),
        by_pair=tables.by_pair_of_classes(pairs, "cyclic"),
        mixtures=mixtures,
        ticks=figures.frequency_ticks(
            params.extract.rate, params.spectrogram.n_fft, params.spectrogram.log_bins, params.spectrogram.align_corners
        ),
        distribution=distribution_chart(pairs),
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


def distribution_chart(pairs: pd.DataFrame) -> str:
    """For each system the share of sounding objects below an NSDR, as SVG."""
    lines = {}
    for system in ("oracle", *tables.TRAINED):
        nsdr = pairs.loc[(pairs["system"] == system) & (pairs["role"] == "sounding"), "nsdr"].dropna().sort_values()
        shares = [100 * (rank + 1) / len(nsdr) for rank in range(len(nsdr))]
        lines[system] = (nsdr.tolist(), shares)
    return figures.curve_chart(lines, x="NSDR in dB", y="% of sounding objects below")


if __name__ == "__main__":
    run(main, ReportParams)

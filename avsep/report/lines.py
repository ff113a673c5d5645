"""What came out, in a few sentences: what the run ends with on the terminal."""

from avsep.progress import spoken_share
from avsep.report.measured import Measured, entries
from avsep.report.scenes import FOUND, Scenes
from avsep.report.tables import COMPARED, Cell


def results(measured: Measured, scenes: Scenes | None) -> list[str]:
    """A line each on separation by each method, on grounding, phrases and scenes: of what was scored."""
    headline = measured.headline
    nsdr = {line.title: line.cells[0] for line in measured.by_score["nsdr"].lines}
    beside = [one.title for one in entries(measured.systems) if one.everywhere and one.group in COMPARED]
    lines = [f"{one.system.title}: NSDR {_cell(one.nsdr, ' dB')}" for one in headline.separation]
    lines[:1] = ["; ".join([*lines[:1], *(f"{title} {_cell(nsdr[title])}" for title in beside)])]
    if headline.grounded:
        g, silent = headline.grounding, headline.silent
        low, high = 100 * g["balanced_accuracy_low"], spoken_share(g["balanced_accuracy_high"])
        lines.append(
            f"{headline.grounded.title}: who sounds is told rightly in {spoken_share(g['balanced_accuracy'])}"
            f" ({low:.0f} to {high}), silent objects are given {silent['leakage_db']:.0f} dB re the mixture,"
            f" {spoken_share(silent['false_mute_rate'])} of what sounds is muted"
        )
    if headline.sure:
        present, absent = (spoken_share(headline.phrases[f"accepted_{kind}"]) for kind in ("present", "absent"))
        lines.append(
            f"{headline.sure.title}: {present} of the phrases of what sounds are taken as present,"
            f" and {absent} of the others"
        )
    if scenes is not None:
        found = dict(zip(FOUND, scenes.found.lines[-1].cells, strict=True))  # of all kinds together
        recall, false = spoken_share(found["recall"].value), found["false_objects"].value
        lines.append(f"Scenes: {recall} of the players are found, and {false:.1f} false objects a scene")
    return lines


def _cell(cell: Cell, unit: str = "") -> str:
    interval = f" ({cell.low:.1f} to {cell.high:.1f})" if cell.has_interval else ""
    return f"{cell.value:.1f}{unit}{interval}"

from dataclasses import replace

import pytest

from avsep.report import opening
from avsep.report.measured import Headline, Separation
from avsep.report.mixtures import Mixture
from avsep.report.tables import Cell
from avsep.systems import catalogue

CYCLIC, PHRASE = catalogue.entry_of("cyclic"), catalogue.entry_of("trimodal_text")
BASELINE = catalogue.entry_of("baseline")
SEPARATION = Separation(CYCLIC, Cell(5.48, 4.1, 6.9), [("beside", 1.0)], [-3.5])
HEADLINE = Headline(
    objects=8,
    videos=4,
    pairs={"evaluated": 4, "skipped": 0},
    separation=[SEPARATION, replace(SEPARATION, system=catalogue.entry_of("trimodal_visual"), wrong=[])],
    framing=[],
    grounded=CYCLIC,
    grounding={"balanced_accuracy": 0.815, "balanced_accuracy_low": 0.77, "balanced_accuracy_high": 0.86},
    silent={"leakage_db": -33.5, "leakage_db_low": -39.4, "leakage_db_high": -27.8, "false_mute_rate": 0.031},
    sure=PHRASE,
    phrases={"accepted_present": 0.969, "accepted_absent": 0.711},
    gates={},
)


def test_five_lines_say_what_came_out_with_figures_and_intervals() -> None:
    lines = opening.sentences(HEADLINE)
    figures = [line.figure.replace("\N{NO-BREAK SPACE}", " ") for line in lines]
    assert figures == ["+5.5 dB", "+5.5 dB", "81.5 %", "\N{MINUS SIGN}33.5 dB", "96.9 %"]
    texts = [line.text.replace("\N{NO-BREAK SPACE}", " ").replace("\N{MINUS SIGN}", "-") for line in lines]
    assert "95 % interval +4.1 to +6.9; asked for another class -3.5" in texts[0]
    assert "by Cyclic co-learning" in texts[0] and "another class" not in texts[1]
    assert "95 % interval 77.0 to 86.0 %" in texts[2]
    assert "95 % interval -39.4 to -27.8" in texts[3] and "3.1 % of what sounds is muted" in texts[3]
    assert "71.1 % of those for what does not sound" in texts[4]


def test_what_was_not_measured_is_not_told() -> None:
    assert opening.sentences(replace(HEADLINE, separation=[], grounded=None, sure=None)) == []


def mixture(number: int, **nsdr: float) -> Mixture:
    return Mixture(number, [], nsdr)


def test_the_first_mixture_is_neither_the_best_nor_the_worst() -> None:
    shown = [mixture(number, cyclic=value) for number, value in enumerate([9.0, -4.0, 5.1, 4.0, 6.0])]
    chosen = opening.first(shown, HEADLINE, [BASELINE, CYCLIC, PHRASE])
    assert chosen is not None and chosen.mixture.number == 2 and chosen.system == CYCLIC


@pytest.mark.parametrize(("systems", "by"), [([BASELINE], BASELINE), ([PHRASE], None), ([], None)])
def test_it_is_heard_by_what_there_is(systems: list[catalogue.Entry], by: catalogue.Entry | None) -> None:
    chosen = opening.first([mixture(3, baseline=1.0)], replace(HEADLINE, separation=[]), systems)
    assert chosen is not None and chosen.system == by
    assert opening.first([], HEADLINE, systems) is None

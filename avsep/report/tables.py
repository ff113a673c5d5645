"""The page's tables: files of metrics/ read and checked, and their numbers put into lines, columns and text.

Nothing is computed here: evaluation has taken all means, with their intervals.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from avsep.errors import InputError
from avsep.files import reading
from avsep.systems import catalogue

System = catalogue.Entry | catalogue.Control  # what has a line of its own wherever systems do
COMPARED = ("trained", "external")  # groups of what is compared, one with each other; the rest stands beside

MOST_TICKS = 5  # steps of a scale

SCORES = {
    "sdr": "SDR",
    "sir": "SIR",
    "sar": "SAR",
    "nsdr": "NSDR",
    "si_sdr": "SI-SDR",
    "si_sdri": "SI-SDRi",
    "snr": "SNR",
    "snri": "SNRi",
}
PAIRS = [
    *("mixture", "system", "object", "role", "class", "video", "probability", "solo_probability"),
    *(*SCORES, "leakage_db", "muted"),
]
AGAIN = "run `dvc repro`, which makes it again"
REJECTED = ["class", "id", "stage", "reason"]
SKIPPED = ["table", "sources", "mixture", "reason"]


# --- Files


def read_json(path: Path) -> dict[str, Any]:
    """A file of metrics. Raises InputError if there is none or if it is no JSON object."""
    values = reading.read_json(path, AGAIN)
    if not isinstance(values, dict):
        raise InputError(f"{path} is no table of metrics: run `dvc repro`, which makes it again")
    return values


def read_table(path: Path, columns: Sequence[str], separator: str = ",") -> pd.DataFrame:
    """A CSV file with a header, its `columns` checked. Raises InputError."""
    text = dict.fromkeys(("class", "beside", "id", "video"), str)
    with reading.reading(path, "table", AGAIN, most=reading.MOST_TEXT):  # a class may be called NA
        table = pd.read_csv(path, sep=separator, dtype=text, keep_default_na=False, na_values=["", "nan"])
    if missing := [column for column in columns if column not in table]:
        raise InputError(f"{path} has no column {missing[0]}: it is no file of the stage that should have made it")
    return table


@dataclass(frozen=True)
class Curves:
    """What a training stage has logged, over how many epochs have passed: the first ends at 1."""

    values: Mapping[str, pd.DataFrame]  # `val/si_sdri` -> columns epoch, value
    chosen: int | None  # the epoch whose weights are kept, from 1


def read_curves(metrics: Path, stage: str) -> Curves:
    """A training stage's curves, DVCLive's metrics/<stage>/plots/metrics, and metrics/<stage>.json. Raises
    InputError."""
    folder = metrics / stage / "plots" / "metrics"
    paths = sorted(folder.glob("*/*.tsv"))
    if not paths:
        raise InputError(f"{folder} holds no curves: run `dvc repro`, which makes them")
    passed = read_table(folder / "epoch.tsv", ["step", "epoch"], separator="\t")
    steps = (passed["step"].max() + 1) / (passed["epoch"].max() + 1)  # of an epoch; both are counted from 0
    curves = {}
    for path in paths:
        curve = read_table(path, ["step", path.stem], separator="\t")
        name = path.relative_to(folder).with_suffix("").as_posix()
        curves[name] = pd.DataFrame({"epoch": (curve["step"] + 1) / steps, "value": curve[path.stem]})
    chosen = dict(flat(read_json(metrics / f"{stage}.json"))).get("best.epoch")
    return Curves(curves, chosen + 1 if isinstance(chosen, int) else None)


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested metrics as rows: `("grounding.roc_auc", 0.98)`."""
    rows: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


# --- Lines and columns


@dataclass(frozen=True)
class Column:
    """What a table tells of each of its lines, and how it writes that."""

    title: str
    digits: int = 2
    percent: bool = False  # of a share
    sign: bool = False  # of gains


@dataclass(frozen=True)
class Cell:
    """A number, with its 95 % interval if it has one."""

    value: float
    low: float = math.nan
    high: float = math.nan
    best: bool = False  # better than each other one of COMPARED, significantly
    faint: bool = False  # a difference that is not significant

    @property
    def has_interval(self) -> bool:
        return not (math.isnan(self.low) or math.isnan(self.high))


@dataclass(frozen=True)
class Line:
    title: str
    group: str  # of the catalogue's: what stands apart
    cells: Sequence[Cell]


@dataclass(frozen=True)
class Table:
    columns: Sequence[Column]
    lines: Sequence[Line]
    drawn: int | None = None  # the column whose intervals are drawn beside it

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def ticks(self) -> list[float]:
        """Round numbers that the drawn intervals lie between, with 0 among them. References are no part of it: an ideal
        would squeeze all others into a clump."""
        assert self.drawn is not None
        own = [line for line in self.lines if line.group != "reference"] or self.lines
        cells = [line.cells[self.drawn] for line in own]
        ends = [0.0, *(end for cell in cells for end in (cell.value, cell.low, cell.high) if math.isfinite(end))]
        low, high = min(ends), max(ends)
        steps = (factor * 10.0**power for power in range(-3, 6) for factor in (1, 2, 5))
        step = next(step for step in steps if math.ceil(high / step) - math.floor(low / step) <= MOST_TICKS)
        first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)
        return [number * step for number in range(first, last + 1)]

    def place(self, value: float) -> float:
        """Where a value lies on the scale, in percent from the left; what is beyond an end lies at that end."""
        low, high = self.ticks[0], self.ticks[-1]
        return min(max(100 * (value - low) / (high - low), 0.0), 100.0)

    def beyond(self, value: float) -> bool:
        return not self.ticks[0] <= value <= self.ticks[-1]


def named(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Title and group of each of these systems, in the order of every table: controls stand below all others."""
    systems = sorted(catalogue.arranged(names), key=lambda system: system.group == "control")
    return {system.name: (system.title, system.group) for system in systems}


def tabulate(
    frame: pd.DataFrame,
    columns: Mapping[str, Column],
    best: Collection[tuple[str, str]] = (),
    drawn: str | None = None,
    lines: Mapping[str, tuple[str, str]] | None = None,
) -> Table:
    """A line for each system in the frame's index, a cell for each of its `columns`.

    An interval's ends are in columns `<column>_low` and `<column>_high`, and whether a difference is significant in
    `<column>_significant`, where the frame has such. `best`: lines and columns to be marked. `lines`: title and group
    of each line, in their order, where the index holds other things than systems.
    """
    shown = []
    for name, (title, group) in (named(frame.index) if lines is None else lines).items():
        if name in frame.index:
            row = frame.loc[name].to_dict()
            shown.append(Line(title, group, [_cell(row, column, (name, column) in best) for column in columns]))
    return Table(list(columns.values()), shown, None if drawn is None else list(columns).index(drawn))


def _cell(row: Mapping[Any, Any], column: str, best: bool) -> Cell:
    value, low, high = (float(row.get(name, math.nan)) for name in (column, f"{column}_low", f"{column}_high"))
    return Cell(value, low, high, best, bool(row.get(f"{column}_significant", 1) == 0))


# --- Text


def decimal(value: Any, digits: int = 1, sign: bool = False) -> str:
    """A number as the page writes it: a true minus sign; an en dash where the score does not apply."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "\N{EN DASH}"
    if isinstance(value, float) and math.isinf(value):
        return "\N{INFINITY}" if value > 0 else "\N{MINUS SIGN}\N{INFINITY}"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "\N{MINUS SIGN}")


def bare(value: float, column: Column) -> str:
    """A number as its column has it, without its unit."""
    return decimal(100 * value if column.percent else value, column.digits, column.sign)


def written(value: float, column: Column) -> str:
    """A number as its column has it."""
    text = bare(value, column)
    return f"{text}\N{NO-BREAK SPACE}%" if column.percent and not math.isnan(value) else text


def plain(value: Any) -> str:
    """Any metric as text: four significant digits for a fraction, everything else as it is."""
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "\N{MINUS SIGN}")
    if isinstance(value, list):
        return ", ".join(plain(item) for item in value)
    return str(value)

"""The scenes: metrics/scenes.csv, scenes_by_kind.csv, scenes_found.csv -> the page's tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from avsep.report.tables import Column, Table, read_table, tabulate

KINDS = {  # column of a kind -> what is in such scenes
    "plain": "Plain",
    "twins": "Two of one class",
    "offscreen": "Sound from offscreen",
    "levels": "Unequal levels",
    "silence": "Nobody plays",
    "noise": "Noise",
}
OVERALL = {
    "snri": Column("SNRi", sign=True),
    "snr": Column("SNR"),
    "nsdr": Column("NSDR, if given anything", sign=True),
    "heard": Column("Playing, told so", 1, percent=True),
    "rejected": Column("Silent, told so", 1, percent=True),
    "balanced_accuracy": Column("Mean of both", 1, percent=True),
    "leakage_db": Column("Leakage to silent players", 1),
    "false_leakage_db": Column("Leakage to false objects", 1),
    "nobody_db": Column("Given to no object", 1),
    "passed_offscreen": Column("Offscreen sound let through", 0, percent=True),
    "passed_noise": Column("Noise let through", 0, percent=True),
}
# What is told kind by kind.
BY_KIND = {
    "snri": ("SNRi in dB", Column("", sign=True)),
    "nsdr": ("NSDR in dB, of players that are given anything", Column("", sign=True)),
    "balanced_accuracy": ("Balanced accuracy of who plays", Column("", 1, percent=True)),
    "leakage_db": ("Leakage to silent players in dB", Column("", 1)),
}
FOUND = {
    "scenes": Column("Scenes", 0),
    "players": Column("Players", 0),
    "playing": Column("Of them playing", 0),
    "recall": Column("Players found", 1, percent=True),
    "class_right": Column("Found as the right class", 1, percent=True),
    "false_objects": Column("False objects a scene"),
}


@dataclass(frozen=True)
class Scenes:
    found: Table
    overall: Table
    by_kind: Mapping[str, Table]  # title -> table with a column for each kind


def read_scenes(metrics: Path) -> Scenes | None:
    """None if there are no scenes: they are rendered, and your own videos have none. Raises InputError."""
    rows = read_table(metrics / "scenes.csv", ["scene", "kind", "system", "role", "player", "playing"])
    kinds = read_table(metrics / "scenes_by_kind.csv", ["kind", "system"])
    found = read_table(metrics / "scenes_found.csv", ["kind", "recall"]).set_index("kind")
    if rows.empty:
        return None
    names = {kind: title for kind, title in KINDS.items() if kind in found.index}
    lines = {kind: (title, "scenes") for kind, title in {**names, "all": "All scenes"}.items()}
    overall = kinds[kinds["kind"] == "all"].set_index("system")
    return Scenes(
        found=tabulate(found.join(counts(rows)), FOUND, lines=lines),
        overall=tabulate(overall, OVERALL),
        by_kind={title: kind_table(kinds, name, column, names) for name, (title, column) in BY_KIND.items()},
    )


def counts(rows: pd.DataFrame) -> pd.DataFrame:
    """How many scenes, players and playing ones each kind has, and all have together."""
    players = rows[rows["role"] == "player"].drop_duplicates(["scene", "player"])  # of whom each system has a row
    groups = [*rows.groupby("kind"), ("all", rows)]
    numbers = {}
    for kind, own in groups:
        mine = players[players.index.isin(own.index)]
        playing = int((mine["playing"] == 1).sum())
        numbers[kind] = {"scenes": own["scene"].nunique(), "players": len(mine), "playing": playing}
    return pd.DataFrame.from_dict(numbers, orient="index")


def kind_table(kinds: pd.DataFrame, measure: str, column: Column, names: Mapping[str, str]) -> Table:
    """One measure, a line for each system and a column for each kind of scene, with its interval if it has one."""
    ends = {end: kinds.reindex(columns=["kind", "system", f"{measure}{end}"]) for end in ("", "_low", "_high")}
    wide = pd.concat(
        [
            of.pivot(index="system", columns="kind", values=f"{measure}{end}").add_suffix(end)
            for end, of in ends.items()
        ],
        axis=1,
    ).dropna(how="all")
    columns = {kind: Column(title, column.digits, column.percent, column.sign) for kind, title in names.items()}
    return tabulate(wide, columns)

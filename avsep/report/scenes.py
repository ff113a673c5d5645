"""The scenes: metrics/scenes.csv, scenes_by_kind.csv, scenes_found.csv, scene_examples -> tables, pictures, sounds."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import pydantic
from pydantic import Field

from avsep.errors import InputError
from avsep.report.mixtures import Corners, Deck, Group, Picture, Track, checked, read_picture
from avsep.report.sounds import Recording, Shelf
from avsep.report.tables import COMPARED, Column, Table, decimal, read_table, tabulate
from avsep.report.uris import spectrogram_uri
from avsep.systems import catalogue
from avsep.systems.catalogue import Entry

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
    rows = read_rows(metrics)
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


def read_rows(metrics: Path) -> pd.DataFrame:
    return read_table(metrics / "scenes.csv", ["scene", "kind", "system", "role", "player", "object", "playing"])


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


# --- To look at and to listen to

Stem = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.wav$")]


class ExamplePlayer(pydantic.BaseModel):
    name: str = Field(alias="class")
    stem: Stem | None  # of one who plays
    box: Corners
    object: int | None  # none if the player was missed


class ExampleOther(pydantic.BaseModel):
    what: str
    name: str | None = Field(alias="class")
    stem: Stem


class ExampleObject(pydantic.BaseModel):
    name: str = Field(alias="class")
    confidence: float
    box: Corners
    player: int | None  # none if it is nobody's
    probability: dict[str, float]


class ExampleFile(pydantic.BaseModel):
    """example.json, as stage evaluate_scenes writes it."""

    scene: str
    kind: str
    players: Sequence[ExamplePlayer] = Field(min_length=1)
    others: Sequence[ExampleOther]
    objects: Sequence[ExampleObject]


@dataclass(frozen=True)
class Source:
    """Who or what may sound in a scene: its box, if it is in sight, and a player with its sounds."""

    number: int  # from 1, in its scene
    name: str  # of the class
    state: str  # what is to be said of it
    kind: str  # playing, silent, false, unseen
    box: Corners | None
    found: bool
    deck: Deck

    @property
    def true(self) -> Track | None:
        return next((track for track in self.deck.tracks if track.kind == "reference"), None)

    def estimate(self, system: str) -> Track | None:
        """What a system gives it, or, if that is none, the first that gives anything."""
        given = [track for track in self.deck.tracks if track.kind == "estimate"]
        return next((track for track in given if track.system == system), given[0] if given else None)


@dataclass(frozen=True)
class HeardScene:
    name: str
    title: str
    picture: Picture
    sources: Sequence[Source]

    @property
    def whole(self) -> Track:
        return self.sources[0].deck.tracks[0]


def read_examples(metrics: Path, shelf: Shelf) -> list[HeardScene]:
    """The scenes of metrics/scene_examples, in the order of KINDS. Raises InputError."""
    rows = read_rows(metrics)
    listed = [system for system in catalogue.arranged(set(rows["system"])) if isinstance(system, Entry)]
    systems = [system for system in listed if system.group in COMPARED]
    folders = sorted(path.parent for path in (metrics / "scene_examples").glob("*/example.json"))
    scenes = []
    for folder in folders:
        example = checked(ExampleFile, folder / "example.json", "evaluate_scenes")
        scenes.append((example.kind, _Scene(folder, example, rows, systems, shelf).heard()))
    order = list(KINDS)
    return [
        scene for _, scene in sorted(scenes, key=lambda one: order.index(one[0]) if one[0] in order else len(order))
    ]


class _Scene:
    """A scene, being read."""

    def __init__(
        self, folder: Path, example: ExampleFile, rows: pd.DataFrame, systems: Sequence[Entry], shelf: Shelf
    ) -> None:
        self.folder, self.example, self.systems, self.shelf = folder, example, systems, shelf
        own = rows[rows["scene"] == example.scene]
        self.players = own[own["role"] == "player"].set_index(["system", "player"]).to_dict("index")
        self.false = own[own["role"] == "false"].set_index(["system", "object"]).to_dict("index")
        self.count = 0  # of sources
        self.mixed = self._put("mixture.wav")
        self.loudest = float(self.mixed.decibels.max())

    def heard(self) -> HeardScene:
        sources = [*self._of_players(), *self._of_false_objects(), *self._of_others()]
        picture = read_picture(self.folder / "frame.jpg", "evaluate_scenes")
        return HeardScene(self.example.scene, KINDS.get(self.example.kind, self.example.kind), picture, sources)

    def _of_players(self) -> Iterable[Source]:
        for number, player in enumerate(self.example.players):
            estimates = [] if player.object is None else self._estimates(player.object, self.players, number)
            if player.object is None:
                seen, box = "not found, and given nothing", player.box
            else:
                own = self._object(player.object)
                known = "" if own.name == player.name else f", taken for {own.name}"
                seen, box = f"found{known}", own.box
            state = f"{'plays' if player.stem else 'does not play'}, {seen}"
            kind = "playing" if player.stem else "silent"
            yield self._source(player.name, state, kind, box, player.object is not None, player.stem, estimates)

    def _of_false_objects(self) -> Iterable[Source]:
        for number, one in enumerate(self.example.objects):
            if one.player is None:
                estimates = self._estimates(number, self.false, number)
                yield self._source(one.name, "nobody: a false object", "false", one.box, True, None, estimates)

    def _of_others(self) -> Iterable[Source]:
        for other in self.example.others:
            state = "not in sight" if other.name else "of no instrument"
            yield self._source(other.name or other.what, state, "unseen", None, False, other.stem, [])

    def _source(
        self, name: str, state: str, kind: str, box: Corners | None, found: bool, stem: str | None, own: Sequence[Track]
    ) -> Source:
        tracks = [Track("Mixture", "mixture", self.mixed.url, spectrogram_uri(self.mixed, self.loudest))]
        if stem is not None:
            true = self._put(stem)
            tracks.append(Track("True sound", "reference", true.url, spectrogram_uri(true, self.loudest)))
        self.count += 1
        name_of_deck, title = f"scene-{self.example.scene}-{self.count}", f"Scene {self.example.scene}, {name}"
        deck = Deck(name_of_deck, title, self.mixed.rate, self.mixed.seconds, [Group([*tracks, *own])])
        return Source(self.count, name, state, kind, box, found, deck)

    def _estimates(self, number: int, rows: Mapping[Any, Any], row: int) -> list[Track]:
        """What the systems make of an object. Others' sounds may not be there."""
        probabilities = self._object(number).probability
        tracks = []
        for system in self.systems:
            path = f"object_{number}_{system.name}.wav"
            if system.group == "trained" or (self.folder / path).is_file():
                recording = self._put(path)
                scores = told(rows.get((system.name, float(row)), {}), probabilities.get(system.name))
                picture = spectrogram_uri(recording, self.loudest)
                tracks.append(Track(system.title, "estimate", recording.url, picture, system.name, scores))
        return tracks

    def _object(self, number: int) -> ExampleObject:
        if not 0 <= number < len(self.example.objects):
            path = self.folder / "example.json"
            raise InputError(f"{path}: there is no object {number}: run `dvc repro evaluate_scenes`")
        return self.example.objects[number]

    def _put(self, name: str) -> Recording:
        path = self.folder / name
        return self.shelf.put(path, self.folder.name, path.stem)


def told(row: Mapping[str, Any], probability: float | None) -> str:
    """A source's scores in words: what applies of them."""
    words = []
    for column, name, sign in (("snri", "SNRi", True), ("snr", "SNR", False), ("leakage_db", "leakage", False)):
        value = row.get(column, math.nan)
        if not math.isnan(value) and (column != "snr" or math.isnan(row.get("snri", math.nan))):
            words.append(f"{name} {decimal(value, 1, sign)} dB")
    if probability is not None:
        words.append(f"sounds {decimal(100 * probability, 0)} %")
    return " · ".join(words)

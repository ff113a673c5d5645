"""The test mixtures that are shown with everything: metrics/examples -> pictures, and sounds to switch between."""

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import pandas as pd
import pydantic
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from avsep.errors import InputError
from avsep.files.reading import reading
from avsep.report import figures, tables
from avsep.report.sounds import Recording, Shelf
from avsep.report.tables import decimal
from avsep.report.uris import data_uri, mask_uri, png_uri, spectrogram_uri
from avsep.systems.catalogue import Entry

MOST_BYTES = 1 << 28  # of a file that the page shows, unfolded
MOST_PIXELS = 1 << 26
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frame
Model = TypeVar("Model", bound=pydantic.BaseModel)


# --- What stage evaluate has written


class ExampleObject(pydantic.BaseModel):
    """What every object of example.json has."""

    video: str
    name: str = Field(alias="class")
    frame: int
    box: Corners | None
    confidence: float | None
    probability: dict[str, float]


class SilentObject(ExampleObject):
    """B or D."""

    role: Literal["silent"]


class SoundingObject(ExampleObject):
    """A or C."""

    role: Literal["sounding"]


class AskedObject(SoundingObject):
    """A or C where it is asked for with the `view` of its frame that CLIP saw, and with a phrase."""

    phrase: str = Field(min_length=1)
    phrase_confidence: float | None  # of the system that says how sure it is
    view: Corners


class ExampleFile(pydantic.BaseModel):
    """example.json, as stage evaluate writes it; the scores are taken from pairs.csv, where all pairs have theirs."""

    mixture: int
    objects: Mapping[
        Literal["A", "B", "C", "D"], Annotated[SoundingObject | SilentObject, Field(discriminator="role")]
    ] = Field(min_length=4)


class AskedExampleFile(ExampleFile):
    """The same where systems are asked with pictures or phrases."""

    objects: Mapping[
        Literal["A", "B", "C", "D"], Annotated[AskedObject | SilentObject, Field(discriminator="role")]
    ] = Field(min_length=4)


# --- What the page shows of it


@dataclass(frozen=True)
class Picture:
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Attention:
    """A heat map over the part of a picture that it is about: where that lies, and how uneven it is, in percent."""

    title: str  # of the system
    uri: str
    left: float
    top: float
    width: float
    height: float
    highest: float  # of all attention, at one position
    even: float  # at each position, if all had the same


@dataclass(frozen=True)
class Track:
    """One of the sounds that a player switches between: the mixture, the true sound, or what a system makes of it."""

    title: str
    kind: Literal["mixture", "reference", "estimate"]
    url: str
    picture: str  # its spectrogram
    system: str = ""  # of an estimate
    scores: str = ""
    mask: str | None = None
    instead: str = ""  # of a mask


@dataclass(frozen=True)
class Group:
    """Tracks under a heading, which may be none."""

    tracks: Sequence[Track]
    heading: str = ""
    phrase: str = ""  # that the heading ends with
    note: str = ""


@dataclass(frozen=True)
class Deck:
    """A player: sounds of one length that play at once, of which one is heard."""

    name: str  # the page's id of it
    title: str
    rate: int
    seconds: float
    groups: Sequence[Group]

    @property
    def tracks(self) -> list[Track]:
        return [track for group in self.groups for track in group.tracks]


@dataclass(frozen=True)
class SeenObject:
    """One of a mixture's four objects."""

    letter: str
    about: SoundingObject | SilentObject
    picture: Picture
    probabilities: Sequence[tuple[Entry, float]]
    attention: Sequence[Attention]
    deck: Deck


@dataclass(frozen=True)
class Mixture:
    """All that the page shows of one test mixture."""

    number: int
    objects: Sequence[SeenObject]
    nsdr: Mapping[str, float] = field(default_factory=dict)  # system -> the mean of its two sounding objects

    def names(self, role: str) -> list[str]:
        return [seen.about.name for seen in self.objects if seen.about.role == role]


class Reader:
    """Reads mixtures; their sounds go to `shelf`, their scores come from the rows of pairs.csv."""

    def __init__(self, pairs: pd.DataFrame, systems: Iterable[Entry], shelf: Shelf) -> None:
        self.pairs, self.shelf = pairs, shelf
        self.ways: dict[str, list[Entry]] = {"object": [], "picture": [], "phrase": []}
        for system in systems:
            if system.everywhere or system.group in tables.COMPARED:
                self.ways[system.asked].append(system)

    def read(self, folder: Path) -> Mixture:
        """A mixture out of metrics/examples/<number>. Raises InputError that names the file that is missing or
        foreign."""
        example = self._example(folder / "example.json")
        arrays = read_arrays(folder / "arrays.npz")
        own = self.pairs[self.pairs["mixture"] == example.mixture]
        rows = own.set_index(["object", "system"]).to_dict("index")
        mixed = self.shelf.put(folder / "mixture.wav", folder.name, "mixture")
        loudest = float(mixed.decibels.max())
        objects = []
        for letter, about in sorted(example.objects.items()):
            one = _OneObject(self, folder, arrays, rows, letter, about, loudest)
            objects.append(one.seen(example.mixture, mixed))
        sounding = own[own["role"] == "sounding"].groupby("system")["nsdr"].mean().dropna()
        shown = {system.name for of in self.ways.values() for system in of if system.group in tables.COMPARED}
        return Mixture(
            number=example.mixture,
            objects=sorted(objects, key=lambda seen: seen.about.role == "silent"),
            nsdr={str(name): round(float(value), 3) for name, value in sounding.items() if name in shown},
        )

    def _example(self, path: Path) -> ExampleFile:
        kind = AskedExampleFile if self.ways["picture"] or self.ways["phrase"] else ExampleFile
        return checked(kind, path, "evaluate")


class _OneObject:
    """An object of a mixture, being read."""

    def __init__(
        self,
        reader: Reader,
        folder: Path,
        arrays: dict[str, NDArray[np.floating]],
        rows: Mapping[Any, Any],
        letter: str,
        about: SoundingObject | SilentObject,
        loudest: float,
    ) -> None:
        self.ways, self.shelf = reader.ways, reader.shelf
        self.folder, self.arrays, self.rows = folder, arrays, rows
        self.letter, self.about, self.loudest = letter, about, loudest

    def seen(self, number: int, mixed: Recording) -> SeenObject:
        picture = read_picture(self.folder / f"{self.letter}.jpg", "evaluate")
        return SeenObject(
            letter=self.letter,
            about=self.about,
            picture=picture,
            probabilities=[
                (system, self.about.probability[system.name])
                for system in self.ways["object"]
                if system.name in self.about.probability
            ],
            attention=[
                attention(self.folder, self.arrays, self.letter, self.about, picture, s) for s in self._looking()
            ],
            deck=Deck(
                name=f"mixture-{number}-{self.letter}",
                title=f"Mixture {number}, {self.about.name}",
                rate=mixed.rate,
                seconds=mixed.seconds,
                groups=[group for group in self._groups(mixed) if group.tracks],
            ),
        )

    def _looking(self) -> list[Entry]:
        return [system for system in self.ways["picture"] if system.looks] if self._asked() else []

    def _asked(self) -> bool:
        return isinstance(self.about, AskedObject)

    def _groups(self, mixed: Recording) -> Iterable[Group]:
        """The mixture and what it is made of; the systems that are asked with an object, and, if it sounds, those that
        are asked otherwise."""
        whole = Track("Mixture", "mixture", mixed.url, spectrogram_uri(mixed, self.loudest), instead="all of it")
        if isinstance(self.about, SilentObject):
            shown = [
                system
                for system in self.ways["object"]
                if system.grounds and (system.group == "trained" or self._wav(system).is_file())
            ]
            yield Group([whole, *map(self._estimate, shown)])
            return
        target = mask_uri(take(self.arrays, f"target_{self.letter}", self.folder))
        path = self.folder / f"{self.letter}_reference.wav"
        true = self.shelf.put(path, self.folder.name, path.stem)
        reference = Track("True sound", "reference", true.url, spectrogram_uri(true, self.loudest), mask=target)
        yield Group([whole, reference, *map(self._estimate, self.ways["object"])])
        if isinstance(self.about, AskedObject):
            yield Group(list(map(self._estimate, self.ways["picture"])), heading="Asked with the picture")
            yield Group(list(map(self._estimate, self.ways["phrase"])), heading="Asked with", phrase=self.about.phrase)

    def _wav(self, system: Entry) -> Path:
        return self.folder / f"{self.letter}_{system.name}.wav"

    def _estimate(self, system: Entry) -> Track:
        """What a system makes of the mixture for the object."""
        mask, target = (
            self.arrays.get(name) for name in (f"mask_{system.name}_{self.letter}", f"target_{self.letter}")
        )
        ideal = mask is not None and target is not None and np.array_equal(mask, target)
        path = self._wav(system)
        recording = self.shelf.put(path, self.folder.name, path.stem)
        return Track(
            title=system.title,
            kind="estimate",
            url=recording.url,
            picture=spectrogram_uri(recording, self.loudest),
            system=system.name,
            scores=told(self.rows.get((self.letter, system.name), {}), self.about.role, system.asked),
            mask=None if mask is None or ideal else mask_uri(mask),
            instead="the true sound's mask" if ideal else "no mask: it gives a sound",
        )


def told(row: Mapping[str, Any], role: str, asked: str) -> str:
    """An object's scores in words; of a row that is not there, nothing."""
    if not row:
        return ""
    if role == "silent":
        return f"leakage {decimal(row['leakage_db'])} dB" + (" · muted" if row["muted"] == 1 else "")
    nsdr = f"NSDR {decimal(row['nsdr'], 1, True)}"
    if asked != "object":
        return f"{nsdr} · SI-SDRi {decimal(row['si_sdri'], 1, True)}"
    others = " · ".join(f"{score.upper()} {decimal(row[score])}" for score in ("sdr", "sir", "sar"))
    return f"{nsdr} · {others}" + (" · muted by grounding" if row["muted"] == 1 else "")


def attention(
    folder: Path,
    arrays: dict[str, NDArray[np.floating]],
    letter: str,
    about: SoundingObject | SilentObject,
    picture: Picture,
    system: Entry,
) -> Attention:
    """Where in an object's picture a system finds the sound that it separated. Raises InputError."""
    assert isinstance(about, AskedObject)
    name = f"attention_{system.name}_{letter}"
    shares = take(arrays, name, folder)
    if shares.min(initial=0) < 0 or abs(shares.sum() - 1) > 0.01:  # float16 rounds
        raise InputError(f"{folder / 'arrays.npz'}: {name} holds no shares of 1: run `dvc repro evaluate`")
    x1, y1, x2, y2 = about.view
    if not (-1 < x1 < x2 < picture.width + 1 and -1 < y1 < y2 < picture.height + 1):  # a crop rounds to whole pixels
        raise InputError(
            f"{folder / 'example.json'}: objects.{letter}.view lies not within {letter}.jpg: run `dvc repro evaluate`"
        )
    return Attention(
        title=system.title,
        uri=png_uri(figures.overlay(shares, "inferno")),
        left=100 * x1 / picture.width,
        top=100 * y1 / picture.height,
        width=100 * (x2 - x1) / picture.width,
        height=100 * (y2 - y1) / picture.height,
        highest=100 * float(shares.max()),
        even=100 / shares.size,
    )


# --- Files


def checked(kind: type[Model], path: Path, stage: str) -> Model:
    """A JSON file that `stage` makes. Raises InputError that names what is wrong in it."""
    try:
        return kind.model_validate(tables.read_json(path))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}: run `dvc repro {stage}`") from None


def read_arrays(path: Path) -> dict[str, NDArray[np.floating]]:
    """Named planes of a .npz file: (F, T), or (rows, columns) of a picture. Raises InputError."""
    with reading(path, "archive of arrays", "run `dvc repro evaluate`"):
        with zipfile.ZipFile(path) as archive:
            if (size := sum(member.file_size for member in archive.infolist())) > MOST_BYTES:
                raise ValueError(f"it unfolds to {size:,} bytes, and {MOST_BYTES:,} are read at most")
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name].astype(np.float32) for name in held.files}
    for name, array in arrays.items():
        if array.ndim != 2 or not np.isfinite(array).all():
            raise InputError(f"{path}: {name} is no finite plane: run `dvc repro evaluate`")
    return arrays


def take(arrays: dict[str, NDArray[np.floating]], name: str, folder: Path) -> NDArray[np.floating]:
    if name not in arrays:
        raise InputError(f"{folder / 'arrays.npz'} has no {name}: run `dvc repro evaluate`")
    return arrays[name]


def read_picture(path: Path, stage: str) -> Picture:
    """A JPEG that `stage` makes, as it is, with its size in pixels. Raises InputError."""
    with reading(path, "JPEG", f"run `dvc repro {stage}`", most=MOST_BYTES):
        content = path.read_bytes()
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, and {MOST_PIXELS:,} are read at most")
            image.load()
    return Picture(data_uri("image/jpeg", content), *image.size)

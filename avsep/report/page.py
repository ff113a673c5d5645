"""The page: one HTML file that holds its pictures and sounds, asks for nothing from a network and runs no script."""

import base64
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
import numpy as np
import pandas as pd
import pydantic
import soundfile
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from avsep.errors import InputError
from avsep.files.reading import reading, refusing
from avsep.report import figures, tables
from avsep.report.charts import GATES, Charts
from avsep.report.measured import ACCEPTED, MORE_SOURCES, Measured
from avsep.report.scenes import Scenes
from avsep.systems.catalogue import Entry

# Sections, each a template of that name -> their titles.
CONTENTS = {
    "separation": "Separation",
    "grounding": "Grounding",
    "silence": "Silence",
    "phrases": "Phrases",
    "places": "Where the sound is",
    "sources": "More sources",
    "scenes": "Scenes",
    "mixtures": "Look and listen",
    "classes": "By class",
    "training": "Training",
    "data": "Data",
    "words": "How to read this",
}
AGAIN = "run `dvc repro evaluate`"
MOST_BYTES = 1 << 28  # of a file that the page shows, unfolded
MOST_PIXELS = 1 << 26
SOUNDS = {"mixture": "mixtures", "solo": "solo sound"}

Corners = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the frame


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


@dataclass(frozen=True)
class Sound:
    """What can be heard of an object: its reference, or what one system makes of the mixture."""

    title: str
    audio: str
    mask: str | None
    scores: dict[str, Any]
    instead: str = ""  # of a mask


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
class Asked:
    """What is made of the mixture by the systems that are asked for an object with a picture, and with a phrase."""

    attention: list[Attention]
    by_picture: list[Sound]
    by_phrase: list[Sound]

    @property
    def rows(self) -> int:
        """Of the two columns that stand beside each other: a title, what is asked with, a line, and each sound."""
        return 3 + max(len(self.by_picture), len(self.by_phrase))


@dataclass(frozen=True)
class SeenObject:
    """One of a mixture's four objects: its picture, what grounding says of it, its sounds, and, if it sounds and there
    are systems that are asked otherwise, theirs."""

    letter: str
    about: SoundingObject | SilentObject
    picture: Picture
    probabilities: list[tuple[Entry, float]]
    sounds: list[Sound]
    asked: Asked | None


@dataclass(frozen=True)
class Mixture:
    """All that the page shows of one test mixture."""

    number: int
    audio: str
    spectrogram: str
    objects: list[SeenObject]

    def names(self, role: str) -> list[str]:
        return [seen.about.name for seen in self.objects if seen.about.role == role]


def read_mixture(folder: Path, pairs: pd.DataFrame, systems: Iterable[Entry]) -> Mixture:
    """A mixture out of metrics/examples/<number>, with `systems`, of which `pairs` has rows. Raises InputError that
    names the file that is missing or foreign."""
    path = folder / "example.json"
    ways: dict[str, list[Entry]] = {"object": [], "picture": [], "phrase": []}
    for system in systems:
        if system.everywhere or system.group in tables.COMPARED:
            ways[system.asked].append(system)
    kind = AskedExampleFile if ways["picture"] or ways["phrase"] else ExampleFile
    try:
        example = kind.model_validate(tables.read_json(path))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}: run `dvc repro evaluate`") from None
    arrays = read_arrays(folder / "arrays.npz")
    rows = pairs[pairs["mixture"] == example.mixture].set_index(["object", "system"]).to_dict("index")
    spectrogram = take(arrays, "mixture", folder)
    objects = []
    for letter, about in sorted(example.objects.items()):
        picture = read_picture(folder / f"{letter}.jpg")
        asked = None
        if isinstance(about, AskedObject):
            looking = [system for system in ways["picture"] if system.looks]
            asked = Asked(
                attention=[attention(folder, arrays, letter, about, picture, system) for system in looking],
                by_picture=[estimate(folder, arrays, letter, system, rows) for system in ways["picture"]],
                by_phrase=[estimate(folder, arrays, letter, system, rows) for system in ways["phrase"]],
            )
        said = [(s, about.probability[s.name]) for s in ways["object"] if s.name in about.probability]
        heard = sounds(folder, arrays, letter, about, ways["object"], rows)
        objects.append(SeenObject(letter, about, picture, said, heard, asked))
    return Mixture(
        number=example.mixture,
        audio=sound_uri(folder / "mixture.wav"),
        spectrogram=png_uri(figures.heatmap(spectrogram, float(spectrogram.max()) or 1.0, "magma")),
        objects=sorted(objects, key=lambda seen: seen.about.role == "silent"),
    )


def sounds(
    folder: Path,
    arrays: dict[str, NDArray[np.floating]],
    letter: str,
    about: SoundingObject | SilentObject,
    systems: Sequence[Entry],
    rows: Mapping[Any, Any],
) -> list[Sound]:
    """What can be heard of an object, from its reference to the last of `systems`, which are asked with an object: of
    a silent one, of those that say who sounds. Others' sounds may be of sounding objects alone."""
    if about.role == "silent":
        shown = [s for s in systems if s.grounds and (s.group == "trained" or (folder / wav_of(letter, s)).is_file())]
        return [estimate(folder, arrays, letter, system, rows) for system in shown]
    target = mask_uri(take(arrays, f"target_{letter}", folder))
    reference = Sound("Reference", sound_uri(folder / f"{letter}_reference.wav"), target, {})
    return [reference, *(estimate(folder, arrays, letter, system, rows) for system in systems)]


def wav_of(letter: str, system: Entry) -> str:
    return f"{letter}_{system.name}.wav"


def estimate(
    folder: Path, arrays: dict[str, NDArray[np.floating]], letter: str, system: Entry, rows: Mapping[Any, Any]
) -> Sound:
    """What a system makes of the mixture for an object."""
    mask, target = (arrays.get(name) for name in (f"mask_{system.name}_{letter}", f"target_{letter}"))
    ideal = mask is not None and target is not None and np.array_equal(mask, target)
    return Sound(
        title=system.title,
        audio=sound_uri(folder / wav_of(letter, system)),
        mask=None if mask is None or ideal else mask_uri(mask),
        scores=rows.get((letter, system.name), {}),
        instead="the target mask above" if ideal else "no mask: it gives a sound",
    )


def attention(
    folder: Path,
    arrays: dict[str, NDArray[np.floating]],
    letter: str,
    about: AskedObject,
    picture: Picture,
    system: Entry,
) -> Attention:
    """Where in an object's picture a system finds the sound that it separated. Raises InputError."""
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


def read_arrays(path: Path) -> dict[str, NDArray[np.floating]]:
    """Named planes of a .npz file: (F, T), or (rows, columns) of a picture. Raises InputError."""
    with reading(path, "archive of arrays", AGAIN):
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


def read_picture(path: Path) -> Picture:
    """A JPEG as it is, with its size in pixels. Raises InputError."""
    content = read_bytes(path)
    with refusing(f"{path} is no JPEG", AGAIN), Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        if image.width * image.height > MOST_PIXELS:
            raise ValueError(f"{image.width} x {image.height} pixels, and {MOST_PIXELS:,} are read at most")
        image.load()
    return Picture(data_uri("image/jpeg", content), *image.size)


def sound_uri(path: Path) -> str:
    """A wav file as it is. Raises InputError."""
    content = read_bytes(path)
    with refusing(f"{path} is no wav file", AGAIN):
        soundfile.info(io.BytesIO(content))
    return data_uri("audio/wav", content)


def read_bytes(path: Path) -> bytes:
    with reading(path, "file of the page", AGAIN, most=MOST_BYTES):
        return path.read_bytes()


def mask_uri(mask: NDArray[np.floating]) -> str:
    return png_uri(figures.heatmap(mask, 1.0, "viridis"))


def png_uri(content: bytes) -> str:
    return data_uri("image/png", content)


def data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def render(
    *,
    leaks: Sequence[str],
    measured: Measured,
    charts: Charts,
    scenes: Scenes | None,
    mixtures: Sequence[Mixture],
    ticks: Sequence[figures.Tick],
    rejected: pd.DataFrame,
    stages: Mapping[str, Sequence[tuple[str, Any]]],
) -> str:
    """The whole page. `leaks`: sentences on the videos that splits share. `charts` are SVG; all else is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    absent = {
        *(() if measured.grounded else ("grounding", "silence")),
        *(() if measured.headline.sure else ("phrases",)),
        *(() if charts.training else ("training",)),
    }
    environment.filters.update(decimal=tables.decimal, plain=tables.plain, written=tables.written, bare=tables.bare)
    environment.filters["variable"] = figures.variable
    return environment.get_template("page.html").render(
        contents={section: title for section, title in CONTENTS.items() if section not in absent},
        palette=figures.palette((*measured.systems.values(), *charts.lines())),
        score_names=tables.SCORES,
        sounds=SOUNDS,
        gate_names=GATES,
        accepted_names=ACCEPTED,
        source_names=MORE_SOURCES,
        leaks=leaks,
        headline=measured.headline,
        marked=any(cell.best for line in measured.means.lines for cell in line.cells),
        measured=measured,
        charts=charts,
        scenes=scenes,
        mixtures=mixtures,
        ticks=ticks,
        rejected=rejected,
        stages=stages,
    )

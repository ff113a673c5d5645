"""index.html of a separated file: to look at and to listen to, in any browser, from the disk, without a network.

The video plays without its sound; the sounds play beside it, all at once and all but the chosen ones muted, so that a
choice is heard without a gap.  What is played lies in `page/`, in formats that every browser and phone knows.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from avsep.files.whole import write_text
from avsep.separating.picturing import colour_of
from avsep.separating.separation import Sound

COLUMNS, ROWS = 1600, 112  # of a spectrogram's picture, at most
LOWEST = 40.0  # Hz
RANGE_DB = 75.0  # below the loudest of all that are drawn
SECONDS = 0.09  # of what is transformed at once
GREY = "#8b939e"  # of the residual
REASONS = {"gate": "not heard", "quiet": "silence"}


class Drawing:
    """A sound's spectrogram as a picture, drawn while it streams; of a long one each column is a mean."""

    def __init__(self, rate: int, seconds: float) -> None:
        self.rate, self.size = rate, 1 << max(6, round(np.log2(SECONDS * rate)))
        self.step = self.size // 4  # samples from one transform to the next
        self.columns = max(1, min(COLUMNS, int(seconds * rate / self.step) + 1))
        self.column = max(self.step, seconds * rate / self.columns)
        if self.column > 2 * self.size:
            self.step = self.size
        hertz = np.fft.rfftfreq(self.size, 1 / rate)
        edges = np.geomspace(LOWEST, rate / 2, ROWS + 1)
        rows = np.searchsorted(edges, hertz, side="right") - 1
        self.bands = np.zeros((ROWS, len(hertz)), np.float32)
        inside = (rows >= 0) & (rows < ROWS)
        self.bands[rows[inside], np.flatnonzero(inside)] = 1
        for row in np.flatnonzero(self.bands.sum(1) == 0):  # narrower than a bin: the nearest one
            self.bands[row, np.abs(hertz - np.sqrt(edges[row] * edges[row + 1])).argmin()] = 1
        self.bands /= self.bands.sum(1, keepdims=True)
        self.power = np.zeros((ROWS, self.columns))
        self.count = np.zeros(self.columns)
        self._rest = np.zeros(self.size // 2, np.float32)
        self._at = 0  # the sample in the middle of the next transform

    def add(self, samples: NDArray[np.float32]) -> None:
        """Takes in samples (n,), which follow those before."""
        wave = np.concatenate([self._rest, samples])
        if len(wave) >= self.size:
            frames = np.lib.stride_tricks.sliding_window_view(wave, self.size)[:: self.step]
            power = np.abs(np.fft.rfft(frames * np.hanning(self.size).astype(np.float32))) ** 2  # (K, F)
            middles = self._at + self.step * np.arange(len(frames))
            columns = np.minimum((middles / self.column).astype(int), self.columns - 1)
            np.add.at(self.power.T, columns, power @ self.bands.T)
            np.add.at(self.count, columns, 1)
            self._at += self.step * len(frames)
            wave = wave[self.step * len(frames) :]
        self._rest = wave

    def decibels(self) -> NDArray[np.float64]:
        """(ROWS, columns), the lowest frequency first."""
        return 10 * np.log10(self.power / np.maximum(self.count, 1) + 1e-12)

    def save(self, path: Path, loudest: float) -> None:
        """Writes the picture; `loudest`, in dB, is the brightest that it may hold."""
        from matplotlib import colormaps  # here, since importing it takes a second

        levels = np.clip(1 + (self.decibels() - loudest) / RANGE_DB, 0, 1)
        picture = Image.fromarray(np.round(levels[::-1] * 255).astype(np.uint8))
        palette = np.round(colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
        picture.putpalette(palette.tobytes())
        picture.save(path, optimize=True)


def write_page(folder: Path, told: dict[str, Any], sounds: Sequence[Sound], drawings: Sequence[Drawing]) -> None:
    """Writes `folder`/index.html and the spectrograms; sounds and video lie in `folder`/page already."""
    loudest = max(float(drawing.decibels().max()) for drawing in drawings)
    entries = [*told["sounds"], {"number": 0, "name": "residual", **told["residual"]}]
    tracks = []
    looked = [*(sound.looks for sound in sounds), None]
    for entry, drawing, looks in zip(entries, drawings, looked, strict=True):
        stem = entry["file"].removesuffix(".wav")
        drawing.save(folder / "page" / f"{stem}.png", loudest)
        tracks.append(
            {
                "number": entry["number"],
                "name": entry["name"].replace("_", " "),
                "colour": colour_of(entry["number"]) if entry["number"] else GREY,
                "sound": f"page/{stem}.m4a",
                "picture": f"page/{stem}.png",
                "wav": entry["file"],
                "video": entry.get("video"),
                "probability": entry.get("probability"),
                "heard": entry.get("heard"),
                "looks": None if looks is None else base64.b64encode(looks.tobytes()).decode(),
                "windows": [[one["probability"], one["muted"]] for one in entry.get("windows", [])],
                "boxes": entry.get("boxes", []),
            }
        )
    data = {
        "tracks": tracks,
        "picture": told["picture"],
        "fps": told["fps"],
        "seconds": told["seconds"],
        "starts": told["windows"],
        "window": told["networks"]["window_seconds"],
        "reasons": REASONS,
        "grid": next((list(looks.shape[1:]) for looks in looked if looks is not None), None),
    }
    loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.get_template("sounds.html")
    text = template.render(told=told, tracks=tracks, data=data, lowest=LOWEST, highest=told["rate"] / 2)
    write_text(folder / "index.html", text)

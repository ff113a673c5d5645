"""The files of a scene: `<name>.mp4`, what is true of it in `<name>.truth.json`, and its stems in the folder `<name>`.

A stem is the sound of one source as it is in the video, mono: all stems of a scene sum to its sound.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly

from avsep.errors import InputError
from avsep.files.paths import inside
from avsep.files.reading import read_json, reading, refusing
from avsep.files.whole import write_json
from avsep.media.sounds import RATES
from avsep.media.wav import Wave

BoxArray = NDArray[np.float64]  # (..., 4): x1, y1, x2, y2 in pixels


@dataclass(frozen=True)
class Player:
    """One who is in sight, with an instrument."""

    category: str
    stem: str | None  # the file of what is heard of it; None: it does not play
    gain: float | None  # on the sound as it was rendered
    boxes: BoxArray  # (frames, 4): of the instrument, in each frame of the video

    @property
    def playing(self) -> bool:
        return self.stem is not None


@dataclass(frozen=True)
class Other:
    """A sound that no object in sight makes."""

    what: str  # offscreen or noise
    category: str | None  # of an instrument off the screen
    stem: str
    gain: float


@dataclass(frozen=True)
class Truth:
    """All that is known of a scene."""

    name: str
    kind: str
    fps: int  # frames per second of the video
    seconds: float
    players: tuple[Player, ...]
    others: tuple[Other, ...]

    def stems(self) -> Iterator[str]:
        """The files of all that is heard."""
        yield from (player.stem for player in self.players if player.stem is not None)
        yield from (other.stem for other in self.others)

    def boxes_at(self, frames: int, fps: int) -> BoxArray:
        """The players' boxes in each of `frames` frames that were taken `fps` a second: (players, frames, 4)."""
        seconds = (np.arange(frames) + 0.5) / fps
        numbers = np.minimum((seconds * self.fps).astype(int), len(self.players[0].boxes) - 1)
        return np.stack([player.boxes[numbers] for player in self.players])


def video_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.mp4"


def write_truth(folder: Path, truth: Truth) -> None:
    """Writes `<name>.truth.json`, whole or not at all."""
    values = {
        "kind": truth.kind,
        "fps": truth.fps,
        "seconds": truth.seconds,
        "players": [
            {"class": p.category, "stem": p.stem, "gain": p.gain, "boxes": np.round(p.boxes, 1).tolist()}
            for p in truth.players
        ],
        "others": [{"what": o.what, "class": o.category, "stem": o.stem, "gain": o.gain} for o in truth.others],
    }
    write_json(_truth_path(folder, truth.name), values)


def read_truth(folder: Path, name: str) -> Truth:
    """Reads `<name>.truth.json`. Raises InputError."""
    path = _truth_path(folder, name)
    again = "run stage scenes again"
    values: dict[str, Any] = read_json(path, again)
    with refusing(f"{path} does not tell what is in the scene", again):
        players = tuple(
            Player(p["class"], p["stem"], p["gain"], np.array(p["boxes"], dtype=np.float64)) for p in values["players"]
        )
        others = tuple(Other(o["what"], o["class"], o["stem"], o["gain"]) for o in values["others"])
        truth = Truth(name, values["kind"], values["fps"], values["seconds"], players, others)
        for player in players:
            if player.boxes.ndim != 2 or player.boxes.shape[1] != 4 or not np.isfinite(player.boxes).all():
                raise ValueError(f"boxes of shape {player.boxes.shape}, or not finite")
        if not truth.fps > 0 or not truth.seconds > 0:
            raise ValueError("no frames a second, or no seconds")
        for stem in truth.stems():
            inside(folder / name, stem, str(path))
        return truth


def list_scenes(folder: Path) -> list[str]:
    """The scenes' names, sorted; none if there is none. Raises InputError if the folder is missing."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: run stage scenes")
    return sorted(path.stem for path in folder.glob("*.mp4"))


def shown_classes(folder: Path) -> list[str]:
    """The classes of all that is in sight in the scenes, sorted. Raises InputError."""
    truths = (read_truth(folder, name) for name in list_scenes(folder))
    return sorted({player.category for truth in truths for player in truth.players})


def read_stem(folder: Path, name: str, stem: str, rate: int, samples: int) -> Wave:
    """A stem at `rate` Hz, cut or filled with silence to (samples,). Raises InputError."""
    path = inside(folder / name, stem, str(_truth_path(folder, name)))
    again = "run stage scenes again"
    with reading(path, "sound", again):
        wave, own = soundfile.read(path, dtype="float32")
        if wave.ndim != 1 or not len(wave) or not np.isfinite(wave).all() or not RATES[0] <= own <= RATES[1]:
            raise ValueError(f"{own} Hz, shape {wave.shape}: finite numbers of one channel are needed")
    common = math.gcd(rate, own)
    wave = resample_poly(wave, rate // common, own // common)[:samples].astype(np.float32)
    return np.pad(wave, (0, samples - len(wave)))


def _truth_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.truth.json"

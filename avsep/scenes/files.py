"""The files of a scene: `<name>.mp4`, what is true of it in `<name>.truth.json`, and its stems in the folder `<name>`.

A stem is the sound of one source as it is in the video, mono: all stems of a scene sum to its sound.
"""

import json
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
from avsep.files.whole import write_json
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
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        players = tuple(
            Player(p["class"], p["stem"], p["gain"], np.array(p["boxes"], dtype=np.float64)) for p in values["players"]
        )
        others = tuple(Other(o["what"], o["class"], o["stem"], o["gain"]) for o in values["others"])
        return Truth(name, values["kind"], values["fps"], values["seconds"], players, others)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not tell what is in the scene ({error!r}): run stage scenes again") from None


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
    path = folder / name / stem
    try:
        wave, own = soundfile.read(path, dtype="float32")
    except (soundfile.LibsndfileError, OSError) as error:
        raise InputError(f"{path} is no sound that can be read ({error}): run stage scenes again") from None
    common = math.gcd(rate, own)
    wave = resample_poly(wave, rate // common, own // common)[:samples].astype(np.float32)
    return np.pad(wave, (0, samples - len(wave)))


def _truth_path(folder: Path, name: str) -> Path:
    return folder / f"{name}.truth.json"

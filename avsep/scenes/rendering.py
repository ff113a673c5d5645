"""Scenes of the demo's world: 2 to 4 players in one picture, of whom some do not play, with what is true of them.

They are another world than training's mixtures of solos: players share a room and hide parts of each other, one hears
them all at once, and nobody says how many there are.  A scene is a function of (seed, kind, index) alone.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from avsep.demo import sound
from avsep.demo.instruments import Motion
from avsep.demo.scene import Corners, Scene, random_motion
from avsep.demo.video import move
from avsep.media.ffmpeg import write_video
from avsep.media.wav import write_wav
from avsep.scenes.files import BoxArray, Other, Player, Truth, video_path, write_truth

KINDS = {
    "plain": "players of different classes, of whom at least one does not play",
    "twins": "two players of one class, of whom one or both play, beside others",
    "offscreen": "a plain scene, and an instrument that is heard and not seen",
    "levels": "two play, one of them far quieter than the other",
    "silence": "nobody plays: nothing at all is heard, or a room's noise",
    "noise": "a plain scene with noise over it",
}
ROOMS = (None, -70.0, -45.0)  # dB re full scale: noise of silent scenes in turn; none, a quiet room's, a loud one's
TRIES = 40  # of a scene in which nobody hides another's instrument
HIDDEN = 0.05  # share of an instrument that may be hidden without another try

Stereo = NDArray[np.float64]  # (samples, 2)


class Role(NamedTuple):
    category: str
    plays: bool


@dataclass(frozen=True)
class Rendered:
    """A sound as it was rendered, of which instrument, and how a player who makes it moves."""

    wave: Stereo
    category: str | None = None
    motions: Sequence[Motion] = ()


def render_scene(
    folder: Path,
    kind: str,
    index: int,
    *,
    seed: int,
    classes: Sequence[str],
    players: tuple[int, int],
    seconds: float,
    timbre: float,
    fps: int,
    width: int,
    height: int,
    apart_db: float,
    noise_db: float,
) -> Truth:
    """Writes <folder>/<kind>_<index>.mp4 with its truth and its stems; gives the truth.

    `players`: the least and the most in sight.  `apart_db`: between the two levels of a scene of kind levels.
    `noise_db`: level of the noise re all players' sound, in a scene of kind noise.
    """
    name, frames = f"{kind}_{index:02d}", round(seconds * fps)
    generator = np.random.default_rng([seed, zlib.crc32(f"scene: {kind}".encode()), index])
    casting, music, movement, scenery = generator.spawn(4)
    roles = cast(casting, kind, index, classes, players)
    rendered = perform_all(music, kind, index, roles, classes, seconds, timbre, frames, fps, noise_db)
    waves = {stem: one.wave for stem, one in rendered.items()}
    gains = balance(waves, apart_db if kind == "levels" else None)
    stems = {stem: gains[stem] * wave for stem, wave in waves.items()}

    scene = uncrowded(scenery, width, height, [role.category for role in roles])
    motions = [
        rendered[_stem(number)].motions if role.plays else [at_rest(movement)] * frames
        for number, role in enumerate(roles)
    ]
    mixture = sum(stems.values(), np.zeros((round(seconds * sound.RATE), 2)))
    boxes = film(video_path(folder, name), scene, motions, fps, mixture)
    for stem, wave in stems.items():
        write_wav(folder / name / stem, wave.mean(axis=1), sound.RATE)  # as ffmpeg makes two channels one
    seen = tuple(
        Player(role.category, _stem(number), gains[_stem(number)], own)
        if role.plays
        else Player(role.category, None, None, own)
        for number, (role, own) in enumerate(zip(roles, boxes, strict=True))
    )
    others = tuple(
        Other(what, rendered[f"{what}.wav"].category, f"{what}.wav", gains[f"{what}.wav"])
        for what in ("offscreen", "noise")
        if f"{what}.wav" in rendered
    )
    truth = Truth(name, kind, fps, seconds, seen, others)
    write_truth(folder, truth)
    return truth


def cast(
    rng: np.random.Generator, kind: str, index: int, classes: Sequence[str], players: tuple[int, int]
) -> list[Role]:
    """Who is in sight, in the order of drawing, and who of them plays. Each number of players takes its turn."""
    least, most = players
    count = least + index % (most - least + 1)
    if kind == "twins":
        count = max(count, 3)
    names = [str(name) for name in rng.choice(list(classes), size=count, replace=False)]
    if kind == "twins":
        names[1] = names[0]
        plays = [True, bool(index % 2), True, *[False] * (count - 3)]
    else:
        silent = {"silence": count, "levels": count - 2}.get(kind)
        if silent is None:
            silent = int(rng.integers(1, max(1, count // 2), endpoint=True))
        plays = [number >= silent for number in range(count)]
    roles = [Role(name, play) for name, play in zip(names, plays, strict=True)]
    return [roles[number] for number in rng.permutation(count)]


def perform_all(
    rng: np.random.Generator,
    kind: str,
    index: int,
    roles: Sequence[Role],
    classes: Sequence[str],
    seconds: float,
    timbre: float,
    frames: int,
    fps: int,
    noise_db: float,
) -> dict[str, Rendered]:
    """All that sounds in a scene, by the names of the stems' files, before it is mixed."""
    rendered = {
        _stem(number): perform(rng, role.category, seconds, timbre, frames, fps)
        for number, role in enumerate(roles)
        if role.plays
    }
    if kind == "offscreen":
        unseen = rng.choice(sorted(set(classes) - {role.category for role in roles}))
        rendered["offscreen.wav"] = perform(rng, str(unseen), seconds, timbre, frames, fps)
    level = None  # of noise, dB re full scale
    if kind == "noise":
        level = noise_db + level_db(np.sum([one.wave for one in rendered.values()], axis=0))
    elif kind == "silence":
        level = ROOMS[index % len(ROOMS)]
    if level is not None:
        rendered["noise.wav"] = Rendered(10 ** (level / 20) * coloured_noise(rng, round(seconds * sound.RATE)))
    return rendered


def perform(rng: np.random.Generator, category: str, seconds: float, timbre: float, frames: int, fps: int) -> Rendered:
    """A melody, played, and the movement to it."""
    notes = sound.compose(rng, category, seconds)
    wave = sound.play(rng, category, notes, seconds, timbre).astype(np.float64)
    return Rendered(wave, category, list(move(rng, category, notes, frames, fps)))


def at_rest(rng: np.random.Generator) -> Motion:
    """How one holds still who does not play."""
    return replace(random_motion(rng), strike=0.0, played=True)


def film(path: Path, scene: Scene, motions: Sequence[Sequence[Motion]], fps: int, mixture: Stereo) -> BoxArray:
    """Writes the video of players who move so; gives the instruments' boxes, (players, frames, 4)."""
    boxes: list[list[Corners]] = []

    def pictures() -> Iterator[np.ndarray]:
        for moment in zip(*motions, strict=True):
            picture, instruments, _ = scene.draw(moment)
            boxes.append(instruments)
            yield picture

    write_video(path, pictures(), fps, mixture, sound.RATE)
    return np.array(boxes).transpose(1, 0, 2)


def balance(waves: dict[str, Stereo], apart_db: float | None) -> dict[str, float]:
    """Each sound's gain in the mixture: one over their number, as in training's mixtures, so that nothing clips.

    With `apart_db` the first two are brought to one level, and then the second that much below.
    """
    gains = dict.fromkeys(waves, 1 / max(1, len(waves)))
    if apart_db is not None:
        levels = {stem: level_db(wave) for stem, wave in waves.items()}
        for place, stem in enumerate(waves):
            gains[stem] *= 10 ** ((min(levels.values()) - levels[stem] - place * apart_db) / 20)
    return gains


def coloured_noise(rng: np.random.Generator, samples: int) -> Stereo:
    """Noise of a drawn colour, from white to one that falls by 6 dB an octave, at 0 dB."""
    slope = rng.uniform(0, 1)
    frequency = np.maximum(np.fft.rfftfreq(samples, 1 / sound.RATE), 50)  # Hz; level below
    spectrum = np.fft.rfft(rng.normal(size=(samples, 2)), axis=0) * frequency[:, None] ** -slope
    wave = np.fft.irfft(spectrum, samples, axis=0)
    return wave / 10 ** (level_db(wave) / 20)


def uncrowded(rng: np.random.Generator, width: int, height: int, categories: Sequence[str]) -> Scene:
    """Of some scenes with these players, the first in which no instrument is hidden, or the one with the least."""
    best, least = None, np.inf
    for own in rng.spawn(TRIES):
        scene = Scene(own, width, height, categories)
        _, instruments, players = scene.draw([at_rest(own)] * len(categories))
        covered = hidden(instruments, players)
        if covered < least:
            best, least = scene, covered
        if least <= HIDDEN:
            break
    assert best is not None
    return best


def hidden(instruments: Sequence[Corners], players: Sequence[Corners]) -> float:
    """The largest share of an instrument's box that lies within the box of another instrument, or behind a player."""
    shares = [0.0]
    for one, (x1, y1, x2, y2) in enumerate(instruments):
        others = [box for other, box in enumerate(instruments) if other != one]
        for bx1, by1, bx2, by2 in [*others, *players[one + 1 :]]:
            common = max(0.0, min(x2, bx2) - max(x1, bx1)) * max(0.0, min(y2, by2) - max(y1, by1))
            shares.append(common / ((x2 - x1) * (y2 - y1)))
    return max(shares)


def _stem(number: int) -> str:
    """The file of what is heard of a player."""
    return f"player_{number}.wav"


def level_db(wave: Stereo) -> float:
    """Root mean square of both channels' mean, re full scale: the level at which the networks hear it."""
    return 10 * float(np.log10(np.mean(np.square(wave.mean(axis=1)))))

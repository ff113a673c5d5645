"""One clip of the demo: a scene, music, and a player who moves with it, as a video file with its ground truth.

A clip is a function of (seed, class, index) alone: another class or one more clip changes no other clip's bytes.
"""

import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from avsep.demo import sound
from avsep.demo.instruments import Motion
from avsep.demo.scene import Corners, Scene
from avsep.demo.sound import Note
from avsep.files.whole import write_json
from avsep.media.ffmpeg import write_video


def render_video(
    folder: Path,
    class_name: str,
    index: int,
    *,
    seed: int,
    seconds: float,
    timbre: float,
    fps: int,
    width: int,
    height: int,
) -> Path:
    """Writes <folder>/<id>.mp4 and, beside it, <id>.truth.json; gives the video's path.

    The ground truth: `class`; `notes`, each with onset, duration (seconds), pitch (MIDI) and velocity; and per
    frame the boxes [x1, y1, x2, y2] in pixels of the `instrument` and of the `player` with it.
    """
    path = folder / f"{class_name}_{index:02d}.mp4"
    scenery, music, movement = np.random.default_rng([seed, zlib.crc32(class_name.encode()), index]).spawn(3)
    notes = sound.compose(music, class_name, seconds)
    audio = sound.play(music, class_name, notes, seconds, timbre)
    scene = Scene(scenery, width, height, [class_name])
    instruments: list[Corners] = []
    players: list[Corners] = []

    def frames() -> Iterator[np.ndarray]:
        for motion in move(movement, class_name, notes, round(seconds * fps), fps):
            picture, (instrument,), (player,) = scene.draw([motion])
            instruments.append(instrument)
            players.append(player)
            yield picture

    write_video(path, frames(), fps, audio, sound.RATE)
    truth = {
        "class": class_name,
        "notes": [asdict(note) for note in notes],
        "instrument": [[round(value, 1) for value in box] for box in instruments],
        "player": [[round(value, 1) for value in box] for box in players],
    }
    write_json(path.with_suffix(".truth.json"), truth)
    return path


def move(rng: np.random.Generator, class_name: str, notes: Sequence[Note], frames: int, fps: int) -> Iterator[Motion]:
    """The player's movement to the notes, frame by frame."""
    part = sound.PARTS[class_name]
    beats = sorted({note.onset: note for note in reversed(notes)}.values(), key=lambda note: note.onset)  # chords once
    onsets = [note.onset for note in beats]
    breath, lean, start = rng.uniform(2.5, 5), rng.uniform(2, 6), rng.uniform(0, 2 * np.pi)
    eager = rng.uniform(0.3, 1.0)
    for frame in range(frames):
        time = (frame + 0.5) / fps
        count = bisect_right(onsets, time)
        note = beats[max(count - 1, 0)]
        since = max(0.0, time - note.onset)
        share = min(1.0, since / note.duration)
        stroke = min(1.0, note.duration / 0.8) * (share - 0.5)  # a short note takes a short piece of the bow
        yield Motion(
            bow=0.5 + (stroke if count % 2 else -stroke),
            pitch=(note.pitch - part.low) / (part.high - part.low),
            strike=max(0.0, 1 - since / 0.3) if count > 0 else 0.0,
            bellows=0.5 + 0.5 * np.sin(2 * np.pi * time / breath + start),
            hand=count % 2,
            sway=eager * np.sin(2 * np.pi * time / lean - start),
        )

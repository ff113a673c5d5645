"""What is written of a separated file: a folder, whole or not at all.

`1-violin.wav`, ... and `residual.wav`: 32 bit floats, at the file's rate, with its channels; together they are its
sound.  `objects.json`: what is known of each.  Of a video also `objects.jpg`, its objects outlined, and
`1-violin.mp4`, the video with that sound alone and its box.  `index.html`: all of it to look at and to listen to, with
what it plays in `page/` (avsep/separating/page.py).
"""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from avsep.files.names import safe
from avsep.files.whole import whole_folder, write_json
from avsep.media.ffmpeg import version
from avsep.separating.page import Drawing, write_page
from avsep.separating.picturing import draw_objects, write_compressed, write_shown
from avsep.separating.separation import Separation, Sound
from avsep.separating.streaming import Stream
from avsep.weights.about import own_version

TOLD = "objects.json"
RESIDUAL = "residual"
LARGEST_WAV = 3.9e9  # bytes: what more a plain WAV file cannot tell


def write_folder(separation: Separation, folder: Path, *, videos: bool = True) -> dict[str, Any]:
    """Writes `folder` in place of what lay there, and gives what objects.json tells. Raises InputError."""
    stream, about = separation.stream, separation.stream.kept.about
    names = [f"{number}-{safe(one.name)}" for number, one in enumerate(separation.things, start=1)]
    with whole_folder(folder) as temporary:
        drawings = [Drawing(stream.band.own, about.seconds) for _ in (*names, RESIDUAL)]
        levels = np.zeros(len(drawings))
        length = 0
        large = about.seconds * about.rate * about.channels * 4 > LARGEST_WAV
        with contextlib.ExitStack() as stack:
            files = [
                stack.enter_context(
                    soundfile.SoundFile(
                        temporary / f"{name}.wav",
                        "w",
                        samplerate=about.rate,
                        channels=about.channels,
                        format="RF64" if large else "WAV",
                        subtype="FLOAT",
                    )
                )
                for name in (*names, RESIDUAL)
            ]
            for piece in separation.pieces():
                length += piece.mixture.shape[1]
                parts = [*piece.sounds, piece.residual]
                for place, (file, drawing, part) in enumerate(zip(files, drawings, parts, strict=True)):
                    samples = part.numpy()
                    file.write(samples.T)
                    drawing.add(samples.mean(0))
                    levels[place] += float(np.square(samples, dtype=np.float64).sum())
        for name in (*names, RESIDUAL):
            leave_out_time(temporary / f"{name}.wav")
        sounds = separation.sounds()
        means = levels / max(1, length * about.channels)
        told = _told(separation, sounds, names, length, means.tolist(), videos and separation.size is not None)
        write_json(temporary / TOLD, told)
        _write_shown(separation, temporary, names, sounds, told, drawings, videos)
    return told


def leave_out_time(wav: Path) -> None:
    """Takes the moment of writing out of a WAV file's header, so that the same sound gives the same bytes.

    libsndfile notes it beside the peaks of each channel, in a chunk PEAK: version, time, peaks.
    """
    with wav.open("r+b") as file:
        file.seek(12)  # RIFF, size, WAVE
        while len(head := file.read(8)) == 8 and head[:4] != b"data":
            size = int.from_bytes(head[4:], "little")
            after = file.tell() + size + size % 2
            if head[:4] == b"PEAK":
                file.seek(4, 1)
                file.write(bytes(4))
            file.seek(after)


def _write_shown(
    separation: Separation,
    folder: Path,
    names: list[str],
    sounds: list[Sound],
    told: dict[str, Any],
    drawings: list[Drawing],
    videos: bool,
) -> None:
    """Writes what is to be looked at, and compressed sound for the page."""
    about, size = separation.stream.kept.about, separation.size
    page = folder / "page"
    page.mkdir()
    done, total = 0, len(names) + 1 + (0 if size is None else 1 + (len(names) if videos else 0))

    def tell() -> None:
        nonlocal done
        done += 1
        separation.told("writing", done, total)

    for name in (*names, RESIDUAL):
        write_compressed(page / f"{name}.m4a", folder / f"{name}.wav")
        tell()
    if size is not None:
        pictures = separation.stream.kept.pictures
        draw_objects(folder / "objects.jpg", pictures, separation.things, separation.stream.fps)
        write_shown(page / "video.mp4", about, None, size)
        tell()
        for name, sound in zip(names, sounds, strict=True) if videos else ():
            write_shown(folder / f"{name}.mp4", about, folder / f"{name}.wav", size, sound)
            tell()
    write_page(folder, told, sounds, drawings)


def _told(
    separation: Separation, sounds: list[Sound], names: list[str], length: int, powers: list[float], videos: bool
) -> dict[str, Any]:
    import torch  # its version alone

    stream, about = separation.stream, separation.stream.kept.about
    windows = stream.windows
    samples = windows.samples / stream.hearing.rate
    return {
        "format": 1,
        "file": about.path.name,
        "source": fingerprint(about.path),
        "versions": {"avsep": own_version(), "torch": str(torch.__version__), "ffmpeg": version()},
        "model": separation.model,
        "asked": separation.asks,
        "rate": about.rate,
        "channels": about.channels,
        "seconds": round(length / about.rate, 3),
        "start": about.start,
        "notes": about.notes,
        "picture": None if separation.size is None else separation.size._asdict(),
        "fps": stream.fps,
        "networks": {"rate": stream.hearing.rate, "window_seconds": round(samples, 3), "extend": stream.band.extend},
        "gate": stream.gate,
        "threshold": None if stream.phrases is None else stream.phrases.threshold,
        "unsure": separation.unsure,
        "windows": [round(start / stream.hearing.rate, 3) for start in windows.starts],
        "sounds": [
            {
                "number": one.number,
                "name": one.name,
                "found": one.found,
                "phrase": thing.phrase if one.found == "words" else None,
                "confidence": round(one.confidence, 4),
                "probability": None if one.probability is None else _mean(one.probability, ~one.quiet),
                "heard": _heard(one, stream),
                "level_db": _db(power),
                "file": f"{name}.wav",
                "video": f"{name}.mp4" if videos else None,
                "windows": _windows(one),
                "seen": list(one.seen),
                "boxes": [[round(side) for side in box] for box in one.boxes.tolist()],
            }
            for one, thing, name, power in zip(sounds, separation.things, names, powers, strict=False)
        ],
        "residual": {"file": f"{RESIDUAL}.wav", "level_db": _db(powers[-1])},
    }


def _heard(one: Sound, stream: Stream) -> bool | None:
    """Whether the system takes it to sound in any window; None: it does not say."""
    least = stream.gate if stream.phrases is None else stream.phrases.threshold
    if one.probability is None or least is None:
        return None
    return bool((one.probability[~one.quiet] >= least).any())


def _windows(one: Sound) -> list[dict[str, Any]]:
    """What was said of each window, and why nothing is given there: `quiet`, no sound is heard; `gate`, the probability
    is below the gate."""
    return [
        {
            "probability": None if one.probability is None else round(float(one.probability[place]), 4),
            "muted": ("quiet" if one.quiet[place] else "gate") if one.muted[place] else None,
        }
        for place in range(len(one.muted))
    ]


def _mean(values: Any, where: Any) -> float | None:
    """Of the windows in which something is heard."""
    return round(float(values[where].mean()), 4) if where.any() else None


def _db(power: float) -> float | None:
    """Root mean square re full scale; None for silence."""
    return round(10 * float(np.log10(power)), 2) if power > 0 else None


def fingerprint(path: Path) -> dict[str, int]:
    """What tells a file from another one that took its place."""
    status = path.stat()
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}

"""What it costs to load a sample, beside the published way, and whether that grows with the videos.

    OMP_NUM_THREADS=1 python -m benchmarks.loading

Four videos of noise and of one picture are written, of each length; a sample is their two sounds and twelve pictures,
and the spectra, which the published code computes where it loads.  The published way, told again in our words: each
sound's whole file is read, made mono, brought to 11025 Hz and cut; each frame is a file of its own; the mixture and
four sources, two of them silent, are transformed one by one.  Seconds are the processor's, the median over samples.
What came out stands in docs/performance.md.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import scipy.signal
import soundfile
import torch
from numpy.typing import NDArray
from PIL import Image

from avsep.clips.datasets import ClipReader, TrainingMixtures
from avsep.clips.index import OBJECTS, SOUNDING, Video, video
from avsep.clips.mixtures import hear
from avsep.media import spectrogram
from avsep.media.detections import write_detections
from avsep.media.frames import MEAN, STD, frame_name, pack
from avsep.media.spectrogram import Spectrogram
from avsep.media.wav import write_wav

RATE, SAMPLES, FPS = 11025, 65535, 8
HOW = Spectrogram(n_fft=1022, hop=256, log_bins=256, align_corners=True)
READER = ClipReader(rate=RATE, samples=SAMPLES, fps=1, kept_fps=FPS, count=3, stride=1, resize=246, size=224)


@dataclass(frozen=True)
class Source:
    """The files of four videos, as both ways read them."""

    videos: Sequence[Video]
    sounds: Sequence[Path]  # at the recordings' own rate and channels
    frames: Path  # a folder of pictures
    detections: Path
    seconds: int


@contextmanager
def written(seconds: int, rate: int, channels: int) -> Iterator[Source]:
    """Videos of that length, whose recordings have `rate` and `channels`."""
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root, pictures = Path(folder), Path(folder, "pictures")
        pictures.mkdir()
        coarse = Image.fromarray(random.integers(0, 256, (23, 40, 3), dtype=np.uint8))
        coarse.resize((640, 360), Image.Resampling.BICUBIC).save(root / "one.jpg")  # as smooth as a recording
        for number in range(1, seconds * FPS + 1):
            (pictures / frame_name(number)).hardlink_to(root / "one.jpg")
        rows = np.zeros((seconds * FPS, 7), np.float32)
        rows[:, 0] = np.arange(1, len(rows) + 1)
        rows[:, 1:] = 1, 0.9, 100, 50, 500, 350
        videos, sounds = [], []
        for name in "abcd":
            one = video(root / "data", name, name, seconds * FPS)
            recording = root / f"{name}.wav"
            wave = 0.1 * random.standard_normal((seconds * rate, channels), dtype=np.float32)
            soundfile.write(recording, wave, rate, subtype="PCM_16")
            write_wav(one.audio, 0.1 * random.standard_normal(seconds * RATE).astype(np.float32), RATE)
            pack(pictures, one.frames)
            write_detections(one.detections, rows)
            videos.append(one)
            sounds.append(recording)
        yield Source(videos, sounds, pictures, videos[0].detections, seconds)


def published(source: Source, centre: int) -> None:
    """A sample around a second of each video."""
    waves = [published_sound(path, centre - 0.5) / 2 for path in source.sounds[: len(SOUNDING)]]
    silence = np.zeros(SAMPLES, np.float32)
    for wave in (sum(waves), waves[0], silence, waves[1], silence):
        spectrogram.stft(torch.from_numpy(np.asarray(wave, np.float32)), HOW.n_fft, HOW.hop).abs()
    for _ in OBJECTS:
        rows = np.load(source.detections, allow_pickle=False)
        for frame in (centre - 1, centre, centre + 1):
            published_picture(source.frames / frame_name(frame * FPS), rows[rows[:, 0] == frame * FPS])


def published_sound(path: Path, moment: float) -> NDArray[np.float32]:
    """The window around a moment in seconds, cut from the whole file."""
    whole, rate = soundfile.read(path, dtype="float32", always_2d=True)
    wave = whole.mean(axis=1)
    if rate > RATE:
        ratio = Fraction(RATE, rate)
        wave = scipy.signal.resample_poly(wave, ratio.numerator, ratio.denominator)
    start = int(moment * RATE) - SAMPLES // 2
    window = np.zeros(SAMPLES, np.float32)
    first, last = max(start, 0), min(start + SAMPLES, len(wave))
    window[first - start : last - start] = wave[first:last]
    return window


def published_picture(path: Path, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, 224, 224)."""
    with Image.open(path) as file:
        picture = file.convert("RGB")
    picture = picture.crop(tuple(rows[rows[:, 2].argmax(), 3:].tolist()))
    scale = READER.resize / min(picture.size)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)
    left, top = (picture.width - READER.size) // 2, (picture.height - READER.size) // 2
    picture = picture.crop((left, top, left + READER.size, top + READER.size))
    scaled = (np.asarray(picture, np.float32) / 255 - MEAN) / STD
    return scaled.astype(np.float32).transpose(2, 0, 1)


def ours(source: Source) -> Callable[[int], object]:
    mixtures = TrainingMixtures(
        source.videos,
        READER,
        heard=SOUNDING,
        seen=OBJECTS,
        seed=0,
        stage="loading",
        repeats=1000,
        gain=(0.5, 1.5),
        augment="video",
    )

    def sample(number: int) -> None:
        waves = mixtures[0, number]["waves"]
        hear({name: wave[None] for name, wave in waves.items()}, HOW)

    return sample


def milliseconds(sample: Callable[[int], object], count: int) -> float:
    """The median over samples."""
    times = []
    for number in range(count + 1):
        start = time.process_time()
        sample(number)
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times[1:])  # the first opens files


CASES = ((60, RATE, 1), (300, RATE, 1), (300, 44100, 2))  # seconds, Hz, channels of the recordings


def tell(cases: Sequence[tuple[int, int, int]], count: int) -> None:
    """A table in Markdown."""
    print("| videos | recordings | published, ms | ours, ms | times as fast |\n| --- | --- " + "| ---: " * 3 + "|")
    for seconds, rate, channels in cases:
        with written(seconds, rate, channels) as source:
            own = ours(source)
            middles = np.random.default_rng(1).integers(5, seconds - 5, count + 1)
            theirs = milliseconds(lambda number: published(source, int(middles[number])), count)  # noqa: B023
            mine = milliseconds(own, count)
        print(f"| {seconds} s | {channels} x {rate} Hz | {theirs:.1f} | {mine:.1f} | {theirs / mine:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to load a sample, beside the published way.")
    parser.add_argument("--samples", type=int, default=12)
    tell(CASES, parser.parse_args().samples)


if __name__ == "__main__":
    main()

"""How time and memory grow with the videos, the sources, the window and the objects: a table with fitted exponents.

    OMP_NUM_THREADS=1 LOKY_MAX_CPU_COUNT=1 python -m benchmarks.growth [--most 10000]

Each line measures one thing at several sizes, and fits the exponent e of size^e by least squares of the logarithms; of
small sizes the constant part makes it less than 1.  Seconds are the processor's.  Memory is the most that Python and
numpy held at once beyond what was there before, by tracemalloc, in a second run; torch's is not counted, and stands
as -.  Videos are stood in for as in benchmarks/incremental.py; sounds by landmarks of a thousand different notes.
What came out stands in docs/performance.md.
"""

import argparse
import contextlib
import logging
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from avsep.files.hashes import COARSE
from avsep.media.spectrogram import Spectrogram
from avsep.models.vast import VAST
from avsep.scoring.separation import bss_eval, si_sdr, snr
from avsep.sources.alike import Landmarks, candidates
from benchmarks import incremental
from stages import detect, extract

HOW = Spectrogram(n_fft=1022, hop=256, log_bins=256, align_corners=True)
MARKS = 240  # of a sound of six seconds
LEAST = 0.2  # seconds that are measured, in as many repetitions as it takes

Work = Callable[[], object]


@dataclass(frozen=True)
class Growth:
    """What was measured at several sizes."""

    what: str
    against: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    megabytes: Sequence[float] | None = None

    @property
    def exponent(self) -> float:
        """e of seconds = c * size^e."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])

    def __str__(self) -> str:
        held = "-" if self.megabytes is None else ", ".join(f"{value:.1f}" for value in self.megabytes)
        sizes, times = ", ".join(map(str, self.sizes)), ", ".join(f"{value:.3g}" for value in self.seconds)
        return f"| {self.what} | {self.against} | {sizes} | {times} | {self.exponent:.2f} | {held} |"


def seconds_of(work: Work) -> float:
    """Of the processor, for one repetition."""
    start, count = time.process_time(), 0
    while count == 0 or time.process_time() - start < LEAST:
        work()
        count += 1
    return (time.process_time() - start) / count


def megabytes_of(work: Work) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def grown(what: str, against: str, sizes: Sequence[int], of: Callable[[int], Work], *, memory: bool = True) -> Growth:
    """`of`: what is done at a size, once before it is measured. `memory`: whether numpy's is all that it takes."""
    seconds, held = [], []
    for size in sizes:
        work = of(size)
        work()
        seconds.append(seconds_of(work))
        if memory:
            held.append(megabytes_of(work))
    return Growth(what, against, sizes, seconds, held if memory else None)


def sounds(count: int) -> Work:
    """Searches so many sounds for those that are one recording."""
    random = np.random.default_rng(0)
    marks = []
    for _ in range(count):
        a, b, c = 40 + (random.zipf(1.3, (3, MARKS)) % 200)
        later = random.integers(0, 32, (2, MARKS))
        numbers = (((a * 512 + b) * 512 + c) * 64 + later[0]) * 64 + later[1]
        marks.append(Landmarks(numbers, np.sort(random.integers(0, 130, MARKS)).astype(np.int32)))
    return lambda: candidates(marks)


@contextmanager
def known_videos(count: int) -> Iterator[None]:
    """In a folder where so many videos are extracted and detected."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        incremental.stand_in_for_detector()
        incremental.write_videos(count)
        nothing_new()
        time.sleep(COARSE / 1e9)  # files this new are hashed once more
        nothing_new()
        yield


def nothing_new() -> None:
    extract.main(incremental.EXTRACT)
    detect.main(incremental.DETECT)


def videos(sizes: Sequence[int]) -> Growth:
    """What stages extract and detect take that find nothing to do."""
    seconds, held = [], []
    for size in sizes:
        with known_videos(size):
            start = time.process_time()
            nothing_new()
            seconds.append(time.process_time() - start)
            held.append(megabytes_of(nothing_new))
    return Growth("extract and detect with nothing to do", "videos", sizes, seconds, held)


def projections(count: int) -> Work:
    """Scores so many estimates by BSS-eval, each time of other references."""
    random = np.random.default_rng(0)

    def work() -> object:
        references = random.standard_normal((count, 31752))
        return bss_eval(references, references + 0.1 * random.standard_normal(references.shape))

    return work


def ratios(count: int) -> Work:
    """Scores so many estimates by SI-SDR and SNR, as mixtures of N sources are."""
    true = torch.randn(count, 65535, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return lambda: (si_sdr(2 * true, true), snr(2 * true, true))


def spectra(samples: int) -> Work:
    """Lets a window of so many samples through a mask."""
    wave, mask = torch.randn(1, samples), torch.rand(1, HOW.log_bins, samples // HOW.hop + 1)
    return lambda: HOW.let_through(mask, wave)


def objects(count: int) -> Work:
    """Separates so many objects of one mixture by a small VAST network, and gives each its sound."""
    torch.manual_seed(0)
    network = VAST(1, levels=5, channels=16, embedding=16).eval()
    wave, heard = torch.randn(1, 32767), torch.rand(1, 1, HOW.log_bins, 128) + 0.1
    queries = {str(number): torch.randn(1, 16) for number in range(count)}

    @torch.no_grad()
    def work() -> object:
        masks = network.separate(heard, queries)
        return [HOW.let_through(mask[:, 0], wave) for mask in masks.values()]

    return work


def tell(most: int) -> None:
    """A table in Markdown, with up to `most` videos."""
    print("| what | against | sizes | s | exponent | MB |\n| --- | --- | --- | --- | ---: | --- |")
    sizes = [size for size in (10, 100, 1_000, 10_000) if size <= most]
    print(videos(sizes), flush=True)
    print(grown("the search for one recording", "videos", sizes, sounds), flush=True)
    print(grown("SI-SDR and SNR of a mixture", "sources", (2, 4, 8), ratios, memory=False), flush=True)
    print(grown("BSS-eval of a mixture", "sources", (1, 2, 3), projections), flush=True)
    print(grown("a mask on a window", "samples", (16_383, 65_535, 262_143), spectra, memory=False), flush=True)
    print(grown("separating", "objects", (1, 2, 4, 8, 16), objects, memory=False), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="How time and memory grow, with fitted exponents.")
    parser.add_argument("--most", type=int, default=1_000, help="videos; 10000 take some minutes")
    most = parser.parse_args().most
    logging.disable(logging.WARNING)  # the stand-ins' videos are of classes that no detector has learned
    incremental.stand_in_for_ffmpeg()
    tell(most)


if __name__ == "__main__":
    main()

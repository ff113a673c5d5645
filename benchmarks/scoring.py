"""What it costs to score a test mixture, beside the published way.

    OMP_NUM_THREADS=1 python -m benchmarks.scoring

A mixture of two sounds beside two silent objects, as stage evaluate has it, and what SYSTEMS give of it, of which
GROUNDING mute objects.  The published way is mir_eval's, system by system: each estimate sets up and solves its
references' equations anew, and under the gate all four objects are scored at once.  Seconds are the processor's, the
sounds noise of the colour of music.  What came out stands in docs/performance.md.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence

import mir_eval
import numpy as np
from numpy.typing import NDArray

from avsep.scoring.separation import as_published, bss_eval

SAMPLES = 65535
SYSTEMS, GROUNDING = 16, 2

Waves = NDArray[np.float64]  # (S, L)


def mixture(samples: int) -> Waves:
    """The references of A, B, C and D, of which B and D are silent: (4, L)."""
    noise = np.random.default_rng(0).standard_normal((2, samples))
    loud = np.cumsum(noise, axis=1) - 0.99 * np.cumsum(np.pad(noise, ((0, 0), (1, 0)))[:, :-1], axis=1)
    return np.stack([loud[0], np.zeros(samples), loud[1], np.zeros(samples)]) / 10


def given(references: Waves, systems: int) -> list[Waves]:
    """What each system gives the four: more or less of the other sound, and nothing or a leak to the silent ones."""
    a, _, c, _ = references
    noise = 0.02 * np.random.default_rng(1).standard_normal((systems, 2, len(a)))
    found = []
    for number, share in enumerate(np.linspace(0.05, 0.5, systems)):
        leak = 0.05 * (number % 2) * (a + c)
        found.append(np.stack([a + share * c + noise[number, 0], leak, c + share * a + noise[number, 1], 0 * a]))
    return found


def published(references: Waves, estimates: Sequence[Waves], grounding: int) -> list[Waves]:
    """SDR, SIR, SAR of the sounding objects of each system, then of all four of the grounding ones."""

    def scores(true: Waves, heard: Waves) -> Waves:
        return np.stack(mir_eval.separation.bss_eval_sources(true, heard, compute_permutation=False)[:3])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        plain = [scores(references[::2], own[::2]) for own in estimates]
        return plain + [scores(references + 1e-6, own + 1e-6) for own in estimates[:grounding]]


def ours(references: Waves, estimates: Sequence[Waves], grounding: int) -> list[Waves]:
    plain = [np.stack(bss_eval(references[::2], own[::2])) for own in estimates]
    return plain + [np.stack(as_published(references, own)) for own in estimates[:grounding]]


def tell(samples: int, systems: int, grounding: int) -> None:
    """A table in Markdown."""
    references = mixture(samples)
    estimates = given(references, systems)
    print("| scoring a mixture | s | times as fast |\n| --- | ---: | ---: |")
    first = None
    ways: dict[str, Callable[[Waves, Sequence[Waves], int], list[Waves]]] = {"published": published, "ours": ours}
    for name, way in ways.items():
        start = time.process_time()
        way(references, estimates, grounding)
        seconds = time.process_time() - start
        first = first or seconds
        print(f"| {name} | {seconds:.2f} | {first / seconds:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="What it costs to score a test mixture, beside the published way.")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    tell(parser.parse_args().samples, SYSTEMS, GROUNDING)


if __name__ == "__main__":
    main()

"""Three ways to fool SDR, and the columns that catch them: docs/evaluation.md's table.

    python -m tests.helpers.fooling

Two sources of noise in different bands, 4 s at 11025 Hz, and what is given for one of them.  Functions of a fixed seed.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from avsep.scoring.separation import as_published, gains, measure
from avsep.scoring.silence import leakage_db

RATE = 11025
LENGTH = 4 * RATE

Wave = NDArray[np.float64]  # (L,)


def band(low: float, high: float, seed: int) -> Wave:
    """Noise of the deviation 0.1 between two frequencies, Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(LENGTH))
    frequencies = np.fft.rfftfreq(LENGTH, 1 / RATE)
    wave = np.fft.irfft(spectrum * ((frequencies >= low) & (frequencies < high)), LENGTH)
    return 0.1 * wave / wave.std()


def low_passed(wave: Wave, hertz: float) -> Wave:
    """Through a filter of the first order, 6 dB an octave."""
    frequencies = np.fft.rfftfreq(LENGTH, 1 / RATE)
    return np.fft.irfft(np.fft.rfft(wave) / (1 + 1j * frequencies / hertz), LENGTH)


def delayed(wave: Wave, samples: int) -> Wave:
    return np.concatenate([np.zeros(samples), wave[:-samples]])


def of_a_sounding_object() -> pd.DataFrame:
    """What is given for the first of two sources, and its scores, in dB."""
    wanted, other = band(100, 4000, 0), band(1000, 5000, 1)
    given = {
        "the source": wanted + 1e-6 * other,
        "a hundredth of it": 0.01 * wanted,
        "it, 10 ms late": delayed(wanted, 110),
        "it, dull: low-passed at 300 Hz": low_passed(wanted, 300),
        "the mixture": wanted + other,
        "the other source": other,
    }
    references = np.stack([wanted, other])
    mixed = measure(references, np.stack([wanted + other] * 2))
    rows = []
    for name, wave in given.items():
        scores = measure(references, np.stack([wave, other]))
        all_scores = {**scores, **gains(scores, mixed)}
        rows.append({"given": name, **{m: all_scores[m][0] for m in ("sdr", "sir", "si_sdr", "snr", "snri")}})
    return pd.DataFrame(rows)


def of_a_silent_object() -> pd.DataFrame:
    """What is given to an object that makes no sound, and what the published SDR and leakage say of it, in dB."""
    sources, silence = [band(100, 4000, 0), band(1000, 5000, 1)], np.zeros(LENGTH)
    mixture = sources[0] + sources[1]
    given = {"nothing": silence, "1 % of the mixture": 0.01 * mixture, "all of the mixture": mixture}
    rows = []
    for name, wave in given.items():
        leakage = float(leakage_db(torch.from_numpy(wave), torch.from_numpy(mixture)))
        own = as_published(np.stack([*sources, silence]), np.stack([*sources, wave]))
        rows.append({"given": name, "sdr_as_published": own.sdr[2], "sir_as_published": own.sir[2]})
        rows[-1]["leakage_db"] = leakage
    return pd.DataFrame(rows)


def written(table: pd.DataFrame, highest: float = np.inf) -> str:
    """As it stands in docs/evaluation.md; above `highest` all is the same."""
    lines = ["| " + " | ".join(table.columns) + " |", "| --- |" + " ---: |" * (len(table.columns) - 1)]
    for name, *values in table.itertuples(index=False):
        cells = [f"> {highest:.0f}" if value > highest else f"{value + 0.0:.1f}" for value in np.round(values, 1)]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def pages() -> list[str]:
    """Both tables."""
    return [written(of_a_sounding_object(), 60), written(of_a_silent_object(), 100)]


if __name__ == "__main__":
    print(*pages(), sep="\n\n")

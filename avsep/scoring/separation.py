"""How well a source was separated: SDR, SIR, SAR (BSS-eval v3), SI-SDR, SNR and their improvements, all in dB.

The only module that imports mir_eval, the separation part of which is deprecated since 0.8 and goes in 0.9.
"""

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from mir_eval.separation import bss_eval_sources
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_noise_ratio

from avsep.errors import InputError


class BssEval(NamedTuple):
    """Vincent, Gribonval, Fevotte: Performance measurement in blind audio source separation (2006), version 3."""

    sdr: NDArray[np.float64]  # (S,) signal to distortion
    sir: NDArray[np.float64]  # (S,) signal to interference
    sar: NDArray[np.float64]  # (S,) signal to artefacts


def bss_eval(references: NDArray[np.floating], estimates: NDArray[np.floating]) -> BssEval:
    """Scores estimates (S, L) against references (S, L) in the same order; no permutation is sought.

    Raises InputError if a reference or an estimate is silent throughout, for which the ratios are undefined.
    """
    for kind, waves in (("reference", references), ("estimate", estimates)):
        for source, wave in enumerate(waves):
            if not np.any(wave):
                raise InputError(f"{kind} {source} is silent: BSS-eval is not defined for it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that it is deprecated is known: see above
        sdr, sir, sar, _ = bss_eval_sources(
            references.astype(np.float64), estimates.astype(np.float64), compute_permutation=False
        )
    return BssEval(sdr, sir, sar)


def si_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Scale-invariant SDR (Le Roux et al., ICASSP 2019): waves (..., L) -> (...), mean removed."""
    return scale_invariant_signal_distortion_ratio(estimates, references, zero_mean=True)


def snr(estimates: Tensor, references: Tensor) -> Tensor:
    """Signal to noise ratio, the estimate's difference from the reference being the noise: waves (..., L) -> (...)."""
    return signal_noise_ratio(estimates, references)


SCORES = ("sdr", "sir", "sar", "nsdr", "si_sdr", "si_sdri", "snr", "snri")
GAINS = {"nsdr": "sdr", "si_sdri": "si_sdr", "snri": "snr"}  # over taking the mixture itself


def measure(references: NDArray[np.floating], estimates: NDArray[np.floating]) -> dict[str, NDArray[np.float64]]:
    """SDR, SIR, SAR, SI-SDR and SNR, (S,) each, of estimates (S, L) of the references (S, L).

    Raises InputError as `bss_eval`.
    """
    scores = bss_eval(references, estimates)
    true, given = (torch.from_numpy(waves.astype(np.float64)) for waves in (references, estimates))
    return {**scores._asdict(), "si_sdr": si_sdr(given, true).numpy(), "snr": snr(given, true).numpy()}


def gains(
    scores: Mapping[str, NDArray[np.float64]], mixed: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """NSDR, SI-SDRi and SNRi: what `scores` are above those of the mixture in the place of each estimate, `mixed`."""
    return {gain: scores[score] - mixed[score] for gain, score in GAINS.items() if score in scores}


def as_published(references: NDArray[np.floating], given: NDArray[np.floating]) -> BssEval:
    """Scores (S,) of what all objects of a mixture are given, waves (S, L), of which any may be silent, as CCoL's
    published evaluation has them: 1e-6 is added to every reference and every given wave.

    What silent objects are given is then scored by how constant it is, whatever its loudness: silence given for silence
    has an SDR of about +240 dB, a leak about -20 dB whether it is 1 % or all of the mixture.  Here to be compared with,
    not to be believed.

    All silent references are one constant.  It is taken once: twice it spans nothing more, and leaves the equations
    of BSS-eval without a single solution, as the published evaluation solves them.
    """
    true, heard = (waves.astype(np.float64) + 1e-6 for waves in (references, given))
    silent = np.flatnonzero(~references.any(axis=1))
    scores = np.zeros((3, len(true)))
    for one in silent if len(silent) else (None,):  # each silent object beside all that sound
        own = [source for source in range(len(true)) if source not in silent or source == one]
        scores[:, own] = bss_eval(true[own], heard[own])
    return BssEval(*scores)

"""How well a source was separated: SDR, SIR, SAR (BSS-eval v3), NSDR, SI-SDR and its improvement, all in dB.

The only module that imports mir_eval, the separation part of which is deprecated since 0.8 and goes in 0.9.
"""

import warnings
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


def score_sources(
    references: NDArray[np.floating], estimates: NDArray[np.floating], mixture: NDArray[np.floating]
) -> dict[str, NDArray[np.float64]]:
    """All scores, (S,) each, of estimates (S, L) of the references (S, L) that sum to the mixture (L,).

    `nsdr` and `si_sdri` are what the estimate gains over taking the mixture itself.  Raises InputError as `bss_eval`.
    """
    as_mixture = np.broadcast_to(mixture, references.shape)
    own, mixed = bss_eval(references, estimates), bss_eval(references, as_mixture)
    true = torch.from_numpy(references.astype(np.float64))
    own_si = si_sdr(torch.from_numpy(estimates.astype(np.float64)), true).numpy()
    mixed_si = si_sdr(torch.from_numpy(as_mixture.astype(np.float64)), true).numpy()
    return {
        "sdr": own.sdr,
        "sir": own.sir,
        "sar": own.sar,
        "nsdr": own.sdr - mixed.sdr,
        "si_sdr": own_si,
        "si_sdri": own_si - mixed_si,
    }

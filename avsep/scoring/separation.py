"""How well a source was separated: SDR, SIR, SAR (BSS-eval v3), SI-SDR, SNR and their improvements, all in dB.

BSS-eval is computed as mir_eval 0.8 has it, which the tests hold it to.  There each estimate sets up and solves its
references' equations anew, which takes nearly all of the time; here the estimates of many systems share them.
"""

import functools
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.linalg
import torch
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from torch import Tensor

from avsep.errors import InputError

TAPS = 512  # of the filters that BSS-eval forgives
SURE = 1e-11  # the reciprocal condition from which two ways to solve agree to some 1e-5 of the answer
KEPT = 6  # sets of references whose equations stay in memory: 2 MB for one source, 8 for two, 38 for three

Array = NDArray[np.float64]


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
    true, given = references.astype(np.float64), estimates.astype(np.float64)
    scores = []
    for reference, estimate in zip(true, given, strict=True):
        wanted = _span_of(reference[None]).projected(estimate)
        spanned = wanted if len(true) == 1 else _span_of(true).projected(estimate)
        interference, artefacts = spanned - wanted, np.pad(estimate, (0, TAPS - 1)) - spanned
        scores.append(
            (
                _ratio_db(wanted, interference + artefacts),
                _ratio_db(wanted, interference),
                _ratio_db(spanned, artefacts),
            )
        )
    return BssEval(*np.array(scores).T)


class _Span:
    """All waves that filters of TAPS taps make of references (S, L), of L + TAPS - 1 samples."""

    def __init__(self, references: Array) -> None:
        self.waves = np.pad(references, ((0, 0), (0, TAPS - 1)))
        self.points = 2 ** int(np.ceil(np.log2(self.waves.shape[1])))
        self.spectra = scipy.fft.fft(self.waves, n=self.points, axis=1)
        count = len(references)
        inner = np.empty((count, TAPS, count, TAPS))  # products of all delayed references
        for i in range(count):
            for j in range(i + 1):
                products = self._products(i, self.spectra[j])
                block = scipy.linalg.toeplitz(_at_delays(products), products[:TAPS])
                inner[i, :, j], inner[j, :, i] = block, block.T
        self.inner: Array = inner.reshape(count * TAPS, count * TAPS)

    @functools.cached_property
    def factors(self) -> tuple[Array, Array]:
        """Raises LinAlgWarning if there are none."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", scipy.linalg.LinAlgWarning)
            return scipy.linalg.lu_factor(self.inner)

    @functools.cached_property
    def rounding_decides(self) -> bool:
        """Whether delayed references are all but one another, as a constant's are, or those of a sound that lacks whole
        bands: then another way to solve the same equations gives another answer."""
        try:
            factors, _ = self.factors
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):
            return True
        reciprocal, _ = scipy.linalg.lapack.dgecon(factors, np.linalg.norm(self.inner, 1))
        return bool(reciprocal < SURE)

    def projected(self, estimate: Array) -> Array:
        """The nearest of them to an estimate (L,). Where rounding decides, it is solved as mir_eval does."""
        spectrum = scipy.fft.fft(estimate, n=self.points)
        outer = np.concatenate([_at_delays(self._products(i, spectrum)) for i in range(len(self.waves))])
        try:
            solved_anew = self.rounding_decides
            taps = np.linalg.solve(self.inner, outer) if solved_anew else scipy.linalg.lu_solve(self.factors, outer)
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):  # references that say the same
            taps = np.linalg.lstsq(self.inner, outer)[0]
        filters = taps.reshape(len(self.waves), TAPS)
        made = [fftconvolve(h, wave)[: len(wave)] for h, wave in zip(filters, self.waves, strict=True)]
        return functools.reduce(np.add, made)

    def _products(self, i: int, spectrum: NDArray[np.complex128]) -> Array:
        """Of reference i with a wave, at all delays between them, circular."""
        return np.real(scipy.fft.ifft(self.spectra[i] * np.conj(spectrum)))


def _at_delays(products: Array) -> Array:
    """Those with the reference delayed by 0 to TAPS - 1."""
    return np.concatenate([products[:1], products[-1:-TAPS:-1]])


def _span_of(references: Array) -> _Span:
    return _kept_span(references.tobytes(), references.shape)


@functools.lru_cache(KEPT)
def _kept_span(references: bytes, shape: tuple[int, int]) -> _Span:
    return _Span(np.frombuffer(references).reshape(shape))


def _ratio_db(wave: Array, other: Array) -> float:
    """Of their energies; infinite if the other has none."""
    energy = np.sum(other**2)
    return float(10 * np.log10(np.sum(wave**2) / energy)) if energy else np.inf


def si_sdr(estimates: Tensor, references: Tensor) -> Tensor:
    """Scale-invariant SDR (Le Roux et al., ICASSP 2019): waves (..., L) -> (...), mean removed."""
    given, true = (waves - waves.mean(-1, keepdim=True) for waves in (estimates, references))
    least = torch.finfo(given.dtype).eps  # of torchmetrics' function, whose import takes seconds
    scale = ((given * true).sum(-1, keepdim=True) + least) / ((true**2).sum(-1, keepdim=True) + least)
    return snr(given, scale * true)


def snr(estimates: Tensor, references: Tensor) -> Tensor:
    """Signal to noise ratio, the estimate's difference from the reference being the noise: waves (..., L) -> (...)."""
    least = torch.finfo(estimates.dtype).eps
    noise = references - estimates
    return 10 * torch.log10(((references**2).sum(-1) + least) / ((noise**2).sum(-1) + least))


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

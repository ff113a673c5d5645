"""How well a source was separated: SDR, SIR, SAR (BSS-eval v3), SI-SDR, SNR and their improvements, all in dB.

BSS-eval is computed as mir_eval 0.8 has it, which the tests hold it to.  There each estimate sets up and solves its
references' equations anew, which takes nearly all of the time; here the estimates of many systems share them.
"""

import functools
import hashlib
import math
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.fft
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor

from avsep.errors import InputError

TAPS = 512  # of the filters that BSS-eval forgives
SURE = 1e-11  # the reciprocal condition from which two ways to solve agree to some 1e-5 of the answer
KEPT = 6  # sets of references whose equations stay in memory: 2 MB for one source, 8 for two, 38 for three
ANSWERS = 4  # of a set's last estimates: several systems give an object the same, silence above all

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
    return BssEval(*_scores(references, estimates, range(len(references))).T)


def _scores(references: NDArray[np.floating], estimates: NDArray[np.floating], wanted: Iterable[int]) -> Array:
    """SDR, SIR, SAR of the `wanted` ones of the estimates, (wanted, 3)."""
    for kind, waves in (("reference", references), ("estimate", estimates)):
        for source, wave in enumerate(waves):
            if not np.any(wave):
                raise InputError(f"{kind} {source} is silent: BSS-eval is not defined for it")
    true = [_reference_of(wave.astype(np.float64).tobytes()) for wave in references]
    span = _span_of(*true)
    scores = []
    for source in wanted:
        estimate = _Estimate(estimates[source].astype(np.float64))
        own = _span_of(true[source]).projected(estimate)
        spanned = own if len(true) == 1 else span.projected(estimate)
        interference, artefacts = spanned - own, np.pad(estimate.wave, (0, TAPS - 1)) - spanned
        scores.append(
            (_ratio_db(own, interference + artefacts), _ratio_db(own, interference), _ratio_db(spanned, artefacts))
        )
    return np.array(scores)


class _Reference:
    """A wave (L,) followed by as much silence as filters of TAPS taps reach, and what is computed of it once."""

    def __init__(self, wave: Array) -> None:
        self.wave = np.pad(wave, (0, TAPS - 1))
        self.points = 2 ** int(np.ceil(np.log2(len(self.wave))))
        self.spectrum = scipy.fft.fft(self.wave, n=self.points)
        self._to_filter = scipy.fft.next_fast_len(len(self.wave) + TAPS - 1, real=True)

    @functools.cached_property
    def _filtered(self) -> NDArray[np.complex128]:
        return scipy.fft.rfft(self.wave, self._to_filter)

    def products(self, spectrum: NDArray[np.complex128]) -> Array:
        """With a wave of that spectrum, at all delays between them, circular."""
        return np.real(scipy.fft.ifft(self.spectrum * np.conj(spectrum)))

    def filtered(self, taps: Array) -> Array:
        """By a filter (TAPS,), as scipy.signal.fftconvolve does it, without what follows the wave's end."""
        made = scipy.fft.irfft(scipy.fft.rfft(taps, self._to_filter) * self._filtered, self._to_filter)
        return made[: len(self.wave)]


class _Estimate:
    """A wave (L,) that is scored, and its products with the references, which several sets of them share."""

    def __init__(self, wave: Array) -> None:
        self.wave = wave
        self._spectrum: NDArray[np.complex128] | None = None
        self._outer: dict[_Reference, Array] = {}

    @functools.cached_property
    def key(self) -> bytes:
        """Tells it from other waves."""
        return hashlib.sha256(self.wave.tobytes()).digest()

    def outer(self, reference: _Reference) -> Array:
        """Its products with a reference that is delayed by 0 to TAPS - 1."""
        if reference not in self._outer:
            if self._spectrum is None:
                self._spectrum = scipy.fft.fft(self.wave, n=reference.points)
            self._outer[reference] = _at_delays(reference.products(self._spectrum))
        return self._outer[reference]


class _Span:
    """All waves that filters of TAPS taps make of references, of L + TAPS - 1 samples."""

    def __init__(self, references: Sequence[_Reference]) -> None:
        self.references = references
        self._answers: OrderedDict[bytes, Array] = OrderedDict()

    @functools.cached_property
    def inner(self) -> Array:
        """Products of all delayed references, (S * TAPS, S * TAPS)."""
        count = len(self.references)
        inner = np.empty((count, TAPS, count, TAPS))
        for i, reference in enumerate(self.references):
            for j, other in enumerate(self.references[: i + 1]):
                products = reference.products(other.spectrum)
                block = scipy.linalg.toeplitz(_at_delays(products), products[:TAPS])
                inner[i, :, j], inner[j, :, i] = block, block.T
        return inner.reshape(count * TAPS, count * TAPS)

    @functools.cached_property
    def factors(self) -> tuple[Array, Array]:
        """Raises LinAlgWarning if there are none."""
        with warnings.catch_warnings():
            warnings.simplefilter("error", scipy.linalg.LinAlgWarning)
            return scipy.linalg.lu_factor(self.inner)

    @functools.cached_property
    def norm(self) -> float:
        """Of `inner`: the largest sum of a column's magnitudes."""
        return float(np.linalg.norm(self.inner, 1))

    @functools.cached_property
    def reciprocal(self) -> float:
        """Of `inner`'s condition, in that norm; 0 if there is none."""
        try:
            factors, _ = self.factors
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):
            return 0.0
        return float(scipy.linalg.lapack.dgecon(factors, self.norm)[0])

    @functools.cached_property
    def rounding_decides(self) -> bool:
        """Whether delayed references are all but one another, as a constant's are, or those of a sound that lacks whole
        bands: then another way to solve the same equations gives another answer."""
        if len(self.references) > 1:  # eigenvalues of each one's own equations lie between those of all
            alone = [_span_of(reference) for reference in self.references]
            at_most = min(one.norm * one.reciprocal for one in alone) / max(one.norm for one in alone)
            if math.sqrt(TAPS) * at_most < SURE:  # as far as the norm exceeds an eigenvalue
                return True
        return self.reciprocal < SURE

    def projected(self, estimate: _Estimate) -> Array:
        """The nearest of them to an estimate (L,). Where rounding decides, it is solved as mir_eval does."""
        if estimate.key not in self._answers:
            self._answers[estimate.key] = self._projected(estimate)
            if len(self._answers) > ANSWERS:
                self._answers.popitem(last=False)
        return self._answers[estimate.key]

    def _projected(self, estimate: _Estimate) -> Array:
        outer = np.concatenate([estimate.outer(reference) for reference in self.references])
        try:
            solved_anew = self.rounding_decides
            taps = np.linalg.solve(self.inner, outer) if solved_anew else scipy.linalg.lu_solve(self.factors, outer)
        except (np.linalg.LinAlgError, scipy.linalg.LinAlgWarning):  # references that say the same
            taps = np.linalg.lstsq(self.inner, outer)[0]
        filters = taps.reshape(len(self.references), TAPS)
        return functools.reduce(np.add, (r.filtered(h) for r, h in zip(self.references, filters, strict=True)))


def _at_delays(products: Array) -> Array:
    """Those with the reference delayed by 0 to TAPS - 1."""
    return np.concatenate([products[:1], products[-1:-TAPS:-1]])


@functools.lru_cache(KEPT)
def _reference_of(wave: bytes) -> _Reference:
    return _Reference(np.frombuffer(wave))


@functools.lru_cache(KEPT)
def _span_of(*references: _Reference) -> _Span:
    return _Span(references)


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
    silent = np.flatnonzero(~references.any(axis=1)).tolist()
    scores = np.zeros((3, len(true)))
    for one in silent or (None,):  # each silent object beside all that sound
        own = [source for source in range(len(true)) if source not in silent or source == one]
        # those that sound are scored beside the last silent one
        wanted = own if one is None or one == silent[-1] else [one]
        scores[:, wanted] = _scores(true[own], heard[own], [own.index(source) for source in wanted]).T
    return BssEval(*scores)

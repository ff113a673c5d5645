"""Separation scores with known answers (evaluation.md, 2 and 7)."""

import math
import warnings
from collections.abc import Callable

import mir_eval
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio, signal_noise_ratio

from avsep.errors import InputError
from avsep.scoring import separation
from avsep.scoring.separation import SCORES, BssEval, as_published, bss_eval, gains, measure, si_sdr, snr

L = 4000
FILTER = 512  # taps of BSS-eval version 3's allowed distortion


@pytest.fixture(scope="module")
def sources() -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal((2, L))


def mir_evals(references: NDArray[np.float64], estimates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Its SDR, SIR and SAR, (3, S)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        return np.stack(mir_eval.separation.bss_eval_sources(references, estimates, compute_permutation=False)[:3])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_bss_eval_is_mir_evals(count: int) -> None:
    random = np.random.default_rng(count)
    references = np.cumsum(random.standard_normal((count, L)), axis=1)  # as music: loud where low
    mixing = np.eye(count) + 0.2 * random.standard_normal((count, count))
    for noise in (0.3, 1e-3):
        estimates = mixing @ references + noise * random.standard_normal((count, L))
        np.testing.assert_allclose(bss_eval(references, estimates), mir_evals(references, estimates), atol=1e-6)


def test_bss_eval_is_mir_evals_where_rounding_decides(sources: NDArray[np.float64]) -> None:
    """A constant and its delays span hardly more than itself: what is left of it is 200 dB below,
    and no two computations round it alike."""
    references = np.concatenate([sources, np.zeros((1, L))]) + 1e-6
    for given in (np.zeros(L), 0.1 * sources.sum(0)):
        estimates = np.concatenate([sources + 0.1 * sources[::-1], given[None] + 1e-6])
        np.testing.assert_allclose(bss_eval(references, estimates), mir_evals(references, estimates), atol=0.01)


def test_references_that_say_the_same_have_the_same_scores_as_mir_evals() -> None:
    """Nothing tells them apart: the equations have no single solution, one has the least energy."""
    sparse = np.zeros((2, L))
    sparse[:, 1000] = 1  # an impulse, whose equations are exact: no rounding hides that they are singular
    estimates = sparse + 0.1 * np.random.default_rng(4).standard_normal((2, L))
    np.testing.assert_allclose(bss_eval(sparse, estimates).sdr, mir_evals(sparse, estimates)[0], atol=1e-6)


def test_the_references_of_many_estimates_are_prepared_once(
    sources: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: list[int] = []
    factored = separation.scipy.linalg.lu_factor

    def counted(equations: NDArray[np.float64]) -> object:
        solved.append(len(equations))
        return factored(equations)

    monkeypatch.setattr(separation.scipy.linalg, "lu_factor", counted)
    references = sources + 0.5  # that no other test has
    for share in (0.1, 0.2, 0.3):
        bss_eval(references, references + share * references[::-1])
    assert sorted(solved) == [FILTER, FILTER, 2 * FILTER], "each source alone, and both"


def test_what_the_published_scores_solve_is_solved_once(
    sources: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of four objects, two silent ones: those that sound beside the last of these alone, and the same silence once for
    two systems. That rounding decides is seen without the equations of all."""
    solved: list[int] = []
    factored: list[int] = []

    def counting(told: list[int], function: Callable[..., object]) -> Callable[..., object]:
        def counted(equations: NDArray[np.float64], *others: NDArray[np.float64]) -> object:
            told.append(len(equations))
            return function(equations, *others)

        return counted

    monkeypatch.setattr(separation.np.linalg, "solve", counting(solved, np.linalg.solve))
    monkeypatch.setattr(separation.scipy.linalg, "lu_factor", counting(factored, separation.scipy.linalg.lu_factor))
    silence = np.zeros(L)
    references = np.stack([sources[0] + 0.25, silence, sources[1] + 0.25, silence])  # that no other test has
    for share in (0.1, 0.2):
        as_published(references, np.stack([sources[0], silence, share * sources[1] + sources[0], silence]))
    assert solved.count(3 * FILTER) == 5, "A, B and D, which both give alike, and C of each"
    assert max(factored) == FILTER


def test_scale_and_short_delays_are_forgiven(sources: NDArray[np.float64]) -> None:
    late = np.zeros_like(sources)
    late[:, FILTER - 100 :] = 0.3 * sources[:, : -FILTER + 100]
    for estimates in (sources, 0.01 * sources, -3 * sources):
        scores = bss_eval(sources, estimates)
        assert scores.sdr.min() > 60 and scores.sir.min() > 60 and scores.sar.min() > 60
    ended = np.concatenate([sources[:, :-FILTER], np.zeros((2, FILTER))], 1)  # so that nothing is delayed past the end
    shifted = np.roll(ended, FILTER - 100, axis=1)
    assert bss_eval(ended, shifted).sdr.min() > 60
    too_late = np.roll(np.concatenate([sources[:, :-1000], np.zeros((2, 1000))], 1), 900, axis=1)
    assert bss_eval(sources, too_late).sdr.max() < 10


def test_permuted_estimates_are_wrong(sources: NDArray[np.float64]) -> None:
    """No permutation is sought: to answer with the other object is the mistake that counts."""
    assert bss_eval(sources, sources[::-1]).sir.max() < -5  # 512 taps fit some of any 4000 samples


def test_interference_of_a_known_level(sources: NDArray[np.float64]) -> None:
    estimates = sources + 0.1 * sources[::-1]
    scores = bss_eval(sources, estimates)
    for source in range(2):
        energy = np.sum(sources[source] ** 2) / np.sum((0.1 * sources[1 - source]) ** 2)
        assert scores.sir[source] == pytest.approx(10 * math.log10(energy), abs=1.5)  # the filters fit some of it
    assert scores.sar.min() > 40


def test_artefacts_of_a_known_level(sources: NDArray[np.float64]) -> None:
    noise = np.random.default_rng(1).standard_normal(sources.shape)
    scores = bss_eval(sources, sources + 0.1 * noise)
    np.testing.assert_allclose(scores.sar, 20, atol=2)
    assert scores.sir.min() > scores.sar.max() + 5


@pytest.mark.parametrize("kind", ["reference", "estimate"])
def test_a_silent_source_is_refused_by_name(sources: NDArray[np.float64], kind: str) -> None:
    half_silent = sources.copy()
    half_silent[1] = 0
    given = (half_silent, sources) if kind == "reference" else (sources, half_silent)
    with pytest.raises(InputError, match=f"{kind} 1 is silent"):
        bss_eval(*given)


def test_si_sdr_is_the_closed_formula(sources: NDArray[np.float64]) -> None:
    true = sources - sources.mean(1, keepdims=True)
    raw = true + 0.3 * np.random.default_rng(2).standard_normal(true.shape)
    estimate = raw - raw.mean(1, keepdims=True)
    target = (estimate * true).sum(1, keepdims=True) / (true**2).sum(1, keepdims=True) * true
    expected = 10 * np.log10((target**2).sum(1) / ((estimate - target) ** 2).sum(1))
    found = si_sdr(torch.from_numpy(raw * 7 + 3), torch.from_numpy(sources))  # neither scale nor offset matter
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_si_sdr_and_snr_are_torchmetrics() -> None:
    random = torch.Generator().manual_seed(5)
    for dtype in (torch.float32, torch.float64):
        true = torch.randn(5, 300, generator=random, dtype=dtype) + 0.2
        given = torch.stack([true[0] + 0.1 * true[1], 0 * true[1], true[2], -true[3], 7 * true[4]])
        theirs = scale_invariant_signal_distortion_ratio(given, true, zero_mean=True), signal_noise_ratio(given, true)
        assert torch.equal(si_sdr(given, true), theirs[0]) and torch.equal(snr(given, true), theirs[1])


def test_si_sdr_keeps_leading_axes() -> None:
    waves = torch.randn(2, 3, 100, generator=torch.Generator().manual_seed(0))
    assert si_sdr(waves, waves.flip(-1)).shape == (2, 3)


def test_the_mixture_gains_nothing_over_itself(sources: NDArray[np.float64]) -> None:
    mixed = measure(sources, np.stack([sources.sum(0)] * 2))
    found = gains(mixed, mixed)
    assert set(found) == {"nsdr", "si_sdri", "snri"} and set(mixed) | set(found) == set(SCORES)
    np.testing.assert_array_equal(list(found.values()), 0)
    np.testing.assert_allclose(mixed["si_sdr"], 0, atol=0.5)  # as loud as the other source


def test_gains_are_against_the_mixture_and_sources_keep_their_order(sources: NDArray[np.float64]) -> None:
    sources = sources * np.array([[1.0], [0.1]])
    mixed = measure(sources, np.stack([sources.sum(0)] * 2))
    scores = measure(sources, sources + 1e-3)
    found = gains(scores, mixed)
    np.testing.assert_allclose(found["nsdr"], scores["sdr"] - mixed["sdr"])
    np.testing.assert_allclose(found["si_sdri"], scores["si_sdr"] - mixed["si_sdr"])
    np.testing.assert_allclose(mixed["si_sdr"], [20, -20], atol=0.5)
    np.testing.assert_allclose(mixed["snr"], [20, -20], atol=0.5)


def test_the_published_scores_of_silence_say_nothing_of_loudness(sources: NDArray[np.float64]) -> None:
    silence, mixture = np.zeros(L), sources.sum(0)

    def of_silent(given: NDArray[np.float64]) -> BssEval:
        found = as_published(np.stack([*sources, silence]), np.stack([*sources, given]))
        return BssEval(*(values[2] for values in found))

    assert of_silent(silence).sdr > 200, "muted"
    faint, loud = (of_silent(share * mixture) for share in (0.01, 1.0))
    np.testing.assert_allclose(faint[:2], loud[:2], atol=1e-3)  # a leak of 1 % and of 100 %
    assert loud.sdr < 0 and loud.sir < 0


def test_the_published_scores_are_bss_evals_of_all_objects(sources: NDArray[np.float64]) -> None:
    """Of four objects, two of which are silent, as the published evaluation solves it; SAR within its equations, which
    have no single solution."""
    mixture, silence = sources.sum(0), np.zeros(L)
    noise = 0.05 * np.random.default_rng(3).standard_normal((2, L))
    references = np.stack([sources[0], silence, sources[1], silence])
    given = np.stack([sources[0] + 0.1 * sources[1] + noise[0], 0.1 * mixture, mixture + noise[1], silence])
    theirs = mir_evals(references + 1e-6, given + 1e-6)
    ours = as_published(references, given)
    for found, known in zip(ours, theirs, strict=False):
        np.testing.assert_allclose(found[[0, 2]], known[[0, 2]], atol=0.01)
    np.testing.assert_allclose(np.stack(ours[:2])[:, 1], theirs[:2, 1], atol=0.01)
    assert ours.sdr[3] > 200 and theirs[0][3] > 200 and ours.sir[3] > 100 and theirs[1][3] > 100
    alone = bss_eval(sources, given[[0, 2]])
    np.testing.assert_allclose(ours.sdr[[0, 2]], alone.sdr, atol=1e-3)  # what the others are changes no SDR


def test_without_silent_objects_the_published_scores_are_the_plain_ones(sources: NDArray[np.float64]) -> None:
    given = sources + 0.1 * sources[::-1]
    np.testing.assert_allclose(
        np.stack(as_published(sources, given)[:2]), np.stack(bss_eval(sources, given)[:2]), atol=1e-3
    )


def test_snr_of_known_estimates() -> None:
    wave, other = torch.sin(0.5 * torch.arange(20_000.0)), torch.cos(0.5 * torch.arange(20_000.0))
    estimates = torch.stack([0 * wave, wave + 0.1 * other, wave + other, 0.5 * wave])
    known = torch.tensor([0.0, 20.0, 0.0, 6.0206])
    torch.testing.assert_close(snr(estimates, wave.expand(4, -1)), known, rtol=0, atol=0.01)

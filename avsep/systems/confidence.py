"""How sure VAST is that a phrase's sound is in a mixture.  Ours: the paper always asks for what is there.

Of a phrase p and a mixture m three things are looked at, M(p) being the mask that VAST gives for the phrase:

    share      energy of what M(p) lets through, relative to the mixture's
    separated  near(p, embedding of what M(p) lets through)
    mixture    near(p, embedding of the mixture)
    near(p, s) = sum over captions c of softmax_c(10 cos(p, c)) cos(s, c)

Sounds learned to lie near latent captions, so the captions near the phrase stand for it.  A logistic regression makes
a probability of the three.  It learns on validation's mixtures, each asked for every class: phrases of what sounds and
of what does not weigh alike, so that 0.5 is where both are as likely.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import normalize

from avsep.clips.mixtures import Heard
from avsep.errors import InputError
from avsep.models.vast import VAST

SHARPNESS = 10.0  # of the softmax over captions
PENALTY = 1e-2  # on squared weights: of perfectly separable kinds they would have no end
CONFIDENCE = Path("metrics/evaluate/confidence.json")  # as stage evaluate has calibrated it

Array = NDArray[np.float64]


class Evidence(NamedTuple):
    """Of each mixture and phrase, (B, phrases) each."""

    share: Tensor
    separated: Tensor
    mixture: Tensor


def evidence(network: VAST, heard: Heard, phrases: Tensor, masked: str) -> Evidence:
    """What speaks for each of the phrases (P, Q) in each mixture. `masked`: as VAST.embed takes it."""
    count, mixture = len(heard.mixture), heard.mixture
    masks = network.separate(mixture, {row: phrase.expand(count, -1) for row, phrase in enumerate(phrases)})
    captions = normalize(network.captions, dim=1)  # (V, Q)
    stands_for = (SHARPNESS * normalize(phrases, dim=1) @ captions.T).softmax(1)  # (P, V)

    def near(sound: Tensor, phrase: Tensor) -> Tensor:
        """Of embeddings (B, Q) and rows of `stands_for` (P, V): (B, P)"""
        return normalize(sound, dim=1) @ captions.T @ phrase.T

    energy = mixture.square().sum((1, 2, 3))
    shares = [(mixture * mask).square().sum((1, 2, 3)) / energy for mask in masks.values()]
    separated = [near(network.embed(mixture, mask, masked), stands_for[row : row + 1]) for row, mask in masks.items()]
    whole = near(network.embed(mixture, torch.ones_like(mixture), masked), stands_for)
    return Evidence(torch.stack(shares, 1), torch.cat(separated, 1), whole)


@dataclass(frozen=True)
class Confidence:
    """Evidence (..., 3) -> probabilities (...) that the phrases sound."""

    mean: Array  # (3,)
    deviation: Array  # (3,)
    weights: Array  # (3,), of evidence in deviations from the mean
    bias: float

    def __call__(self, evidence: ArrayLike) -> Array:
        scores = (np.asarray(evidence, np.float64) - self.mean) / self.deviation @ self.weights + self.bias
        return np.exp(-np.logaddexp(0, -scores))


def calibrated(evidence: ArrayLike, sounding: ArrayLike) -> Confidence:
    """The logistic regression of evidence (N, 3) and whether the phrase sounds, (N,).

    Raises ValueError if all phrases sound or none does.
    """
    rows, truth = np.asarray(evidence, np.float64), np.asarray(sounding, bool)
    if truth.all() or not truth.any():
        raise ValueError("confidence is calibrated on phrases of what sounds and of what does not")
    mean, deviation = rows.mean(0), rows.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)  # a constant tells nothing, and divides nothing
    inputs = np.column_stack([(rows - mean) / deviation, np.ones(len(rows))])
    share = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())

    def loss(weights: Array) -> tuple[float, Array]:
        scores = inputs @ weights
        free = np.append(weights[:-1], 0.0)  # the bias
        value = share @ (np.logaddexp(0, scores) - truth * scores) + PENALTY / 2 * free @ free
        slope = share * (np.exp(-np.logaddexp(0, -scores)) - truth)
        return float(value), inputs.T @ slope + PENALTY * free

    found: Any = minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B")
    return Confidence(mean, deviation, found.x[:-1], float(found.x[-1]))


@dataclass(frozen=True)
class PhraseGate:
    """How sure the system that is asked in words is of a phrase.

    Below the threshold nothing is muted: who asks in words gets what the network finds, and is told how sure it is.
    """

    confidence: Confidence
    threshold: float  # the confidence from which a phrase is taken to be heard

    def told(self) -> dict[str, Any]:
        """As plain values."""
        own = self.confidence
        rows = {name: getattr(own, name).tolist() for name in ("mean", "deviation", "weights")}
        return {"threshold": self.threshold, **rows, "bias": own.bias}


def phrase_gate(told: Mapping[str, Any], where: Path) -> PhraseGate:
    """Of what `PhraseGate.told` tells. Raises InputError, naming the file `where`, for anything else."""
    try:
        mean, deviation, weights = (np.array(told[name], np.float64) for name in ("mean", "deviation", "weights"))
        threshold, bias = float(told["threshold"]), float(told["bias"])
        if not all(one.shape == (3,) for one in (mean, deviation, weights)) or (deviation <= 0).any():
            raise ValueError
        if not np.isfinite([*mean, *deviation, *weights, threshold, bias]).all():
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{where} tells no confidence in phrases: run stage evaluate again") from None
    return PhraseGate(Confidence(mean, deviation, weights, bias), threshold)


def read_phrase_gate(path: Path = CONFIDENCE) -> PhraseGate | None:
    """As stage evaluate has calibrated it; None if it has written none. Raises InputError for a damaged file."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        told = {}
    return phrase_gate(told, path)

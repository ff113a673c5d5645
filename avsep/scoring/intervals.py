"""95 % intervals by the bootstrap (Efron, Annals of Statistics 1979), clustered by video.

Rows of one video resemble each other: it sounds in several mixtures, so a resample draws whole videos, with
replacement, and takes all rows of each (Field and Welsh, Journal of the Royal Statistical Society B, 2007).  Every
score here is a function of sums over rows, so that a resample needs each video's sum and not its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.95

Array = NDArray[np.float64]


class Interval(NamedTuple):
    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is significant: the whole interval lies at one side of 0."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Bootstrap:
    """`count` resamples of `clusters` (U different names), the same for everything that is asked of them."""

    clusters: Sequence[str]
    count: int
    seed: int
    weights: Array = field(init=False, repr=False)  # (count, U): how often a resample holds each cluster

    def __post_init__(self) -> None:
        names = len(self.clusters)
        random = np.random.default_rng([self.seed, names])
        drawn = random.multinomial(names, np.full(names, 1 / names), size=self.count)
        object.__setattr__(self, "weights", drawn.astype(np.float64))

    def mean(self, values: ArrayLike, clusters: Sequence[str]) -> Interval:
        """Of the mean of values (N,), each of the cluster beside it; NaNs are left out. NaN if nothing is left."""
        x = np.asarray(values, np.float64)
        there = ~np.isnan(x)
        if not there.any():
            return Interval(np.nan, np.nan, np.nan)
        sums, counts = self._sums(np.where(there, x, 0.0), clusters), self._sums(there, clusters)
        return self._interval(sums.sum() / counts.sum(), _ratio(self.weights @ sums, self.weights @ counts))

    def balanced_accuracy(self, right: ArrayLike, positive: ArrayLike, clusters: Sequence[str]) -> Interval:
        """Of the mean of the shares of positive and of other rows that are `right`, (N,) bool both."""
        hits, truth = np.asarray(right, bool), np.asarray(positive, bool)
        one = [(self._sums(hits & kind, clusters), self._sums(kind, clusters)) for kind in (truth, ~truth)]
        value = np.mean([sums.sum() / counts.sum() for sums, counts in one])
        return self._interval(value, np.mean([_ratio(self.weights @ s, self.weights @ c) for s, c in one], axis=0))

    def roc_auc(self, scores: ArrayLike, positive: ArrayLike, clusters: Sequence[str]) -> Interval:
        """Of the chance that a positive row's score lies above another one's; equal scores count half."""
        x, truth = np.asarray(scores, np.float64), np.asarray(positive, bool)
        above = (np.sign(x[truth, None] - x[None, ~truth]) + 1) / 2  # (positive rows, other rows)
        membership = np.eye(len(self.clusters))[self._places(clusters)]  # (N, U)
        wins = membership[truth].T @ above @ membership[~truth]  # (U, U), of each video's rows over each video's
        yes, no = membership[truth].sum(0), membership[~truth].sum(0)
        drawn = np.einsum("bu,uv,bv->b", self.weights, wins, self.weights, optimize=True)
        pairs = (self.weights @ yes) * (self.weights @ no)
        return self._interval(wins.sum() / (yes.sum() * no.sum()), _ratio(drawn, pairs))

    def _places(self, clusters: Sequence[str]) -> NDArray[np.intp]:
        """The place of each row's cluster among all, (N,). Raises KeyError for another one."""
        at = {name: place for place, name in enumerate(self.clusters)}
        return np.array([at[name] for name in clusters], np.intp)

    def _sums(self, values: NDArray[np.generic], clusters: Sequence[str]) -> Array:
        """Each cluster's sum of values (N,): (U,)."""
        return np.bincount(self._places(clusters), values.astype(np.float64), len(self.clusters)).astype(np.float64)

    def _interval(self, value: float, drawn: Array) -> Interval:
        """Resamples without a single row tell nothing and are left out."""
        low, high = np.nanquantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(float(value), float(low), float(high))


def _ratio(sums: Array, counts: Array) -> Array:
    """NaN where nothing is counted."""
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)

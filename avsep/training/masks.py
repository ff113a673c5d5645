"""The loss of a mask, which all separation is trained by (docs/ccol.md, Losses)."""

from torch import Tensor


def weighted_l1(mask: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1w of each sample, (B,): the mean over bins of weight * |mask - target|, all (B, 1, F, T)."""
    return (weight * (mask - target).abs()).mean((1, 2, 3))

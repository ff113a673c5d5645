"""The losses of a mask, which all separation is trained by (docs/ccol.md, Losses)."""

import torch
from torch import Tensor
from torch.nn import functional


def weighted_l1(mask: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1w of each sample, (B,): the mean over bins of weight * |mask - target|, all (B, 1, F, T)."""
    return (weight * (mask - target).abs()).mean((1, 2, 3))


def weighted_cross_entropy(mask: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """BCEw of each sample, (B,): the mean over bins of weight * binary cross entropy, all (B, 1, F, T) in float32."""
    with in_float32(mask):  # autocast refuses the cross entropy of probabilities
        losses = functional.binary_cross_entropy(mask, target, weight, reduction="none")
    return losses.mean((1, 2, 3))


def in_float32(values: Tensor) -> torch.autocast:
    """A context in which products of matrices are float32's, whatever train.precision, on the device of `values`."""
    kind = values.device.type
    return torch.autocast(kind if torch.amp.is_autocast_available(kind) else "cpu", enabled=False)

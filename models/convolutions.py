"""3x3 convolutions of padding 1 with fewer multiplications: the same sums in another order, equal up to rounding.

A large one on a CPU is bound by arithmetic, so that leaving out work is all that makes it faster.  `worth_it` says
where that pays, by sizes alone: the same networks and samples take the same way, and give the same bytes, on each run.
Everywhere else PyTorch's own kernels compute.  Shapes: B clips, C channels in, O channels out, H rows, W columns.
"""

from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGE = 10**8  # multiplications for a clip, from which the small products beside the large one do not weigh
BLOCK = 64  # enlarged rows that one product gives: few read what is not theirs, and each is large enough to be fast


def worth_it(convolution: nn.Conv2d, x: Tensor, rows: int, columns: int) -> bool:
    """Whether a convolution to maps of rows x columns of each of `x` is large, and computed in float32 by a CPU."""
    in_float32 = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return x.device.type == "cpu" and in_float32 and convolution.weight.numel() * rows * columns >= LARGE


def enlarged(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Maps (B, C, H, W), twice as large, bilinear with corners aligned, and then convolved: (B, O, 2 H, 2 W)."""
    if worth_it(convolution, x, 2 * x.shape[-2], 2 * x.shape[-1]):
        return convolve_then_enlarge(x, convolution)
    return convolution(functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True))


def convolve_then_enlarge(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """`enlarged`, with a quarter of the multiplications: enlarging and the taps' shifts are linear and act on places,
    the weights on channels, so that the channels may be summed first, where there are a quarter of the places.

        y = sum_dy V_dy (sum_dx (x W_dy,dx) H_dx')

    H_dx enlarges rows and then shifts them by dx, V_dy does so with columns.
    """
    batch, channels, height, width = x.shape
    outputs = convolution.out_channels
    places = x.permute(0, 2, 3, 1).reshape(-1, channels)  # (B H W, C)
    weights = convolution.weight.permute(2, 1, 3, 0).reshape(3, channels, 3 * outputs)  # (dy, C, dx O)
    y: Tensor | None = None
    for weight, down in zip(weights, down_taps(height), strict=True):
        wide = (places @ weight).view(batch * height, 3 * width, outputs)
        wide = Banded.apply(wide, along_taps(width))  # (B H, 2 W, O)
        tall = Banded.apply(wide.view(batch, height, 2 * width * outputs), down)  # (B, 2 H, 2 W O)
        y = tall if y is None else y.add_(tall)
    assert y is not None
    y = y.view(batch, 2 * height, 2 * width, outputs)
    return (y if convolution.bias is None else y + convolution.bias).permute(0, 3, 1, 2)


def loudest(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The maximum over all places of the convolved maps (B, C, H, W): (B, O)."""
    y: Tensor = Loudest.apply(x, convolution.weight, convolution.bias)
    return y


class Loudest(torch.autograd.Function):
    """`loudest`, whose gradient goes back from the one place of each clip's channel where the maximum is.

    PyTorch's convolution would multiply the zeros of all other places, which takes twice the forward's time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        y, where = functional.conv2d(x, weight, bias, padding=1).flatten(2).max(2)  # (B, O)
        ctx.save_for_backward(x, weight, where)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (gradient,) = gradients  # (B, O)
        x, weight, where = ctx.saved_tensors
        batch, channels, height, width = x.shape
        taps_ = weight.permute(0, 2, 3, 1).reshape(len(weight), 9, channels)
        rows, columns = where // width, where % width  # of the maximum; its taps start there in padded maps
        steps = torch.arange(3) * (width + 2)
        corner = rows * (width + 2) + columns
        places = corner[..., None] + (steps[:, None] + torch.arange(3)).flatten()  # (B, O, 9)
        of_x = x.new_zeros(batch, (height + 2) * (width + 2), channels)
        of_taps = torch.zeros_like(taps_)
        padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1)).flatten(1, 2)  # (B, places, C)
        for clip in range(batch):
            weighed = gradient[clip, :, None, None]
            of_taps.addcmul_(padded[clip].index_select(0, places[clip].flatten()).view_as(taps_), weighed)
            of_x[clip].index_add_(0, places[clip].flatten(), (taps_ * weighed).flatten(0, 1))
        of_x = of_x.unflatten(1, (height + 2, width + 2))[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
        of_weight = of_taps.view(len(weight), 3, 3, channels).permute(0, 3, 1, 2)
        return of_x, of_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None


def taps(length: int) -> Tensor:
    """(3, 2 length, length): what enlarging `length` values, and reading the result one place before, at, and one place
    after each place, takes of each; past the ends there are zeros."""
    enlarging = functional.interpolate(torch.eye(length)[None], scale_factor=2.0, mode="linear", align_corners=True)[
        0
    ].T  # (2 length, length)
    padded = functional.pad(enlarging, (0, 0, 1, 1))
    return torch.stack([padded[tap : tap + 2 * length] for tap in range(3)])


@cache
def along_taps(length: int) -> "list[Part]":
    """Of rows of maps, all taps' at once: (2 length, 3 length), of each place its three taps."""
    with torch.inference_mode(mode=False):  # they serve training too
        return blocks(taps(length).permute(1, 2, 0).reshape(2 * length, 3 * length))


@cache
def down_taps(length: int) -> "list[list[Part]]":
    """Of columns of maps, tap by tap: (2 length, length)."""
    with torch.inference_mode(mode=False):
        return [blocks(tap) for tap in taps(length)]


class Part(NamedTuple):
    """The rows first..last of a matrix, whose other columns than from..to are zero."""

    first: int
    last: int
    start: int
    end: int
    values: Tensor  # (last - first, end - start)


def blocks(matrix: Tensor) -> list[Part]:
    """A matrix with few columns that are not zero in neighbouring rows, as BLOCK rows at a time."""
    parts = []
    for first in range(0, len(matrix), BLOCK):
        rows = matrix[first : first + BLOCK]
        columns = rows.any(0).nonzero().flatten().tolist()
        start, end = columns[0], columns[-1] + 1
        parts.append(Part(first, first + len(rows), start, end, rows[:, start:end].contiguous()))
    return parts


class Banded(torch.autograd.Function):
    """Each of x (N, P, Q) from the left times the matrix that `parts` are made of, (R, P) -> (N, R, Q)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, parts: list[Part]) -> Tensor:
        ctx.parts, ctx.places = parts, x.shape[1]
        y = x.new_empty(len(x), parts[-1].last, x.shape[2])
        for part in parts:
            values = part.values.expand(len(x), -1, -1)
            torch.baddbmm(
                y[:, part.first : part.last],
                values,
                x[:, part.start : part.end],
                beta=0,
                out=y[:, part.first : part.last],
            )
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        x = gradient.new_zeros(len(gradient), ctx.places, gradient.shape[2])
        for part in ctx.parts:
            values = part.values.T.expand(len(gradient), -1, -1)
            x[:, part.start : part.end].baddbmm_(values, gradient[:, part.first : part.last])
        return x, None

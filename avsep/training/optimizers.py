"""The optimisers that params name."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

# What Newton and Schulz's iteration multiplies a matrix by, as Jordan has it: singular values come near 1, not to it.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST = 8  # rows and columns from which a weight is stepped as a matrix
_ADAMS_SHARE = 0.1  # of the rate, for what is no matrix
_ADAMS_MOVE = 0.2  # root mean square of a step of Adam's, re its rate


def optimizer(name: str, momentum: float = 0.9, weight_decay: float = 0.0) -> Callable[..., torch.optim.Optimizer]:
    """SGD with momentum, Adam, which has its own, or Muon."""
    if name == "sgd":
        return partial(torch.optim.SGD, momentum=momentum, weight_decay=weight_decay)
    kind = Muon if name == "muon" else torch.optim.Adam
    return partial(kind, weight_decay=weight_decay)


class Muon(torch.optim.Optimizer):
    """Steps a weight as a matrix of outputs and inputs, along its momentum's nearest orthogonal matrix (Jordan et al.:
    Muon, 2024): all directions that the gradients agree on are learned at one pace, the faint ones too.

    A convolution's kernel is a row's inputs.  What is no matrix, or a small one, takes Adam's step at a tenth of the
    rate.  A matrix moves, at the same rate, as far as by Adam (Liu et al.: Muon is scalable for LLM training, 2025).
    torch's own Muon takes no convolutions.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.02,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Takes a step; `closure`, if given, computes the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._move(parameter, parameter.grad, group)
        return loss

    def _move(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, rate = self.state[parameter], group["lr"]
        matrix = parameter.ndim >= 2 and min(len(parameter), parameter[0].numel()) >= _SMALLEST
        if not matrix:
            rate *= _ADAMS_SHARE
        if group["weight_decay"]:
            parameter.mul_(1 - rate * group["weight_decay"])
        if not state:
            state["first"] = torch.zeros_like(parameter)
            if not matrix:
                state["step"], state["second"] = 0, torch.zeros_like(parameter)
        first = state["first"]
        if matrix:
            first.lerp_(gradient, 1 - group["momentum"])
            ahead = gradient.lerp(first, group["momentum"]).flatten(1)  # Nesterov's momentum
            step = orthogonal(ahead) * (_ADAMS_MOVE * max(ahead.shape) ** 0.5)
            parameter.sub_(step.view(parameter.shape), alpha=rate)
            return
        (beta1, beta2), second = group["betas"], state["second"]
        state["step"] += 1
        first.lerp_(gradient, 1 - beta1)
        second.lerp_(gradient.square(), 1 - beta2)
        scale = (second / (1 - beta2 ** state["step"])).sqrt().add_(group["eps"])
        parameter.addcdiv_(first, scale, value=-rate / (1 - beta1 ** state["step"]))


def orthogonal(matrix: Tensor) -> Tensor:
    """A (rows, columns) near the matrix with the same singular vectors whose singular values are all 1.

    Each iteration multiplies X by a I + b X X' + c (X X')^2.  These factors are functions of one square matrix, of the
    shorter side, so that they are multiplied among themselves, and X is touched at the start and the end alone.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthogonal(matrix.T).T
    a, b, c = _COEFFICIENTS
    x = matrix / (matrix.norm() + 1e-7)
    gram, identity = x @ x.T, torch.eye(len(x), dtype=x.dtype, device=x.device)
    whole = identity
    for _ in range(_ITERATIONS):
        factor = a * identity + b * gram + c * (gram @ gram)
        whole = factor @ whole
        gram = factor @ gram @ factor
    return whole @ x

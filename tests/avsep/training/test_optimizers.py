"""The optimisers that params name."""

import pytest
import torch
from torch import Tensor, nn

from avsep.training.optimizers import Muon, optimizer, orthogonal


@pytest.mark.parametrize("shape", [(8, 8), (16, 40), (40, 16)])
def test_orthogonal_keeps_a_matrixs_singular_vectors_and_makes_its_values_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(shape[0], min(shape)))
    right, _ = torch.linalg.qr(torch.randn(shape[1], min(shape)))
    values = torch.linspace(1.0, 0.1, min(shape))
    found = orthogonal(left @ torch.diag(values) @ right.T)
    inside = left.T @ found @ right
    assert found.shape == shape
    assert ((inside.diag() > 0.6) & (inside.diag() < 1.3)).all()
    torch.testing.assert_close(inside - torch.diag(inside.diag()), torch.zeros_like(inside), atol=1e-4, rtol=0)


def test_orthogonal_is_newtons_and_schulzs_iteration() -> None:
    torch.manual_seed(1)
    matrix = torch.randn(6, 10)
    x = matrix / matrix.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    torch.testing.assert_close(orthogonal(matrix), x, atol=1e-4, rtol=1e-4)


def test_no_gradient_is_no_step() -> None:
    matrix = nn.Parameter(torch.ones(8, 8))
    Muon([matrix], lr=1.0).step()
    assert (matrix == 1).all()
    matrix.grad = torch.zeros(8, 8)
    Muon([matrix], lr=1.0).step()
    assert matrix.isfinite().all() and (matrix == 1).all()


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_a_kernel_moves_as_far_as_by_adam_whatever_its_size(memory_format: torch.memory_format) -> None:
    torch.manual_seed(2)
    before = torch.randn(32, 16, 3, 3)
    kernel = nn.Parameter(before.clone().to(memory_format=memory_format))
    kernel.grad = 1e-6 * torch.randn(32, 16, 3, 3).to(memory_format=memory_format)
    Muon([kernel], lr=0.01).step()
    moved = (kernel.detach() - before).square().mean().sqrt()
    assert float(moved) == pytest.approx(0.2 * 0.01, rel=0.2)


@pytest.mark.parametrize("shape", [(5,), (), (4, 40), (40, 1, 2, 2)])
def test_what_is_no_matrix_takes_adams_step_at_a_tenth_of_the_rate(shape: tuple[int, ...]) -> None:
    def learned(kind: type[torch.optim.Optimizer], lr: float) -> Tensor:
        torch.manual_seed(3)
        value = nn.Parameter(torch.randn(shape))
        trained = kind([value], lr=lr)  # type: ignore[call-arg]
        for _ in range(4):
            value.grad = torch.randn(shape)
            trained.step()
        return value.detach()

    torch.testing.assert_close(learned(Muon, 0.1), learned(torch.optim.Adam, 0.01))


def test_its_steps_go_on_from_a_saved_state() -> None:
    def steps(matrix: nn.Parameter, bias: nn.Parameter, state: dict[str, object] | None, seeds: range) -> Muon:
        trained = Muon([matrix, bias], lr=0.1)
        if state is not None:
            trained.load_state_dict(state)
        for seed in seeds:
            torch.manual_seed(seed)
            matrix.grad, bias.grad = torch.randn(8, 9), torch.randn(8)
            trained.step()
        return trained

    whole = nn.Parameter(torch.ones(8, 9)), nn.Parameter(torch.ones(8))
    parts = nn.Parameter(torch.ones(8, 9)), nn.Parameter(torch.ones(8))
    steps(*whole, None, range(4))
    steps(*parts, steps(*parts, None, range(2)).state_dict(), range(2, 4))
    for one, other in zip(whole, parts, strict=True):
        assert torch.equal(one, other)


def test_weights_decay() -> None:
    matrix = nn.Parameter(torch.ones(8, 8))
    matrix.grad = torch.zeros(8, 8)
    optimizer("muon", weight_decay=0.5)([matrix], lr=0.1).step()
    torch.testing.assert_close(matrix.detach(), torch.full((8, 8), 0.95))


@pytest.mark.parametrize(("name", "kind"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam), ("muon", Muon)])
def test_params_name_them(name: str, kind: type[torch.optim.Optimizer]) -> None:
    assert type(optimizer(name, 0.9, 0.0)([nn.Parameter(torch.ones(1))], lr=0.1)) is kind

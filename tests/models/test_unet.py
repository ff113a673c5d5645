"""The separation U-Net: its size, its shapes, its start."""

import pytest
import torch

from avsep.models.unet import UNet


def test_paper_size_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        network = UNet()
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 30.27
    assert network(torch.empty(2, 1, 256, 256, device="meta")).shape == (2, 32, 256, 256)


@pytest.mark.parametrize("levels", [3, 4, 6])
def test_shapes(levels: int) -> None:
    network = UNet(levels, channels=2, max_channels=4, embedding=5)
    rows, columns = 2**levels, 2 ** (levels + 1)
    assert network(torch.rand(3, 1, rows, columns)).shape == (3, 5, rows, columns)


def test_every_parameter_takes_part() -> None:
    network = UNet(4, channels=2, max_channels=8, embedding=3)
    network(torch.rand(2, 1, 16, 32)).square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_only_the_outermost_convolution_has_a_bias() -> None:
    network = UNet(4, channels=2, max_channels=8, embedding=3)
    biased = [name for name, m in network.named_modules() if isinstance(m, torch.nn.Conv2d) and m.bias is not None]
    assert biased == ["up.3"]

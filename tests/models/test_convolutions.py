"""Convolutions with fewer multiplications give what PyTorch's give, and are taken where sizes say so."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from avsep.models import convolutions
from avsep.models.ccol import SoundEncoder
from avsep.models.unet import UNet
from tests.helpers.factories import noise


def convolution(inputs: int, outputs: int, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def with_gradients(y: Tensor, x: Tensor, network: nn.Module) -> list[Tensor]:
    """y, and what a weighed sum of it sends back to x and to the parameters."""
    weights = noise(*y.shape, seed=1)
    return [y.detach(), *torch.autograd.grad((weights * y).sum(), [x, *network.parameters()])]


def alike(found: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


@pytest.fixture
def _short_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Several blocks to a map, the last one shorter."""
    monkeypatch.setattr(convolutions, "BLOCK", 4)
    for kept in (convolutions.along_taps, convolutions.down_taps):
        kept.cache_clear()
    yield
    for kept in (convolutions.along_taps, convolutions.down_taps):
        kept.cache_clear()


@pytest.mark.usefixtures("_short_blocks")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 3), (6, 5), (9, 16)])
def test_convolved_and_then_enlarged(size: tuple[int, int], bias: bool) -> None:
    layer, x = convolution(4, 3, bias), noise(2, 4, *size, seed=2).requires_grad_()
    enlarged = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)
    expected = with_gradients(layer(enlarged), x, layer)
    alike(with_gradients(convolutions.convolve_then_enlarge(x, layer), x, layer), expected)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("bias", [True, False])
def test_the_loudest_place(memory_format: torch.memory_format, bias: bool) -> None:
    """A corner's taps reach past the map: one channel's maximum is put there."""
    layer, x = convolution(4, 5, bias), noise(3, 4, 6, 5, seed=2)
    with torch.no_grad():
        x[0, :, 0, 0] = 20 * layer.weight[2, :, 1, 1]
    x = x.to(memory_format=memory_format).requires_grad_()
    expected = layer(x)
    assert expected[0, 2].argmax() == 0
    alike(with_gradients(convolutions.loudest(x, layer), x, layer), with_gradients(expected.amax((-2, -1)), x, layer))


@pytest.mark.parametrize(
    ("inputs", "outputs", "rows", "columns", "worth"),
    [
        (128, 32, 256, 256, True),  # the paper's outermost
        (512, 512, 32, 32, True),  # its sound encoder's last
        (32, 16, 128, 64, False),  # the demo's outermost
        (256, 128, 8, 4, False),  # its innermost
    ],
)
def test_large_ones_alone_are_worth_it(inputs: int, outputs: int, rows: int, columns: int, worth: bool) -> None:
    layer, x = nn.Conv2d(inputs, outputs, 3, padding=1), torch.empty(1, inputs, rows, columns)
    assert convolutions.worth_it(layer, x, rows, columns) == worth
    assert not convolutions.worth_it(layer, x.to("meta"), rows, columns)
    assert not convolutions.worth_it(layer, x.double(), rows, columns)
    with torch.autocast("cpu", torch.bfloat16):
        assert not convolutions.worth_it(layer, x, rows, columns)


@pytest.mark.parametrize(
    ("network", "size"),
    [(UNet(levels=4, channels=4, max_channels=16, embedding=3), (32, 16)), (SoundEncoder(4), (32, 16))],
    ids=["unet", "sound encoder"],
)
def test_networks_give_the_same_either_way(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, size: tuple[int, int]
) -> None:
    x = noise(2, 1, *size, seed=2).requires_grad_()
    found = {}
    for large in (0, 10**12):
        monkeypatch.setattr(convolutions, "LARGE", large)
        found[large] = with_gradients(network(x), x, network)
    alike(found[0], found[10**12])
    assert any((one != other).any() for one, other in zip(found[0], found[10**12], strict=True)), "one way alone"


def test_a_pooling_that_leaves_places_out_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 rows the last pooling sees 3, and takes 2."""
    network, x = SoundEncoder(4), noise(2, 1, 24, 24, seed=2)
    expected = network(x)
    monkeypatch.setattr(convolutions, "LARGE", 0)
    assert (network(x) == expected).all()

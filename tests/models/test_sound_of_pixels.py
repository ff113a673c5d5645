"""Sound of Pixels: how it starts, what of it learns, and what a binary mask lets through."""

import pytest
import torch
from torch import nn

from avsep.models.resnet import FrozenFrames, ResNet18
from avsep.models.sound_of_pixels import DilatedFrames, SoundOfPixels
from tests.helpers.factories import SIZE, UNET, WIDTH, noise, tiny_heard


def tiny(**options: object) -> SoundOfPixels:
    torch.manual_seed(0)
    return SoundOfPixels(WIDTH, **{**UNET, **options})  # type: ignore[arg-type]


def test_its_u_net_starts_small_and_the_rest_as_pytorch_starts_it() -> None:
    plain, small = tiny(init_std=None, unet_channels=16), tiny(init_std=1e-3, unet_channels=16)
    convolutions = [m for m in small.separation.unet.modules() if isinstance(m, nn.Conv2d)]
    weights = torch.cat([c.weight.flatten() for c in convolutions])
    assert weights.std().item() == pytest.approx(1e-3, rel=0.05) and abs(weights.mean().item()) < 1e-4
    scales = torch.cat([m.weight for m in small.separation.unet.modules() if isinstance(m, nn.BatchNorm2d)])
    assert scales.mean().item() == pytest.approx(1, abs=0.02) and 0.005 < scales.std().item() < 0.04
    outermost = [network.separation.unet.up[-1].bias for network in (small, plain)]
    assert all(isinstance(bias, torch.Tensor) for bias in outermost)
    torch.testing.assert_close(*outermost, rtol=0, atol=0)
    assert torch.equal(small.separation.visual.weight, plain.separation.visual.weight)


def test_it_sees_as_ccols_separation_does_with_the_same_resnet() -> None:
    torch.manual_seed(0)
    resnet = ResNet18(WIDTH)
    frozen, own = FrozenFrames(WIDTH), DilatedFrames(WIDTH)
    for frames in (frozen, own):
        frames.load_resnet(resnet.state_dict())
    pictures = noise(2, 3, 3, SIZE, SIZE, seed=0)
    torch.testing.assert_close(own.eval()(pictures).map, frozen(pictures).map)
    with pytest.raises(RuntimeError):
        own.load_resnet({name: value for name, value in resnet.state_dict().items() if name != "conv1.weight"})


@pytest.mark.parametrize("frozen", [True, False])
def test_its_resnet_learns_or_rests(frozen: bool) -> None:
    frames = DilatedFrames(WIDTH, frozen).train()
    before = frames.trunk.bn1.running_mean.clone()  # type: ignore[union-attr]
    maps = frames(noise(2, 1, 3, SIZE, SIZE, seed=0)).map
    assert maps.requires_grad != frozen
    assert torch.equal(frames.trunk.bn1.running_mean, before) == frozen  # type: ignore[arg-type]


def test_a_binary_mask_is_a_probability_until_it_is_used() -> None:
    heard, networks = tiny_heard(2), tiny(init_std=None).eval()
    seen = {name: networks.frames(noise(2, 1, 3, SIZE, SIZE, seed=i)) for i, name in enumerate("AC")}
    masks = networks.separate(heard.mixture, seen)
    assert all(mask.min() > 0 and mask.max() < 1 for mask in masks.values())
    used = networks.let_through(masks)
    assert all(torch.equal(used[name], (mask > 0.5).float()) for name, mask in masks.items())
    assert tiny(init_std=None, binary=False).let_through(masks) == masks

"""Sound of Pixels (Zhao et al.: The Sound of Pixels, ECCV 2018, arXiv 1804.03160).

A U-Net splits the mixture into K components, a dilated ResNet-18 says of which the sound of what it sees is made, and
all of it learns together.  Shapes as in models/ccol.py.  Sounds go in as the log of a magnitude after the log-frequency
warp.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from avsep.models.ccol import Separation
from avsep.models.resnet import Trunk, residual_layer
from avsep.models.unet import start_small


class FrameMaps(NamedTuple):
    """What the ResNet makes of frames."""

    map: Tensor  # (..., 8 width, h, w), at 1/16 of the picture's size


class DilatedFrames(nn.Module):
    """ResNet-18 whose layer 4 has stride 1 and dilation 2: pictures (..., 3, H, W) -> maps.

    `frozen`: no gradient, and batch norm in eval mode also while the rest trains.
    """

    def __init__(self, width: int = 64, frozen: bool = False):
        super().__init__()
        self.frozen = frozen
        self.trunk = Trunk(width)
        self.layer4_dilated = residual_layer(4 * width, 8 * width, stride=1, dilation=2)
        self.train()  # modules start in training mode, and Lightning leaves modes as they are

    def load_resnet(self, state: Mapping[str, Tensor]) -> None:
        """Takes a ResNet18's state dict. Raises RuntimeError for other names or shapes."""
        kept = {name: value for name, value in state.items() if not name.startswith("fc.")}
        layer4 = {name.removeprefix("layer4."): kept.pop(name) for name in list(kept) if name.startswith("layer4.")}
        self.trunk.load_state_dict(kept)
        self.layer4_dilated.load_state_dict(layer4)

    def train(self, mode: bool = True) -> "DilatedFrames":
        return super().train(mode and not self.frozen)

    def forward(self, pictures: Tensor) -> FrameMaps:
        """Normalised pictures (..., 3, H, W) -> their maps."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.layer4_dilated(self.trunk(pictures.flatten(0, -4)))  # (B, 8 width, H / 16, W / 16)
        return FrameMaps(maps.unflatten(0, pictures.shape[:-3]))


class SoundOfPixels(nn.Module):
    """The U-Net's weights start at N(0, `init_std`), its batch norm's scales at N(1, 0.02); None: PyTorch's start.

    `binary`: a bin is one source's or not, and a mask is the probability until `let_through`.
    """

    def __init__(
        self,
        resnet_width: int = 64,
        unet_levels: int = 7,
        unet_channels: int = 64,
        unet_max_channels: int = 512,
        embedding: int = 32,
        init_std: float | None = 1e-3,
        binary: bool = True,
        frozen: bool = False,
    ):
        super().__init__()
        self.binary = binary
        self.frames = DilatedFrames(resnet_width, frozen)
        self.separation = Separation(8 * resnet_width, unet_levels, unet_channels, unet_max_channels, embedding)
        if init_std is not None:
            start_small(self.separation.unet, init_std)

    def separate(self, mixture: Tensor, seen: Mapping[str, FrameMaps]) -> dict[str, Tensor]:
        """Magnitudes of the mixture (B, 1, F, T) -> each object's mask (B, 1, F, T) in 0..1."""
        return self.separation(mixture.log(), {name: maps.map for name, maps in seen.items()})

    def let_through(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The masks as they are used: binary ones are cut at 0.5."""
        return {name: (mask > 0.5).to(mask) if self.binary else mask for name, mask in masks.items()}

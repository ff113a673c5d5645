"""ResNet-18 (He et al., CVPR 2016, arXiv 1512.03385) of any width, and the frozen frame encoders made of it.

`ResNet18` has torchvision's parameter names: at width 64 the ImageNet weights load as they are.

A frame is seen twice: the grounding network wants one vector of it, the separation network a map (docs/ccol.md,
Networks).  Both encoders hold the same weights up to `layer3`: that trunk is computed once.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


def residual_layer(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Two residual blocks; the first changes the channels and, where `stride` is 2, halves the map."""
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    first, second = BasicBlock(inputs, outputs, stride, downsample), BasicBlock(outputs, outputs)
    if dilation != 1:
        # The published dilated ResNet keeps the first block's first convolution at dilation 1.
        for convolution in (first.conv2, second.conv1, second.conv2):
            convolution.dilation = convolution.padding = (dilation, dilation)
    return nn.Sequential(first, second)


class Trunk(nn.Module):
    """conv1 to layer3: pictures (B, 3, H, W) -> maps (B, 4 width, H / 16, W / 16)."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = residual_layer(width, width)
        self.layer2 = residual_layer(width, 2 * width, stride=2)
        self.layer3 = residual_layer(2 * width, 4 * width, stride=2)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(pictures))))
        return self.layer3(self.layer2(self.layer1(x)))


class ResNet18(Trunk):
    """The classifier: pictures (B, 3, H, W), ImageNet-normalised -> logits (B, classes)."""

    def __init__(self, width: int = 64, classes: int = 1000):
        super().__init__(width)
        self.layer4 = residual_layer(4 * width, 8 * width, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.avgpool(self.layer4(super().forward(pictures)))  # (B, 8 width, 1, 1)
        return self.fc(torch.flatten(x, 1))


class FrameFeatures(NamedTuple):
    """What the frozen encoders make of frames."""

    vector: Tensor  # (..., 8 width): the grounding network's, pooled
    map: Tensor  # (..., 8 width, h, w): the separation network's, at 1/16 of the picture's size


class FrameVectors(NamedTuple):
    """What grounding alone needs of them."""

    vector: Tensor  # as FrameFeatures'


class FrozenFrames(nn.Module):
    """Both frozen frame encoders (docs/ccol.md, Networks) on the trunk that they share.

    Frozen means: no gradient, and batch norm in eval mode also while the rest trains.  With
    `batch_statistics` the batch norms follow `train()` as in the published code, where they drift.
    `shared_trunk=False` keeps a trunk for each encoder, for published weights whose norms drifted apart.
    `standardise` gives the map's channels the mean 0 and the deviation 1 over the pictures that `measure` is shown; it
    goes with frozen batch norm only.
    """

    def __init__(
        self, width: int = 64, batch_statistics: bool = False, shared_trunk: bool = True, standardise: bool = False
    ):
        super().__init__()
        if batch_statistics and standardise:
            raise ValueError("batch_statistics would move what `measure` found for standardise: one of them only")
        self.batch_statistics = batch_statistics
        self.trunk = Trunk(width)
        self.trunk_dilated = None if shared_trunk else Trunk(width)
        self.layer4 = residual_layer(4 * width, 8 * width, stride=2)
        self.layer4_dilated = residual_layer(4 * width, 8 * width, stride=1, dilation=2)
        self.standardise = nn.BatchNorm2d(8 * width, eps=1e-12, affine=False) if standardise else nn.Identity()
        self.requires_grad_(False)
        self.train()  # modules start in training mode, and Lightning leaves modes as they are

    def load_resnet(self, state: Mapping[str, Tensor]) -> None:
        """Takes a ResNet18's state dict for both encoders. Raises RuntimeError for other names or shapes."""
        trunk = {name: value for name, value in state.items() if not name.startswith(("layer4.", "fc."))}
        layer4 = {name.removeprefix("layer4."): value for name, value in state.items() if name.startswith("layer4.")}
        for module in (self.trunk, self.trunk_dilated):
            if module is not None:
                module.load_state_dict(trunk)
        self.layer4.load_state_dict(layer4)
        self.layer4_dilated.load_state_dict(layer4)

    def train(self, mode: bool = True) -> Self:
        return super().train(mode and self.batch_statistics)

    @torch.no_grad()
    def measure(self, pictures: Tensor) -> None:
        """Takes the mean and the deviation that `standardise` removes from normalised pictures (B, 3, H, W)."""
        assert isinstance(self.standardise, nn.BatchNorm2d)
        assert self.standardise.running_mean is not None and self.standardise.running_var is not None
        maps = self._dilated(pictures, self.trunk(pictures))
        variance = maps.var((0, 2, 3))
        self.standardise.running_mean.copy_(maps.mean((0, 2, 3)))
        # a channel that these pictures hardly move must not be blown up in others
        self.standardise.running_var.copy_(variance.clamp(min=0.01 * float(variance.mean())))

    @torch.no_grad()
    def forward(self, pictures: Tensor) -> FrameFeatures:
        """Normalised pictures (..., 3, H, W) -> their features."""
        lead = pictures.shape[:-3]
        flat = pictures.flatten(0, -4)  # (B, 3, H, W)
        maps = self.trunk(flat)  # (B, 4 width, H / 16, W / 16)
        dilated = self.standardise(self._dilated(flat, maps))  # (B, 8 width, H / 16, W / 16)
        return FrameFeatures(self._pooled(maps).unflatten(0, lead), dilated.unflatten(0, lead))

    @torch.no_grad()
    def vectors(self, pictures: Tensor) -> FrameVectors:
        """Normalised pictures (..., 3, H, W) -> what grounding sees of them, with half of `forward`'s work."""
        return FrameVectors(self._pooled(self.trunk(pictures.flatten(0, -4))).unflatten(0, pictures.shape[:-3]))

    def _pooled(self, maps: Tensor) -> Tensor:
        """The grounding trunk's maps -> (B, 8 width)."""
        return self.layer4(maps).mean((-2, -1))

    def _dilated(self, pictures: Tensor, maps: Tensor) -> Tensor:
        """Pictures and the grounding trunk's maps of them -> (B, 8 width, H / 16, W / 16)."""
        return self.layer4_dilated(maps if self.trunk_dilated is None else self.trunk_dilated(pictures))


class FrozenVectors(nn.Module):
    """`FrozenFrames.vectors` as a network of its own, on the same parameters."""

    def __init__(self, frames: FrozenFrames):
        super().__init__()
        self.frames = frames

    def forward(self, pictures: Tensor) -> FrameVectors:
        """Normalised pictures (..., 3, H, W) -> their vectors."""
        return self.frames.vectors(pictures)

"""ResNet-18 (He et al., CVPR 2016, arXiv 1512.03385) of any width, and the frozen frame encoders made of it.

`ResNet18` has torchvision's parameter names: at width 64 the ImageNet weights load as they are.

A frame is seen twice: the grounding network wants one vector of it, the separation network a map (ccol.md,
Networks).  Both encoders hold the same weights up to `layer3`: that trunk is computed once.
"""

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock


def _layer(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """Two residual blocks; the first changes the channels and, where `stride` is 2, halves the map."""
    downsample = None
    if stride != 1 or inputs != outputs:
        downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    blocks = nn.Sequential(BasicBlock(inputs, outputs, stride, downsample), BasicBlock(outputs, outputs))
    if dilation != 1:
        # The published dilated ResNet keeps the first block's first convolution at dilation 1.
        for convolution in (blocks[0].conv2, blocks[1].conv1, blocks[1].conv2):
            convolution.dilation = convolution.padding = (dilation, dilation)
    return blocks


class Trunk(nn.Module):
    """conv1 to layer3: pictures (B, 3, H, W) -> maps (B, 4 width, H / 16, W / 16)."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _layer(width, width)
        self.layer2 = _layer(width, 2 * width, stride=2)
        self.layer3 = _layer(2 * width, 4 * width, stride=2)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(pictures))))
        return self.layer3(self.layer2(self.layer1(x)))


class ResNet18(Trunk):
    """The classifier: pictures (B, 3, H, W), ImageNet-normalised -> logits (B, classes)."""

    def __init__(self, width: int = 64, classes: int = 1000):
        super().__init__(width)
        self.layer4 = _layer(4 * width, 8 * width, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.avgpool(self.layer4(super().forward(pictures)))  # (B, 8 width, 1, 1)
        return self.fc(torch.flatten(x, 1))

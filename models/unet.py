"""The separation U-Net of Sound of Pixels (Zhao et al., ECCV 2018) as CCoL uses it (docs/ccol.md, Networks).

Log magnitudes (B, 1, F, T) -> embeddings (B, K, F, T); F and T are multiples of 2**levels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsep.models.convolutions import enlarged


class UNet(nn.Module):
    """`channels` at the first level, doubled at each up to `max_channels`; `embedding` channels come out."""

    def __init__(self, levels: int = 7, channels: int = 64, max_channels: int = 512, embedding: int = 32):
        super().__init__()
        widths = [min(channels * 2**level, max_channels) for level in range(levels)]
        self.norm = nn.BatchNorm2d(1)
        self.down = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=False)
            for inputs, outputs in zip([1, *widths], widths, strict=False)
        )
        # neither the outermost nor the innermost convolution is followed by a norm
        self.down_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:-1])
        # from the innermost outwards; all but the innermost also take their level's skip
        inputs = [widths[-1], *(2 * width for width in widths[-2::-1])]
        outputs = [*widths[-2::-1], embedding]
        self.up = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, bias=level == levels - 1)
            for level, (i, o) in enumerate(zip(inputs, outputs, strict=True))
        )
        self.up_norm = nn.ModuleList(nn.BatchNorm2d(width) for width in outputs[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, F, T) -> (B, K, F, T)."""
        x = self.down[0](self.norm(x))  # (B, C, F/2, T/2)
        skips = []
        for level, convolution in enumerate(self.down[1:], start=1):
            # The skip leaves after the activation: the published one works in place.
            skips.append(functional.leaky_relu(x, 0.2))
            x = convolution(skips[-1])  # (B, C, F / 2**(level+1), T / 2**(level+1))
            if level <= len(self.down_norm):
                x = self.down_norm[level - 1](x)
        for level, convolution in enumerate(self.up):
            if level > 0:
                x = torch.cat([skips[-level], x], dim=1)
            assert isinstance(convolution, nn.Conv2d)
            x = enlarged(functional.relu(x), convolution)  # (B, O, F / 2**n, T / 2**n), bilinear, then convolved
            if level < len(self.up_norm):
                x = self.up_norm[level](x)
        return x


@torch.no_grad()
def start_small(network: nn.Module, std: float) -> None:
    """Lets a network start as the published U-Nets of Sound of Pixels and VAST do: the weights of all convolutions at
    N(0, std), their biases as they are, batch norm's scales at N(1, 0.02) and its shifts at 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, std)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            nn.init.normal_(module.weight, 1.0, 0.02)
            nn.init.zeros_(module.bias)

"""VAST's separation network (Tan et al.: Language-Guided Audio-Visual Source Separation via Trimodal Consistency, CVPR
2023, arXiv 2303.16342).

A U-Net that is asked by a query: what CLIP sees of an object, or what it reads in a phrase.  One decoder
serves both.  Shapes: B clips, N frames of an object, P positions of CLIP's map, Q values of CLIP's embedding, F
log-frequency bins, T frames of the spectrogram.  Sounds go in as the log of a magnitude after the log-frequency warp.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConditionedUNet(nn.Module):
    """Log mixture (B, 1, F, T) and query (B, Q) -> mask (B, 1, F, T); F and T are multiples of 2**levels.

    `channels` at the first level, doubled at each up to `max_channels`, which must be CLIP's Q: the average of the
    innermost map is an embedding of the sound beside CLIP's.
    """

    def __init__(self, levels: int = 7, channels: int = 64, max_channels: int = 1024):
        super().__init__()
        widths = [min(channels * 2**level, max_channels) for level in range(levels)]
        if widths[-1] != max_channels:
            raise ValueError(f"{levels} levels of {channels} channels end at {widths[-1]}, not at {max_channels}")
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)
            )
            for inputs, outputs in zip([1, *widths], widths, strict=False)
        )
        # from the innermost outwards; the innermost takes the query, all others their level's skip
        outputs = [*widths[-2::-1], 1]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(2 * width, output, 4, stride=2, padding=1),
                *([nn.BatchNorm2d(output), nn.ReLU()] if level < levels - 1 else [nn.Sigmoid()]),
            )
            for level, (width, output) in enumerate(zip(widths[::-1], outputs, strict=True))
        )

    def encode(self, log_magnitude: Tensor) -> list[Tensor]:
        """(B, 1, F, T) -> each level's map, (B, C, F / 2**level, T / 2**level), the innermost last."""
        maps = []
        for convolution in self.down:
            log_magnitude = convolution(log_magnitude)
            maps.append(log_magnitude)
        return maps

    def decode(self, maps: list[Tensor], query: Tensor) -> Tensor:
        """A mixture's maps and a query (B, Q) -> mask (B, 1, F, T) in 0..1."""
        innermost = maps[-1]
        x = torch.cat([query[:, :, None, None].expand_as(innermost), innermost], dim=1)
        for level, convolution in enumerate(self.up):
            if level > 0:
                x = torch.cat([x, maps[-1 - level]], dim=1)
            x = convolution(x)
        return x

    def embed(self, log_magnitude: Tensor) -> Tensor:
        """A sound (B, 1, F, T) -> its embedding beside CLIP's, (B, Q): the mean of the innermost map."""
        return self.encode(log_magnitude)[-1].mean((2, 3))


def visual_query(tokens: Tensor) -> Tensor:
    """An object's tokens (B, N, P, Q) -> (B, Q): the maximum over frames and positions."""
    return tokens.amax((1, 2))


def attention_logits(embedding: Tensor, tokens: Tensor, scale: float = 100.0) -> Tensor:
    """How much each position of each frame has to do with an embedding (B, Q): `scale` times the cosine with the tokens
    (B, N, P, Q), (B, N, P); CLIP's own logit scale is 100."""
    return scale * functional.cosine_similarity(embedding[:, None, None], tokens, dim=-1)

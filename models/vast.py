"""VAST's separation network (Tan et al.: Language-Guided Audio-Visual Source Separation via Trimodal Consistency, CVPR
2023, arXiv 2303.16342).

A U-Net that is asked by a query: what CLIP sees of an object, or what it reads in a phrase.  One decoder
serves both.  Shapes: B clips, N frames of an object, P positions of CLIP's map, Q values of CLIP's embedding, F
log-frequency bins, T frames of the spectrogram, V videos with a latent caption.  Sounds go in as the log of a magnitude
after the log-frequency warp.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from avsep.models.clip import LOGIT_SCALE
from avsep.models.unet import start_small

Name = TypeVar("Name", bound=Hashable)


class ConditionedUNet(nn.Module):
    """Log mixture (B, 1, F, T) and query (B, Q) -> mask (B, 1, F, T); F and T are multiples of 2**levels.

    `channels` at the first level, doubled at each up to `max_channels`, which must be CLIP's Q: the average of the
    innermost map is an embedding of the sound beside CLIP's.

    Its encoder hears mixtures, to separate them, and what was separated, to compare it with CLIP's embeddings.  Those
    are other distributions: batch norm keeps statistics of its own for each, where the published network lets both
    move the same.

    `init_std`: the deviation that the weights of all convolutions start with, as published 0.001, where batch norm's
    scales start at N(1, 0.02); None: PyTorch's start.
    """

    def __init__(self, levels: int = 7, channels: int = 64, max_channels: int = 1024, *, init_std: float | None = None):
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
        # of separated sounds; what they are scaled and shifted by is `down`'s
        self.separated_norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in widths)
        # from the innermost outwards; the innermost takes the query, all others their level's skip
        outputs = [*widths[-2::-1], 1]
        self.up = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose2d(2 * width, output, 4, stride=2, padding=1),
                *([nn.BatchNorm2d(output), nn.ReLU()] if level < levels - 1 else [nn.Sigmoid()]),
            )
            for level, (width, output) in enumerate(zip(widths[::-1], outputs, strict=True))
        )
        if init_std is not None:
            start_small(self, init_std)

    def encode(self, log_mixture: Tensor) -> list[Tensor]:
        """(B, 1, F, T) -> each level's map, (B, C, F / 2**level, T / 2**level), the innermost last."""
        maps = []
        for convolution in self.down:
            log_mixture = convolution(log_mixture)
            maps.append(log_mixture)
        return maps

    def decode(self, maps: Sequence[Tensor], query: Tensor) -> Tensor:
        """A mixture's maps and a query (B, Q) -> mask (B, 1, F, T) in 0..1."""
        innermost = maps[-1]
        x = torch.cat([query[:, :, None, None].expand_as(innermost), innermost], dim=1)
        for level, convolution in enumerate(self.up):
            if level > 0:
                x = torch.cat([x, maps[-1 - level]], dim=1)
            x = convolution(x)
        return x.float()  # whatever the autocast: losses are taken in float32

    def embed(self, log_separated: Tensor) -> Tensor:
        """A separated sound (B, 1, F, T) -> its embedding beside CLIP's, (B, Q): the mean of the innermost map."""
        x = log_separated
        for level, statistics in zip(self.down, self.separated_norms, strict=True):
            assert isinstance(level, nn.Sequential)
            convolution, norm, activation = level
            assert isinstance(norm, nn.BatchNorm2d)
            x = activation(statistics(convolution(x)) * norm.weight[:, None, None] + norm.bias[:, None, None])
        return x.float().mean((2, 3))


class Seen(NamedTuple):
    """What a picture and a sentence say of a clip."""

    tokens: Tensor  # (B, N, P, Q): what CLIP sees at each position of each frame
    sentence: Tensor  # (B, Q): the embedding of the latent caption, as stage captions made it, or of a phrase
    caption: Tensor  # (B,): the sentence's number; in training that of the latent caption, a row of VAST.captions


class VAST(nn.Module):
    """The network, and the `captions` (V, Q) that it is trained with; they rest, unless a phase trains them."""

    def __init__(
        self,
        captions: int,
        levels: int = 7,
        channels: int = 64,
        embedding: int = 1024,
        *,
        init_std: float | None = None,
    ):
        super().__init__()
        self.unet = ConditionedUNet(levels, channels, embedding, init_std=init_std)
        self.captions = nn.Parameter(torch.zeros(captions, embedding), requires_grad=False)

    def separate(self, mixture: Tensor, queries: Mapping[Name, Tensor]) -> dict[Name, Tensor]:
        """Magnitudes of the mixture (B, 1, F, T) and named queries (B, Q) -> each query's mask (B, 1, F, T).

        The mixture is encoded once, and all queries are decoded together.
        """
        maps = [level.repeat(len(queries), 1, 1, 1) for level in self.unet.encode(mixture.log())]  # (queries * B, ...)
        masks = self.unet.decode(maps, torch.cat(list(queries.values())))
        return dict(zip(queries, masks.chunk(len(queries)), strict=True))

    def embed(self, mixture: Tensor, mask: Tensor, masked: str = "linear") -> Tensor:
        """The embedding (B, Q) of what `mask` lets through of the mixture, both (B, 1, F, T).

        `masked`: log, as published, multiplies the log magnitude; a mask of 0 then leaves log 1, which is louder than
        most of what it removes.  linear multiplies the magnitude.
        """
        if masked == "log":
            return self.unet.embed(mixture.log() * mask)
        return self.unet.embed((mixture * mask + 1e-10).log())  # as quiet as the silence of a recording


def visual_query(tokens: Tensor) -> Tensor:
    """An object's tokens (B, N, P, Q) -> (B, Q): the maximum over frames and positions."""
    return tokens.amax((1, 2))


def attention_logits(embedding: Tensor, tokens: Tensor) -> Tensor:
    """How much each position of each frame has to do with an embedding (B, Q): CLIP's scale times the cosine with the
    tokens (B, N, P, Q), (B, N, P)."""
    return LOGIT_SCALE * functional.cosine_similarity(embedding[:, None, None], tokens, dim=-1)

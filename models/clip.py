"""CLIP with a ResNet (Radford et al.: Learning Transferable Visual Models From Natural Language Supervision, ICML 2021,
arXiv 2103.00020) as VAST's frozen teacher.

The network is open_clip's, so that OpenAI's weights load as they are.  What VAST asks of it beside the two embeddings:
a token for each position of the last map, and the embedding of a sentence made of free vectors (docstring of
`FrozenCLIP`).  Shapes: B pictures or phrases, P positions of the last map in rows, Q values of an embedding.
Embeddings and tokens are not normalised.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Self

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from open_clip.model import CLIP

START, END = 49406, 49407  # ids of the tokens around every phrase
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # OpenAI's
STRIDE = 32  # pixels between two positions of the last map
LOGIT_SCALE = 100.0  # of cosines, where OpenAI's training ended


def build_clip(
    *,
    image_size: int,
    width: int,
    layers: Sequence[int],
    embedding: int,
    context: int,
    text_width: int,
    text_heads: int,
    text_layers: int,
) -> "CLIP":
    """open_clip's CLIP with random weights: a ResNet of `width` with 4 groups of `layers` blocks that sees squares of
    `image_size` pixels, and a transformer that reads `context` tokens; both give `embedding` values."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg  # here, since importing it takes seconds

    return CLIP(
        embedding,
        CLIPVisionCfg(layers=tuple(layers), width=width, image_size=image_size),
        CLIPTextCfg(context_length=context, width=text_width, heads=text_heads, layers=text_layers),
        quick_gelu=True,  # as OpenAI's
    )


def clip_normalised(pictures: Tensor) -> Tensor:
    """Pictures (..., 3, H, W) of ImageNet's mean 0 and deviation 1 -> of CLIP's."""
    mean, std, clip_mean, clip_std = (
        torch.tensor(values, dtype=pictures.dtype, device=pictures.device)[:, None, None]  # (3, 1, 1)
        for values in (IMAGENET_MEAN, IMAGENET_STD, CLIP_MEAN, CLIP_STD)
    )
    return pictures * (std / clip_std) + (mean - clip_mean) / clip_std


class ClipFeatures(NamedTuple):
    """What the frozen CLIP makes of frames."""

    tokens: Tensor  # (..., P, Q): one for each position of the last map


class FrozenCLIP(nn.Module):
    """A CLIP that stays as it is: no parameter learns, and batch norm is in eval mode also while the rest trains.

    Pictures are normalised as every network's here are (ImageNet's mean 0 and deviation 1), squares of CLIP's size.
    Phrases are token ids (avsep/weights/phrases.py).  The latent caption is a phrase of K = `context` - 2 free token
    embeddings between the start and the end token.
    """

    def __init__(self, clip: "CLIP"):
        super().__init__()
        self.clip = clip
        self.context: int = clip.context_length
        self.text_width: int = clip.token_embedding.embedding_dim
        self.embedding: int = clip.visual.output_dim
        self.requires_grad_(False)
        self.train()  # modules start in training mode, and Lightning leaves modes as they are

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        side = self.clip.visual.image_size // STRIDE
        return side, side

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, pictures: Tensor) -> ClipFeatures:
        """Pictures (..., 3, H, W) -> their features."""
        return ClipFeatures(self.tokens(pictures))

    @torch.no_grad()
    def tokens(self, pictures: Tensor) -> Tensor:
        """Pictures (..., 3, H, W) -> (..., P, Q): the last map through the attention pool's value and output
        projections only, as if each position attended to itself alone."""
        pool, lead = self.clip.visual.attnpool, pictures.shape[:-3]
        maps = self._maps(pictures.reshape(-1, *pictures.shape[-3:]))  # (B, C, rows, columns)
        x = maps.flatten(2).transpose(1, 2)  # (B, P, C)
        x = x + pool.positional_embedding[1:]  # the first belongs to the mean, which is no position
        tokens = pool.c_proj(pool.v_proj(x))  # (B, P, Q)
        return tokens.reshape(*lead, *tokens.shape[1:])

    @torch.no_grad()
    def picture(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) -> their embeddings (B, Q)."""
        return self.clip.encode_image(clip_normalised(pictures))

    @torch.no_grad()
    def text(self, ids: Tensor) -> Tensor:
        """Phrases (B, context) -> their embeddings (B, Q)."""
        return self.clip.encode_text(ids)

    def latent(self, free: Tensor) -> Tensor:
        """Latent captions (B, K, text_width) -> their embeddings (B, Q), with a gradient to `free`."""
        clip, count = self.clip, len(free)
        ends = clip.token_embedding(torch.tensor([START, END], device=free.device))  # (2, text_width)
        start, end = (one.expand(count, 1, -1) for one in ends)
        x = torch.cat([start, free, end], dim=1) + clip.positional_embedding  # (B, context, text_width)
        x = clip.transformer(x, attn_mask=clip.attn_mask)
        return clip.ln_final(x[:, -1]) @ clip.text_projection  # read at the end token

    def _maps(self, pictures: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) -> the last map (B, C, rows, columns)."""
        visual = self.clip.visual
        x = visual.stem(clip_normalised(pictures))
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = layer(x)
        return x
